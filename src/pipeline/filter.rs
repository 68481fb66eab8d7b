//! The rows of a dump on their way: some tables are left out, some rows are masked, everything else passes as it is.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use super::mask::{Mask, RowMask};
use crate::limits::COPY_STATEMENT_BYTES_MAX;
use crate::model::rows::{END, read_line};
use crate::model::{TableIndex, split_names, split_table};
use crate::postgres::{Lexer, Named, copied_table};

const COPY_START: &[u8] = b"COPY ";
const INSERT_START: &[u8] = b"INSERT ";
const BUFFER_BYTES: usize = 256 << 10;
/// Masked rows that are made at once, in bytes.
const READY_BYTES: usize = 64 << 10;

/// What is wanted of a dump.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// How rows are masked.
    pub(super) mask: Option<&'a Mask>,
    /// The only tables whose rows pass; all when there are none.
    pub(super) tables: &'a [String],
    /// What is known of the tables.
    pub(super) index: Option<&'a TableIndex>,
    /// What passes this time, where not everything does at once.
    pub(super) pass: Pass<'a>,
}

/// What of a script passes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Pass<'a> {
    #[default]
    All,
    /// Everything but the rows of these tables, by schema and name.
    But(&'a BTreeSet<Named>),
    /// The rows of these, and no statements.
    Rows(&'a BTreeSet<Named>),
    /// Statements, and no rows.
    Statements,
}

impl Wanted<'_> {
    /// Whether all passes as it is.
    pub(super) const fn is_everything(&self) -> bool {
        self.mask.is_none() && self.tables.is_empty() && matches!(self.pass, Pass::All)
    }

    /// Whether no rows pass.
    pub(super) const fn is_without_rows(&self) -> bool {
        matches!(self.pass, Pass::Statements)
    }

    /// Whether the rows of a table pass.
    pub(super) fn has(&self, table: &str) -> bool {
        let passes = match self.pass {
            Pass::All => true,
            Pass::But(others) => !others.contains(&split_table(table)),
            Pass::Rows(tables) => tables.contains(&split_table(table)),
            Pass::Statements => false,
        };
        passes && (self.tables.is_empty() || self.tables.iter().any(|wanted| is_called(table, wanted)))
    }
}

/// Whether a table, quoted where needed, is the one that is meant by `schema.table`, quoted or not.
pub(super) fn is_called(table: &str, wanted: &str) -> bool {
    let (schema, name) = split_table(table);
    table == wanted || format!("{schema}.{name}") == wanted
}

/// What becomes of the rows that pass now.
enum Fate<'a> {
    /// There are no rows, but statements.
    Statement,
    /// They pass as they are.
    Keep,
    LeaveOut,
    Mask(RowMask<'a>),
}

/// A dump of which only what is wanted passes.
pub(super) struct Filtered<'a, R> {
    lines: BufReader<R>,
    wanted: Wanted<'a>,
    fate: Fate<'a>,
    lexer: Lexer,
    line: Vec<u8>,
    ready: Vec<u8>,
    position: usize,
}

impl<'a, R: Read> Filtered<'a, R> {
    /// A script with statements and rows.
    pub(super) fn script(dump: R, wanted: Wanted<'a>) -> Self {
        Self::new(dump, wanted, Fate::Statement)
    }

    /// The rows of one table.
    ///
    /// # Errors
    /// Which column the mask has and the table does not.
    pub(super) fn rows(rows: R, wanted: Wanted<'a>, table: &str, columns: &[String]) -> Result<Self, String> {
        let fate = fate(wanted, table, columns)?;
        Ok(Self::new(rows, wanted, fate))
    }

    fn new(dump: R, wanted: Wanted<'a>, fate: Fate<'a>) -> Self {
        let lines = BufReader::with_capacity(BUFFER_BYTES, dump);
        let lexer = Lexer::default();
        Self { lines, wanted, fate, lexer, line: Vec::new(), ready: Vec::new(), position: 0 }
    }

    /// Makes what passes next ready; nothing at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.position = 0;
        while self.ready.len() < READY_BYTES {
            self.line.clear();
            if read_line(&mut self.lines, &mut self.line)? == 0 {
                return Ok(());
            }
            match &self.fate {
                Fate::Statement => self.statement()?,
                _ if self.line == END => {
                    if !matches!(self.fate, Fate::LeaveOut) {
                        self.ready.extend_from_slice(END);
                    }
                    self.fate = Fate::Statement;
                }
                Fate::Keep => self.ready.extend_from_slice(&self.line),
                Fate::LeaveOut => {}
                Fate::Mask(mask) => mask.apply(&self.line, &mut self.ready).map_err(io::Error::other)?,
            }
        }
        Ok(())
    }

    fn statement(&mut self) -> io::Result<()> {
        let is_copy = self.lexer.is_outside() && self.line.starts_with(COPY_START);
        let is_insert = self.lexer.is_outside() && self.line.trim_ascii_start().starts_with(INSERT_START);
        if is_insert && self.wanted.mask.is_some() {
            return Err(io::Error::other("it has rows that are INSERT statements, which cannot be masked"));
        }
        if is_copy {
            // A quoted name may have line feeds in it.
            let mut table = copied_table(without_end(&self.line));
            while table.is_none() && self.line.len() < COPY_STATEMENT_BYTES_MAX {
                if read_line(&mut self.lines, &mut self.line)? == 0 {
                    break;
                }
                table = copied_table(without_end(&self.line));
            }
            if let Some((table, columns)) = table {
                self.fate = fate(self.wanted, &table, &columns).map_err(io::Error::other)?;
                if matches!(self.fate, Fate::LeaveOut) {
                    return Ok(());
                }
            }
        }
        self.lexer.advance(&self.line);
        if is_copy || !matches!(self.wanted.pass, Pass::Rows(_)) {
            self.ready.extend_from_slice(&self.line);
        }
        Ok(())
    }
}

impl<R: Read> Read for Filtered<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.position == self.ready.len() {
            self.fill()?;
        }
        let rest = self.ready.get(self.position..).unwrap_or_default();
        let len = rest.len().min(target.len());
        let (from, to) = (rest.get(..len), target.get_mut(..len));
        to.expect("bounded by the target").copy_from_slice(from.expect("bounded by what is ready"));
        self.position += len;
        Ok(len)
    }
}

fn fate<'a>(wanted: Wanted<'a>, table: &str, columns: &[String]) -> Result<Fate<'a>, String> {
    if !wanted.has(table) {
        return Ok(Fate::LeaveOut);
    }
    if wanted.mask.is_some() && !is_canonical(table) {
        return Err(format!("the table {table} is not named as pg_dump names it now, so that it cannot be masked"));
    }
    let known = wanted.index.and_then(|index| index.all_tables().find(|(known, ..)| *known == table));
    let related = known.map_or(&[][..], |(.., related)| related);
    let mask = wanted.mask.map(|mask| mask.of_table(table, columns, related)).transpose()?.flatten();
    Ok(mask.map_or(Fate::Keep, Fate::Mask))
}

/// Whether a table is named with its schema, and as servers write names. Rules are found by that.
fn is_canonical(table: &str) -> bool {
    let is_plain = |part: &str| part.starts_with('"') || !part.contains(|char: char| char.is_ascii_uppercase());
    let parts = split_names(table).map(|names| names.len());
    // A quoted part may have a dot in it, and is taken as it is.
    parts == Some(2) && (table.contains('"') || table.split('.').all(is_plain))
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::limits::ID_BYTES;
    use crate::pipeline::mask::Rule;

    const DUMP: &str = "CREATE FUNCTION f() AS '\nCOPY public.a (x) FROM stdin;\n';\nCOPY public.a (x, y) FROM stdin;\n1\tada\n\\.\n\n\
        SELECT 1;\nCOPY public.\"b\nc\" (x) FROM stdin;\nada\n\\.\nCOPY public.d (x) FROM stdin;\n\\.\nEND;\n";

    fn passed(wanted: Wanted<'_>) -> io::Result<String> {
        let mut text = String::new();
        Filtered::script(DUMP.as_bytes(), wanted).read_to_string(&mut text).map(|_| text)
    }

    fn mask(table: &str, column: &str) -> Mask {
        let columns = BTreeMap::from([(column.to_owned(), Rule::Null)]);
        Mask::new([1; ID_BYTES], BTreeMap::from([(table.to_owned(), columns)]))
    }

    #[test]
    fn what_is_not_wanted_is_left_out_and_the_rest_is_as_it_was() {
        assert_eq!(passed(Wanted::default()).expect("from memory"), DUMP);
        let tables = ["public.d".to_owned(), "public.b\nc".to_owned()];
        let text = passed(Wanted { mask: None, tables: &tables, index: None, pass: Pass::All }).expect("from memory");
        let expected = DUMP.replace("COPY public.a (x, y) FROM stdin;\n1\tada\n\\.\n", "");
        assert_eq!(text, expected);
    }

    /// They passed as they were, and nothing said so.
    #[test]
    fn rows_that_cannot_be_masked_are_refused() {
        let mask = mask("public.a", "y");
        let masked = |dump: &str| {
            let wanted = Wanted { mask: Some(&mask), tables: &[], index: None, pass: Pass::All };
            Filtered::script(dump.as_bytes(), wanted).read_to_string(&mut String::new())
        };
        let rows = " (x, y) FROM stdin;\n1\tada\n\\.\n";
        assert!(
            masked(&format!("COPY public.a{rows}")).is_ok() && masked(&format!("COPY public.\"A.b\"{rows}")).is_ok()
        );
        for dump in ["INSERT INTO public.a VALUES (1, 'ada');\n", "  INSERT INTO public.a VALUES (1, 'ada');\n"] {
            assert!(masked(dump).is_err(), "{dump}");
        }
        for name in ["a", "PUBLIC.A", "Public.a"] {
            assert!(masked(&format!("COPY {name}{rows}")).is_err(), "{name}");
        }
    }

    #[test]
    fn rows_are_masked_and_what_a_mask_names_must_come() {
        let [a, b] = [mask("public.a", "y"), mask("public.b\nc", "x")];
        let text = passed(Wanted { mask: Some(&a), tables: &[], index: None, pass: Pass::All }).expect("from memory");
        assert_eq!(text, DUMP.replace("1\tada", "1\t\\N"));
        let text = passed(Wanted { mask: Some(&b), tables: &[], index: None, pass: Pass::All }).expect("from memory");
        assert_eq!(text, DUMP.replace("\nada\n", "\n\\N\n"));
        assert_eq!((a.missing(), b.missing()), (None, None));
        let wrong = mask("public.a", "z");
        assert!(passed(Wanted { mask: Some(&wrong), tables: &[], index: None, pass: Pass::All }).is_err());
        let nowhere = mask("public.x", "y");
        passed(Wanted { mask: Some(&nowhere), tables: &[], index: None, pass: Pass::All }).expect("from memory");
        assert!(nowhere.missing().is_some());
    }
}
