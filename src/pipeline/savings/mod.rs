//! What a repository saves against three other ways to keep the same nights: full compressed copies, dedup alone, dedup
//! and compression without deltas.
//!
//! What is stored is exact: the figures of all nights and what belongs to none of them add up to what the repository
//! takes. What the other ways would store is exact for chunks in plain blocks. For those in delta blocks it is measured on
//! a sample, which is the same at every run.

mod figures;
mod sample;
mod tally;

pub use figures::Figures;

use super::{Error, stats};
use crate::clock::LocalTime;
use crate::events::Phase;
use crate::model::{Snapshot, SnapshotName};
use crate::monitor::Monitor;
use crate::repo::Repository;
use tally::Tally;

/// One snapshot.
#[derive(Debug)]
pub struct Night {
    /// Its name.
    pub name: SnapshotName,
    /// When it was made.
    pub time: LocalTime,
    /// Its components by name, in the order of the manifest.
    pub components: Vec<(String, Figures)>,
}

impl Night {
    /// All components together.
    #[must_use]
    pub fn total(&self) -> Figures {
        self.components.iter().map(|(_, figures)| *figures).sum()
    }
}

/// What a repository saves.
#[derive(Debug, Default)]
pub struct Savings {
    /// The snapshots, in the order in which they were given.
    pub nights: Vec<Night>,
    /// What the repository takes beyond the chunks of these nights: frames of packs, index, manifests, and chunks that
    /// none of these nights refers to.
    pub other_bytes: u64,
    /// Everything that the repository takes.
    pub repository_bytes: u64,
    /// What could not be read and is missing from the figures: component, snapshot and cause.
    pub damage: Vec<String>,
}

impl Savings {
    /// All components of all nights together.
    #[must_use]
    pub fn total(&self) -> Figures {
        self.nights.iter().map(Night::total).sum()
    }

    /// Each component over all nights, in the order in which they first occur.
    #[must_use]
    pub fn components(&self) -> Vec<(String, Figures)> {
        let mut sums: Vec<(String, Figures)> = Vec::new();
        for (name, figures) in self.nights.iter().flat_map(|night| &night.components) {
            match sums.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += *figures,
                None => sums.push((name.clone(), *figures)),
            }
        }
        sums
    }
}

/// Adds up what these snapshots of the repository, oldest first, take and would take in the other ways.
///
/// What is damaged is left out and listed.
///
/// # Errors
/// [`Error::Cancelled`], [`Error::Repo`], [`Error::Model`] when the repository cannot be used at the moment.
pub fn savings(repository: &Repository, snapshots: &[Snapshot], monitor: &Monitor<'_>) -> Result<Savings, Error> {
    let mut savings =
        Savings { repository_bytes: stats::repository(repository, snapshots)?.stored_bytes(), ..Savings::default() };
    let live_bytes = snapshots.iter().map(Snapshot::bytes).sum();
    monitor.begin(Phase::AddingUpSavings, Some(live_bytes));
    let mut tally = Tally::new(repository.reader()?)?;
    for snapshot in snapshots {
        let mut components = Vec::with_capacity(snapshot.components.len());
        for component in &snapshot.components {
            monitor.check()?;
            let figures = tally.component(component, monitor)?;
            monitor.advance(component.bytes);
            components.push((component.name.to_string(), figures));
            let causes = tally.take_damage().into_iter();
            savings.damage.extend(causes.map(|cause| format!("{} of {}: {cause}", component.name, snapshot.name)));
        }
        savings.nights.push(Night { name: snapshot.name.clone(), time: snapshot.time, components });
    }
    savings.other_bytes = savings.repository_bytes.saturating_sub(savings.total().stored_bytes);
    Ok(savings)
}
