//! Restoring what is neither a file nor a directory: symbolic links, devices and pipes, and further names of files.

use super::group::Waiting;
use super::plan::Plan;
use crate::model::{Node, NodeKind};
use crate::pipeline::Error;
use crate::sink::Existing;

/// Rights of the group, and of all others.
const RIGHTS_OF_OTHERS: u32 = 0o077;

impl Plan<'_> {
    /// Makes anything else than a file, a directory or a socket, or leaves it alone where it matches.
    pub(super) fn special(&mut self, path: &[u8], node: &Node, existing: Option<&Existing>) -> Result<(), Error> {
        let same = match (&node.kind, existing) {
            (NodeKind::Symlink { target }, Some(_)) => {
                self.target().beneath()?.link_target(path)?.as_ref() == Some(&target.0)
            }
            (_, Some(existing)) if existing.is_same_special(node) && !self.around().is_fresh() => {
                let special = self.target().beneath()?.open_special(path, node)?;
                existing.clone().with_list(&special, node).may_become(node)
            }
            _ => false,
        };
        if !same {
            self.check_replace(path, existing)?;
        }
        if existing.is_some_and(Existing::is_directory) {
            self.check_clear(path)?;
        }
        let target = self.target();
        target.result().unchanged += u64::from(same);
        target.result().written += u64::from(!same);
        if target.is_dry_run() {
            return Ok(());
        }
        target.result().touched = true;
        if existing.is_some_and(Existing::is_directory) {
            target.clear(path)?;
        }
        let attributes = target.attributes();
        let beneath = target.beneath()?;
        let special = if same { beneath.open_special(path, node)? } else { beneath.stage_special(path, node)? };
        let failures = attributes.apply_special(&special, node);
        if !same {
            beneath.place_special(path)?;
        }
        target.result().note_not_set(path, failures);
        target.note_first(path, node, &special)
    }

    /// Takes away the socket that somebody else has put where a program of the node's owner listens. What else stands there is removed
    /// like everything that the snapshot does not have.
    pub(super) fn clear_socket(&mut self, path: &[u8], node: &Node, existing: Option<&Existing>) -> Result<(), Error> {
        let Some(existing) = existing.filter(|existing| existing.is_socket()) else { return Ok(()) };
        // Nobody connects to one that is closed by itself.
        if !existing.has_rights_of(node) && existing.status().mode() & RIGHTS_OF_OTHERS != 0 {
            self.note_left(path);
        }
        if self.target().is_dry_run() || !existing.was_open_to_others(node) {
            return Ok(());
        }
        self.check_replace(path, Some(existing))?;
        self.target().result().removed += 1;
        Ok(self.target().beneath()?.remove_file(path)?)
    }

    /// A further name of a file.
    pub(super) fn link(&mut self, first: Vec<u8>, path: &[u8]) -> Result<(), Error> {
        let here = self.look(path)?;
        let is_linked = if self.target().is_dry_run() {
            let first = self.look(&first)?;
            matches!((&here, first), (Some(here), Some(first)) if here.identity() == first.identity())
        } else {
            // A first name whose file is still being written will be another inode.
            matches!((&here, self.target().first_file(&first)), (Some(here), Some(first)) if here.is_still(first))
        };
        if is_linked {
            self.target().result().unchanged += 1;
            return Ok(());
        }
        self.check_replace(path, here.as_ref())?;
        if here.as_ref().is_some_and(Existing::is_directory) {
            self.check_clear(path)?;
        }
        self.target().result().written += 1;
        if !self.target().is_dry_run() {
            self.add(Waiting::Link { first, path: path.to_vec() });
        }
        Ok(())
    }
}
