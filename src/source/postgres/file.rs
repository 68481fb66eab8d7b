//! A dump that lies in a file, as the files of a directory like one that was just made.

use std::io::{Cursor, Read};

use super::DUMP_FILE;
use crate::cancel::{Cancel, Cancelled};
use crate::clock::LocalTime;
use crate::model::{Content, DatabaseFacts, NodeKind};
use crate::monitor::Monitor;
use crate::postgres::{self, CopyCounter, code_in};
use crate::source::{Error, StoredFile, Visitor, made_node};

/// Bytes at the beginning of a dump that are looked at for what it says of itself.
const HEAD_BYTES: usize = 16 << 10;

/// The encoding of a dump that does not tell one.
const DEFAULT_ENCODING: &str = "UTF8";

/// A plain dump in a file.
#[derive(Debug)]
pub struct DumpFile {
    file: StoredFile,
    facts: DatabaseFacts,
    /// A dump without its end is taken too, as an error of the component.
    may_be_cut: bool,
    problems: Vec<String>,
}

impl DumpFile {
    /// The dump in `file`. `facts` are those that the dump itself does not tell.
    #[must_use]
    pub const fn new(file: StoredFile, facts: DatabaseFacts) -> Self {
        Self { file, facts, may_be_cut: false, problems: Vec::new() }
    }

    /// Takes a dump too that does not reach its end, and says so.
    #[must_use]
    pub const fn even_if_cut(mut self, may_be_cut: bool) -> Self {
        self.may_be_cut = may_be_cut;
        self
    }

    /// Reports problems that are known before it is read, as errors of the component.
    #[must_use]
    pub fn reporting(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &StoredFile {
        &self.file
    }

    /// Shows the dump to `visitor`, and returns what is worth knowing about it.
    ///
    /// # Errors
    /// [`Error::Stream`] when it cannot be read, [`Error::Incomplete`] when it does not reach its end, [`Error::Stop`].
    pub fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<DatabaseFacts, Error> {
        let what = || self.file.path().display().to_string();
        let mut reader = self.file.open().map_err(|source| Error::Stream { what: what(), source })?;
        let mut head = Vec::new();
        let read = reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head);
        read.map_err(|source| Error::Stream { what: what(), source })?;
        let mut facts = self.facts.clone();
        read_head(&head, &mut facts);
        if facts.dump_encoding.is_empty() {
            DEFAULT_ENCODING.clone_into(&mut facts.dump_encoding);
        }
        // Nothing else is said of the database.
        facts.encoding.clone_from(&facts.dump_encoding);
        self.problems.iter().for_each(|problem| visitor.error(problem.clone()));
        visitor.enter(made_node(name, NodeKind::Directory { tree: Content::default() }, time), None)?;
        let node = made_node(DUMP_FILE, NodeKind::File { content: Content::default(), holes: Vec::new() }, time);
        let mut counter = CopyCounter::new(Cursor::new(head).chain(reader), &facts.dump_encoding);
        visitor.stream(node, &mut counter)?;
        let (complete, bytes) = (counter.is_complete(), counter.bytes_passed());
        if let Some(command) = counter.foreign_command() {
            visitor.note(format!("it cannot be loaded as it is: it has the command '{command}'"));
        }
        if let Some(title) = counter.too_long() {
            let error = postgres::Error::TooLong { title: title.to_owned() };
            visitor.note(format!("it cannot be loaded as it is: {error}"));
        }
        if let Some(error) = counter.take_untold() {
            visitor.note(format!("it cannot be loaded as it is: {error}"));
        }
        facts.tables = counter.finish().0;
        let why = match (bytes, complete) {
            (0, _) => Some("it is empty"),
            (_, false) => Some("the line that ends a dump is missing"),
            (_, true) => None,
        };
        if let Some(why) = why {
            let error = postgres::Error::Incomplete { program: format!("pg_dump in {}", what()), why };
            if bytes == 0 || !self.may_be_cut {
                return Err(error.into());
            }
            visitor.error(error.to_string());
        }
        visitor.leave()?;
        facts.foreign_code = self.code(monitor)?;
        Ok(facts)
    }

    /// What in the dump is code of whoever wrote it. A restore looks again while it loads.
    fn code(&self, monitor: &Monitor<'_>) -> Result<Vec<String>, Error> {
        let found = self.file.open().and_then(|reader| code_in(Stoppable { reader, cancel: monitor.cancel() }));
        monitor.check().map_err(|cancelled| Error::Stop(cancelled.into()))?;
        found.map_err(|source| Error::Stream { what: self.file.path().display().to_string(), source })
    }
}

/// Ends with an error when the work is cancelled.
struct Stoppable<'p, R> {
    reader: R,
    cancel: &'p Cancel,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(Cancelled::as_io());
        }
        self.reader.read(target)
    }
}

/// What a dump says of itself at its beginning.
fn read_head(head: &[u8], facts: &mut DatabaseFacts) {
    let lines = head.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
    for line in lines {
        if let Some(version) = line.strip_prefix("-- Dumped from database version ") {
            version.trim().clone_into(&mut facts.server_version);
        } else if let Some(version) = line.strip_prefix("-- Dumped by pg_dump version ") {
            version.trim().clone_into(&mut facts.dump_version);
        } else if let Some(encoding) = line.strip_prefix("SET client_encoding = '") {
            encoding.trim_end_matches([';', '\'', '\r']).clone_into(&mut facts.dump_encoding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_tells_versions_and_encoding() {
        let head = b"--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.4 (Debian 15.4-1)\n\
            -- Dumped by pg_dump version 15.6\n\nSET client_encoding = 'UTF8';\n";
        let mut facts = DatabaseFacts::default();
        read_head(head, &mut facts);
        assert_eq!(facts.server_version, "15.4 (Debian 15.4-1)");
        assert_eq!((facts.dump_version.as_str(), facts.dump_encoding.as_str()), ("15.6", "UTF8"));
    }
}
