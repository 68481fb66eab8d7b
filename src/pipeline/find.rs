//! Which snapshots have which entries: listing, finding by pattern, comparing.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::Error;
use crate::model::{
    self, Component, Difference, Node, NodeKind, Parts, Snapshot, SnapshotPath, Step, TreeReader, Walk, diff, resolve,
};
use crate::monitor::Monitor;
use crate::repo::{ChunkReader, Repository};

/// With one of these a text is a pattern.
const PATTERN_CHARACTERS: [char; 5] = ['*', '?', '[', '{', '\\'];

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

/// What entries are looked for by.
#[derive(Debug, Clone, Copy)]
pub struct Pattern<'p> {
    /// `*` and `?` stop at slashes, `**` does not; without a slash it matches names.
    pub text: &'p str,
    /// Whether capital and small letters are the same.
    pub ignores_case: bool,
}

/// Calls `each` for every entry of the snapshots whose path matches a pattern: `*`, `?`, `[…]`, and `**` for any number
/// of directories. A pattern without `/` matches names, one with `/` whole paths, which begin with the component.
///
/// # Errors
/// [`Error::Refused`] when the pattern is not valid; [`Error::Model`]; those of `each`.
pub fn find(
    repository: &Repository,
    snapshots: &[Snapshot],
    pattern: Pattern<'_>,
    monitor: &Monitor<'_>,
    each: EachFound<'_>,
) -> Result<(), Error> {
    let (matcher, prefix) = matcher(pattern)?;
    let mut reader = repository.reader()?;
    for snapshot in snapshots {
        for component in &snapshot.components {
            let Some(root) = component.root.clone() else { continue };
            let mut walk = Walk::new(root, component.name.as_str().as_bytes()).only(prefix.clone());
            while let Some(step) = walk.next(&mut reader)? {
                monitor.check()?;
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

/// The parts of a snapshot that are meant by paths. Each is the path of an entry, or else a pattern as [`find`] takes it.
///
/// # Errors
/// [`Error::Path`] when nothing is meant by one of them; those of [`find`].
pub fn parts(
    repository: &Repository,
    snapshot: &Snapshot,
    paths: &[String],
    monitor: &Monitor<'_>,
) -> Result<Parts, Error> {
    let mut parts = Parts::default();
    let mut reader = repository.reader()?;
    for text in paths {
        let path = SnapshotPath::new(text.as_bytes());
        match resolve(&mut reader, snapshot, &path) {
            Ok(_) => parts.insert(&path.to_bytes()),
            Err(model::Error::NotFound { .. }) if text.contains(PATTERN_CHARACTERS) => {
                let mut is_met = false;
                find(
                    repository,
                    std::slice::from_ref(snapshot),
                    Pattern { text, ignores_case: false },
                    monitor,
                    &mut |_, path, _| {
                        is_met = true;
                        parts.insert(path);
                        Ok(())
                    },
                )?;
                if !is_met {
                    let why = format!("nothing in {} matches it", snapshot.name);
                    return Err(Error::Path { path: text.clone(), why });
                }
            }
            Err(model::Error::NotFound { .. }) => {
                let why = match path.split().and_then(|(name, _)| snapshot.component(&String::from_utf8_lossy(name))) {
                    Some(component) if component.root.is_none() => "could not be saved in",
                    _ => "is not in",
                };
                return Err(Error::Path { path: text.clone(), why: format!("it {why} {}", snapshot.name) });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(parts)
}

/// What matches whole paths, and the path that all of them are at or below, if there is one.
fn matcher(Pattern { text: pattern, ignores_case }: Pattern<'_>) -> Result<(GlobMatcher, Option<Arc<Parts>>), Error> {
    let whole =
        if pattern.contains('/') { pattern.trim_start_matches('/').to_owned() } else { format!("**/{pattern}") };
    let glob = GlobBuilder::new(&whole).literal_separator(true).case_insensitive(ignores_case).build();
    let wrong = |error: globset::Error| Error::Pattern { pattern: pattern.to_owned(), why: error.kind().to_string() };
    let glob = glob.map_err(wrong)?;
    let plain: Vec<&str> = whole.split('/').take_while(|part| !part.contains(PATTERN_CHARACTERS)).collect();
    // Where letters of both sizes mean the same, none leads to one directory.
    let prefix = (!plain.is_empty() && !ignores_case).then(|| {
        let mut parts = Parts::default();
        parts.insert(plain.join("/").as_bytes());
        Arc::new(parts)
    });
    Ok((glob.compile_matcher(), prefix))
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
