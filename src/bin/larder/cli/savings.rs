//! `larder savings`: what the repository takes, beside what other ways to keep the same nights would take.

use std::path::PathBuf;

use clap::Args;
use larder::limits::{SIMULATION_INSERT_PERCENT_MAX, SIMULATION_NIGHTS_MAX, SIMULATION_ROWS_MAX};
use larder::pipeline::savings::{Figures, Savings, savings};
use larder::pipeline::{Error, lookup};
use larder::progress::Progress;
use serde_json::{Value, json};

use super::{Context, place, warn_unreadable};
use crate::chart::{self, ChartFile};
use crate::console::{advice, error, warning};
use crate::failure::Exit;
use crate::simulation::{self, Facts, Settings};
use crate::table::{Align, Table};
use crate::units::{count, size};

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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        context.progress.stop_cleanly()?;
        let chart = self.svg.as_deref().map(ChartFile::new).transpose()?;
        match self.simulate {
            Some(nights) => {
                place::check_temporary(&context.settings)?;
                self.simulation(context, nights, chart.as_ref())
            }
            None => repository(context, chart.as_ref()),
        }
    }

    fn simulation(&self, context: &Context<'_>, nights: u32, chart: Option<&ChartFile>) -> anyhow::Result<Exit> {
        let settings = Settings {
            nights,
            rows: self.rows.unwrap_or(simulation::ROWS),
            update_percent: self.update.unwrap_or(simulation::UPDATE_PERCENT),
            insert_percent: self.insert.unwrap_or(simulation::INSERT_PERCENT),
            with_postgres: !self.no_postgres,
        };
        settings.check()?;
        // A database server and a folder have to go before the process may end.
        context.progress.hold(true);
        let found = simulation::run(settings, &context.progress);
        context.progress.end();
        let (savings, facts) = match found {
            Err(_) if context.progress.cancelled() => {
                error("interrupted");
                advice("nothing of the simulation is left");
                return Ok(Exit::Interrupted);
            }
            found => found?,
        };
        context.output.line(&facts.sentence());
        context.output.line("");
        show(context, &savings, Some(&facts), chart)
    }
}

fn repository(context: &Context<'_>, chart: Option<&ChartFile>) -> anyhow::Result<Exit> {
    let repository = context.repository()?;
    let mut found = lookup::snapshots(&repository)?;
    let is_damaged = warn_unreadable(&found);
    if found.snapshots.is_empty() && !is_damaged {
        return Err(Error::NoSnapshots.into());
    }
    found.snapshots.reverse();
    let savings = savings(&repository, &found.snapshots, &context.progress);
    context.progress.end();
    let exit = show(context, &savings?, None, chart)?;
    Ok(if is_damaged { Exit::Damage } else { exit })
}

fn show(
    context: &Context<'_>,
    savings: &Savings,
    facts: Option<&Facts>,
    chart: Option<&ChartFile>,
) -> anyhow::Result<Exit> {
    if let Some(chart) = chart {
        chart.write(&chart::draw(savings, facts.map(Facts::sentence).as_deref()))?;
    }
    for damage in &savings.damage {
        warning(&format!("left out of the figures: {damage}"));
    }
    if context.output.is_json() {
        context.output.json(&to_json(savings, facts));
    } else {
        print(context, savings);
    }
    Ok(if savings.damage.is_empty() { Exit::Done } else { Exit::Damage })
}

fn print(context: &Context<'_>, savings: &Savings) {
    let total = savings.total();
    let columns = |first| {
        let sizes = ["size", "full copies", "dedup", "dedup+zstd", "stored"].map(|name| (name, Align::Right));
        [vec![(first, Align::Left)], sizes.to_vec()].concat()
    };
    let mut table = Table::new(&columns("night"));
    for night in &savings.nights {
        table.row([vec![night.name.to_string()], sizes(&night.total()).to_vec()].concat());
    }
    let blank = String::new;
    let other = "index, frames, manifests, unused";
    table.row(vec![other.to_owned(), blank(), blank(), blank(), blank(), size(savings.other_bytes)]);
    let whole = Figures { stored_bytes: savings.repository_bytes, ..total };
    table.row([vec!["together".to_owned()], sizes(&whole).to_vec()].concat());
    table.lines().iter().for_each(|line| context.output.line(line));
    context.output.line("");

    let mut table = Table::new(&columns("component"));
    for (name, figures) in savings.components() {
        let [size, ways @ .., stored] = sizes(&figures);
        let bytes = [figures.copies_bytes, figures.dedup_bytes, figures.compressed_bytes];
        let ways = ways.into_iter().zip(bytes).map(|(way, bytes)| match chart::times(bytes, figures.stored_bytes) {
            Some(times) => format!("{way} ({times} x)"),
            None => way,
        });
        table.row([vec![name, size], ways.collect(), vec![stored]].concat());
    }
    table.lines().iter().for_each(|line| context.output.line(line));
    context.output.line("");
    context.output.line(&sentence(savings));
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

fn to_json(savings: &Savings, facts: Option<&Facts>) -> Value {
    let named = |(name, figures): &(String, Figures)| {
        let mut value = figures_json(figures);
        value["name"] = json!(name);
        value
    };
    let nights = savings.nights.iter().map(|night| {
        let mut value = figures_json(&night.total());
        value["name"] = json!(night.name);
        value["time"] = json!(night.time.rfc3339());
        value["components"] = night.components.iter().map(named).collect();
        value
    });
    let total = savings.total();
    let times = |bytes: u64| (savings.repository_bytes > 0).then(|| bytes as f64 / savings.repository_bytes as f64);
    json!({
        "nights": nights.collect::<Vec<_>>(),
        "components": savings.components().iter().map(named).collect::<Vec<_>>(),
        "total": figures_json(&total),
        "other_bytes": savings.other_bytes,
        "repository_bytes": savings.repository_bytes,
        "times": {
            "copies": times(total.copies_bytes), "dedup": times(total.dedup_bytes),
            "compressed": times(total.compressed_bytes),
        },
        "damage": savings.damage,
        "simulation": facts.map(Facts::json),
    })
}

fn figures_json(figures: &Figures) -> Value {
    json!({
        "bytes": figures.live_bytes,
        "copies_bytes": figures.copies_bytes,
        "dedup_bytes": figures.dedup_bytes,
        "compressed_bytes": figures.compressed_bytes,
        "stored_bytes": figures.stored_bytes,
        "chunks": figures.chunks,
    })
}
