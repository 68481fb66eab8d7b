//! Commands that other backup programs have, and the ones of Larder that do the same.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit::Exit;
use crate::term::console::{advice, error};

/// Commands of restic, borg, rustic, kopia and bupstash, and what to do here.
const COMMANDS: [(&[&str], &str); 11] = [
    (&["init", "initialize"], "`larder create` makes the repository with the first backup"),
    (&["backup", "save", "put", "snapshot"], "`larder create` makes a backup"),
    (&["snapshots", "archives"], "`larder list` shows the snapshots"),
    (&["info"], "`larder show NAME` tells of a snapshot, `larder stats` of the repository"),
    (&["check", "scrub"], "`larder verify` proves that snapshots can be restored"),
    (
        &["mount", "umount"],
        "`larder ls`, `larder cat` and `larder find` look into a snapshot; `larder restore NAME --target DIR` writes it out",
    ),
    (&["rm", "remove", "delete"], "`larder forget NAME` deletes a snapshot, `larder prune` the old ones"),
    (&["gc", "compact", "maintenance"], "`larder prune` frees the space of what nothing needs"),
    (&["extract", "get", "dump"], "`larder restore NAME:PATH` restores files, `larder cat NAME:PATH` prints one"),
    (&["unlock", "break-lock"], "nothing is to be unlocked: a lock ends with the process that has it"),
    (&["version"], "`larder --version`"),
];

/// Says what to do instead of a command that only other programs have; everything else is told as clap does it.
pub(crate) fn exit(wrong: &clap::Error) -> Exit {
    let word = match wrong.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if wrong.kind() == ErrorKind::InvalidSubcommand => word.as_str(),
        _ => wrong.exit(),
    };
    let known = COMMANDS.iter().find(|(words, _)| words.contains(&word));
    let Some((_, what)) = known else { wrong.exit() };
    error(&format!("there is no command '{word}'"));
    advice(what);
    Exit::Usage
}
