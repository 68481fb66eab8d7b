//! A terminal of its own for a command, at which everyone who is asked says yes.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::Run;

/// How long a command may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long what it said may take to arrive when it has ended.
const REST: Duration = Duration::from_secs(10);

/// Runs a line of the shell at a terminal.
pub(crate) fn at_terminal(line: &str, set_up: impl FnOnce(&mut Command)) -> Run {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("the terminal is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("it is plain");
    let mut terminal = File::from(master);
    let open = || File::options().read(true).write(true).open(&name).expect("the terminal opens");
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", "sh", "-c", &format!("stty rows 50 columns 200; {line}")]);
    set_up(&mut command);
    let mut child = command.stdin(open()).stdout(open()).stderr(open()).spawn().expect("setsid starts");
    // Its copies of the terminal's other end would keep the output from ending.
    drop(command);
    terminal.write_all(b"yes\n").expect("the terminal takes a line");

    let said = listen(terminal);
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait()));
    let Ok(status) = ended.recv_timeout(PATIENCE) else {
        panic!("'{line}' has not ended in {PATIENCE:?}; it said:\n{}", collect(&said, Duration::ZERO));
    };
    let code = status.expect("it is our child").code().unwrap_or(-1);
    Run { code, stdout: collect(&said, REST), stderr: String::new() }
}

/// What is written to the terminal, as it comes.
fn listen(mut terminal: File) -> Receiver<Vec<u8>> {
    let (sender, said) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // When nobody has it open any more, reading fails.
        while let Ok(len @ 1..) = terminal.read(&mut buffer) {
            if sender.send(buffer[..len].to_vec()).is_err() {
                break;
            }
        }
    });
    said
}

/// Everything that was said, as far as it comes within `limit`.
fn collect(said: &Receiver<Vec<u8>>, limit: Duration) -> String {
    let parts: Vec<Vec<u8>> = std::iter::from_fn(|| said.recv_timeout(limit).ok()).collect();
    String::from_utf8_lossy(&parts.concat()).into_owned()
}
