//! Starting a command of this host as a child, with pipes to it and from it.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::keys::spawn_without_keys;
use super::{Error, Process, ProcessInput};

/// Room in the pipes to and from a process.
const PIPE_BYTES: usize = 1 << 20;

/// How a child is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChildOptions {
    /// Whether it is given an input.
    pub(super) with_input: bool,
    /// Whether it does as others say, and gets none of our keys.
    pub(super) without_keys: bool,
    /// Bytes of address space that it may have, where they are bounded.
    pub(super) memory: Option<u64>,
}

/// Starts a command that messages call `program`.
///
/// # Errors
/// [`Error::Start`].
pub(super) fn start(
    program: String,
    command: &mut Command,
    options: ChildOptions,
) -> Result<(Option<ProcessInput>, Process), Error> {
    let input = if options.with_input { Stdio::piped() } else { Stdio::null() };
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = if options.without_keys { spawn_without_keys(command) } else { command.spawn() };
    let mut child = match spawned {
        Ok(child) => child,
        Err(source) => return Err(Error::Start { program, source }),
    };
    if let Some(bytes) = options.memory {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        // Fails harmlessly when it has ended.
        let _ = prlimit(Some(Pid::from_child(&child)), Resource::As, limit);
    }
    let input = child.stdin.take();
    // Who writes faster than the other reads is stopped less often; where a pipe may not be so large, it stays small.
    if let Some(input) = &input {
        let _ = rustix::pipe::fcntl_setpipe_size(input, PIPE_BYTES);
    }
    let input = input.map(ProcessInput::Pipe);
    let output = child.stdout.take().expect("the output is piped");
    let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES);
    Ok((input, Process::of_child(program, child, output)))
}
