//! Standard output: lines for people or one JSON document, and a reader who leaves early is no error.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::failure::Exit;

/// Where results go.
pub(crate) struct Output {
    json: bool,
    stdout: Mutex<BufWriter<Stdout>>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, stdout: Mutex::new(BufWriter::new(stdout())) }
    }

    /// Whether the result is to be one JSON document.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line for people; with `--json` it is left out.
    pub(crate) fn line(&self, text: &str) {
        if !self.json {
            self.bytes(text.as_bytes());
            self.bytes(b"\n");
        }
    }

    /// Prints the JSON document.
    pub(crate) fn json(&self, document: &Value) {
        self.bytes(format!("{document:#}\n").as_bytes());
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        Self::check(self.writer().write_all(bytes));
    }

    /// Writes everything out.
    pub(crate) fn flush(&self) {
        Self::check(self.writer().flush());
    }

    fn writer(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(result: io::Result<()>) {
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => leave(Exit::Done),
            Err(error) => {
                crate::console::error(&format!("cannot write to standard output: {error}"));
                leave(Exit::Failed);
            }
        }
    }
}

/// Standard output has nobody at its other end, so nothing more can be done.
fn leave(exit: Exit) -> ! {
    std::process::exit(exit as i32)
}

impl Write for &Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Output::flush(self);
        Ok(())
    }
}
