//! Files of a tree that is restored: those that match are left alone, and others are planned to be written beside what stands there.

use super::group::Waiting;
use super::plan::Plan;
use crate::model::{Node, NodeKind};
use crate::pipeline::Error;
use crate::sink::{self, Existing, FileTarget};

impl Plan<'_> {
    /// Leaves a file that matches alone, and plans to write another one.
    pub(super) fn file(&mut self, path: &[u8], node: &Node, existing: Option<&Existing>) -> Result<(), Error> {
        let in_the_way = existing.is_some_and(Existing::is_directory);
        // One that cannot be opened, because somebody has a lease on it say, is replaced.
        if existing.is_some_and(|existing| existing.is_file_of(node.metadata.size_bytes))
            && let Ok((file, opened)) = self.target().beneath()?.open_file(path)
        {
            let found = *opened.status();
            if opened.is_file_of(node.metadata.size_bytes)
                && opened.with_list(&file, node).may_become(node)
                && !self.around().is_fresh()
                && self.has_content(&file, node)?
            {
                let target = self.target();
                target.result().unchanged += 1;
                target.monitor().advance(node.metadata.size_bytes);
                if !target.is_dry_run() {
                    target.result().touched = true;
                    let failures = target.attributes().apply_changes(&file, node, &found);
                    target.result().note_not_set(path, failures);
                    target.note_first(path, node, &file)?;
                }
                return Ok(());
            }
        }
        self.check_replace(path, existing)?;
        if in_the_way {
            self.check_clear(path)?;
        }
        let result = self.target().result();
        result.written += 1;
        result.bytes_written += node.metadata.size_bytes;
        if self.target().is_dry_run() {
            return Ok(());
        }
        self.target().result().touched = true;
        if self.options().delete_before_write && !in_the_way {
            self.target().beneath()?.remove_file(path)?;
        }
        self.write_file(path, in_the_way, node)
    }

    /// Plans a file; `in_the_way` says that a directory stands in its place.
    fn write_file(&mut self, path: &[u8], in_the_way: bool, node: &Node) -> Result<(), Error> {
        let NodeKind::File { content, .. } = &node.kind else { return Ok(()) };
        let beneath = self.target().beneath()?;
        let (file, temporary) = beneath.temporary_file(path)?;
        let shown = beneath.show(path);
        let filled = FileTarget::new(file, node).map_err(|source| sink::Error::io("write", shown, source).into());
        match filled.and_then(|target| self.fill(target, content)) {
            Ok(file) => {
                let (path, node) = (path.to_vec(), Box::new(node.clone()));
                self.add_open_file();
                self.add(Waiting::File { path, temporary, node, file, in_the_way });
                Ok(())
            }
            Err(error) => {
                // The error that led here is the one to tell.
                let _ = self.target().beneath()?.remove_file(&temporary);
                Err(error)
            }
        }
    }
}
