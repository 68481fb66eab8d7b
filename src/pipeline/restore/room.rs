//! Room for what is put back: before anything is written, what will not stay is removed.
//!
//! Only for a put-back, which may find a full disk and whose data is known to be in the repository.

use std::collections::BTreeSet;

use super::left_out::LeftOut;
use super::report::ComponentRestore;
use super::tree::TreeRestore;
use crate::model::{Node, Step, Walk};
use crate::pipeline::Error;
use crate::rooted::join;
use crate::sink::{DirTarget, Existing};

impl TreeRestore<'_> {
    /// Removes what the tree does not have, and files of another length than it has them.
    pub(super) fn make_room(&mut self, root: &Node, result: &mut ComponentRestore) -> Result<(), Error> {
        let Some(beneath) = self.beneath.as_mut() else { return Ok(()) };
        let mut walk = Walk::new(root.clone(), b"");
        let mut open: Vec<BTreeSet<Vec<u8>>> = Vec::new();
        while let Some(step) = walk.next(&mut self.reader)? {
            let path = walk.path().strip_prefix(b"/").unwrap_or_default().to_vec();
            let Step::Entry(node) = step else {
                for name in open.pop().unwrap_or_default() {
                    let removed = self.left_out.remove_others(beneath, &mut self.reader, &join(&path, &name))?;
                    result.touched |= removed;
                    result.removed += u64::from(removed);
                }
                continue;
            };
            if let Some(names) = open.last_mut() {
                names.remove(&node.name.0);
            }
            let existing = if path.is_empty() { None } else { beneath.look(&path)? };
            if !node.is_directory() {
                result.touched |= remove_other_length(beneath, &self.left_out, &path, &node, existing.as_ref())?;
            } else if path.is_empty() || existing.as_ref().is_some_and(Existing::is_directory) {
                let covered = !path.is_empty() && self.left_out.covers(beneath, &path, existing.as_ref());
                let names = if covered { Vec::new() } else { beneath.names(&path)? };
                open.push(names.into_iter().collect());
            } else {
                walk.skip();
            }
        }
        Ok(())
    }
}

fn remove_other_length(
    beneath: &mut DirTarget,
    left_out: &LeftOut,
    path: &[u8],
    node: &Node,
    existing: Option<&Existing>,
) -> Result<bool, Error> {
    let differs =
        existing.is_some_and(|existing| !existing.is_directory() && !existing.is_file_of(node.metadata.size_bytes));
    if !node.is_file() || !differs || left_out.covers(beneath, path, existing) {
        return Ok(false);
    }
    beneath.remove_file(path)?;
    Ok(true)
}
