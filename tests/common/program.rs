//! The program that is tested, and an environment for it that decides nothing.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the names of variables begin with that a tested program gets nothing of.
const PREFIXES: [&[u8]; 7] = [b"POSTGRES_", b"PG", b"LARDER_", b"BACKUP_", b"DOCKER_", b"COMPOSE_", b"DATABASE_URL"];

/// The program, without what the environment of the tests says of databases, engines and settings.
pub(crate) fn larder() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    clean(&mut command);
    command.stdin(Stdio::null());
    command
}

/// Keeps the variables of the tests from a program.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if PREFIXES.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}

/// Puts the program where everybody finds it. Another program copies it: a process that is started meanwhile would have it open for
/// writing, and it could not be run.
pub(crate) fn copy_binary(to: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_larder")).arg(to).status();
    assert!(copied.expect("cp runs").success());
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
