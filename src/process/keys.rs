//! Programs that do what others say have nothing of the keys that the kernel keeps for the session of whoever started us.

use std::io;
use std::process::{Child, Command};

use keyutils::Keyring;
use rustix::io::Errno;

/// Starts a program with a session keyring of its own, which is empty.
///
/// # Errors
/// Those of the operating system.
pub(super) fn spawn_without_keys(command: &mut Command) -> io::Result<Child> {
    // Each thread has a keyring of its own for its session, and what it starts inherits that.
    std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            match Keyring::join_anonymous_session() {
                Ok(_) => {}
                // There are no keys then, neither for us nor for what we start.
                Err(error) if [Errno::NOSYS, Errno::PERM].map(Errno::raw_os_error).contains(&error.0) => {}
                Err(error) => return Err(io::Error::from_raw_os_error(error.0)),
            }
            command.spawn()
        });
        started.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it ended")))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// Code in a throwaway server read, changed and planted keys in the keyring of root's session.
    #[test]
    fn what_is_started_has_a_session_keyring_of_its_own() {
        // The number of the session keyring; there is no program for it on every host.
        let keyctl = if cfg!(target_arch = "x86_64") { "250" } else { "219" };
        let mut command = Command::new("perl");
        command.args(["-e", &format!("print syscall({keyctl}, 0, -3, 0)")]).stdout(Stdio::piped());
        let mut number = |spawn: &dyn Fn(&mut Command) -> io::Result<Child>| {
            let output = spawn(&mut command).expect("there is perl").wait_with_output().expect("it ends");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let (ours, theirs) = (number(&|command| command.spawn()), number(&spawn_without_keys));
        assert_eq!(ours, number(&|command| command.spawn()), "only what is started so has another one");
        assert!(ours != theirs || ours == "-1", "{ours} and {theirs}: a kernel without keys has -1");
    }
}
