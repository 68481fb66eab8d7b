//! Finding snapshots by what people call them, and components within them.

use std::collections::BTreeSet;

use super::Error;
use crate::clock::LocalTime;
use crate::model::{self, Component, Snapshot, SnapshotKind, counted, decode_snapshot};
use crate::repo::{self, Repository};
use crate::storage::Area;

/// How many candidates an error names.
const CANDIDATES_SHOWN: usize = 5;
/// The name that always means the newest snapshot, and what stands between it and a series.
const LATEST: &str = "latest";
const OF_SERIES: char = '@';
/// Those that are a series; streams have one each.
const KINDS: [SnapshotKind; 5] =
    [SnapshotKind::Full, SnapshotKind::Database, SnapshotKind::Files, SnapshotKind::Selected, SnapshotKind::Safety];

/// Which snapshots are meant, where several could be.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The system that is here: what `latest` is of, where the repository has anything of it.
    pub own: String,
    /// The system that was named.
    pub system: Option<String>,
    /// What had been asked for.
    pub kind: Option<SnapshotKind>,
    /// A word that it has.
    pub tag: Option<String>,
}

impl Selection {
    /// Refuses a system that was named and that nothing is of.
    ///
    /// # Errors
    /// [`Error::OtherSystems`].
    pub fn check(&self, snapshots: &[Snapshot]) -> Result<(), Error> {
        let has_own = |system: &String| snapshots.iter().any(|snapshot| snapshot.system == *system);
        match &self.system {
            Some(system) if !snapshots.is_empty() && !has_own(system) => {
                Err(Error::OtherSystems { own: system.clone(), systems: systems(snapshots) })
            }
            _ => Ok(()),
        }
    }

    /// Whether a snapshot is one of those that were named.
    #[must_use]
    pub fn has(&self, snapshot: &Snapshot) -> bool {
        self.system.as_ref().is_none_or(|system| *system == snapshot.system)
            && self.kind.is_none_or(|kind| kind == snapshot.kind)
            && self.tag.as_ref().is_none_or(|tag| snapshot.tags.contains(tag))
    }
}

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

/// The snapshot with this name, with a name that begins like this, or for `latest` the newest one of the whole system, where there is
/// none the newest of all. `latest@SERIES` is the newest of `everything`, `database`, `folders`, `selection`, `safety`, or of the stream of
/// that name. What a restore saved of the state that it replaced is `latest` only by that name: restoring `latest` twice is restoring
/// the same. A snapshot that is later than the clock is `latest` only where all are.
///
/// # Errors
/// [`Error::NoSuchSnapshot`], [`Error::Ambiguous`], [`Error::NoSnapshots`], [`Error::OtherSystems`], [`Error::NoName`],
/// [`Error::Manifest`] when it cannot be read.
pub fn snapshot(repository: &Repository, wanted: &str, selection: &Selection) -> Result<Snapshot, Error> {
    if let Some(what) = Latest::of(wanted) {
        return latest(snapshots(repository)?, (wanted, &what), selection, LocalTime::now());
    }
    by_name(repository, &name_among(repository.manifest_names()?, wanted)?)
}

/// The snapshot of this whole name.
///
/// # Errors
/// [`Error::Manifest`] when it cannot be read.
pub fn by_name(repository: &Repository, name: &str) -> Result<Snapshot, Error> {
    read(repository, name).map_err(|source| Error::Manifest { name: name.to_owned(), source })
}

/// The whole name of the snapshot that is meant, as [`snapshot`] finds it. But for `latest` its manifest need not be
/// readable.
///
/// # Errors
/// Those of [`snapshot`].
pub fn name(repository: &Repository, wanted: &str, selection: &Selection) -> Result<String, Error> {
    if Latest::of(wanted).is_some() {
        return Ok(snapshot(repository, wanted, selection)?.name.into());
    }
    name_among(repository.manifest_names()?, wanted)
}

/// The systems that these snapshots are of, in order.
#[must_use]
pub fn systems(snapshots: &[Snapshot]) -> Vec<String> {
    let systems: BTreeSet<&str> = snapshots.iter().map(|snapshot| snapshot.system.as_str()).collect();
    systems.into_iter().map(str::to_owned).collect()
}

/// Why the manifests of a repository may be lost: no snapshot is left, and none was deleted, but data of some is there. Without its
/// manifest all data counts as garbage.
///
/// # Errors
/// [`Error::Repo`] when it cannot be listed.
pub fn lost_manifests(repository: &Repository, snapshots: &[Snapshot]) -> Result<Option<&'static str>, Error> {
    let is_empty =
        |area: Area| repository.storage().list(area).map(|listed| listed.is_empty()).map_err(repo::Error::from);
    if !snapshots.is_empty() || !is_empty(Area::Forgotten)? || is_empty(Area::Trees)? {
        return Ok(None);
    }
    Ok(Some(
        "there is no snapshot, but data of some: a first backup was interrupted, or what lies in `snapshots/` is lost",
    ))
}

/// What `latest` is said of.
enum Latest<'a> {
    /// The whole system.
    System,
    /// A series, or the stream of this name.
    Series(&'a str),
}

/// Whether a name means a series, or what had been asked for.
#[must_use]
pub fn is_of_series(name: &str) -> bool {
    KINDS.iter().any(|kind| kind.series() == name || kind.word() == name)
}

impl<'a> Latest<'a> {
    /// `None` when it is not said.
    fn of(wanted: &'a str) -> Option<Self> {
        match wanted.strip_prefix(LATEST)? {
            "" => Some(Self::System),
            rest => rest.strip_prefix(OF_SERIES).map(Self::Series),
        }
    }

    /// Whether it can mean a snapshot.
    fn can_be(&self, snapshot: &Snapshot, selection: &Selection) -> bool {
        match *self {
            Self::System => snapshot.kind != SnapshotKind::Safety || selection.kind.is_some(),
            Self::Series(series) if is_of_series(series) => snapshot.series == series || snapshot.kind.word() == series,
            Self::Series(series) => {
                let stream = format!("{} {series}", SnapshotKind::Stream.series());
                snapshot.series == stream
            }
        }
    }
}

/// The newest snapshot of a series, or of the whole system.
fn latest(
    found: Snapshots,
    (wanted, what): (&str, &Latest<'_>),
    selection: &Selection,
    now: LocalTime,
) -> Result<Snapshot, Error> {
    let Snapshots { snapshots, unreadable: mut unread } = found;
    let system = system_of(&snapshots, selection)?;
    let is_counted = counted(&snapshots, now);
    let is_meant = |(snapshot, _): &(Snapshot, bool)| {
        let of_system = system.as_ref().is_none_or(|system| *system == snapshot.system);
        of_system && what.can_be(snapshot, selection) && selection.has(snapshot)
    };
    let all: Vec<(Snapshot, bool)> = snapshots.into_iter().zip(is_counted).filter(is_meant).collect();
    // Of a series that has nothing else, what is later than the clock is the newest.
    let has_counted = all.iter().any(|(_, is_counted)| *is_counted);
    let meant = all.into_iter().filter(|(_, is_counted)| *is_counted || !has_counted);
    let mut meant: Vec<Snapshot> = meant.map(|(snapshot, _)| snapshot).collect();
    let newest = meant.first().map(|newest| newest.name.to_string());
    // The newest snapshot is not known as long as some cannot be read; their names tell as much as is needed.
    if !unread.is_empty() && newest.is_none_or(|newest| unread.first().is_some_and(|(name, _)| *name > newest)) {
        let (name, source) = unread.swap_remove(0);
        return Err(Error::Manifest { name, source });
    }
    let says_which = matches!(what, Latest::Series(_)) || selection.kind.is_some() || selection.tag.is_some();
    let is_whole = |snapshot: &Snapshot| says_which || snapshot.kind == SnapshotKind::Full;
    let place = meant.iter().position(is_whole).unwrap_or(0);
    match meant.len() {
        0 if says_which || selection.system.is_some() => Err(Error::NoSuchSnapshot { wanted: wanted.to_owned() }),
        0 => Err(Error::NoSnapshots),
        _ => Ok(meant.swap_remove(place)),
    }
}

/// The system whose snapshots are meant: the one that was named, else the one that is here, else the only one. `None` where there are
/// no snapshots.
fn system_of(snapshots: &[Snapshot], selection: &Selection) -> Result<Option<String>, Error> {
    selection.check(snapshots)?;
    if selection.system.is_some() {
        return Ok(selection.system.clone());
    }
    let mut systems = systems(snapshots);
    if systems.contains(&selection.own) {
        return Ok(Some(selection.own.clone()));
    }
    match systems.len() {
        0 | 1 => Ok(systems.pop()),
        _ => Err(Error::OtherSystems { own: selection.own.clone(), systems }),
    }
}

/// The only one of the names that begins like this, or is this.
///
/// # Errors
/// [`Error::NoSuchSnapshot`], [`Error::Ambiguous`], [`Error::NoName`].
pub(super) fn name_among(mut names: Vec<String>, wanted: &str) -> Result<String, Error> {
    if wanted.is_empty() {
        return Err(Error::NoName);
    }
    names.retain(|name| name.starts_with(wanted));
    names.sort();
    match names.as_slice() {
        [] => Err(Error::NoSuchSnapshot { wanted: wanted.to_owned() }),
        [only] => Ok(only.clone()),
        several if several.iter().any(|name| name == wanted) => Ok(wanted.to_owned()),
        several => {
            let candidates = several.iter().take(CANDIDATES_SHOWN).cloned().collect();
            let more = several.len().saturating_sub(CANDIDATES_SHOWN);
            Err(Error::Ambiguous { wanted: wanted.to_owned(), candidates, more })
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
