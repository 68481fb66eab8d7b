//! What a script is told into: statements, each with the kind of thing that it makes, and rows; and how its lines are known.

use crate::model::split_names;

pub(super) const COPY_START: &[u8] = b"COPY ";
pub(super) const COMMENT_LINE: &[u8] = b"--\n";
pub(super) const RESTRICT: [&[u8]; 2] = [b"\\restrict ", b"\\unrestrict "];
pub(super) const INSERT_START: &[u8] = b"INSERT INTO ";
/// What statements of data begin with: rows and large objects.
const DATA: [&[u8]; 3] = [INSERT_START, b"SELECT ", b"BEGIN;"];
/// The comments before a statement are no longer than this.
const BEGIN_BYTES: usize = 64 << 10;
const TITLES: [&[u8]; 2] = [b"-- Name: ", b"-- Data for Name: "];
const TYPE: &str = "; Type: ";

/// A part of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Statements of one entry, or a piece of them.
    Statements(Statements),
    /// Rows follow.
    Copy {
        /// The table, quoted where needed.
        table: String,
        /// The columns, quoted where needed; none when none are named.
        columns: Vec<String>,
    },
    /// What follows is one transaction.
    Begin,
    /// That transaction ends.
    Commit,
    /// Rows of that table, in pieces that need not end with a row.
    Rows(Vec<u8>),
    /// There are no more of them.
    RowsEnd,
}

/// Statements of one entry, or a piece of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Statements {
    /// What they make: `TABLE`, `FK CONSTRAINT`, `ACL`; empty where no title says so.
    pub(crate) kind: String,
    /// Whether the entry begins with this piece.
    pub(crate) is_first: bool,
    /// Whether the entry ends with it.
    pub(crate) is_last: bool,
    /// What was set before the entry, for sessions that have not run what came before.
    pub(crate) settings: Vec<u8>,
    /// The statements.
    pub(crate) text: Vec<u8>,
    /// The table that rows are inserted into, quoted where needed, where they are said as statements.
    pub(crate) inserts_into: Option<String>,
}

impl Statements {
    /// The statements for a session that has not run what came before the entry.
    pub(crate) fn whole(self) -> Vec<u8> {
        if self.is_first { [self.settings, self.text].concat() } else { self.text }
    }

    /// Whether it may be run in pieces: it is data, or there are no titles that tell entries apart.
    pub(super) fn is_data(&self) -> bool {
        // A statement may be one very long line, and this is asked for each piece of it.
        let begin = self.text.get(..BEGIN_BYTES).unwrap_or(&self.text);
        let mut lines = begin.split(|byte| *byte == b'\n').filter(|line| !is_comment(line));
        let first = lines.next().unwrap_or_default();
        self.kind.is_empty() || !self.is_first || starts_data(first)
    }
}

/// Whether a line begins a statement of data.
pub(super) fn starts_data(line: &[u8]) -> bool {
    DATA.iter().any(|start| line.starts_with(start))
}

/// What a line does that begins or ends a transaction, as around large objects.
pub(super) fn transaction(line: &[u8]) -> Option<Part> {
    match line {
        b"BEGIN;\n" => Some(Part::Begin),
        b"COMMIT;\n" => Some(Part::Commit),
        _ => None,
    }
}

/// Whether a line that begins outside of everything says nothing.
pub(super) fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"--") || line.trim_ascii().is_empty()
}

pub(super) fn is_title(line: &[u8]) -> bool {
    TITLES.iter().any(|title| line.starts_with(title))
}

/// The type in `-- Name: …; Type: INDEX; Schema: …`. A name may itself look like one, so the last counts.
pub(super) fn kind_of(title: &[u8]) -> String {
    let text = String::from_utf8_lossy(title);
    let kind = text.rsplit(TYPE).next().unwrap_or_default();
    kind.split(';').next().unwrap_or_default().to_owned()
}

/// The table in `public.t VALUES (…)` or `public.t (a, b) VALUES`.
pub(super) fn inserted_table(rest: &[u8]) -> Option<String> {
    let name = inserted_name(rest).filter(|name| name.len() < rest.len())?;
    let table = String::from_utf8(name.to_vec()).ok()?;
    split_names(&table).map(|_| table)
}

/// The name in `public.t VALUES (…)`, or as much of it as stands in the line.
pub(super) fn inserted_name(rest: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let end = rest.iter().position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == b' '
    });
    rest.get(..end.unwrap_or(rest.len()))
}
