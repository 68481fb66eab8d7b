//! What a run does not believe, and what mends it: for whoever wants to know before it runs.

use std::path::Path;

use larder::rooted::Refusal;
use serde_json::{Value, json};

use super::GlobalArguments;
use crate::config::{Believed, HOST_FILE, Settings, mend_of_repository, scheduled};
use crate::console::{advice, error, warning};
use crate::failure::Exit;
use crate::schedule::Schedule;

/// Something that is not believed.
#[derive(Debug)]
pub(super) struct Refused {
    what: Believed,
    refusal: Refusal,
    /// Whether only a run refuses it that nobody has started through sudo.
    only_scheduled: bool,
}

impl Refused {
    /// Whether a run that is started now refuses the repository.
    pub(super) fn is_of_repository(&self) -> bool {
        self.what == Believed::Repository && !self.only_scheduled
    }
}

/// Everything that a run now, or one from a schedule, does not believe.
pub(super) fn find(settings: &Settings, global: &GlobalArguments) -> anyhow::Result<Vec<Refused>> {
    let refused =
        |only_scheduled| move |(what, refusal): (Believed, Refusal)| Refused { what, refusal, only_scheduled };
    let mut found: Vec<Refused> = settings.refusals(global, &settings.trust).into_iter().map(refused(false)).collect();
    if rustix::process::geteuid().is_root() && !global.trust_files {
        let of_schedule = settings.refusals(global, &scheduled()?);
        let is_new = |(what, _): &(Believed, Refusal)| !found.iter().any(|known| known.what == *what);
        let new: Vec<Refused> = of_schedule.into_iter().filter(is_new).map(refused(true)).collect();
        found.extend(new);
    }
    Ok(found)
}

/// Tells all of them. The status is that of a run.
pub(super) fn tell(found: &[Refused], settings: &Settings) -> Exit {
    let (base, place) = (&settings.base, &settings.backup_dir);
    let mut exit = Exit::Done;
    for Refused { what, refusal, only_scheduled } in found {
        let mend = refusal.mend().unwrap_or_default();
        if *only_scheduled {
            warning(&format!("{refusal}, unless through sudo: a schedule's run refuses it"));
            let named = refusal.owner().map(|uid| format!(", or `trusted_uids = [{uid}]` in {HOST_FILE}"));
            advice(&format!("`{mend}`{}", named.unwrap_or_default()));
            if exit == Exit::Done && is_scheduled(base) {
                exit = Exit::Partial;
            }
            continue;
        }
        error(&refusal.to_string());
        match (what, refusal.owner()) {
            (Believed::Repository, _) if mend_of_repository(place, refusal).is_none() && !mend.is_empty() => {
                advice("there is no repository yet: name a folder for it that is not there, or --trust-files");
            }
            (Believed::Repository, Some(_)) => {
                let mend = mend.replacen("chown", "chown -R", 1);
                advice(&format!(
                    "`{mend}` only if nobody else could write to it: the next restore writes what is in it; or --trust-files"
                ));
            }
            _ if mend.is_empty() => {}
            _ => advice(&format!("`{mend}` if it is as it should be, or --trust-files")),
        }
        match what {
            Believed::Configuration | Believed::Repository => exit = Exit::Usage,
            Believed::Directory(_) if exit == Exit::Done => exit = Exit::Partial,
            Believed::Directory(_) => {}
        }
    }
    exit
}

fn is_scheduled(base: &Path) -> bool {
    base.canonicalize().is_ok_and(|base| !Schedule::standing(Path::new("/"), &Schedule::name_of(&base)).is_empty())
}

pub(super) fn to_json(found: &[Refused]) -> Value {
    let one = |refused: &Refused| {
        json!({
            "what": refused.what.name(),
            "why": refused.refusal.to_string(),
            "mend": refused.refusal.mend(),
            "only_scheduled": refused.only_scheduled,
        })
    };
    found.iter().map(one).collect()
}
