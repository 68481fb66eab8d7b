//! The statements of a dump of some tables, in the order in which they are run where the tables are gone.

use std::collections::HashMap;

use super::reading::next_part;
use crate::model::split_names;
use crate::postgres::definition::Definition;
use crate::postgres::granted::units;
use crate::postgres::owned::tables_of;
use crate::postgres::part::Part;
use crate::postgres::script::ScriptReader;
use crate::sink::Error;

/// What a table is nothing without; without row security it would show more than it did.
const NEEDED: [&str; 10] = [
    "TABLE",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "DEFAULT",
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "INDEX",
    "POLICY",
    "ROW SECURITY",
];

/// The owners of tables, by schema and name, as a script in this encoding gives them.
///
/// # Errors
/// [`Error::Io`] when it cannot be read.
pub fn owners_of_tables(script: &mut dyn std::io::Read, encoding: &str) -> Result<HashMap<Vec<String>, String>, Error> {
    let mut reader = ScriptReader::new(script).in_encoding(encoding);
    let mut owners = HashMap::new();
    while let Some(part) = next_part(&mut reader)? {
        let Part::Statements(statements) = part else { continue };
        if let Definition::Table { owner: Some(owner), name, .. } = Definition::of(&statements.text)
            && let (Some(name), Some([owner])) = (split_names(&name), split_names(&owner).as_deref())
        {
            owners.insert(name, owner.clone());
        }
    }
    Ok(owners)
}

/// The statements of a dump of some tables.
#[derive(Debug, Default)]
pub struct TableScript {
    /// What is made before there are rows: everything that could run something for each of them.
    pub(super) before: Vec<Vec<u8>>,
    /// What is made of them.
    pub(super) after: Vec<Vec<u8>>,
    /// What can be missing.
    pub(super) rest: Vec<Optional>,
    /// The encoding that they are written in.
    pub(super) encoding: String,
}

/// Statements of a thing that tables can be without.
#[derive(Debug)]
pub(super) struct Optional {
    pub(super) statements: Vec<u8>,
    /// The table that it refers to, quoted where needed.
    pub(super) other: Option<String>,
}

impl TableScript {
    /// Reads a dump that `pg_dump` has just made, in this encoding.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be understood.
    pub fn read(dump: &[u8], encoding: &str) -> Result<Self, Error> {
        let mut from = dump;
        let mut reader = ScriptReader::new(&mut from as &mut dyn std::io::Read).in_encoding(encoding);
        let mut script = Self { encoding: encoding.to_owned(), ..Self::default() };
        let mut has_rows = false;
        while let Some(part) = next_part(&mut reader)? {
            match part {
                Part::Copy { .. } => has_rows = true,
                Part::Statements(statements) if !statements.kind.is_empty() => {
                    let kind = statements.kind.clone();
                    let is_needed = NEEDED.contains(&kind.as_str());
                    let runs = matches!(
                        Definition::of(&statements.text),
                        Definition::Index { is_computed: true, .. } | Definition::Constraint(_)
                    );
                    let other = tables_of(&statements.text).into_iter().nth(1);
                    let statements = statements.whole();
                    match (is_needed, has_rows && !runs) {
                        (true, false) => script.before.push(statements),
                        (true, true) => script.after.push(statements),
                        (false, _) if kind == "ACL" => script.rest.extend(
                            // What one of them is refused for keeps no other from being given.
                            units(&statements).into_iter().map(|statements| Optional { statements, other: None }),
                        ),
                        (false, _) => script.rest.push(Optional { statements, other }),
                    }
                }
                Part::Statements(_) | Part::Begin | Part::Commit | Part::Rows(_) | Part::RowsEnd => {}
            }
        }
        Ok(script)
    }

    /// Adds a statement that can be missing.
    pub fn add(&mut self, statement: &str) {
        self.rest.push(Optional { statements: format!("{statement};\n").into_bytes(), other: None });
    }

    /// All statements.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        let rest = self.rest.iter().map(|optional| &optional.statements);
        self.before.iter().chain(&self.after).chain(rest).map(Vec::as_slice)
    }
}
