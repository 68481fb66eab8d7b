//! Counts the rows of each table in a plain dump while it passes, and sees whether the dump reaches its end.

use std::collections::HashMap;
use std::io::{self, Read};

use memchr::{memchr, memchr_iter};

use super::Error;
use super::dump_encoding::check_names;
use super::entries::EntryLengths;
use super::lexer::Lexer;
use crate::limits::{COPY_STATEMENT_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::model::{Place, TableRows};

const DATA_COMMENT: &[u8] = b"-- Data for Name: ";
const COPY_START: &[u8] = b"COPY ";
const COPY_END: &[u8] = b" FROM stdin;";
const ALL_STRINGS_ESCAPE: &[u8] = b"SET standard_conforming_strings = off;";
const DUMP_END: &[u8] = b"-- PostgreSQL database dump complete";
/// The commands of `psql` that dumps have.
const RESTRICT: &[u8] = b"\\restrict ";
const DUMP_COMMANDS: [&[u8]; 2] = [RESTRICT, b"\\unrestrict "];
/// What stands before the line that ends a dump.
const COMMENT_LINE: &[u8] = b"--\n";
/// Bytes of a line that are looked at outside of COPY statements.
const LINE_START_BYTES: usize = 64;
/// Bytes of a comment that are looked at: it may be the title of an entry.
const COMMENT_BYTES: usize = 512;

/// A reader that passes a dump on unchanged and counts.
#[derive(Debug)]
pub struct CopyCounter<R> {
    reader: R,
    state: State,
    /// The beginning of the current line, or of a COPY statement that spans lines.
    line: Vec<u8>,
    lexer: Lexer,
    entries: EntryLengths,
    /// Whether the current line began outside of strings, quoted names and comments.
    outside: bool,
    tables: Vec<TableRows>,
    /// What else is known of each table.
    copied: Vec<Copied>,
    /// Bytes of the statements that named them.
    named_bytes: usize,
    /// Where each table stands among them: rows of several partitions may be said to be those of one table.
    numbers: HashMap<String, usize>,
    /// The number of the table whose rows pass.
    current: usize,
    bytes: u64,
    /// Bytes that were looked at.
    looked_at: u64,
    /// Where the current line begins, in bytes.
    line_begin: u64,
    /// Where that begins which says whose rows follow, in bytes.
    rows_begin: u64,
    /// Where the statements begin: behind the command that restricts what others mean to `psql`.
    begin: u64,
    /// Where the line begins that says that the dump is complete.
    end: Option<u64>,
    /// The first command of `psql` that no dump of one database has.
    foreign_command: Option<String>,
    /// What the names in it are in.
    encoding: String,
    /// That a name cannot be told, of the first COPY that has one.
    untold: Option<Error>,
}

/// What a dump says of a table, beside its rows.
#[derive(Debug, Default)]
pub struct Copied {
    /// The columns of its rows, quoted where needed.
    pub(crate) columns: Vec<String>,
    /// Where its rows lie, each with the statement before them.
    pub(crate) places: Vec<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Among statements.
    Statements,
    /// After the comment that announces the data of a table.
    Announced,
    /// Within a COPY statement.
    Copy,
    /// Among the rows of a table.
    Rows,
}

impl<R: Read> CopyCounter<R> {
    /// Counts what `reader` gives, a dump in this encoding.
    pub fn new(reader: R, encoding: &str) -> Self {
        Self {
            reader,
            state: State::Statements,
            line: Vec::new(),
            lexer: Lexer::default(),
            entries: EntryLengths::default(),
            outside: true,
            tables: Vec::new(),
            copied: Vec::new(),
            named_bytes: 0,
            numbers: HashMap::new(),
            current: 0,
            bytes: 0,
            looked_at: 0,
            line_begin: 0,
            rows_begin: 0,
            begin: 0,
            end: None,
            foreign_command: None,
            encoding: encoding.to_owned(),
            untold: None,
        }
    }

    /// Whether the dump said that it is complete, after the last row.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    /// Where the statements begin and end, in bytes, without what says that they are a dump; `None` as long as it is not
    /// complete.
    #[must_use]
    pub fn body(&self) -> Option<(u64, u64)> {
        let end = self.end?.saturating_sub(COMMENT_LINE.len() as u64);
        Some((self.begin.min(end), end))
    }

    /// What else is known of each table, in the order of the dump.
    #[must_use]
    pub fn take_copied(&mut self) -> Vec<Copied> {
        std::mem::take(&mut self.copied)
    }

    /// The beginning of the first line so far that is a command of `psql`, of those that no dump of one database has, like
    /// `\\connect`.
    #[must_use]
    pub fn foreign_command(&self) -> Option<&str> {
        self.foreign_command.as_deref()
    }

    /// The title of the first entry that is longer than a restore takes: its rows do not count.
    #[must_use]
    pub fn too_long(&self) -> Option<&str> {
        self.entries.too_long()
    }

    /// That the names of a table or its columns cannot be told, of the first such table so far.
    #[must_use]
    pub const fn take_untold(&mut self) -> Option<Error> {
        self.untold.take()
    }

    /// Bytes that have passed.
    #[must_use]
    pub const fn bytes_passed(&self) -> u64 {
        self.bytes
    }

    /// The rows of each table, in the order of the dump; and the reader.
    #[must_use]
    pub fn finish(self) -> (Vec<TableRows>, R) {
        (self.tables, self.reader)
    }

    fn look(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = memchr(b'\n', bytes);
            let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            bytes = rest;
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let bound = if self.state == State::Rows {
                LINE_START_BYTES
            } else if self.state == State::Copy || self.may_begin(COPY_START, text) {
                COPY_STATEMENT_BYTES_MAX
            } else if self.may_begin(COMMENT_LINE, text) {
                COMMENT_BYTES
            } else {
                LINE_START_BYTES
            };
            if self.state != State::Rows {
                self.lexer.advance(part);
            }
            let room = bound.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(text.get(..room).unwrap_or_default());
            self.looked_at += part.len() as u64;
            if end.is_some() {
                self.end_line();
                self.line_begin = self.looked_at;
                self.outside = self.lexer.is_outside();
            }
        }
    }

    /// Whether the current line begins with this, as far as it is known with this part of it.
    fn may_begin(&self, start: &[u8], text: &[u8]) -> bool {
        self.line.iter().chain(text).zip(start).all(|(a, b)| a == b)
    }

    fn end_line(&mut self) {
        if self.state != State::Rows {
            if self.lexer.take_backslash() {
                self.command();
            }
            let len = self.looked_at.saturating_sub(self.line_begin);
            self.entries.line(&self.line, len, self.outside);
        }
        match self.state {
            State::Rows if self.line == b"\\." => {
                if let Some(copied) = self.copied.get_mut(self.current) {
                    copied.places.push(Place { begin: self.rows_begin, end: self.looked_at });
                }
                self.state = State::Statements;
            }
            State::Rows => {
                if let Some(table) = self.tables.get_mut(self.current) {
                    table.rows += 1;
                }
            }
            // What a string or the body of a function says is no statement.
            State::Statements if !self.outside => {}
            State::Statements if self.line.starts_with(DATA_COMMENT) => {
                self.rows_begin = self.line_begin.saturating_sub(COMMENT_LINE.len() as u64);
                self.state = State::Announced;
            }
            State::Statements | State::Announced if self.line.starts_with(COPY_START) => {
                if self.state == State::Statements {
                    self.rows_begin = self.line_begin;
                }
                self.state = State::Copy;
                return self.end_copy_line();
            }
            State::Statements if self.line == ALL_STRINGS_ESCAPE => self.lexer.all_strings_escape(),
            State::Statements if self.line == DUMP_END => self.end = self.end.or(Some(self.line_begin)),
            // The comment is followed by its last line and an empty one; anything else was not a table's data.
            State::Announced if !self.line.is_empty() && self.line != b"--" => self.state = State::Statements,
            State::Statements | State::Announced => {}
            State::Copy => return self.end_copy_line(),
        }
        self.line.clear();
    }

    fn command(&mut self) {
        let is_of_dumps = DUMP_COMMANDS.iter().any(|command| self.line.starts_with(command));
        if self.line.starts_with(RESTRICT) && self.begin == 0 {
            self.begin = self.looked_at;
        }
        if !is_of_dumps && self.foreign_command.is_none() {
            self.foreign_command = Some(String::from_utf8_lossy(&self.line).into_owned());
        }
    }

    /// A quoted name may contain line feeds, so a COPY statement ends where it says so.
    fn end_copy_line(&mut self) {
        if let Some((table, columns)) = copied_table(&self.line) {
            if self.untold.is_none() {
                self.untold = check_names(&self.line, &self.encoding).err();
            }
            self.current = *self.numbers.entry(table.clone()).or_insert(self.tables.len());
            if self.current == self.tables.len() {
                self.named_bytes += self.line.len();
                self.copied.push(Copied { columns, places: Vec::new() });
                self.tables.push(TableRows { table, rows: 0 });
            }
            self.state = State::Rows;
            self.entries.rows();
            self.line.clear();
        } else if self.line.len() >= COPY_STATEMENT_BYTES_MAX {
            self.state = State::Statements;
            self.line.clear();
        } else {
            self.line.push(b'\n');
        }
    }
}

impl<R: Read> Read for CopyCounter<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(target)?;
        if len == 0 && self.state != State::Rows && self.lexer.take_backslash() {
            // The last line needs no end to be run.
            self.command();
        }
        self.bytes += len as u64;
        self.look(target.get(..len).unwrap_or_default());
        if self.named_bytes > MANIFEST_BYTES_MAX {
            return Err(io::Error::other("it has more tables than a snapshot can name"));
        }
        Ok(len)
    }
}

/// Table and columns of a whole COPY statement whose rows follow it, as a dump has them.
pub(crate) fn copied_table(statement: &[u8]) -> Option<(String, Vec<String>)> {
    let statement = statement.strip_suffix(COPY_END)?;
    // A quoted name may itself end so.
    if !memchr_iter(b'"', statement).count().is_multiple_of(2) {
        return None;
    }
    let table = table_of(statement.strip_prefix(COPY_START)?)?;
    Some((String::from_utf8_lossy(table).into_owned(), columns_of(statement)))
}

/// The table in `schema.table (columns)`, with quotes as they are.
fn table_of(statement: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let end = statement.iter().position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == b' '
    });
    statement.get(..end.unwrap_or(statement.len())).filter(|table| !table.is_empty())
}

/// The columns in `COPY schema.table (columns)`, with quotes as they are.
fn columns_of(statement: &[u8]) -> Vec<String> {
    let rest = statement.get(COPY_START.len()..).unwrap_or_default();
    let table = table_of(rest).unwrap_or_default();
    let list = rest.get(table.len()..).and_then(|rest| rest.strip_prefix(b" ("));
    let Some(list) = list.and_then(|list| list.strip_suffix(b")")) else { return Vec::new() };
    let mut quoted = false;
    let names = list.split(|byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == b','
    });
    names.map(|name| String::from_utf8_lossy(name.trim_ascii_start()).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\nCREATE FUNCTION f() AS $x$\n\
        -- Data for Name: fake; Type: TABLE DATA; Schema: public; Owner: o\n--\n\nCOPY public.fake (a) FROM stdin;\n\
        -- PostgreSQL database dump complete\nit's\n$x$;\n\
        --\n-- Data for Name: a; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
        COPY public.a (id, text) FROM stdin;\n1\tone\n2\t-- PostgreSQL database dump complete\n3\t\\\\.\n\\.\n\n\n\
        --\n-- Data for Name: W eird; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
        COPY public.\"W (e\nird\" (id) FROM stdin;\n\n\\.\n\n\
        --\n-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
        COPY public.t (\"c) FROM stdin;\n\\.\n d\", e) FROM stdin;\n1\t2\n3\t4\n\\.\n\n\
        --\n-- Data for Name: none; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
        COPY public.none  FROM stdin;\n\\.\n\n\
        --\n-- PostgreSQL database dump complete\n--\n\n";

    /// They were all held, however many there were: 1.8 GB for 13 MB of an import.
    #[test]
    fn tables_that_no_snapshot_can_name_are_refused() {
        let name = "n".repeat(1 << 15);
        let copies = |count: usize| {
            let copies = (0..count).map(|number| format!("COPY public.{name}{number} (id) FROM stdin;\n\\.\n"));
            let dump = copies.collect::<String>();
            io::copy(&mut CopyCounter::new(dump.as_bytes(), "UTF8"), &mut io::sink())
        };
        assert!(copies(2000).is_ok());
        let refused = copies(2100).expect_err("it is too much");
        assert!(refused.to_string().contains("more tables than a snapshot can name"), "{refused}");
    }

    fn count(dump: &str, piece: usize) -> (Vec<(String, u64)>, bool) {
        let mut counter = CopyCounter::new(dump.as_bytes(), "UTF8");
        let mut buffer = vec![0; piece];
        let mut passed = Vec::new();
        loop {
            let len = counter.read(&mut buffer).expect("reading from memory");
            if len == 0 {
                break;
            }
            passed.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(passed, dump.as_bytes());
        let complete = counter.is_complete();
        (counter.finish().0.into_iter().map(|table| (table.table, table.rows)).collect(), complete)
    }

    /// A COPY statement was taken to end within the name of a column that ends a line as one ends: no restore took the database.
    #[test]
    fn rows_are_counted_however_the_dump_is_cut_into_pieces() {
        let expected = [("public.a", 3), ("public.\"W (e\nird\"", 1), ("public.t", 2), ("public.none", 0)];
        let expected = expected.map(|(table, rows)| (table.to_owned(), rows));
        for piece in [1, 2, 3, 7, 64, 100_000] {
            let (tables, complete) = count(DUMP, piece);
            assert_eq!(tables, expected, "in pieces of {piece}");
            assert!(complete);
        }
    }

    #[test]
    fn it_is_known_where_rows_lie_with_the_statement_before_them() {
        let dump = format!("{DUMP}COPY public.a (id, text) FROM stdin;\n4\tfour\n\\.\n");
        for piece in [1, 7, 100_000] {
            let mut counter = CopyCounter::new(dump.as_bytes(), "UTF8");
            let mut buffer = vec![0; piece];
            while counter.read(&mut buffer).expect("reading from memory") > 0 {}
            let copied = counter.take_copied();
            let texts = |number: usize| -> Vec<&str> {
                let places: &Vec<Place> = &copied[number].places;
                let at = |place: u64| usize::try_from(place).expect("it is in memory");
                places.iter().map(|place| &dump[at(place.begin)..at(place.end)]).collect()
            };
            assert_eq!(copied.len(), 4);
            for number in 0..copied.len() {
                let first = texts(number)[0];
                assert!(first.starts_with("--\n-- Data for Name: ") && first.ends_with("\n\\.\n"), "{first}");
            }
            assert_eq!(texts(0)[1], "COPY public.a (id, text) FROM stdin;\n4\tfour\n\\.\n", "in pieces of {piece}");
            assert_eq!(copied[2].columns, ["\"c) FROM stdin;\n\\.\n d\"", "e"]);
        }
    }

    #[test]
    fn commands_that_no_dump_has_are_found_and_only_they() {
        let found = |dump: &str| {
            let mut counter = CopyCounter::new(dump.as_bytes(), "UTF8");
            counter.read_to_end(&mut Vec::new()).expect("reading from memory");
            counter.foreign_command().map(str::to_owned)
        };
        assert_eq!(found(DUMP), None);
        assert_eq!(found("\\restrict x\nCOPY a (b) FROM stdin;\n\\N\n\\connect x\n\\.\n\\unrestrict x\n"), None);
        assert_eq!(found("SELECT '\n\\connect x\n';\n"), None);
        for hidden in [
            "SELECT 1; \\! ls\n",
            "  \\connect x\n",
            "SELECT 1 \\g |sh\n",
            "\\connect x",
            "COPY a FROM '/f';\n\\! ls\n",
        ] {
            assert!(found(hidden).is_some(), "{hidden}");
        }
        assert_eq!(found("SELECT 1;\n\\connect other\n\\! ls\n").as_deref(), Some("\\connect other"));
    }

    #[test]
    fn a_dump_that_is_cut_off_is_not_complete() {
        for len in 0..DUMP.rfind("-- PostgreSQL database dump complete").expect("an end") + 10 {
            assert!(!count(&DUMP[..len], 50).1, "{len} bytes");
        }
    }
}
