//! Runs programs that do what others say as a user that owns nothing, without a network, with a `/tmp` of their own.
//!
//! What they see is a file system that is made for them (`enter.sh`): the programs of this host and what they need, all of
//! it read-only, and the folders that they are given. They have no descriptor but an empty input and pipes to us, and
//! everything that they started ends when they are ended, or when we are. It takes root, and `unshare`, `setpriv`,
//! `mount` and `pivot_root` of util-linux. It does not know what runs in it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::{self, ChildOptions};
use super::isolated::isolated_user;

const ENTER: &str = include_str!("enter.sh");
/// Whatever they do is ended by the kernel with the first process, and that one with `unshare`.
const UNSHARE: [&str; 7] = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child=SIGKILL", "--"];
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Folders that are always to be seen.
const SHOWN: [&str; 2] = ["/usr", "/nix"];

/// Where such programs run, and as whom.
#[derive(Debug, Clone)]
pub struct Sandbox {
    user: u32,
    root: PathBuf,
    folders: Vec<OsString>,
}

impl Sandbox {
    /// One whose file system is mounted on `root`, an empty folder in one of ours; nobody else sees it there. Or why there can
    /// be none: we are not root, or may not make namespaces, or a program is not installed.
    ///
    /// # Errors
    /// What is lacking, as text.
    pub fn new(root: PathBuf) -> Result<Self, String> {
        let user = isolated_user().ok_or("only root can run programs as a user that owns nothing")?;
        let sandbox = Self { user, root, folders: Vec::new() };
        sandbox.try_out()?;
        Ok(sandbox)
    }

    /// The user that the programs run as, and the number of its only group.
    #[must_use]
    pub const fn user(&self) -> u32 {
        self.user
    }

    /// Shows them a folder at this place, in which they may write what its rights allow.
    pub fn may_write(&mut self, folder: &Path, at: &str) {
        self.show("rw", folder, at.as_ref());
    }

    /// Shows them a folder at this place, in which they may read what its rights allow.
    pub fn may_read(&mut self, folder: &Path, at: impl AsRef<Path>) {
        self.show("ro", folder, at.as_ref());
    }

    /// Shows them a folder with programs at its own place.
    pub fn may_run(&mut self, folder: &Path) {
        if !SHOWN.iter().any(|shown| folder.starts_with(shown)) {
            self.may_read(folder, folder);
        }
    }

    fn show(&mut self, access: &str, folder: &Path, at: &Path) {
        self.folders.extend([OsStr::new(access), folder.as_os_str(), at.as_os_str()].map(OsStr::to_owned));
    }

    /// What is run for a program in it. It is ended when its standard input is.
    pub(super) fn command(&self, program: &OsStr, arguments: &[OsString]) -> Command {
        let mut command = Command::new("unshare");
        command.args(UNSHARE).args(["bash", "-c", ENTER, "enter"]).arg(self.user.to_string()).arg(&self.root);
        command.args(&self.folders).arg("--").arg(program).args(arguments);
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
        command
    }

    fn try_out(&self) -> Result<(), String> {
        let mut command = self.command("true".as_ref(), &[]);
        command.process_group(0);
        let options = ChildOptions { with_input: true, without_keys: true, memory: None };
        let started = child::start("true".to_owned(), &mut command, options);
        let ended = started.and_then(|(input, process)| {
            let ended = process.finish();
            drop(input);
            ended
        });
        ended.map_err(|error| {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            format!("no program can be shut off from this host (unshare, setpriv and mount of util-linux do it): {why}")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::process::{Place, Program};

    fn said(script: &str) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let sandbox = Sandbox::new(folder.path().to_owned()).ok()?;
        let mut program = Program::new("sh", Place::Here);
        program.args(["-c", script]).in_sandbox(sandbox);
        let (input, mut process) = program.start(true).expect("it starts");
        let mut output = String::new();
        std::io::Read::read_to_string(&mut process, &mut output).expect("it says something");
        process.finish().expect("it ends well");
        drop(input);
        Some(output)
    }

    #[test]
    fn a_program_owns_nothing_and_reaches_nothing() {
        let script = "id -u; id -G | wc -w; ls -A /tmp /var/tmp /dev/shm | grep -v -e : -e '^$' | wc -l; \
            grep -c : /proc/net/dev; grep -c 00000000 /proc/net/route; ls /proc/self/fd | wc -l; \
            test -e /run || test -e /root || test -e /home || test -e /opt || echo hidden; touch /usr/x 2>/dev/null || echo refused";
        let Some(said) = said(script) else { return };
        let lines: Vec<&str> = said.lines().collect();
        let user: u32 = lines[0].parse().expect("a number");
        assert!((61_184..=65_519).contains(&user), "{said}");
        // One group; nothing in /tmp; a loopback device that is down; no route; input, output, error, and that of `ls`.
        assert_eq!(lines[1..], ["1", "0", "1", "0", "4", "hidden", "refused"], "{said}");
    }

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let mark = format!("3{}", std::process::id());
        if said(&format!("setsid sleep {mark} & sleep 0.1")).is_none() {
            return;
        }
        let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
        let mut lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        assert!(!lines.any(|line| line == format!("sleep\0{mark}\0").into_bytes()));
    }
}
