//! Pruning: which snapshots go, and freeing the space of everything that nothing needs any more.
//!
//! A plan changes nothing, and what is done is what it says; but what appears while it is carried out is kept too. A
//! repository of which not everything is known that the kept snapshots need is never pruned.

mod mark;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Error, lookup};
use crate::clock::LocalTime;
use crate::id::ChunkId;
use crate::model::{Retention, Rule, Snapshot, SnapshotName, Verdict, decide};
use crate::progress::Progress;
use crate::repo::{self, ChunkReader, Collected, Collection, CollectionSums, Limits, Live, Repository};
use crate::storage::Area;

use mark::Marker;

/// What to keep, and how much to do.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Which snapshots are kept.
    pub retention: Retention,
    /// Most bytes that the repository may take: the oldest snapshots go until it fits.
    pub bytes_max: Option<u64>,
    /// Most bytes of packs that are written anew.
    pub rewrite_bytes_max: Option<u64>,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Its name.
    pub name: SnapshotName,
    /// When it was made.
    pub time: LocalTime,
    /// The rules that the retention has for keeping it.
    pub rules: Vec<Rule>,
    /// Whether it goes all the same, because the repository is too large.
    pub is_too_much: bool,
}

impl Decision {
    /// Whether it stays.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.rules.is_empty() && !self.is_too_much
    }
}

/// Everything that a prune would do.
#[derive(Debug)]
pub struct PrunePlan {
    /// All snapshots, newest first.
    pub decisions: Vec<Decision>,
    /// Snapshots that were deleted before and cannot be brought back afterwards.
    pub forgotten: Vec<String>,
    /// Bytes that the repository takes now: packs, index, manifests.
    pub bytes_before: u64,
    /// Whether what is kept fits into the most bytes that it may take, where there is such a bound.
    pub fits: Option<bool>,
    collection: Collection,
}

impl PrunePlan {
    /// The snapshots that go, newest first.
    pub fn going(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| !decision.is_kept())
    }

    /// What happens to the packs.
    #[must_use]
    pub const fn sums(&self) -> CollectionSums {
        self.collection.sums()
    }

    /// About the bytes that the repository takes afterwards.
    #[must_use]
    pub const fn bytes_after(&self) -> u64 {
        self.bytes_before.saturating_sub(self.collection.sums().freed_bytes())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.forgotten.is_empty() && self.collection.sums().is_nothing() && self.going().next().is_none()
    }
}

/// What a prune did.
#[derive(Debug, Default)]
pub struct PruneReport {
    /// Snapshots that were deleted.
    pub deleted: Vec<String>,
    /// Bytes that the repository took before, and takes now.
    pub bytes_before: u64,
    /// See there.
    pub bytes_after: u64,
    /// About the bytes that a later prune will free, because others were at work.
    pub later_bytes: u64,
    /// What happened to the packs.
    pub collected: Collected,
}

/// Snapshots by name and time: a name that is free again may be given to another one.
type Known = BTreeSet<(String, LocalTime)>;

/// Decides what a prune does. Nothing is changed.
///
/// # Errors
/// [`Error::Refused`] when the retention keeps nothing; [`Error::Manifest`], [`Error::Lost`] and [`Error::Repo`] when not
/// everything can be read that has to be known; [`Error::Cancelled`].
pub fn plan(repository: &Repository, options: &PruneOptions, progress: &dyn Progress) -> Result<PrunePlan, Error> {
    repository.config().check_deletable()?;
    progress.begin("reading the manifests", None);
    let mut found = lookup::snapshots(repository)?;
    if let Some((name, source)) = found.unreadable.pop() {
        return Err(Error::Manifest { name, source });
    }
    let snapshots = found.snapshots;
    let pins = repository.pins()?;
    let verdicts = decide(&snapshots, &pins, &options.retention).map_err(|error| Error::Refused(error.to_string()))?;
    let mut decisions: Vec<Decision> = snapshots.iter().zip(&verdicts).map(decision).collect();
    progress.begin("looking for what is in use", None);
    let mut marking = Marking::new(repository)?;
    let mut fits = None;
    // What is protected counts first, so that the oldest of the others is what is too much.
    let order = |number: &usize| !verdicts.get(*number).is_some_and(Verdict::is_protected);
    let mut kept: Vec<usize> = (0..snapshots.len()).filter(|number| is_kept(&decisions, *number)).collect();
    kept.sort_by_key(order);
    for number in kept {
        let Some(snapshot) = snapshots.get(number) else { continue };
        if fits != Some(false) || !order(&number) {
            marking.mark(snapshot, progress)?;
        }
        if let Some(bytes_max) = options.bytes_max {
            let too_much = fits == Some(false) || marking.bytes() > bytes_max;
            fits = Some(!too_much);
            if let Some(decision) = decisions.get_mut(number).filter(|_| too_much && order(&number)) {
                decision.is_too_much = true;
            }
        }
    }
    if decisions.iter().any(|decision| decision.is_too_much) {
        // What was marked for the first one that was too much is in use no more.
        marking = Marking::new(repository)?;
        for (snapshot, decision) in snapshots.iter().zip(&decisions) {
            if decision.is_kept() {
                marking.mark(snapshot, progress)?;
            }
        }
        fits = options.bytes_max.map(|bytes_max| marking.bytes() <= bytes_max);
    }
    let forgotten = repository.forgotten_names()?;
    let limits = Limits { rewrite_bytes_max: options.rewrite_bytes_max };
    let collection = Collection::plan(repository, marking.live, limits)?;
    Ok(PrunePlan { decisions, forgotten, bytes_before: bytes_of(repository)?, fits, collection })
}

/// Does what a plan says.
///
/// # Errors
/// [`Error::Repo`], [`Error::Lost`] when a snapshot that has appeared meanwhile is damaged, [`Error::Cancelled`]. Every
/// snapshot that is kept is whole then, and another prune goes on.
pub fn execute(repository: &Repository, plan: PrunePlan, progress: &dyn Progress) -> Result<PruneReport, Error> {
    let mut report = PruneReport { bytes_before: plan.bytes_before, ..PruneReport::default() };
    let expected_bytes = plan.sums().freed_bytes();
    let is_nothing = plan.is_nothing();
    let kept = plan.decisions.iter().filter(|decision| decision.is_kept());
    let kept: Known = kept.map(|decision| (decision.name.to_string(), decision.time)).collect();
    let mut forgotten = plan.forgotten;
    for decision in plan.decisions.iter().filter(|decision| !decision.is_kept()) {
        match repository.forget(decision.name.as_str()) {
            Ok(_) => report.deleted.push(decision.name.to_string()),
            // Another prune, which had the same plan, was faster.
            Err(repo::Error::Storage(error)) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
        forgotten.push(decision.name.to_string());
    }
    if !is_nothing {
        let mut failed = None;
        let mut second_look = |reader: &mut ChunkReader, each: mark::Each<'_>| {
            look_again(repository, &kept, reader, each, progress).map_err(|error| match error {
                Error::Repo(error) => error,
                Error::Cancelled(cancelled) => cancelled.into(),
                error => {
                    failed = Some(error);
                    repo::Error::Changed
                }
            })
        };
        let collected = plan.collection.execute(repository, &forgotten, &mut second_look, progress);
        report.collected = collected.map_err(|error| failed.unwrap_or_else(|| from_repo(error)))?;
        if report.collected.is_waiting {
            report.later_bytes = expected_bytes + report.collected.written.1;
        }
    }
    report.bytes_after = bytes_of(repository)?;
    Ok(report)
}

/// Tells of the chunks of snapshots that are there now and were not known.
fn look_again(
    repository: &Repository,
    known: &Known,
    reader: &mut ChunkReader,
    each: mark::Each<'_>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut marker = Marker::default();
    for name in repository.manifest_names()? {
        let snapshot = lookup::snapshot(repository, &name)?;
        if !known.contains(&(name, snapshot.time)) {
            marker.snapshot(reader, &snapshot, each, progress)?;
        }
    }
    Ok(())
}

/// Snapshots being marked.
struct Marking {
    reader: ChunkReader,
    marker: Marker,
    live: Live,
}

impl Marking {
    fn new(repository: &Repository) -> Result<Self, Error> {
        let index = Arc::new(repository.sound_index()?);
        let reader = repository.reader_with(&index)?;
        Ok(Self { reader, marker: Marker::default(), live: Live::new(index) })
    }

    fn mark(&mut self, snapshot: &Snapshot, progress: &dyn Progress) -> Result<(), Error> {
        let live = &mut self.live;
        let mut each = |id: &ChunkId| live.insert(id);
        self.marker.snapshot(&mut self.reader, snapshot, &mut each, progress)
    }

    const fn bytes(&self) -> u64 {
        self.live.bytes()
    }
}

fn decision((snapshot, verdict): (&Snapshot, &Verdict)) -> Decision {
    let (name, time, rules) = (snapshot.name.clone(), snapshot.time, verdict.keep.clone());
    Decision { name, time, rules, is_too_much: false }
}

fn is_kept(decisions: &[Decision], number: usize) -> bool {
    decisions.get(number).is_some_and(Decision::is_kept)
}

fn from_repo(error: repo::Error) -> Error {
    match error {
        repo::Error::Cancelled(cancelled) => Error::Cancelled(cancelled),
        error => error.into(),
    }
}

/// Bytes that the repository takes.
fn bytes_of(repository: &Repository) -> Result<u64, Error> {
    let areas = [Area::Packs, Area::Index, Area::Snapshots, Area::Forgotten, Area::Parity];
    let mut bytes = 0;
    for area in areas {
        let listed = repository.storage().list(area).map_err(repo::Error::from)?;
        bytes += listed.iter().map(|object| object.len_bytes).sum::<u64>();
    }
    Ok(bytes)
}
