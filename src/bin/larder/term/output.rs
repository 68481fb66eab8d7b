//! Standard output: lines for people or one JSON document, and a reader who leaves early is no error.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder::model::{is_deceptive, show_text};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use serde_json::Value;

use super::colour::{Place, painted};
use super::table::Table;
use crate::exit::Exit;

/// Where results go.
pub(crate) struct Output {
    json: bool,
    has_document: AtomicBool,
    width: Option<usize>,
    stdout: Mutex<BufWriter<Stdout>>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            has_document: AtomicBool::new(false),
            width: width(),
            stdout: Mutex::new(BufWriter::new(stdout())),
        }
    }

    /// Whether the result is to be one JSON document.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a document was printed.
    pub(crate) fn has_document(&self) -> bool {
        self.has_document.load(Ordering::Relaxed)
    }

    /// Prints a line for people; with `--json` it is left out. Texts of others in it cannot begin another one, or command the
    /// terminal.
    pub(crate) fn line(&self, text: &str) {
        if !self.json {
            self.bytes(painted(&show_text(text), Place::Output).as_bytes());
            self.bytes(b"\n");
        }
    }

    /// Prints a document as JSON.
    pub(crate) fn document(&self, document: &impl Serialize) -> anyhow::Result<()> {
        self.json(&serde_json::to_value(document)?);
        Ok(())
    }

    /// Prints the JSON document. What a terminal could take for a command is escaped in its texts, which stay the same.
    pub(crate) fn json(&self, document: &Value) {
        self.has_document.store(true, Ordering::Relaxed);
        let text = format!("{document:#}\n");
        let escaped = |char: char| match char {
            '\n' => "\n".to_owned(),
            // Beyond the first 65,536 it takes two of them.
            char if is_deceptive(char) => {
                let units: Vec<String> =
                    char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
                units.concat()
            }
            char => char.to_string(),
        };
        let needs_escape = text.chars().any(|char| char != '\n' && is_deceptive(char));
        let text = if needs_escape { text.chars().map(escaped).collect() } else { text };
        self.bytes(text.as_bytes());
    }

    /// Prints the rows of a table, so that they fit.
    pub(crate) fn table(&self, table: &Table) {
        self.lines(&table.rows(self.width).concat());
    }

    /// Prints lines for people.
    pub(crate) fn lines(&self, lines: &[String]) {
        for line in lines {
            self.line(line);
        }
    }

    /// Characters that a line of the terminal has; `None` where the output goes elsewhere.
    pub(crate) const fn width(&self) -> Option<usize> {
        self.width
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
                crate::term::console::error(&format!("cannot write to standard output: {error}"));
                leave(Exit::Failed);
            }
        }
    }
}

fn width() -> Option<usize> {
    let columns = tcgetwinsize(stdout()).ok()?.ws_col;
    (columns > 0).then_some(usize::from(columns))
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
