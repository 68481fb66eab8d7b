//! A finished run of a program: what it said, and how it ended.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Exit statuses of Larder.
pub(crate) const DONE: i32 = 0;
pub(crate) const USAGE: i32 = 2;
pub(crate) const PARTIAL: i32 = 3;
pub(crate) const DAMAGE: i32 = 4;
pub(crate) const NO_SUCH_SNAPSHOT: i32 = 6;

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit status; -1 where a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Runs a program without standard input.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program starts");
        Self::from_output(&output)
    }

    pub(crate) fn from_output(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Asserts how the run ended, and gives it on.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts how the run ended, and that what it said is meant for people.
    pub(crate) fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in ["panicked", "backtrace", "stack", "Os {", "Error {", "Some(", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(word), "'{word}' is not for people: {self:?}");
        }
        self
    }

    /// Asserts that standard error has this.
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "'{text}' is not said: {self:?}");
        self
    }

    /// Asserts that standard error has all of these.
    pub(crate) fn says_all(&self, texts: &[&str]) -> &Self {
        for text in texts {
            self.says(text);
        }
        self
    }

    /// Asserts that standard error does not have this.
    pub(crate) fn says_not(&self, text: &str) -> &Self {
        assert!(!self.stderr.contains(text), "'{text}' is said: {self:?}");
        self
    }

    /// Asserts that standard output has this.
    pub(crate) fn shows(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "'{text}' is not shown: {self:?}");
        self
    }

    /// Standard output as exactly one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON document ({error}): {self:?}"))
    }

    /// Everything that was said.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Standard output without the end of its last line.
    pub(crate) fn text(&self) -> String {
        self.stdout.trim_end().to_owned()
    }
}

/// Runs a program without standard input.
pub(crate) fn run(command: &mut Command) -> Run {
    Run::of(command)
}

/// Runs a program with this standard input. One that ends early leaves the rest unread.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("the input is piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("the program is waited for")
    });
    Run::from_output(&output)
}
