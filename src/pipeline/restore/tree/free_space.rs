//! Free space for what is put back: before anything is written, what will not stay is removed.
//!
//! Only for a put-back, which may find a full disk and whose data is known to be in the repository.

use std::collections::BTreeSet;

use super::target::Target;
use crate::model::{Node, Step, Walk};
use crate::pipeline::Error;
use crate::repo::ChunkReader;
use crate::rooted::join;
use crate::sink::Existing;

/// Removes what the tree does not have, and files of another length than it has them.
pub(super) fn delete_before_write(target: &mut Target<'_>, root: &Node, reader: &mut ChunkReader) -> Result<(), Error> {
    if !target.stands() {
        return Ok(());
    }
    let mut walk = Walk::new(root.clone(), b"");
    let mut open: Vec<BTreeSet<Vec<u8>>> = Vec::new();
    while let Some(step) = walk.next(reader)? {
        let path = walk.path().strip_prefix(b"/").unwrap_or_default().to_vec();
        let Step::Entry(node) = step else {
            for name in open.pop().unwrap_or_default() {
                let removed = target.remove_others(&join(&path, &name))?;
                let result = target.result();
                result.touched |= removed;
                result.removed += u64::from(removed);
            }
            continue;
        };
        if let Some(names) = open.last_mut() {
            names.remove(&node.name.0);
        }
        let existing = if path.is_empty() { None } else { target.look(&path)? };
        if !node.is_directory() {
            let removed = remove_other_length(target, &path, &node, existing.as_ref())?;
            target.result().touched |= removed;
        } else if path.is_empty() || existing.as_ref().is_some_and(Existing::is_directory) {
            let covered = !path.is_empty() && target.is_left_out(&path, existing.as_ref());
            let names = if covered { Vec::new() } else { target.beneath()?.names(&path)? };
            open.push(names.into_iter().collect());
        } else {
            walk.skip();
        }
    }
    Ok(())
}

fn remove_other_length(
    target: &mut Target<'_>,
    path: &[u8],
    node: &Node,
    existing: Option<&Existing>,
) -> Result<bool, Error> {
    let differs =
        existing.is_some_and(|existing| !existing.is_directory() && !existing.is_file_of(node.metadata.size_bytes));
    if !node.is_file() || !differs || target.is_left_out(path, existing) {
        return Ok(false);
    }
    target.beneath()?.remove_file(path)?;
    Ok(true)
}
