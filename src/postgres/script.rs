//! A script that `pg_dump` wrote, part by part: statements, each with the kind of thing that it makes, and rows.
//!
//! It has no commands of `psql`: what makes a dump one for others is left out, anything else is an error. No part is longer
//! than the buffer, but for the statements of an entry: those of data are given out in pieces, all others whole.

use std::io::{self, Read};

use super::accepts::Accepts;
use super::copied_table;
use super::dump_encoding::{UTF8, check_names};
use super::lexer::Lexer;
use super::part::{
    COMMENT_LINE, COPY_START, INSERT_START, Part, RESTRICT, Statements, inserted_name, inserted_table, is_comment,
    is_title, kind_of, transaction,
};
use super::script_settings::{ALL_STRINGS_ESCAPE, ScriptSettings};
use super::statement::Statements as Followed;
use crate::limits::{COPY_STATEMENT_BYTES_MAX, ENTRY_BYTES_MAX, OPEN_STATEMENT_BYTES_MAX};
use crate::model::rows::END;
use crate::model::split_names;

const BUFFER_BYTES: usize = 256 << 10;
/// An entry of data is given out in pieces that are about so long.
const ENTRY_BYTES: usize = 1 << 20;
/// What is shown of a command that is refused.
const COMMAND_BYTES_SHOWN: usize = 64;

/// Reads a script.
#[expect(clippy::struct_excessive_bools, reason = "each says something else of the place in the script")]
pub(crate) struct ScriptReader<R> {
    reader: R,
    /// What was read; from `start` on it is not given out.
    buffer: Vec<u8>,
    start: usize,
    is_at_end: bool,
    /// Whether a line begins there.
    is_at_line: bool,
    lexer: Lexer,
    accepts: Accepts,
    /// What the names in it are in.
    encoding: String,
    place: Place,
    entry: Statements,
    settings: ScriptSettings,
    /// Whether the last line was the first of a title.
    is_titled: bool,
    /// Whether the last statement has ended.
    is_between: bool,
    in_transaction: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Statements,
    /// Among rows; whether at the beginning of one.
    Rows {
        at_line: bool,
    },
}

impl<R: Read> ScriptReader<R> {
    /// Reads what `reader` gives.
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            is_at_end: false,
            is_at_line: true,
            lexer: Lexer::of_statements(),
            accepts: Accepts::All,
            encoding: UTF8.to_owned(),
            place: Place::Statements,
            entry: Statements { is_first: true, ..Statements::default() },
            settings: ScriptSettings::default(),
            is_titled: false,
            is_between: true,
            in_transaction: false,
        }
    }

    /// Refuses what is not accepted.
    pub(crate) const fn accepting(mut self, accepts: Accepts) -> Self {
        self.accepts = accepts;
        self
    }

    /// Reads it as text of this encoding, which is UTF-8 else.
    pub(crate) fn in_encoding(mut self, encoding: &str) -> Self {
        encoding.clone_into(&mut self.encoding);
        self
    }

    /// Reads it as it is read after another script that has set this.
    pub(crate) fn after(mut self, settings: ScriptSettings) -> Self {
        if !settings.strings().is_empty() {
            self.lexer.all_strings_escape();
        }
        self.entry.settings = settings.defaults();
        self.settings = settings;
        self
    }

    /// What was set so far.
    pub(crate) const fn settings(&self) -> &ScriptSettings {
        &self.settings
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// Those of the reader; of what no dump has, is not accepted, or is rows of a table whose name cannot be told.
    pub(crate) fn next_part(&mut self) -> io::Result<Option<Part>> {
        let part = match self.place {
            Place::Statements => self.next_statements()?,
            Place::Rows { at_line } => Some(self.next_rows(at_line)?),
        };
        let is_begun = match &part {
            Some(Part::Begin) => !std::mem::replace(&mut self.in_transaction, true),
            Some(Part::Commit) => std::mem::take(&mut self.in_transaction),
            // What follows would be lost with it.
            None => !self.in_transaction,
            Some(_) => true,
        };
        if is_begun {
            Ok(part)
        } else {
            Err(io::Error::other("it has a BEGIN without a COMMIT, or the other way round"))
        }
    }

    fn next_statements(&mut self) -> io::Result<Option<Part>> {
        loop {
            let Some(end) = self.next_line()? else {
                self.lexer.end();
                self.refuse_found()?;
                let rest = std::mem::take(&mut self.entry);
                return Ok((!rest.text.is_empty()).then_some(Part::Statements(Statements { is_last: true, ..rest })));
            };
            let line: Vec<u8> = self.pending().get(..end).unwrap_or_default().to_vec();
            let is_outside = self.lexer.is_outside() && self.is_at_line;
            if is_outside && self.is_titled && is_title(&line) && self.entry_has_text() {
                // The line stays where it is and begins the next entry.
                let ended = self.cut_entry(true);
                self.entry = Statements { is_first: true, ..Statements::default() };
                return Ok(Some(Part::Statements(ended)));
            }
            let begins = is_outside && self.is_between;
            if let Some(part) = transaction(&line).filter(|_| begins) {
                if !self.entry.text.is_empty() {
                    return Ok(Some(Part::Statements(self.cut_entry(false))));
                }
                self.pass(end);
                return Ok(Some(part));
            }
            if begins && line.starts_with(COPY_START) && self.is_at_start() {
                if !self.entry.text.is_empty() {
                    return Ok(Some(Part::Statements(self.cut_entry(false))));
                }
                if let Some(part) = self.copy_statement()? {
                    return Ok(Some(part));
                }
                continue;
            }
            if begins && !is_comment(&line) {
                let inserted = line.strip_prefix(INSERT_START);
                check_names(inserted.and_then(inserted_name).unwrap_or_default(), &self.encoding)
                    .map_err(io::Error::other)?;
                let inserts_into = inserted.and_then(inserted_table);
                if inserts_into != self.entry.inserts_into {
                    let ended = self.cut_entry(false);
                    self.entry.inserts_into = inserts_into;
                    if !ended.text.is_empty() {
                        return Ok(Some(Part::Statements(ended)));
                    }
                }
            }
            self.pass(end);
            self.is_at_line = line.ends_with(b"\n");
            self.statement_line(&line, is_outside)?;
            // What follows is read in another way by the server too, when it has read this.
            let is_setting = is_outside && line == ALL_STRINGS_ESCAPE;
            let is_long =
                self.is_between && self.entry.text.len() >= ENTRY_BYTES && self.entry.is_data() && self.is_known()?;
            if is_setting || is_long {
                return Ok(Some(Part::Statements(self.cut_entry(false))));
            }
            if self.entry.text.len() > ENTRY_BYTES_MAX && !self.entry.is_data() {
                return Err(io::Error::other("it has an entry that is longer than any that pg_dump writes"));
            }
        }
    }

    /// Whether no statement has begun that has not ended.
    fn is_at_start(&self) -> bool {
        self.lexer.statements().is_none_or(Followed::is_at_start)
    }

    /// Whether it is known of the last statement that it is accepted. What is not must not be run before its end.
    fn is_known(&self) -> io::Result<bool> {
        let is_open = self.accepts != Accepts::All && self.lexer.statements().is_some_and(Followed::is_open);
        if is_open && self.entry.text.len() > OPEN_STATEMENT_BYTES_MAX {
            return Err(io::Error::other("it has a statement that is too long to be looked at"));
        }
        Ok(!is_open)
    }

    fn entry_has_text(&self) -> bool {
        self.entry.text.iter().any(|byte| !byte.is_ascii_whitespace() && *byte != b'-') || !self.entry.is_first
    }

    /// Takes what there is of an entry; it goes on, or has ended.
    fn cut_entry(&mut self, is_last: bool) -> Statements {
        let (kind, settings) = (self.entry.kind.clone(), self.settings.defaults());
        let inserts_into = self.entry.inserts_into.clone();
        let next = Statements { kind, is_first: false, settings, inserts_into, ..Statements::default() };
        Statements { is_last, ..std::mem::replace(&mut self.entry, next) }
    }

    /// Takes a line, or a piece of a long one, into the entry.
    fn statement_line(&mut self, line: &[u8], is_outside: bool) -> io::Result<()> {
        if is_outside && RESTRICT.iter().any(|command| line.starts_with(command)) {
            return Ok(());
        }
        if is_outside && line == ALL_STRINGS_ESCAPE && self.is_at_start() {
            self.lexer.all_strings_escape();
            self.settings.have_strings_escape();
        }
        self.lexer.advance(line);
        if self.lexer.take_backslash() {
            let shown = String::from_utf8_lossy(line.get(..line.len().min(COMMAND_BYTES_SHOWN)).unwrap_or_default())
                .into_owned();
            let why = "of psql, which would leave the database that it is loaded into";
            return Err(io::Error::other(format!("it has the command '{}' {why}", shown.trim_end().escape_debug())));
        }
        self.refuse_found()?;
        if is_outside && self.is_titled && is_title(line) {
            self.entry.kind = kind_of(line);
            self.entry.settings = self.settings.defaults();
        } else if is_outside {
            self.settings.note(line);
        }
        if !(is_outside && is_comment(line)) {
            self.is_between = self.lexer.is_outside() && line.trim_ascii_end().ends_with(b";");
        }
        self.is_titled = is_outside && line == COMMENT_LINE;
        self.entry.text.extend_from_slice(line);
        Ok(())
    }

    /// Makes sure that the statements so far stay in the database, and are accepted.
    fn refuse_found(&self) -> io::Result<()> {
        self.lexer.statements().map_or(Ok(()), |statements| self.accepts.check(statements)).map_err(io::Error::other)
    }

    /// What in the script so far is code of whoever wrote it, the first ones, and how much there was.
    pub(super) fn code(&self) -> (Vec<String>, u64) {
        self.lexer.statements().map(|all| (all.code().found().to_vec(), all.code().count())).unwrap_or_default()
    }

    /// Takes a COPY statement, which may span lines where a name does; `None` when no rows follow it.
    fn copy_statement(&mut self) -> io::Result<Option<Part>> {
        let mut statement = Vec::new();
        while let Some(end) = self.next_line()? {
            let line = self.take(end);
            self.lexer.advance(&line);
            statement.extend_from_slice(&line);
            if self.lexer.is_outside() || statement.len() > COPY_STATEMENT_BYTES_MAX {
                break;
            }
        }
        self.refuse_found()?;
        let trimmed = statement.strip_suffix(b"\n").unwrap_or(&statement);
        let named = copied_table(trimmed).filter(|(table, _)| split_names(table).is_some());
        if let Some((table, columns)) = named.filter(|_| !self.lexer.take_backslash()) {
            self.place = Place::Rows { at_line: true };
            check_names(&statement, &self.encoding).map_err(io::Error::other)?;
            return Ok(Some(Part::Copy { table, columns }));
        }
        // The lexer has passed it.
        let is_command = self.lexer.take_backslash() || memchr::memmem::find(trimmed, b"\\").is_some();
        if is_command {
            let why =
                "it has a COPY statement with a command of psql, which would leave the database that it is loaded into";
            return Err(io::Error::other(why));
        }
        self.is_titled = false;
        self.is_between = self.lexer.is_outside() && trimmed.trim_ascii_end().ends_with(b";");
        self.entry.text.extend_from_slice(&statement);
        Ok(None)
    }

    fn next_rows(&mut self, at_line: bool) -> io::Result<Part> {
        while self.pending().len() <= END.len() && !self.is_at_end {
            self.fill()?;
        }
        if at_line && self.pending().starts_with(END) {
            self.pass(END.len());
            self.place = Place::Statements;
            return Ok(Part::RowsEnd);
        }
        if self.pending().is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within the rows of a table"));
        }
        let found = memchr::memmem::find(self.pending(), b"\n\\.\n").map(|place| place + 1);
        let end = found.unwrap_or_else(|| {
            // What may be the beginning of the end is looked at again with what follows.
            let kept = if self.is_at_end { 0 } else { END.len().min(self.pending().len().saturating_sub(1)) };
            self.pending().len() - kept
        });
        let rows = self.take(end);
        self.place = Place::Rows { at_line: rows.ends_with(b"\n") };
        Ok(Part::Rows(rows))
    }

    /// Where the next line ends, or as much of it as is looked at at once; `None` at the end.
    fn next_line(&mut self) -> io::Result<Option<usize>> {
        let mut looked_at = 0;
        loop {
            let pending = self.pending();
            if let Some(end) = memchr::memchr(b'\n', pending.get(looked_at..).unwrap_or_default()) {
                return Ok(Some(looked_at + end + 1));
            }
            looked_at = pending.len();
            if looked_at >= BUFFER_BYTES || (self.is_at_end && looked_at > 0) {
                return Ok(Some(looked_at));
            }
            if self.is_at_end {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn pass(&mut self, len: usize) {
        self.start += len;
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let taken = self.pending().get(..len).unwrap_or_default().to_vec();
        self.pass(len);
        taken
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let begin = self.buffer.len();
        self.buffer.resize(begin + BUFFER_BYTES, 0);
        let read = loop {
            match self.reader.read(self.buffer.get_mut(begin..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(begin + *read.as_ref().unwrap_or(&0));
        self.is_at_end |= read? == 0;
        // A program that takes its lines as C does would see another text.
        if memchr::memchr(0, self.buffer.get(begin..).unwrap_or_default()).is_some() {
            return Err(io::Error::other("it has a NUL, which no pg_dump writes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET x = 1;\n\nSET default_tablespace = '';\n\n\
        --\n-- Name: a b; Type: TABLE; Schema: public; Owner: o\n--\n\nCREATE TABLE public.a (x int DEFAULT '\\');\n\n\n\
        --\n-- Name: f; Type: FUNCTION; Schema: public; Owner: o\n--\n\nCREATE FUNCTION f() AS $x$\n--\n\
        -- Name: fake; Type: ACL; Schema: y\n--\n\\! id\nCOPY public.fake (a) FROM stdin;\n$x$;\n\n\
        --\n-- Data for Name: a; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n\
        COPY public.\"W (e\nird\" (id, \"b c\") FROM stdin;\n1\tone\n2\t\\\\.\n\\.\n\n\n\
        --\n-- Data for Name: b; Type: TABLE DATA; Schema: public; Owner: o\n--\n\nINSERT INTO public.b VALUES ('x\ny');\n\n\
        SET default_tablespace = slow;\n\n\
        --\n-- Name: INDEX i; Type: COMMENT; Schema: public; Owner: o\n--\n\nCOMMENT ON INDEX i IS '\n--\n-- Name: x; Type: INDEX; y\n';\n\n\
        \\unrestrict abc\n\n";

    /// Gives out so many bytes at once.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(target.len());
            let mut head = self.0.get(..len.min(self.0.len())).unwrap_or_default();
            let read = head.read(target)?;
            self.0 = &self.0[read..];
            Ok(read)
        }
    }

    fn parts(script: &str, piece: usize) -> io::Result<Vec<Part>> {
        let mut reader = ScriptReader::new(Pieces(script.as_bytes(), piece));
        let mut parts: Vec<Part> = Vec::new();
        while let Some(part) = reader.next_part()? {
            match (parts.last_mut(), part) {
                (Some(Part::Rows(rows)), Part::Rows(more)) => rows.extend(more),
                (_, part) => parts.push(part),
            }
        }
        Ok(parts)
    }

    #[test]
    fn a_script_is_told_into_its_parts_however_it_is_cut() {
        for piece in [1, 2, 3, 7, 64, 100_000] {
            let parts = parts(SCRIPT, piece).expect("a dump");
            let kinds: Vec<String> = parts
                .iter()
                .map(|part| match part {
                    Part::Statements(Statements { kind, inserts_into, .. }) => {
                        format!("{kind}{}", inserts_into.as_deref().unwrap_or_default())
                    }
                    Part::Copy { table, columns, .. } => format!("copy {table} {}", columns.join("|")),
                    Part::Rows(rows) => format!("rows {}", String::from_utf8_lossy(rows)),
                    Part::RowsEnd => "end".to_owned(),
                    Part::Begin | Part::Commit => format!("{part:?}"),
                })
                .collect();
            let expected = [
                "",
                "TABLE",
                "FUNCTION",
                "TABLE DATA",
                "copy public.\"W (e\nird\" id|\"b c\"",
                "rows 1\tone\n2\t\\\\.\n",
                "end",
                "TABLE DATA",
                "TABLE DATA",
                "TABLE DATApublic.b",
                "TABLE DATA",
                "COMMENT",
            ];
            assert_eq!(kinds, expected, "in pieces of {piece}");
            let Some(Part::Statements(last)) = parts.last() else { panic!("{parts:?}") };
            assert_eq!(last.settings, b"SET default_tablespace = slow;\n");
            assert!(last.is_last && last.text.ends_with(b"';\n\n\n"));
        }
    }

    #[test]
    fn commands_are_refused_wherever_they_hide() {
        for hidden in [
            "SELECT 1; \\! ls\n",
            "  \\connect x\n",
            "SELECT 1 \\g |sh\n",
            "\\connect x",
            "COPY a FROM '/f';\n\\! ls\n",
            "COPY a (b) FROM stdin;\n1\n\\.\n\\! ls\n",
            "COPY \\! ls\n",
            "SELECT $1$ \\! ls\n",
            "SELECT a$$$ \\! ls\n",
            "\\restrict x\n\\! ls\n",
        ] {
            assert!(parts(hidden, 100).is_err(), "{hidden}");
        }
        let error = parts("\\connect \u{1b}[2J\n", 100).expect_err("a command").to_string();
        assert!(error.starts_with("it has the command '\\\\connect \\u{1b}[2J' of psql"), "{error}");
        assert!(parts("SELECT '\n\\connect x\n';\n", 100).is_ok());
    }

    /// Indexes that other sessions made, and what owners made, were made with other defaults.
    #[test]
    fn what_one_script_sets_holds_in_the_next() {
        let text = "SET standard_conforming_strings = off;\nSET default_tablespace = slow;\n";
        let mut first = ScriptReader::new(text.as_bytes());
        while first.next_part().expect("statements").is_some() {}
        let text = "--\n-- Name: i; Type: INDEX\n--\n\nCREATE INDEX;\n";
        let mut next = ScriptReader::new(text.as_bytes()).after(first.settings().clone());
        while let Some(Part::Statements(statements)) = next.next_part().expect("statements") {
            assert_eq!(statements.settings, b"SET default_tablespace = slow;\n");
        }
        assert_eq!(next.settings().strings(), ALL_STRINGS_ESCAPE);
    }

    #[test]
    fn large_objects_are_one_transaction() {
        let text = "--\n-- Name: 1; Type: BLOB; Schema: -; Owner: o\n--\n\nBEGIN;\n\nSELECT pg_catalog.lo_open('1', 131072);\n\nCOMMIT;\n\nSELECT '\nBEGIN;\n';\n";
        let kinds: Vec<bool> = parts(text, 7)
            .expect("a dump")
            .iter()
            .map(|part| match part {
                Part::Statements(statements) => memchr::memmem::find(&statements.text, b"SELECT").is_some(),
                part => matches!(part, Part::Begin | Part::Commit),
            })
            .collect();
        assert_eq!(kinds, [false, true, true, true, true]);
    }

    #[test]
    fn rows_without_an_end_are_an_error() {
        assert!(parts("COPY a (b) FROM stdin;\n1\n2", 3).is_err());
    }
}
