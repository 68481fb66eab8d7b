//! What a repository saves, or that of a simulated system.

use std::path::PathBuf;

use larder::pipeline::savings::{Savings, savings};
use larder::pipeline::{Error, lookup};

use super::chart_file::ChartFile;
use super::context::Context;
use super::selection::warn_of_unreadable;
use super::simulation::{self, Facts, Settings};
use super::write_place;
use crate::exit::Exit;

/// Figures as somebody wants them.
#[derive(Debug, Clone)]
pub(crate) struct SavingsRequest {
    /// The file that a chart is drawn into.
    pub(crate) chart: Option<PathBuf>,
    /// A system that is simulated, in the place of the repository.
    pub(crate) simulation: Option<Settings>,
}

/// The figures, and where a chart of them goes.
pub(crate) struct SavingsOutcome {
    pub(crate) savings: Savings,
    /// What was simulated.
    pub(crate) facts: Option<Facts>,
    pub(crate) chart: Option<ChartFile>,
    pub(crate) exit: Exit,
}

/// Adds up the figures; `None` where a simulation was interrupted.
pub(crate) fn run(context: &Context<'_>, request: &SavingsRequest) -> anyhow::Result<Option<SavingsOutcome>> {
    // A chart that cannot be written is refused before the work.
    let chart = request.chart.as_deref().map(ChartFile::new).transpose()?;
    let Some(settings) = request.simulation else {
        let (savings, exit) = of_repository(context)?;
        return Ok(Some(SavingsOutcome { savings, facts: None, chart, exit }));
    };
    let Some((savings, facts)) = of_simulation(context, settings)? else { return Ok(None) };
    let exit = exit(&savings);
    Ok(Some(SavingsOutcome { savings, facts: Some(facts), chart, exit }))
}

fn of_simulation(context: &Context<'_>, settings: Settings) -> anyhow::Result<Option<(Savings, Facts)>> {
    write_place::check_temporary(context)?;
    settings.check()?;
    // A database server and a folder have to go before the process may end.
    context.monitor.hold(true);
    match simulation::run(settings, &context.monitor) {
        Err(_) if context.monitor.is_cancelled() => Ok(None),
        found => found.map(Some),
    }
}

fn of_repository(context: &Context<'_>) -> anyhow::Result<(Savings, Exit)> {
    let repository = context.repository()?;
    let mut found = lookup::snapshots(&repository)?;
    let is_damaged = warn_of_unreadable(context, &found);
    if found.snapshots.is_empty() && !is_damaged {
        return Err(Error::NoSnapshots.into());
    }
    found.snapshots.reverse();
    let savings = savings(&repository, &found.snapshots, &context.monitor)?;
    let exit = if is_damaged { Exit::Damage } else { exit(&savings) };
    Ok((savings, exit))
}

/// The status that the figures give.
fn exit(savings: &Savings) -> Exit {
    if savings.damage.is_empty() { Exit::Done } else { Exit::Damage }
}
