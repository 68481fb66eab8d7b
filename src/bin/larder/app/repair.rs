//! A repair from beginning to end: what is damaged, what of it can be mended, and new parity for it.

use std::path::PathBuf;

use larder::pipeline::repair::{self, RepairReport};
use larder::pipeline::verify::{Damage, VerifyOptions, VerifyReport, verify};
use larder::repo::Repository;

use super::context::Context;
use super::hold_recovery::resume_abandoned_holds;
use crate::error::UsageError;
use crate::exit::Exit;

/// What is damaged.
#[derive(Debug)]
pub(crate) struct RepairPlan {
    pub(crate) report: VerifyReport,
    pub(crate) exit: Exit,
}

/// A repository that was repaired, but for its parity.
#[derive(Debug)]
pub(crate) struct Repaired {
    repository: Repository,
    pub(crate) report: RepairReport,
}

/// Says what is damaged, and changes nothing.
pub(crate) fn plan(context: &Context<'_>) -> anyhow::Result<RepairPlan> {
    let (repository, damage) = open(context, false)?;
    let options = VerifyOptions { read_data: true, subset_percent: None };
    let mut report = verify(&repository, None, options, &context.monitor)?;
    report.damage.splice(0..0, damage);
    let exit = if report.is_clean() { Exit::Done } else { Exit::Damage };
    Ok(RepairPlan { report, exit })
}

/// Repairs the repository; what is lost is looked for in these files and directories.
pub(crate) fn run(context: &Context<'_>, from: &[PathBuf]) -> anyhow::Result<Repaired> {
    if let Some(path) = from.iter().find(|path| !path.is_file() && !path.is_dir()) {
        let message = format!("there is no file or directory {}", path.display());
        return Err(UsageError::with_advice(message, "name a file or a directory that is there").into());
    }
    let (repository, damage) = open(context, true)?;
    let mut report = repair::repair(&repository, from, &context.monitor)?;
    report.damage.splice(0..0, damage);
    Ok(Repaired { repository, report })
}

impl Repaired {
    /// Writes the parity of what was written. What was found may have been told before: this can fail.
    pub(crate) fn protect(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let exit = if self.report.is_whole() { Exit::Done } else { Exit::Damage };
        let is_protected = context.protect(&self.repository)?;
        Ok(if is_protected { exit } else { exit.or_partial() })
    }
}

/// Opens the repository, and says what was wrong with its config. With `write` that is mended.
fn open(context: &Context<'_>, write: bool) -> anyhow::Result<(Repository, Option<Damage>)> {
    let (repository, wrong) = repair::open(context.storage()?, write)?;
    let damage = wrong.map(|error| Damage { object: "config".to_owned(), what: error.to_string() });
    resume_abandoned_holds(context, &repository)?;
    Ok((repository, damage))
}
