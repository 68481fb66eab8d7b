//! Single snapshots that are deleted, brought back, pinned and unpinned by name.
//!
//! Deleting frees nothing by itself: `prune` collects the data, and until then a snapshot can be brought back.

use std::collections::BTreeSet;

use super::lookup::Selection;
use super::{Error, lookup};
use crate::clock::LocalTime;
use crate::model::{Rule, Verdict, protect};
use crate::repo::{self, Repository};

/// A snapshot that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// Its name.
    pub name: String,
    /// Whether it can be brought back: a full storage has no room for that.
    pub can_return: bool,
}

/// What deleting these snapshots would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForgetPlan {
    /// Their whole names, each once.
    pub names: Vec<String>,
    /// Those among them that `prune` would never delete, and the rules that keep them.
    pub protected: Vec<Verdict>,
}

/// Finds the snapshots that are meant. Nothing is changed.
///
/// # Errors
/// Those of [`lookup::name`]; [`Error::Refused`] when one is pinned.
pub fn plan(repository: &Repository, wanted: &[String], selection: &Selection) -> Result<ForgetPlan, Error> {
    let names: BTreeSet<String> =
        wanted.iter().map(|wanted| lookup::name(repository, wanted, selection)).collect::<Result<_, _>>()?;
    if let Some(pinned) = names.intersection(&repository.pins()?).next() {
        return Err(Error::Refused(format!("{pinned} is pinned: `larder unpin {pinned}` comes first")));
    }
    let snapshots = lookup::snapshots(repository)?.snapshots;
    let keeps = |rule: &Rule| matches!(rule, Rule::Newest(_) | Rule::Copy(_));
    let mut protected = protect(&snapshots, &BTreeSet::new(), LocalTime::now());
    for verdict in &mut protected {
        verdict.keep.retain(keeps);
    }
    protected.retain(|verdict| names.contains(verdict.name.as_str()) && !verdict.keep.is_empty());
    Ok(ForgetPlan { names: names.into_iter().collect(), protected })
}

/// Deletes the snapshots of a plan.
///
/// # Errors
/// [`Error::Repo`]; then those before it are deleted.
pub fn execute(repository: &Repository, plan: ForgetPlan) -> Result<Vec<Forgotten>, Error> {
    let forget = |name: String| Ok(Forgotten { can_return: repository.forget(&name)?, name });
    plan.names.into_iter().map(forget).collect()
}

/// Brings a deleted snapshot back, by its name or the beginning of it, and says its whole name.
///
/// # Errors
/// [`Error::NoSuchSnapshot`], [`Error::Ambiguous`], [`Error::Repo`].
pub fn undelete(repository: &Repository, wanted: &str) -> Result<String, Error> {
    let name = lookup::name_among(repository.forgotten_names()?, wanted)?;
    match repository.undelete(&name) {
        Err(repo::Error::Storage(error)) if error.is_missing() => {
            Err(Error::NoSuchSnapshot { wanted: wanted.to_owned() })
        }
        result => result.map(|()| name).map_err(Error::from),
    }
}

/// Pins a snapshot, so that no retention deletes it, and says its whole name.
///
/// # Errors
/// Those of [`lookup::name`]; [`Error::Repo`].
pub fn pin(repository: &Repository, wanted: &str, selection: &Selection) -> Result<String, Error> {
    let name = lookup::name(repository, wanted, selection)?;
    repository.pin(&name)?;
    Ok(name)
}

/// Takes the pin from a snapshot, and says its whole name.
///
/// # Errors
/// Those of [`lookup::name`]; [`Error::Repo`].
pub fn unpin(repository: &Repository, wanted: &str, selection: &Selection) -> Result<String, Error> {
    let name = lookup::name(repository, wanted, selection)?;
    repository.unpin(&name)?;
    Ok(name)
}
