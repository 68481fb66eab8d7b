//! Users that the runs of a schedule have to believe: whoever installs it is asked, and `/etc/larder.toml` keeps the answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use larder::rooted::{Refusal, Trust};

use super::GlobalArguments;
use crate::config::{HOST_FILE, Settings, of_run, parse_host_file, scheduled, trusted_uids};
use crate::console::{confirm, line, warning};
use crate::failure::UsageError;
use crate::schedule::Planned;

/// The settings for a schedule, and the users whose files they may come from: those that are named, and where there is a
/// terminal those that are asked for.
pub(super) fn settings(global: &GlobalArguments, named: &[u32]) -> anyhow::Result<(Settings, Vec<u32>)> {
    let mut named = named.to_vec();
    loop {
        let mut refusal = None;
        let trust = of_run(global.trust_files, &named)?;
        let settings = Settings::load_trusting(global, trust, |refused| {
            refusal = Some(refused);
            Ok(())
        })?;
        let Some(refusal) = refusal else { return Ok((settings, named)) };
        match refusal.owner() {
            Some(uid) if ask(&refusal, uid) => named.push(uid),
            _ => return Err(refused(&refusal)),
        }
    }
}

/// The file of this host that has the runs of a schedule believe whoever owns what they need; `None` when they do already.
/// `named` are users that were named for it; of others it is asked, where there is a terminal.
pub(super) fn planned(
    root: &Path,
    settings: &Settings,
    global: &GlobalArguments,
    named: &[u32],
) -> anyhow::Result<Option<Planned>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let mut uids: BTreeSet<u32> = trusted_uids()?.into_iter().collect();
    let known = uids.len();
    uids.extend(named);
    for (_, refusal) in settings.refusals(global, &scheduled()?) {
        match refusal.owner() {
            Some(uid) if uids.contains(&uid) => {}
            // That is for this command. Its jobs do not insist.
            _ if global.trust_files => warning(&refused_by_runs(&refusal)),
            Some(uid) if ask(&refusal, uid) => drop(uids.insert(uid)),
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
pub(super) fn check_program(global: &GlobalArguments, named: &[u32]) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let trust = Trust::of(&[trusted_uids()?.as_slice(), named].concat());
    let file = trust.open_file(&program).err();
    let Some(refusal) = file.or_else(|| trust.strange_folder(program.parent()?)) else { return Ok(()) };
    let message = format!("root would run a program that somebody else may exchange: {refusal}");
    if global.trust_files {
        warning(&message);
        return Ok(());
    }
    let copy = format!("install -o root -m 755 '{}' /usr/local/bin/larder", program.display());
    Err(UsageError::with_advice(message, format!("`{copy}`, and `/usr/local/bin/larder schedule install`")).into())
}

fn ask(refusal: &Refusal, uid: u32) -> bool {
    line(&format!("{refusal}. What a schedule runs as root does what it says."));
    confirm(&format!("Is user {uid} to be trusted on this host from now on ({HOST_FILE})?")) == Some(true)
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
pub(super) fn user(text: &str) -> Result<u32, String> {
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
