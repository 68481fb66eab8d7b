//! Tables that are gone from a live database and come back into it, with what belongs to them.
//!
//! What they look like is found out in a database beside it, which gets the shape of the saved one and no rows.

use std::collections::BTreeSet;

use super::load::{Loading, in_words, load, reading_error};
use super::replace;
use crate::events::Phase;
use crate::model::{DatabaseFacts, TableRows, split_table};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::database::SavedDatabase;
use crate::pipeline::filter::{Pass, Wanted};
use crate::postgres::dependents::TableFacts;
use crate::postgres::{self, Connection};
use crate::repo::{ChunkReader, Repository};
use crate::sink;
use crate::sink::postgres::{LoadedDatabase, Recreated, TableMaker, TableScript, in_short};
use crate::source::postgres::dump_of_tables;

/// What was made of tables that were gone.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Roles that were made, without passwords.
    pub(super) roles: Vec<String>,
    /// What the server has refused of what belongs to them, each in words.
    pub(super) refused: Vec<String>,
    /// What went with them when they were dropped and is not made again, each in words.
    pub(super) notes: Vec<String>,
}

/// Where tables are made, and what of a saved database.
pub(super) struct Missing<'a> {
    pub(super) saved: &'a SavedDatabase<'a>,
    pub(super) connection: &'a Connection,
    pub(super) loading: Loading<'a>,
    pub(super) tables: &'a [TableRows],
}

impl Missing<'_> {
    /// Makes them. `maintenance` is a connection to another database of the same server.
    pub(super) fn make(
        &self,
        (repository, reader): (&Repository, &mut ChunkReader),
        maintenance: &Connection,
        monitor: &Monitor<'_>,
    ) -> Result<Made, Error> {
        let Self { saved, connection, .. } = *self;
        let cancel = monitor.cancel();
        monitor.begin(Phase::RecreatingTables, None);
        // It is named after the one that it is for.
        let facts = DatabaseFacts { name: connection.database.clone(), ..saved.facts.clone() };
        let of = (&facts, &saved.of_server);
        let (shape, roles) = LoadedDatabase::create(maintenance.clone(), of, Some("shape"), &saved.roles, cancel)?;
        let outcome = self.make_as_in(&shape, (repository, reader), maintenance, monitor);
        shape.discard();
        let Made { refused, notes, .. } = outcome?;
        Ok(Made { roles: roles.names, refused, notes: roles.left_out.into_iter().chain(notes).collect() })
    }

    /// Makes them as they are in a database that is loaded with the saved shape for that.
    fn make_as_in(
        &self,
        shape: &LoadedDatabase,
        (repository, reader): (&Repository, &mut ChunkReader),
        maintenance: &Connection,
        monitor: &Monitor<'_>,
    ) -> Result<Made, Error> {
        let Self { saved, connection, loading, .. } = *self;
        let cancel = monitor.cancel();
        let mut made = Made::default();
        let wanted = Wanted { pass: Pass::Statements, mask: None, ..loading.wanted };
        // What is said of it is true of the database beside alone.
        load(repository, shape, saved, Loading { wanted, ..loading }, monitor)?;
        let beside = connection.with_database(shape.name());
        let names: Vec<String> = self.tables.iter().map(|table| table.table.clone()).collect();
        let found = TableFacts::read(&beside, &names, cancel).map_err(not_known)?;
        if let Some(unknown) = names.iter().find(|name| !found.iter().any(|table| table.name == **name)) {
            return Err(Error::Refused(format!("the saved shape has no table {}", unknown.escape_debug())));
        }
        for of_owner in found.chunk_by(|one, next| one.owner == next.owner) {
            made.refused.extend(self.of_owner((&beside, of_owner), reader, maintenance, monitor)?);
            made.notes.extend(of_owner.iter().filter_map(lost_with));
        }
        Ok(made)
    }

    /// Makes those of one owner, which are looked at in the database beside. Returns what of them the server has refused, each in words.
    fn of_owner(
        &self,
        (beside, found): (&Connection, &[TableFacts]),
        reader: &mut ChunkReader,
        maintenance: &Connection,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<String>, Error> {
        let cancel = monitor.cancel();
        let Some(TableFacts { owner, .. }) = found.first() else { return Ok(Vec::new()) };
        let trusts_code = self.loading.trusts_code;
        let names: Vec<String> = found.iter().map(|table| table.name.clone()).collect();
        let encoding = &self.saved.facts.dump_encoding;
        let dump = dump_of_tables(beside, &names, encoding, cancel).map_err(not_known)?;
        let mut script = TableScript::read(&dump, encoding)?;
        found.iter().flat_map(|table| &table.statistics).for_each(|statement| script.add(statement));
        let schemas: BTreeSet<String> = names.iter().map(|name| split_table(name).0).collect();
        let schemas: Vec<String> = schemas.into_iter().collect();
        let own_rights: Vec<String> = found.iter().flat_map(|table| table.own_rights.iter().cloned()).collect();
        let of = Recreated { tables: &names, schemas: &schemas, owner, own_rights: &own_rights, trusts_code };
        let wanted = Wanted { tables: &names, ..self.loading.wanted };
        let tables: Vec<TableRows> = self.tables.iter().filter(|table| wanted.has(&table.table)).cloned().collect();
        let checks = replace::counts(&tables).map_err(not_known)?;
        let mut refused = Vec::new();
        // Without rows first: each refusal has everything be made once more.
        for has_rows in [false, true] {
            loop {
                let connections = (self.connection.clone(), maintenance.clone());
                let failed = |error| not_made(&names, reading_error(error, monitor));
                let mut maker = TableMaker::begin(connections, of, &mut script, monitor).map_err(failed)?;
                if has_rows {
                    let written = replace::write_rows(maker.session(), self.saved, (reader, wanted), monitor);
                    if let Err(error) = written {
                        maker.discard();
                        return Err(not_made(&names, error));
                    }
                }
                match maker.end(has_rows.then_some(checks.as_str())).map_err(failed)? {
                    Some(refusal) => refused.push(in_words(&refusal)),
                    None => break,
                }
            }
        }
        Ok(refused)
    }
}

/// What goes with a table when it is dropped, and does not come back with it.
fn lost_with(table: &TableFacts) -> Option<String> {
    let lost: Vec<String> = table.lost.iter().map(|what| what.escape_debug().to_string()).collect();
    (!lost.is_empty())
        .then(|| format!("{}: not made again, though it may have gone with the table: {}", table.name, lost.join("; ")))
}

fn not_known(source: postgres::Error) -> Error {
    sink::Error::Database { action: "look at the saved tables".to_owned(), source }.into()
}

/// Says of what the server has refused that there is nothing of these tables therefore.
fn not_made(tables: &[String], error: Error) -> Error {
    match error {
        Error::Sink(sink::Error::Database { source, .. }) => Error::Refused(format!(
            "{} cannot be made again: {}; --into restores it into a database of its own",
            tables.join(", "),
            in_short(&source)
        )),
        error => error,
    }
}
