//! `larder savings`: what the repository takes, beside what other ways to keep the same nights would take.

use std::path::PathBuf;

use clap::Args;
use larder::limits::{SIMULATION_INSERT_PERCENT_MAX, SIMULATION_NIGHTS_MAX, SIMULATION_ROWS_MAX};
use larder::pipeline::savings::{Figures, Savings};

use super::terminal::Terminal;
use crate::app::savings::{self, SavingsOutcome, SavingsRequest};
use crate::app::simulation::{self, Facts, Settings};
use crate::exit::Exit;
use crate::term::console::{advice, error, warning};
use crate::term::table::{Align, Table};
use crate::units::{count, size};
use crate::view::chart;
use crate::view::documents::savings::SavingsDocument;

/// Show what the repository saves against full copies, dedup alone, and dedup with compression.
///
/// All snapshots are looked at. What is stored is exact; what data in delta blocks would take without its bases is measured
/// on a sample, which is the same at every run. With --simulate a system is made up in a temporary folder, backed up night
/// after night, and shown in the place of the repository, which is not touched; nothing of it is left.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder savings\n  larder savings --svg savings.svg\n  \
    larder savings --simulate 7 --svg savings.svg\n  larder savings --simulate 30 --rows 10000 --update 5 --insert 0.5")]
pub(super) struct SavingsArguments {
    /// Draw a chart into this file, which is replaced where it is there.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Make up a system with a database and run so many nights of it.
    #[arg(long, value_name = "NIGHTS", value_parser = clap::value_parser!(u32).range(1..=i64::from(SIMULATION_NIGHTS_MAX)))]
    simulate: Option<u32>,
    /// Rows of its database on the first night [default: 40000].
    #[arg(long, value_name = "N", requires = "simulate",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SIMULATION_ROWS_MAX)))]
    rows: Option<u32>,
    /// Percent of the rows that are updated each night [default: 2].
    #[arg(long, value_name = "PERCENT", requires = "simulate", value_parser = |text: &str| percent(text, 100.0))]
    update: Option<f64>,
    /// Percent of the rows of the first night that are inserted each night [default: 1.5].
    #[arg(long, value_name = "PERCENT", requires = "simulate",
        value_parser = |text: &str| percent(text, SIMULATION_INSERT_PERCENT_MAX))]
    insert: Option<f64>,
    /// Write its dump without PostgreSQL, to the same bytes everywhere.
    #[arg(long, requires = "simulate")]
    no_postgres: bool,
}

fn percent(text: &str, max: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=max).contains(&number) { Ok(number) } else { Err(format!("it is not within 0 and {max}")) }
}

impl SavingsArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        terminal.console.stop_cleanly()?;
        let Some(outcome) = terminal.ended(savings::run(&terminal.context, &self.request()))? else {
            error("interrupted");
            advice("nothing of the simulation is left");
            return Ok(Exit::Interrupted);
        };
        show(terminal, &outcome)?;
        Ok(outcome.exit)
    }

    fn request(&self) -> SavingsRequest {
        let simulation = self.simulate.map(|nights| Settings {
            nights,
            rows: self.rows.unwrap_or(simulation::ROWS),
            update_percent: self.update.unwrap_or(simulation::UPDATE_PERCENT),
            insert_percent: self.insert.unwrap_or(simulation::INSERT_PERCENT),
            with_postgres: !self.no_postgres,
        });
        SavingsRequest { chart: self.svg.clone(), simulation }
    }
}

fn show(terminal: &Terminal<'_>, outcome: &SavingsOutcome) -> anyhow::Result<()> {
    let SavingsOutcome { savings, facts, chart, .. } = outcome;
    let origin = facts.as_ref().map(Facts::sentence);
    if let Some(origin) = &origin {
        terminal.output.line(origin);
        terminal.output.line("");
    }
    if let Some(chart) = chart {
        chart.write(&chart::draw(savings, origin.as_deref()))?;
    }
    for damage in &savings.damage {
        warning(&format!("left out of the figures: {damage}"));
    }
    if terminal.output.is_json() {
        return terminal.output.document(&SavingsDocument::new(savings, facts.as_ref()));
    }
    print(terminal, savings);
    Ok(())
}

fn print(terminal: &Terminal<'_>, savings: &Savings) {
    let total = savings.total();
    let columns = |first| {
        let sizes = ["size", "full copies", "dedup", "dedup+zstd", "stored"].map(|name| (name, Align::Right));
        [vec![(first, Align::Left)], sizes.to_vec()].concat()
    };
    let mut table = Table::new(&columns("night")).leaving_out(&["dedup", "size"]);
    for night in &savings.nights {
        table.row([vec![night.name.to_string()], sizes(&night.total()).to_vec()].concat());
    }
    let blank = String::new;
    let other = "index, frames, manifests, unused";
    table.row(vec![other.to_owned(), blank(), blank(), blank(), blank(), size(savings.other_bytes)]);
    let whole = Figures { stored_bytes: savings.repository_bytes, ..total };
    table.row([vec!["together".to_owned()], sizes(&whole).to_vec()].concat());
    terminal.output.table(&table);
    terminal.output.line("");

    let mut table = Table::new(&columns("component")).leaving_out(&["dedup", "size"]);
    for (name, figures) in savings.components() {
        let [size, ways @ .., stored] = sizes(&figures);
        let bytes = [figures.copies_bytes, figures.dedup_bytes, figures.compressed_bytes];
        let ways = ways.into_iter().zip(bytes).map(|(way, bytes)| match chart::times(bytes, figures.stored_bytes) {
            Some(times) => format!("{way} ({times} x)"),
            None => way,
        });
        table.row([vec![name, size], ways.collect(), vec![stored]].concat());
    }
    terminal.output.table(&table);
    terminal.output.line("");
    terminal.output.line(&sentence(savings));
}

fn sizes(figures: &Figures) -> [String; 5] {
    let Figures { live_bytes, copies_bytes, dedup_bytes, compressed_bytes, stored_bytes, .. } = *figures;
    [live_bytes, copies_bytes, dedup_bytes, compressed_bytes, stored_bytes].map(size)
}

fn sentence(savings: &Savings) -> String {
    let (total, nights) = (savings.total(), savings.nights.len() as u64);
    let stored = savings.repository_bytes;
    let would = |bytes, more: &str| match chart::times(bytes, stored) {
        Some(times) => format!("{} ({times} times{more})", size(bytes)),
        None => size(bytes),
    };
    format!(
        "{} of {}: {} stored. Full compressed copies would take {}, dedup alone {}, dedup and compression {}.",
        count(nights, "night", "nights"),
        size(total.live_bytes / nights.max(1)),
        size(stored),
        would(total.copies_bytes, " as much"),
        would(total.dedup_bytes, ""),
        would(total.compressed_bytes, ""),
    )
}
