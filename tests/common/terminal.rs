//! A terminal of its own for a command, with somebody at it who answers questions.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::run::Run;

/// How long a command may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long what it said may take to arrive when it has ended.
const REST: Duration = Duration::from_secs(10);
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(100);
/// What questions end with.
const PROMPT: &str = "(yes/no): ";

/// Runs a line of the shell at a terminal of so many columns. To every question `answer` is typed.
pub(crate) fn at_terminal(line: &str, (columns, answer): (u16, &[u8]), set_up: impl FnOnce(&mut Command)) -> Run {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("the terminal is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("it is plain");
    let mut terminal = File::from(master);
    let open = || File::options().read(true).write(true).open(&name).expect("the terminal opens");
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", "sh", "-c", &format!("stty rows 50 columns {columns}; {line}")]);
    set_up(&mut command);
    let mut child = command.stdin(open()).stdout(open()).stderr(open()).spawn().expect("setsid starts");
    // Its copies of the terminal's other end would keep the output from ending.
    drop(command);
    let said = listen(terminal.try_clone().expect("a second descriptor"));
    let (mut text, mut answered, begun, mut last) = (String::new(), 0, Instant::now(), Instant::now());
    loop {
        match said.recv_timeout(PAUSE) {
            Ok(part) => {
                text.push_str(&String::from_utf8_lossy(&part));
                last = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // Somebody else may have the terminal open still.
            Err(RecvTimeoutError::Timeout) if last.elapsed() > REST && has_ended(&mut child) => break,
            Err(RecvTimeoutError::Timeout) if begun.elapsed() > PATIENCE => hangs(&mut child, line, &text),
            Err(RecvTimeoutError::Timeout) => {}
        }
        while answered < text.matches(PROMPT).count() {
            terminal.write_all(answer).expect("the terminal takes it");
            answered += 1;
        }
    }
    let code = child.wait().expect("it is our child").code().unwrap_or(-1);
    Run { code, stdout: text, stderr: String::new() }
}

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().expect("it is our child").is_some()
}

fn hangs(child: &mut Child, line: &str, text: &str) -> ! {
    let _ = child.kill();
    panic!("'{line}' has not ended in {PATIENCE:?}; it said:\n{text}");
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
