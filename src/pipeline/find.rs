//! Which snapshots have which entries: listing, finding by pattern, comparing.

use globset::GlobBuilder;

use super::Error;
use crate::model::{
    Component, Difference, Node, NodeKind, Snapshot, SnapshotPath, Step, TreeReader, Walk, diff, resolve,
};
use crate::progress::{self, Progress};
use crate::repo::{ChunkReader, Repository};

/// Hears of entries: path and node.
pub type EachEntry<'a> = &'a mut dyn FnMut(&[u8], &Node) -> Result<(), Error>;
/// Hears of entries in several snapshots.
pub type EachFound<'a> = &'a mut dyn FnMut(&Snapshot, &[u8], &Node) -> Result<(), Error>;

/// Calls `each` for what lies at a path of a snapshot: the entries of a directory, or the file itself. With `recursive`
/// everything below it too. Paths begin with the component.
///
/// # Errors
/// [`Error::Path`] when nothing lies there; [`Error::Model`]; those of `each`.
pub fn list(
    reader: &mut ChunkReader,
    snapshot: &Snapshot,
    path: &SnapshotPath,
    recursive: bool,
    each: EachEntry<'_>,
) -> Result<(), Error> {
    if path.split().is_none() {
        for component in &snapshot.components {
            let Some(root) = &component.root else { continue };
            each(component.name.as_str().as_bytes(), root)?;
            if recursive {
                list_below(reader, root, component.name.as_str().as_bytes(), each)?;
            }
        }
        return Ok(());
    }
    let node = resolve(reader, snapshot, path)?;
    let shown = path.to_bytes();
    match &node.kind {
        NodeKind::Directory { .. } if recursive => list_below(reader, &node, &shown, each),
        NodeKind::Directory { tree } => {
            let mut nodes = TreeReader::new(tree.clone())?;
            while let Some(node) = nodes.next(reader)? {
                each(&[&shown, &b"/"[..], &node.name].concat(), &node)?;
            }
            Ok(())
        }
        _ => each(&shown, &node),
    }
}

fn list_below(reader: &mut ChunkReader, root: &Node, path: &[u8], each: EachEntry<'_>) -> Result<(), Error> {
    let mut walk = Walk::new(root.clone(), path);
    while let Some(step) = walk.next(reader)? {
        if let Step::Entry(node) = step
            && walk.path() != path
        {
            each(walk.path(), &node)?;
        }
    }
    Ok(())
}

/// Calls `each` for every entry of the snapshots whose path matches a pattern: `*`, `?`, `[…]`, and `**` for any number
/// of directories. A pattern without `/` matches names, one with `/` whole paths, which begin with the component.
///
/// # Errors
/// [`Error::Refused`] when the pattern is not valid; [`Error::Model`]; those of `each`.
pub fn find(
    repository: &Repository,
    snapshots: &[Snapshot],
    pattern: &str,
    progress: &dyn Progress,
    each: EachFound<'_>,
) -> Result<(), Error> {
    let whole =
        if pattern.contains('/') { pattern.trim_start_matches('/').to_owned() } else { format!("**/{pattern}") };
    let glob = GlobBuilder::new(&whole).literal_separator(true).build();
    let matcher = glob.map_err(|error| Error::Refused(format!("the pattern is not valid: {error}")))?.compile_matcher();
    let mut reader = repository.reader()?;
    for snapshot in snapshots {
        for component in &snapshot.components {
            let Some(root) = component.root.clone() else { continue };
            let mut walk = Walk::new(root, component.name.as_str().as_bytes());
            while let Some(step) = walk.next(&mut reader)? {
                progress::check(progress)?;
                let Step::Entry(node) = step else { continue };
                let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(walk.path());
                if matcher.is_match(path) {
                    each(snapshot, walk.path(), &node)?;
                }
            }
        }
    }
    Ok(())
}

/// Calls `each` for every difference between two snapshots, component by component.
///
/// # Errors
/// [`Error::Model`]; those of `each`.
pub fn compare(
    reader: &mut ChunkReader,
    old: &Snapshot,
    new: &Snapshot,
    each: &mut dyn FnMut(Difference<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut names: Vec<&str> =
        old.components.iter().chain(&new.components).map(|component| component.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let root =
            |snapshot: &Snapshot| snapshot.component(name).and_then(|component: &Component| component.root.clone());
        let (old, new) = (root(old), root(new));
        diff(reader, name.as_bytes(), old.as_ref(), new.as_ref(), each)?;
    }
    Ok(())
}
