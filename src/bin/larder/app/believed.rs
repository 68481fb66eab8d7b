//! Users that the runs of a schedule have to believe: whoever installs it is asked, and `/etc/larder.toml` keeps the answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use larder::events::Events;
use larder::rooted::{Refusal, Trust};

use crate::config::{HOST_FILE, Overrides, Settings, of_run, parse_host_file, scheduled, trusted_uids};
use crate::error::UsageError;
use crate::host_schedule::Planned;

/// Whom the runs of a schedule are to believe.
pub(super) struct ScheduleTrust<'a> {
    overrides: &'a Overrides,
    /// Users that were named for it, and those that whoever was asked agreed to.
    named: Vec<u32>,
    /// Says something, asks a question about it, and gives whether the answer is yes.
    ask: &'a mut dyn FnMut(&str, &str) -> bool,
    events: &'a dyn Events,
}

impl<'a> ScheduleTrust<'a> {
    pub(super) fn new(
        overrides: &'a Overrides,
        named: &[u32],
        ask: &'a mut dyn FnMut(&str, &str) -> bool,
        events: &'a dyn Events,
    ) -> Self {
        Self { overrides, named: named.to_vec(), ask, events }
    }

    /// The settings for a schedule. They come from files of users that were named, or that are asked for.
    pub(super) fn settings(&mut self) -> anyhow::Result<Settings> {
        loop {
            let mut refusal = None;
            let trust = of_run((self.overrides.trust_files, &self.named), self.events)?;
            let settings = Settings::load_trusting(self.overrides, trust, |refused| {
                refusal = Some(refused);
                Ok(())
            })?;
            let Some(refusal) = refusal else { return Ok(settings) };
            match refusal.owner() {
                Some(uid) if self.ask(&refusal, uid) => self.named.push(uid),
                _ => return Err(refused(&refusal)),
            }
        }
    }

    /// The file of this host that has the runs of a schedule believe whoever owns what they need; `None` when they do already.
    pub(super) fn host_file(&mut self, root: &Path, settings: &Settings) -> anyhow::Result<Option<Planned>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let mut uids: BTreeSet<u32> = trusted_uids()?.into_iter().collect();
        let known = uids.len();
        uids.extend(&self.named);
        for (_, refusal) in settings.refusals(self.overrides, &scheduled(self.events)?) {
            match refusal.owner() {
                Some(uid) if uids.contains(&uid) => {}
                // That is for this command. Its jobs do not insist.
                _ if self.overrides.trust_files => self.events.warn(&refused_by_runs(&refusal)),
                Some(uid) if self.ask(&refusal, uid) => drop(uids.insert(uid)),
                _ => return Err(refused(&refusal)),
            }
        }
        if uids.len() == known {
            return Ok(None);
        }
        let path = root.join(HOST_FILE.trim_start_matches('/'));
        let uids = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let before = fs::read_to_string(&path).unwrap_or_default();
        Ok(Some(Planned { text: with_uids(&before, &uids), path }))
    }

    /// Refuses a schedule that would have root run a program which somebody may exchange whom its runs do not believe.
    pub(super) fn check_program(&self) -> anyhow::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let program = std::env::current_exe()?;
        let trust = Trust::of(&[trusted_uids()?.as_slice(), &self.named].concat());
        let file = trust.open_file(&program).err();
        let Some(refusal) = file.or_else(|| trust.strange_folder(program.parent()?)) else { return Ok(()) };
        let message = format!("root would run a program that somebody else may exchange: {refusal}");
        if self.overrides.trust_files {
            self.events.warn(&message);
            return Ok(());
        }
        let copy = format!("install -o root -m 755 '{}' /usr/local/bin/larder", program.display());
        Err(UsageError::with_advice(message, format!("`{copy}`, and `/usr/local/bin/larder schedule install`")).into())
    }

    /// Whether a user is to be believed from now on.
    fn ask(&mut self, refusal: &Refusal, uid: u32) -> bool {
        (self.ask)(
            &format!("{refusal}. What a schedule runs as root does what it says."),
            &format!("Is user {uid} to be trusted on this host from now on ({HOST_FILE})?"),
        )
    }
}

fn refused(refusal: &Refusal) -> anyhow::Error {
    let mend = refusal.mend().unwrap_or_default();
    let named = refusal.owner().map(|uid| format!(", or --trust-user {uid}")).unwrap_or_default();
    UsageError::with_advice(refused_by_runs(refusal), format!("`{mend}` if it is as it should be{named}")).into()
}

fn refused_by_runs(refusal: &Refusal) -> String {
    format!("the runs of a schedule would refuse this: {refusal}")
}

/// The text of the file with these users, everything else in it as it was.
fn with_uids(before: &str, uids: &str) -> String {
    let entry = format!("trusted_uids = [{uids}]");
    let is_entry = |line: &str| line.trim_start().strip_prefix("trusted_uids").is_some_and(|rest| rest.contains('='));
    let mut lines: Vec<&str> = before.lines().filter(|line| !is_entry(line)).collect();
    if before.is_empty() {
        lines.push("# Users whose larder.toml, links and repositories root believes, beside root.");
    }
    lines.push(&entry);
    let text = lines.join("\n") + "\n";
    // A list over several lines is not to be mended line by line.
    if parse_host_file(&text).is_ok() { text } else { entry + "\n" }
}

/// A user by number or by name.
pub(crate) fn user(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    let passwd = fs::read_to_string(PathBuf::from("/etc/passwd")).unwrap_or_default();
    let entry = passwd.lines().find_map(|line| line.strip_prefix(text)?.strip_prefix(':'));
    let uid = entry.and_then(|fields| fields.split(':').nth(1)?.parse().ok());
    uid.ok_or_else(|| "there is no such user".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_is_in_the_file_stays() {
        assert!(with_uids("", "1000").ends_with("\ntrusted_uids = [1000]\n"));
        assert_eq!(with_uids("# ours\ntrusted_uids = [7]\n", "7, 1000"), "# ours\ntrusted_uids = [7, 1000]\n");
        assert_eq!(with_uids("trusted_uids = [\n  7,\n]\n", "7, 8"), "trusted_uids = [7, 8]\n");
    }

    #[test]
    fn users_have_names_and_numbers() {
        assert_eq!((user("root"), user("1000")), (Ok(0), Ok(1000)));
        assert!(user("roo").is_err() && user("").is_err() && user("-1").is_err());
    }
}
