//! Finding snapshots by what people call them, and components within them.

use super::Error;
use crate::model::{self, Component, Snapshot, SnapshotKind, decode_snapshot};
use crate::repo::Repository;

/// How many candidates an error names.
const CANDIDATES_SHOWN: usize = 5;
/// The name that always means the newest snapshot.
const LATEST: &str = "latest";

/// All manifests of a repository.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// Those that can be read, newest first.
    pub snapshots: Vec<Snapshot>,
    /// Those that cannot: name and cause.
    pub unreadable: Vec<(String, model::Error)>,
}

/// Reads all manifests.
///
/// # Errors
/// [`Error::Repo`] when they cannot be listed. One that cannot be read is in the result.
pub fn snapshots(repository: &Repository) -> Result<Snapshots, Error> {
    let mut found = Snapshots::default();
    for name in repository.manifest_names()? {
        match read(repository, &name) {
            Ok(snapshot) => found.snapshots.push(snapshot),
            // Deleted since the listing.
            Err(model::Error::Repo(crate::repo::Error::Storage(error))) if error.is_missing() => {}
            Err(error) => found.unreadable.push((name, error)),
        }
    }
    found.snapshots.sort_by(|a, b| (b.time, &b.name).cmp(&(a.time, &a.name)));
    found.unreadable.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(found)
}

/// The snapshot with this name, with a name that begins like this, or for `latest` the newest one. What a restore saved
/// of the state that it replaced is never `latest`: restoring `latest` twice is restoring the same.
///
/// # Errors
/// [`Error::NoSuchSnapshot`], [`Error::Ambiguous`], [`Error::NoSnapshots`], [`Error::Manifest`] when it cannot be read.
pub fn snapshot(repository: &Repository, wanted: &str) -> Result<Snapshot, Error> {
    if wanted == LATEST {
        let mut found = snapshots(repository)?;
        found.snapshots.retain(|snapshot| snapshot.kind != SnapshotKind::Safety);
        // The newest snapshot is not known as long as some cannot be read; their names tell as much as is needed.
        if let (Some(newest), Some((name, _))) = (found.snapshots.first(), found.unreadable.first())
            && name.as_str() > newest.name.as_str()
        {
            return Err(unreadable(found.unreadable));
        }
        return match found.snapshots.into_iter().next() {
            Some(newest) => Ok(newest),
            None if found.unreadable.is_empty() => Err(Error::NoSnapshots),
            None => Err(unreadable(found.unreadable)),
        };
    }
    let name = name_among(repository.manifest_names()?, wanted)?;
    read(repository, &name).map_err(|source| Error::Manifest { name, source })
}

/// The whole name of the snapshot that is meant, as [`snapshot`] finds it. But for `latest` its manifest need not be
/// readable.
///
/// # Errors
/// Those of [`snapshot`].
pub fn name(repository: &Repository, wanted: &str) -> Result<String, Error> {
    if wanted == LATEST {
        return Ok(snapshot(repository, wanted)?.name.into());
    }
    name_among(repository.manifest_names()?, wanted)
}

/// The only one of the names that begins like this, or is this.
///
/// # Errors
/// [`Error::NoSuchSnapshot`], [`Error::Ambiguous`].
pub(super) fn name_among(mut names: Vec<String>, wanted: &str) -> Result<String, Error> {
    names.retain(|name| name.starts_with(wanted));
    names.sort();
    match names.as_slice() {
        [] => Err(Error::NoSuchSnapshot { wanted: wanted.to_owned() }),
        [only] => Ok(only.clone()),
        several if several.iter().any(|name| name == wanted) => Ok(wanted.to_owned()),
        several => {
            let candidates = several.iter().take(CANDIDATES_SHOWN).cloned().collect();
            Err(Error::Ambiguous { wanted: wanted.to_owned(), candidates })
        }
    }
}

/// The components of a snapshot that have these names; all of them when no names are given.
///
/// # Errors
/// [`Error::NoSuchComponent`].
pub fn components<'a>(snapshot: &'a Snapshot, wanted: &[String]) -> Result<Vec<&'a Component>, Error> {
    if wanted.is_empty() {
        return Ok(snapshot.components.iter().collect());
    }
    let find = |name: &String| {
        snapshot.component(name).ok_or_else(|| Error::NoSuchComponent {
            wanted: name.clone(),
            place: format!("in {}", snapshot.name),
            known: snapshot.components.iter().map(|component| component.name.to_string()).collect(),
        })
    };
    wanted.iter().map(find).collect()
}

pub(super) fn read(repository: &Repository, name: &str) -> Result<Snapshot, model::Error> {
    let snapshot = decode_snapshot(&repository.read_manifest(name)?)?;
    if snapshot.name.as_str() != name {
        let why = format!("it is the one of {}", snapshot.name);
        return Err(model::Error::Damaged { what: "manifest", why });
    }
    Ok(snapshot)
}

fn unreadable(unreadable: Vec<(String, model::Error)>) -> Error {
    unreadable.into_iter().next().map_or(Error::NoSnapshots, |(name, source)| Error::Manifest { name, source })
}
