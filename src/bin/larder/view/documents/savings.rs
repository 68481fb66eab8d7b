//! What `savings` says.

use larder::model::SnapshotName;
use larder::pipeline::savings::{Figures, Night, Savings};
use serde::Serialize;

use crate::app::simulation::Facts;

/// What the repository takes, and what other ways would take.
#[derive(Debug, Serialize)]
pub(crate) struct SavingsDocument<'a> {
    nights: Vec<NightDocument<'a>>,
    components: Vec<ComponentDocument>,
    total: FiguresDocument,
    other_bytes: u64,
    repository_bytes: u64,
    times: TimesDocument,
    /// What is left out of the figures.
    damage: &'a [String],
    simulation: Option<SimulationDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct NightDocument<'a> {
    name: &'a SnapshotName,
    /// By RFC 3339.
    time: String,
    #[serde(flatten)]
    total: FiguresDocument,
    components: Vec<ComponentDocument>,
}

#[derive(Debug, Serialize)]
struct ComponentDocument {
    name: String,
    #[serde(flatten)]
    figures: FiguresDocument,
}

#[derive(Debug, Serialize)]
struct FiguresDocument {
    bytes: u64,
    copies_bytes: u64,
    dedup_bytes: u64,
    compressed_bytes: u64,
    stored_bytes: u64,
    chunks: u64,
}

/// How many times as much as the repository each way would take.
#[derive(Debug, Serialize)]
struct TimesDocument {
    copies: Option<f64>,
    dedup: Option<f64>,
    compressed: Option<f64>,
}

#[derive(Debug, Serialize)]
struct SimulationDocument<'a> {
    nights: u32,
    rows: u32,
    rows_end: u64,
    update_percent: f64,
    insert_percent: f64,
    postgres: Option<&'a str>,
}

impl<'a> SavingsDocument<'a> {
    pub(crate) fn new(savings: &'a Savings, facts: Option<&'a Facts>) -> Self {
        let total = savings.total();
        let stored = savings.repository_bytes;
        let times = |bytes: u64| (stored > 0).then(|| bytes as f64 / stored as f64);
        Self {
            nights: savings.nights.iter().map(NightDocument::new).collect(),
            components: savings.components().iter().map(ComponentDocument::new).collect(),
            total: FiguresDocument::new(&total),
            other_bytes: savings.other_bytes,
            repository_bytes: stored,
            times: TimesDocument {
                copies: times(total.copies_bytes),
                dedup: times(total.dedup_bytes),
                compressed: times(total.compressed_bytes),
            },
            damage: &savings.damage,
            simulation: facts.map(SimulationDocument::new),
        }
    }
}

impl<'a> NightDocument<'a> {
    fn new(night: &'a Night) -> Self {
        Self {
            name: &night.name,
            time: night.time.rfc3339(),
            total: FiguresDocument::new(&night.total()),
            components: night.components.iter().map(ComponentDocument::new).collect(),
        }
    }
}

impl ComponentDocument {
    fn new((name, figures): &(String, Figures)) -> Self {
        Self { name: name.clone(), figures: FiguresDocument::new(figures) }
    }
}

impl FiguresDocument {
    const fn new(figures: &Figures) -> Self {
        Self {
            bytes: figures.live_bytes,
            copies_bytes: figures.copies_bytes,
            dedup_bytes: figures.dedup_bytes,
            compressed_bytes: figures.compressed_bytes,
            stored_bytes: figures.stored_bytes,
            chunks: figures.chunks,
        }
    }
}

impl<'a> SimulationDocument<'a> {
    fn new(facts: &'a Facts) -> Self {
        let settings = &facts.settings;
        Self {
            nights: settings.nights,
            rows: settings.rows,
            rows_end: facts.rows_end,
            update_percent: settings.update_percent,
            insert_percent: settings.insert_percent,
            postgres: facts.postgres.as_deref(),
        }
    }
}
