//! What a run does not believe, and what mends it: for whoever wants to know before it runs.

use std::path::Path;

use larder::events::{Event, Events};
use larder::rooted::Refusal;

use crate::config::{Believed, HOST_FILE, Overrides, Settings, mend_of_repository, scheduled};
use crate::exit::Exit;
use crate::host_schedule::{Schedule, standing};

/// Something that is not believed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) what: Believed,
    pub(crate) refusal: Refusal,
    /// Whether only a run refuses it that nobody has started through sudo.
    pub(crate) only_scheduled: bool,
}

impl Refused {
    /// Whether a run that is started now refuses the repository.
    pub(super) fn is_of_repository(&self) -> bool {
        self.what == Believed::Repository && !self.only_scheduled
    }
}

/// Everything that a run now, or one from a schedule, does not believe.
pub(super) fn find(settings: &Settings, overrides: &Overrides, events: &dyn Events) -> anyhow::Result<Vec<Refused>> {
    let refused =
        |only_scheduled| move |(what, refusal): (Believed, Refusal)| Refused { what, refusal, only_scheduled };
    let mut found: Vec<Refused> =
        settings.refusals(overrides, &settings.trust).into_iter().map(refused(false)).collect();
    if rustix::process::geteuid().is_root() && !overrides.trust_files {
        let of_schedule = settings.refusals(overrides, &scheduled(events)?);
        let is_new = |(what, _): &(Believed, Refusal)| !found.iter().any(|known| known.what == *what);
        let new: Vec<Refused> = of_schedule.into_iter().filter(is_new).map(refused(true)).collect();
        found.extend(new);
    }
    Ok(found)
}

/// Tells all of them. The status is that of a run.
pub(super) fn tell(found: &[Refused], settings: &Settings, events: &dyn Events) -> Exit {
    let mut exit = Exit::Done;
    for Refused { what, refusal, only_scheduled } in found {
        if *only_scheduled {
            tell_of_scheduled(refusal, events);
            if exit == Exit::Done && is_scheduled(&settings.base) {
                exit = Exit::Partial;
            }
            continue;
        }
        let (text, advice) = (refusal.to_string(), advice(what, refusal, &settings.backup_dir));
        events.event(Event::Failure { text: &text, advice: advice.as_deref() });
        match what {
            Believed::Configuration | Believed::Repository => exit = Exit::Usage,
            Believed::Directory(_) => exit = exit.or_partial(),
        }
    }
    exit
}

/// Warns of what only runs of a schedule refuse.
fn tell_of_scheduled(refusal: &Refusal, events: &dyn Events) {
    let mend = refusal.mend().unwrap_or_default();
    let named = refusal.owner().map(|uid| format!(", or `trusted_uids = [{uid}]` in {HOST_FILE}"));
    events.warn_with(
        &format!("{refusal}, unless through sudo: a schedule's run refuses it"),
        &format!("`{mend}`{}", named.unwrap_or_default()),
    );
}

/// What to do about a refusal, where something can be done; `place` is that of the repository.
fn advice(what: &Believed, refusal: &Refusal, place: &Path) -> Option<String> {
    let mend = refusal.mend()?;
    Some(match (what, refusal.owner()) {
        (Believed::Repository, _) if mend_of_repository(place, refusal).is_none() => {
            "there is no repository yet: name a folder for it that is not there, or --trust-files".to_owned()
        }
        (Believed::Repository, Some(_)) => {
            let mend = mend.replacen("chown", "chown -R", 1);
            format!(
                "`{mend}` only if nobody else could write to it: the next restore writes what is in it; or --trust-files"
            )
        }
        _ => format!("`{mend}` if it is as it should be, or --trust-files"),
    })
}

fn is_scheduled(base: &Path) -> bool {
    base.canonicalize().is_ok_and(|base| !standing(Path::new("/"), &Schedule::name_of(&base)).is_empty())
}
