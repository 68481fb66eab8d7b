//! The index of a database that is saved table by table: which files there are, in which order they make one plain dump.

use serde::{Deserialize, Serialize};

use super::Error;

/// Where the index lies in the component.
pub const TABLES_FILE: &str = "tables.json";
/// The folder of the component with a file for each table whose rows are in the order of its key.
pub const DATA_FOLDER: &str = "data";

const WHAT: &str = "index of tables";
const VERSION: u16 = 1;

/// What a database that is saved table by table consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableIndex {
    version: u16,
    /// What comes before the data.
    pub before: Script,
    /// The tables whose rows are in the order of their keys.
    pub tables: Vec<KeyedTable>,
    /// The data of everything else.
    pub others: Script,
    /// The tables in it.
    pub other_tables: Vec<OtherTable>,
    /// What comes after the data.
    pub after: Script,
}

/// A file of statements that `pg_dump` wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its name in the component.
    pub file: String,
    /// Where its statements begin, in bytes: behind what makes each such file a dump of its own.
    pub begin: u64,
    /// Where they end.
    pub end: u64,
}

/// A table whose rows are a file of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedTable {
    /// Schema and table, quoted where needed.
    pub table: String,
    /// The name of its file in [`DATA_FOLDER`].
    pub file: String,
    /// The columns of its rows, quoted where needed.
    pub columns: Vec<String>,
    /// The columns that its rows are ordered by.
    pub key: Vec<KeyColumn>,
    /// The tables whose rows these are too, `schema.table` without quotes: those that it is a partition of or inherits from.
    pub related: Vec<String>,
    /// Rows.
    pub rows: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// A column that rows are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// The column, quoted where needed.
    pub column: String,
    /// How its values are ordered.
    pub order: KeyOrder,
}

/// How the values of a column are ordered, as one sees it in their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyOrder {
    /// As whole numbers.
    Integer,
    /// As dates or times.
    Time,
    /// As the bytes of the text.
    Bytes,
}

/// A table whose rows lie in a file with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherTable {
    /// Schema and table, quoted where needed.
    pub table: String,
    /// The columns of its rows, quoted where needed.
    pub columns: Vec<String>,
    /// The tables whose rows these are too, `schema.table` without quotes: those that it is a partition of or inherits from,
    /// and the partitions that rows were read from where they are said to be those of the whole.
    pub related: Vec<String>,
    /// Where its rows lie in that file, each with the statement before them; nothing where that was not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Where it begins, in bytes.
    pub begin: u64,
    /// Where it ends.
    pub end: u64,
}

impl TableIndex {
    /// An index of these files.
    #[must_use]
    pub fn new(
        before: Script,
        tables: Vec<KeyedTable>,
        (others, other_tables): (Script, Vec<OtherTable>),
        after: Script,
    ) -> Self {
        Self { version: VERSION, before, tables, others, other_tables, after }
    }

    /// The index as a file.
    ///
    /// # Panics
    /// Never: plain data can be written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain data can be written as JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The index that a file holds.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Head {
            version: u16,
        }
        let damaged = |error: serde_json::Error| Error::Damaged { what: WHAT, why: error.to_string() };
        match serde_json::from_slice::<Head>(bytes).map_err(damaged)?.version {
            VERSION => serde_json::from_slice(bytes).map_err(damaged).and_then(Self::validated),
            found => Err(Error::UnknownVersion { what: WHAT, found }),
        }
    }

    /// Makes sure that what becomes a part of SQL is names, and that rows lie one after another within their file.
    fn validated(self) -> Result<Self, Error> {
        let mut end = self.others.begin;
        for (place, table) in self.places() {
            if place.begin < end || place.end < place.begin || place.end > self.others.end {
                let why = format!("the rows of {} lie nowhere in {}", table.escape_debug(), self.others.file);
                return Err(Error::Damaged { what: WHAT, why });
            }
            end = place.end;
        }
        let has_parts = |name: &String, parts: usize| split_names(name).is_some_and(|found| found.len() <= parts);
        let columns = self.tables.iter().flat_map(|table| &table.columns);
        let keys = self.tables.iter().flat_map(|table| table.key.iter().map(|key| &key.column));
        let other_columns = self.other_tables.iter().flat_map(|table| &table.columns);
        let mut columns = columns.chain(keys).chain(other_columns).filter(|name| !has_parts(name, 1));
        let tables = self.tables.iter().map(|table| &table.table);
        let mut tables =
            tables.chain(self.other_tables.iter().map(|table| &table.table)).filter(|name| !has_parts(name, 2));
        match tables.next().or_else(|| columns.next()) {
            None => Ok(self),
            Some(name) => {
                let why = format!("'{}' names no table or column", name.escape_debug());
                Err(Error::Damaged { what: WHAT, why })
            }
        }
    }

    /// All tables that have rows here, with the columns of those, and the tables whose rows these are too.
    pub fn all_tables(&self) -> impl Iterator<Item = (&str, &[String], &[String])> {
        let keyed = self.tables.iter().map(|table| (table.table.as_str(), &table.columns, &table.related));
        let others = self.other_tables.iter().map(|table| (table.table.as_str(), &table.columns, &table.related));
        keyed.chain(others).map(|(table, columns, related)| (table, columns.as_slice(), related.as_slice()))
    }

    /// Where rows lie in the file with those of several tables, and of which table, in their order.
    #[must_use]
    pub fn places(&self) -> Vec<(Place, &str)> {
        let mut places = Vec::new();
        for OtherTable { table, places: of_table, .. } in &self.other_tables {
            places.extend(of_table.iter().map(|place| (*place, table.as_str())));
        }
        places.sort_unstable();
        places
    }

    /// The table with this name, quoted where needed.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&KeyedTable> {
        self.tables.iter().find(|table| table.table == name)
    }
}

impl KeyedTable {
    /// The statement that loads its rows, up to the end of its line.
    #[must_use]
    pub fn copy_statement(&self) -> String {
        format!("COPY {} ({}) FROM stdin;\n", self.table, self.columns.join(", "))
    }

    /// Where the columns of the key are among those of a row, and how they are ordered.
    #[must_use]
    pub fn key_places(&self) -> Vec<(usize, KeyOrder)> {
        let place = |key: &KeyColumn| Some((self.columns.iter().position(|column| *column == key.column)?, key.order));
        self.key.iter().filter_map(place).collect()
    }
}

/// Schema and table without quotes.
#[must_use]
pub fn split_table(table: &str) -> (String, String) {
    let mut quoted = false;
    let dot = table.find(|char| {
        quoted ^= char == '"';
        char == '.' && !quoted
    });
    let (schema, name) = dot.map_or(("", table), |dot| (&table[..dot], &table[dot + 1..]));
    (unquote(schema), unquote(name))
}

/// The names that a text consists of which is names and dots alone, as the server understands them; `None` for any other text.
/// What comes from a server, a dump or a manifest is no name until this says so.
#[must_use]
pub fn split_names(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = if let Some(inside) = rest.strip_prefix('"') {
            quoted_name(inside)?
        } else {
            let end = rest.find(|char: char| !is_of_name(char)).unwrap_or(rest.len());
            (rest.get(..end)?.to_ascii_lowercase(), rest.get(end..)?)
        };
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        names.push(name);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(names),
        }
    }
}

/// A quoted name behind its first quote, and what follows its last.
fn quoted_name(inside: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = inside;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                name.push('"');
                rest = next;
            }
            None => return Some((name, after)),
        }
    }
}

/// Whether a character may stand in a name without quotes.
fn is_of_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '$') || (!char.is_ascii() && !char.is_control())
}

/// A name without quotes.
#[must_use]
pub fn unquote(name: &str) -> String {
    let inner = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| name.to_owned(), |inner| inner.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_nothing_else() {
        let names = |text: &str| split_names(text).map(|names| names.join("|"));
        for (text, expected) in [
            ("a", "a"),
            ("Public.a_1", "public|a_1"),
            ("\"A b\".\"c\"\"d\"", "A b|c\"d"),
            ("\"a\nb\".c", "a\nb|c"),
            ("\"\\! x\"", "\\! x"),
            ("ä.b$c", "ä|b$c"),
        ] {
            assert_eq!(names(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "", "a.", ".a", "a b", "a\n\\! x", "\"a", "\"a\"\"", "\"a\"b", "a;b", "a\"b\"", "\"\"", "a(b", "\"a\0\"",
            "a--",
        ] {
            assert_eq!(names(text), None, "{text}");
        }
    }

    #[test]
    fn rows_lie_one_after_another_in_their_file() {
        let script = || Script { file: "x".to_owned(), begin: 10, end: 100 };
        let table = |name: &str, places: &[(u64, u64)]| OtherTable {
            table: name.to_owned(),
            columns: Vec::new(),
            related: Vec::new(),
            places: places.iter().map(|(begin, end)| Place { begin: *begin, end: *end }).collect(),
        };
        let index = |tables| TableIndex::new(script(), Vec::new(), (script(), tables), script());
        let good = index(vec![table("a", &[(10, 20), (50, 100)]), table("b", &[(20, 50)]), table("c", &[])]);
        let good = TableIndex::decode(&good.encode()).expect("own bytes");
        assert_eq!(good.places().iter().map(|(_, table)| *table).collect::<String>(), "aba");
        for bad in [(9, 20), (30, 20), (90, 101)] {
            let bad = index(vec![table("a", &[bad])]);
            assert!(matches!(TableIndex::decode(&bad.encode()), Err(Error::Damaged { .. })), "{bad:?}");
        }
        let twice = index(vec![table("a", &[(10, 20)]), table("b", &[(15, 30)])]);
        assert!(TableIndex::decode(&twice.encode()).is_err());
    }

    #[test]
    fn an_index_with_something_else_than_names_is_refused() {
        let script = || Script { file: "x".to_owned(), begin: 0, end: 0 };
        let table = |table: &str, column: &str| KeyedTable {
            table: table.to_owned(),
            file: "f".to_owned(),
            columns: vec![column.to_owned()],
            key: Vec::new(),
            related: Vec::new(),
            rows: 0,
            bytes: 0,
        };
        let index = |tables| TableIndex::new(script(), tables, (script(), Vec::new()), script());
        let good = index(vec![table("public.t", "\"a b\"")]);
        assert_eq!(TableIndex::decode(&good.encode()).expect("own bytes"), good);
        for bad in [table("public.t FROM PROGRAM 'id'; --", "a"), table("public.t", "a) FROM PROGRAM 'id'; --")] {
            assert!(matches!(TableIndex::decode(&index(vec![bad]).encode()), Err(Error::Damaged { .. })));
        }
    }
}
