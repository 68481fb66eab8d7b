//! Restoring what is neither a file nor a directory: symbolic links, devices and pipes, and further names of files.

use super::ComponentRestore;
use super::finish::Waiting;
use super::tree::{TreeRestore, note_not_set};
use crate::model::{Node, NodeKind};
use crate::pipeline::Error;
use crate::sink::Existing;

impl TreeRestore<'_> {
    pub(super) fn special(
        &mut self,
        path: &[u8],
        node: &Node,
        existing: Option<&Existing>,
        result: &mut ComponentRestore,
    ) -> Result<(), Error> {
        let same = match (&node.kind, existing) {
            (_, None) => false,
            (NodeKind::Symlink { target }, Some(_)) => self.beneath()?.link_target(path)?.as_ref() == Some(&target.0),
            (_, Some(existing)) => existing.is_same_special(node) && existing.may_become(node),
        };
        result.unchanged += u64::from(same);
        result.written += u64::from(!same);
        if self.options.dry_run {
            return Ok(());
        }
        result.touched = true;
        if existing.is_some_and(Existing::is_directory) {
            self.clear(path)?;
        }
        let attributes = self.attributes;
        let beneath = self.beneath()?;
        if same {
            let special = beneath.open_special(path, node)?;
            note_not_set(result, path, attributes.apply_special(&special, node));
            return Ok(());
        }
        let temporary = beneath.temporary_special(path, node)?;
        let placed = beneath.open_special(&temporary, node).and_then(|special| {
            let failures = attributes.apply_special(&special, node);
            beneath.put_in_place(&temporary, path).map(|()| failures)
        });
        if placed.is_err() {
            // The error that led here is the one to tell.
            let _ = beneath.remove(&temporary);
        }
        note_not_set(result, path, placed?);
        Ok(())
    }

    pub(super) fn link(&mut self, first: Vec<u8>, path: &[u8], result: &mut ComponentRestore) -> Result<(), Error> {
        let identity = |existing: Option<Existing>| existing.map(|existing| existing.identity());
        let (first_identity, here) = (identity(self.look(&first)?), identity(self.look(path)?));
        // A first name whose file is still being written will be another inode.
        let being_filled = self.filling.iter().flat_map(|group| &group.waiting);
        let being_written = being_filled
            .chain(&self.waiting)
            .any(|waiting| matches!(waiting, Waiting::File { path, .. } if *path == first));
        if here.is_some() && here == first_identity && !being_written {
            result.unchanged += 1;
            return Ok(());
        }
        result.written += 1;
        if !self.options.dry_run {
            self.waiting.push(Waiting::Link { first, path: path.to_vec() });
        }
        Ok(())
    }
}
