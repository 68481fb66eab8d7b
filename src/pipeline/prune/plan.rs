//! What a prune would do: which snapshots go, and what becomes of the packs then. Nothing is changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::mark::Marker;
use crate::clock::LocalTime;
use crate::events::Phase;
use crate::id::{ChunkId, PackId};
use crate::model::{Retention, Rule, Snapshot, SnapshotName, Verdict, decide};
use crate::monitor::Monitor;
use crate::pipeline::{Error, lookup};
use crate::repo::{self, ChunkReader, Collection, CollectionSums, Limits, Marks, Repository};
use crate::storage::{Area, Key, Listed};

/// What to keep, and how much to do.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Which snapshots are kept.
    pub retention: Retention,
    /// Snapshots by name that a restore needs again, because it has not ended well.
    pub needed: BTreeSet<String>,
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
    /// About the bytes that it takes afterwards.
    pub bytes_after: u64,
    /// Whether what is kept fits into the most bytes that it may take, where there is such a bound.
    pub fits: Option<bool>,
    pub(super) collection: Collection,
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

    /// Packs that do not have a chunk where the index says, and what is wrong. It is taken from another place.
    #[must_use]
    pub fn untrue(&self) -> &[(PackId, repo::Error)] {
        self.collection.untrue()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.forgotten.is_empty() && self.collection.sums().is_nothing() && self.going().next().is_none()
    }
}

/// Decides what a prune does. Nothing is changed.
///
/// # Errors
/// [`Error::Refused`] when the retention keeps nothing; [`Error::Manifest`], [`Error::Lost`] and [`Error::Repo`] when not
/// everything can be read that has to be known; [`Error::Cancelled`].
pub fn plan(repository: &Repository, options: &PruneOptions, monitor: &Monitor<'_>) -> Result<PrunePlan, Error> {
    repository.config().check_deletable()?;
    monitor.begin(Phase::ReadingManifests, None);
    let mut found = lookup::snapshots(repository)?;
    if let Some((name, source)) = found.unreadable.pop() {
        return Err(Error::Manifest { name, source });
    }
    let snapshots = found.snapshots;
    if let Some(why) = lookup::lost_manifests(repository, &snapshots)? {
        return Err(Error::Refused(format!("{why}: nothing is deleted")));
    }
    let pins = repository.pins()?;
    let mut verdicts = decide(&snapshots, &pins, &options.retention, LocalTime::now())
        .map_err(|error| Error::Refused(error.to_string()))?;
    for verdict in verdicts.iter_mut().filter(|verdict| options.needed.contains(verdict.name.as_str())) {
        verdict.keep.push(Rule::Unended);
    }
    let mut decisions: Vec<Decision> = snapshots.iter().zip(&verdicts).map(decision).collect();
    monitor.begin(Phase::MarkingUsed, None);
    // What fits as it is needs no estimate.
    let taken_now = Taken::by(repository)?.sum();
    let is_small = options.bytes_max.is_some_and(|bytes_max| taken_now <= bytes_max);
    let bytes_max = options.bytes_max.filter(|_| !is_small);
    let marking = mark_what_fits(repository, (&snapshots, &verdicts), &mut decisions, bytes_max, monitor)?;
    collect_what_fits(repository, marking, (&snapshots, &verdicts), decisions, options, monitor)
}

/// Marks what the kept snapshots need; where that alone is more than may be, the oldest are too much.
fn mark_what_fits(
    repository: &Repository,
    (snapshots, verdicts): (&[Snapshot], &[Verdict]),
    decisions: &mut [Decision],
    bytes_max: Option<u64>,
    monitor: &Monitor<'_>,
) -> Result<Marking, Error> {
    let mut marking = Marking::new(repository)?;
    // What is protected counts first, so that the oldest of the others is what is too much.
    let is_free = |number: &usize| !verdicts.get(*number).is_some_and(Verdict::is_protected);
    let mut kept: Vec<usize> = (0..snapshots.len()).filter(|number| is_kept(decisions, *number)).collect();
    kept.sort_by_key(is_free);
    let mut is_full = false;
    for number in kept {
        if !is_full || !is_free(&number) {
            marking.mark(&snapshots[number], monitor)?;
        }
        is_full |= bytes_max.is_some_and(|bytes_max| marking.bytes() > bytes_max);
        decisions[number].is_too_much = is_full && is_free(&number);
    }
    if is_full {
        // What was marked for the first one that was too much is in use no more.
        return mark_kept(repository, snapshots, decisions, monitor);
    }
    Ok(marking)
}

fn mark_kept(
    repository: &Repository,
    snapshots: &[Snapshot],
    decisions: &[Decision],
    monitor: &Monitor<'_>,
) -> Result<Marking, Error> {
    let mut marking = Marking::new(repository)?;
    for (snapshot, _) in snapshots.iter().zip(decisions).filter(|(_, decision)| decision.is_kept()) {
        marking.mark(snapshot, monitor)?;
    }
    Ok(marking)
}

/// Plans the collection; where the packs would still take more than may be, the oldest snapshot that may go goes too.
fn collect_what_fits(
    repository: &Repository,
    mut marking: Marking,
    (snapshots, verdicts): (&[Snapshot], &[Verdict]),
    mut decisions: Vec<Decision>,
    options: &PruneOptions,
    monitor: &Monitor<'_>,
) -> Result<PrunePlan, Error> {
    let forgotten = repository.forgotten_names()?;
    let taken = Taken::by(repository)?;
    let packs_bytes_max = options.bytes_max.map(|bytes_max| taken.packs_within(bytes_max));
    let limits = Limits { rewrite_bytes_max: options.rewrite_bytes_max, packs_bytes_max };
    loop {
        let in_use_bytes = marking.bytes();
        let collection = Collection::plan(repository, marking.marks, limits, monitor)?;
        let bytes_after = taken.with_packs(collection.sums().packs_bytes());
        // Both are estimates, and a snapshot is not deleted for the error of one. What is to be written anew later is no
        // reason either.
        let in_use_bytes = taken.with_in_use(in_use_bytes);
        let bytes = if options.rewrite_bytes_max.is_some() { in_use_bytes } else { bytes_after.min(in_use_bytes) };
        let fits = options.bytes_max.map(|bytes_max| bytes <= bytes_max);
        let mut free = (0..snapshots.len()).rev().filter(|number| !verdicts[*number].is_protected());
        let oldest = free.find(|number| is_kept(&decisions, *number)).filter(|_| fits == Some(false));
        let Some(oldest) = oldest else {
            return Ok(PrunePlan { decisions, forgotten, bytes_before: taken.sum(), bytes_after, fits, collection });
        };
        decisions[oldest].is_too_much = true;
        marking = mark_kept(repository, snapshots, &decisions, monitor)?;
    }
}

/// Snapshots being marked.
struct Marking {
    reader: ChunkReader,
    marker: Marker,
    marks: Marks,
}

impl Marking {
    fn new(repository: &Repository) -> Result<Self, Error> {
        let index = Arc::new(repository.sound_index()?);
        let reader = repository.reader_with(&index)?;
        Ok(Self { reader, marker: Marker::default(), marks: Marks::new(index) })
    }

    fn mark(&mut self, snapshot: &Snapshot, monitor: &Monitor<'_>) -> Result<(), Error> {
        let marks = &mut self.marks;
        let mut each = |id: &ChunkId| marks.insert(id);
        self.marker.snapshot(&mut self.reader, snapshot, &mut each, monitor)
    }

    const fn bytes(&self) -> u64 {
        self.marks.bytes()
    }
}

fn decision((snapshot, verdict): (&Snapshot, &Verdict)) -> Decision {
    let (name, time, rules) = (snapshot.name.clone(), snapshot.time, verdict.keep.clone());
    Decision { name, time, rules, is_too_much: false }
}

fn is_kept(decisions: &[Decision], number: usize) -> bool {
    decisions.get(number).is_some_and(Decision::is_kept)
}

/// Bytes that parity may have beside shards.
const PARITY_ROOM_BYTES: u64 = 1 << 20;

/// Bytes that the repository takes.
pub(super) struct Taken {
    packs: u64,
    /// Shrinks as the packs do.
    index: u64,
    /// Too.
    parity: u64,
    manifests: u64,
    /// Go with what only they need.
    forgotten: u64,
}

impl Taken {
    pub(super) fn by(repository: &Repository) -> Result<Self, Error> {
        let mut lengths: HashMap<Key, u64> = HashMap::new();
        let mut sum = |area: Area| -> Result<u64, Error> {
            let listed = repository.storage().list(area).map_err(repo::Error::from)?;
            let total = listed.iter().map(|object| object.len_bytes).sum();
            lengths.extend(listed.into_iter().map(|object| (Key::new(area, object.name), object.len_bytes)));
            Ok(total)
        };
        let (packs, index) = (sum(Area::Packs)? + sum(Area::Trees)?, sum(Area::Index)?);
        let (manifests, forgotten) = (sum(Area::Snapshots)?, sum(Area::Forgotten)?);
        // No snapshot goes for what belongs to nothing, or is longer than what it is to mend with all that comes with it.
        let of_object = |parity: &Listed| {
            let object = Key::from_flat_name(&parity.name)?;
            Some(parity.len_bytes.min(lengths.get(&object)?.saturating_mul(2).saturating_add(PARITY_ROOM_BYTES)))
        };
        let parity = repository.storage().list(Area::Parity).map_err(repo::Error::from)?;
        let parity = parity.iter().filter_map(of_object).sum();
        Ok(Self { packs, index, parity, manifests, forgotten })
    }

    pub(super) const fn sum(&self) -> u64 {
        self.packs + self.index + self.parity + self.manifests + self.forgotten
    }

    /// About the bytes of all when the packs have this length.
    fn with_packs(&self, packs_bytes: u64) -> u64 {
        self.manifests + packs_bytes + scaled(self.index + self.parity, packs_bytes, self.packs)
    }

    /// About the bytes of all when packs and index hold nothing but so much that is in use.
    fn with_in_use(&self, bytes: u64) -> u64 {
        self.manifests + bytes + scaled(self.parity, bytes, self.packs)
    }

    /// About the length that the packs may have when all may take so much.
    fn packs_within(&self, bytes: u64) -> u64 {
        scaled(bytes.saturating_sub(self.manifests), self.packs, self.packs + self.index + self.parity)
    }
}

fn scaled(bytes: u64, numerator: u64, denominator: u64) -> u64 {
    let scaled = u128::from(bytes) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
