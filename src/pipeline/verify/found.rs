//! What reading packs has found, and gathering that from all cores.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::report::Damage;
use crate::id::{ChunkId, PackId};
use crate::monitor::Monitor;
use crate::pack;
use crate::pipeline::Error;

/// More threads than this only make more memory.
const THREADS_MAX: usize = 8;

/// What was found, by one thread or by all.
#[derive(Default)]
pub(in crate::pipeline) struct Found {
    damage: Vec<(PackId, String)>,
    /// Chunks that cannot be read.
    pub(super) chunks: Vec<ChunkId>,
    /// Packs whose bytes are not those that they are named after.
    broken: HashSet<PackId>,
}

impl Found {
    /// Tells of damage of a pack.
    pub(super) fn damage_of(&mut self, pack: PackId, what: String) {
        self.damage.push((pack, what));
    }

    /// The packs that are damaged.
    pub(in crate::pipeline) fn damaged_packs(&self) -> HashSet<PackId> {
        self.damage.iter().map(|(pack, _)| *pack).collect()
    }

    /// What was told of packs.
    pub(in crate::pipeline) fn damage(&self) -> impl Iterator<Item = Damage> + '_ {
        self.damage.iter().map(|(pack, what)| Damage { object: pack::key(*pack).path(), what: what.clone() })
    }

    /// Tells of a pack that is damaged as a whole, once.
    pub(super) fn broken(&mut self, pack: PackId, what: String) {
        if self.broken.insert(pack) {
            self.damage_of(pack, what);
        }
    }

    pub(super) fn is_broken(&self, pack: PackId) -> bool {
        self.broken.contains(&pack)
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.damage.extend(other.damage);
        self.chunks.extend(other.chunks);
        self.broken.extend(other.broken);
    }
}

/// Does the work for each item, on all cores, each of which takes `run` neighbours at once and has a state of its own.
pub(super) fn in_parallel<T: Sync, S>(
    items: &[T],
    run: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T, &mut Found) + Sync,
    monitor: &Monitor<'_>,
) -> Result<Found, Error> {
    let runs: Vec<&[T]> = items.chunks(run).collect();
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Found::default());
    let thread = || {
        let (mut state, mut found) = (state(), Found::default());
        while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if monitor.is_cancelled() {
                break;
            }
            run.iter().for_each(|item| work(&mut state, item, &mut found));
        }
        all.lock().unwrap_or_else(PoisonError::into_inner).merge(found);
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(runs.len()) {
            scope.spawn(thread);
        }
        thread();
    });
    monitor.check()?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}
