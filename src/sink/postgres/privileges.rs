//! What a script says of privileges and of row security, and when that is done.
//!
//! Code of owners runs while there are neither the triggers nor the policies that keep them from the rows of others. Until
//! everything is loaded nobody is given more of a table of somebody else than to read it, and rows are behind row security
//! before code of an owner runs.

use std::collections::HashMap;

use crate::model::split_names;
use crate::postgres::definition::Definition;
use crate::postgres::granted::{reading_part, taken_from_everybody};

/// The names of a table.
type Names = Vec<String>;

/// What is done before its turn, and after it.
#[derive(Debug, Default)]
pub(super) struct Privileges {
    /// Privileges of schemas: owners need them to make something.
    schemas: Vec<Vec<u8>>,
    /// Other privileges that change nothing: code of owners needs them while rows are loaded.
    reading: Vec<Vec<u8>>,
    /// What takes from everybody what he has of something that is new.
    taken: Vec<Vec<u8>>,
    /// What puts the rows of a table behind its policies.
    row_security: HashMap<Names, Vec<u8>>,
    /// Tables that have rows.
    loaded: Vec<Names>,
    /// All privileges but those of schemas: they are given when everything is loaded.
    deferred: Vec<Vec<u8>>,
    /// Whether no functions have come since everybody was kept from those that are not for him.
    pub(super) are_taken: bool,
    /// Whether everybody has his own.
    pub(super) are_given: bool,
}

impl Privileges {
    /// Learns of an entry that comes later.
    pub(super) fn learn(&mut self, text: Vec<u8>) {
        match Definition::of(&text) {
            Definition::OnSchema => self.schemas.push(text),
            Definition::Privileges => {
                self.reading.extend(Some(reading_part(&text)).filter(|part| !part.is_empty()));
                self.taken.extend(taken_from_everybody(&text));
            }
            Definition::RowSecurity(table) => {
                self.row_security.extend(split_names(&table).map(|names| (names, text)));
            }
            _ => {}
        }
    }

    /// Defers an entry until everything is loaded.
    pub(super) fn defer(&mut self, text: Vec<u8>) {
        self.deferred.push(text);
    }

    /// What owners need to make something, once.
    pub(super) fn for_schemas(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.schemas)
    }

    /// What takes from everybody what he has of something that is new, each time that there is some.
    pub(super) fn taken(&self) -> &[Vec<u8>] {
        &self.taken
    }

    /// What code of owners needs while rows are loaded, once.
    pub(super) fn for_reading(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.reading)
    }

    /// A table gets rows. Returns what puts those of others behind their policies, where code of an owner runs for it.
    pub(super) fn gets_rows(&mut self, table: &str, runs_code: bool) -> Vec<Vec<u8>> {
        let Some(names) = split_names(table) else { return Vec::new() };
        let loaded = if runs_code { std::mem::take(&mut self.loaded) } else { Vec::new() };
        let secured =
            loaded.iter().filter(|other| **other != names).filter_map(|other| self.row_security.remove(other));
        let secured = secured.collect();
        self.loaded.push(names);
        secured
    }

    /// What was deferred.
    pub(super) fn at_end(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.deferred)
    }
}
