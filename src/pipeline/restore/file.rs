//! Files of a tree that is restored: those that match are left alone, and others are planned to be written beside what stands there.

use std::os::fd::AsFd;

use super::compare::same_content;
use super::finish::Waiting;
use super::report::ComponentRestore;
use super::tree::{TreeRestore, note_not_set};
use crate::limits::RESTORE_CHUNKS_MAX;
use crate::model::{ContentReader, Node, NodeKind, show_path};
use crate::pipeline::Error;
use crate::progress::{self, Progress};
use crate::rooted::Status;
use crate::sink::{self, Existing, FileTarget};

impl TreeRestore<'_> {
    pub(super) fn file(
        &mut self,
        path: &[u8],
        node: &Node,
        existing: Option<&Existing>,
        result: &mut ComponentRestore,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let in_the_way = existing.is_some_and(Existing::is_directory);
        // One that cannot be opened, because somebody has a lease on it say, is replaced.
        if existing.is_some_and(|existing| existing.is_file_of(node.metadata.size_bytes))
            && let Ok((file, opened)) = self.beneath()?.open_file(path)
        {
            let (ids, found) = (self.repository.ids(), *opened.status());
            if opened.is_file_of(node.metadata.size_bytes)
                && opened.with_list(&file, node).may_become(node)
                && !self.is_fresh()
                && same_content(&mut self.reader, ids, &file, node)?
            {
                result.unchanged += 1;
                progress.advance(node.metadata.size_bytes);
                if !self.options.dry_run {
                    result.touched = true;
                    let failures = self.attributes.apply_changes(&file, node, &found);
                    note_not_set(result, path, failures);
                    self.note_first(path, node, &file)?;
                }
                return Ok(());
            }
        }
        self.check_replace(path, existing)?;
        if in_the_way {
            self.check_clear(path, result)?;
        }
        result.written += 1;
        result.bytes_written += node.metadata.size_bytes;
        if self.options.dry_run {
            return Ok(());
        }
        result.touched = true;
        if self.options.room_first && !in_the_way {
            self.beneath()?.remove_file(path)?;
        }
        self.write_file((path, in_the_way), node, progress)
    }

    /// Remembers what has the first of several names.
    pub(super) fn note_first(&mut self, path: &[u8], node: &Node, file: impl AsFd) -> Result<(), Error> {
        if node.metadata.links > 1 {
            let status = Status::of(file).map_err(|errno| sink::Error::io("look at", show_path(path), errno))?;
            self.first_files.insert(path.to_vec(), status.into());
        }
        Ok(())
    }

    /// Plans a file; `in_the_way` says that a directory stands in its place.
    fn write_file(
        &mut self,
        (path, in_the_way): (&[u8], bool),
        node: &Node,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let NodeKind::File { content, .. } = &node.kind else { return Ok(()) };
        let beneath = self.beneath()?;
        let (file, temporary) = beneath.temporary_file(path)?;
        let shown = beneath.show(path);
        let filled = FileTarget::new(file, node).map_err(|source| sink::Error::io("write", shown, source).into());
        let planned = filled.and_then(|target| {
            let file = self.writer.add_file(target);
            let mut chunks = ContentReader::new(content.clone())?;
            let mut offset = 0;
            while let Some(chunk) = chunks.next(&mut self.reader)? {
                self.writer.add_chunk(&file, offset, chunk)?;
                offset += u64::from(chunk.len_bytes);
                if self.writer.planned() >= RESTORE_CHUNKS_MAX {
                    self.writer.write();
                    progress::check(progress)?;
                }
            }
            Ok(file)
        });
        match planned {
            Ok(file) => {
                let (path, node) = (path.to_vec(), Box::new(node.clone()));
                self.open_files += 1;
                self.waiting.push(Waiting::File { path, temporary, node, file, in_the_way });
                Ok(())
            }
            Err(error) => {
                // The error that led here is the one to tell.
                let _ = self.beneath()?.remove_file(&temporary);
                Err(error)
            }
        }
    }
}
