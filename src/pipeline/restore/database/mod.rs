//! A database component: into the live server, all of it or some tables, or into a scratch database that proves it.

mod load;
mod missing;
mod replace;
mod report;
mod target;
mod whole;

use std::time::{Duration, Instant};

pub use report::DatabaseRestore;
pub use target::DatabaseTarget;

use load::{Loading, Said, load};
use missing::Missing;
use replace::Checked;
use whole::Whole;

use super::component_target::{ComponentTarget, Run, ToWrite};
use super::options::RestoreOptions;
use super::report::ComponentRestore;
use crate::cancel::Cancel;
use crate::model::{Component, DatabaseFacts, Snapshot, TableRows};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::pipeline::database::{Dump, SavedDatabase};
use crate::pipeline::filter::{Wanted, is_called};
use crate::postgres::sql::ident;
use crate::postgres::{Connection, tidy_up};
use crate::process::Place;
use crate::repo::Repository;
use crate::sink::postgres::{
    LoadedDatabase, encoding_of, exists, maintenance, make_tablespaces, prepared_transactions,
};

/// How long a server may take to answer after its container was started.
const READY_LIMIT: Duration = Duration::from_mins(1);
const READY_PAUSE: Duration = Duration::from_millis(100);

impl ComponentTarget for &DatabaseTarget {
    fn describe(&self, _component: &Component) -> String {
        self.connection.to_string()
    }

    fn takes_parts(&self) -> bool {
        false
    }

    fn comes_first(&self) -> bool {
        true
    }

    fn wait(&self, restarted: &dyn Fn(&String) -> bool, monitor: &Monitor<'_>) {
        wait_for_server(&self.connection, restarted, monitor);
    }

    fn write(&self, run: Run<'_>, what: ToWrite<'_>, result: &mut ComponentRestore) -> Result<(), Error> {
        restore(self, run, &what, result)
    }
}

fn restore(
    target: &DatabaseTarget,
    run: Run<'_>,
    ToWrite { component, lost, .. }: &ToWrite<'_>,
    result: &mut ComponentRestore,
) -> Result<(), Error> {
    let Run { repository, snapshot, options, monitor } = run;
    if let Some(lost) = lost.first() {
        result.damaged = true;
        return Err(Error::Refused(format!("{} is lost, so the database stays as it is", lost.shown())));
    }
    let mut reader = repository.reader()?;
    let cancel = monitor.cancel();
    let saved = SavedDatabase::find(&mut reader, component)?;
    let (connection, wanted) = (&target.connection, target.wanted(&saved));
    // The database is restored under the name that the configuration gives it now.
    let mut facts = DatabaseFacts { name: connection.database.clone(), ..saved.facts.clone() };
    facts.tables.retain(|table| wanted.has(&table.table));
    let (maintenance, is_there) = maintenance(connection, cancel)?;
    let mut done = counts(&facts);
    done.replaced = is_there;
    done.rows_replaced = target.replaces_rows();
    let Checked { notes, missing } = check(&saved, target, done.replaced, cancel)?;
    result.note_all(notes);
    done.tables_made = missing;
    if done.rows_replaced {
        let is_there = |table: &&TableRows| !done.tables_made.contains(&table.table);
        let there: Vec<TableRows> = facts.tables.iter().filter(is_there).cloned().collect();
        result.note_all(replace::check_owners(connection, &saved, (&mut reader, &there), monitor)?);
    }
    if !done.rows_replaced && done.replaced {
        result.note_all(check_replaceable(&maintenance, &facts, cancel)?);
    }
    result.bytes_written = if target.tables.is_empty() { component.bytes } else { 0 };
    if options.dry_run {
        // Nothing is touched, and it would have been refused by now.
        finish(result, done);
        return Ok(());
    }
    let RestoreOptions { jobs, trusts_code, goes_on, .. } = options;
    let loading = Loading { wanted, jobs, trusts_code, is_foreign: snapshot.imported.is_some(), goes_on };
    if target.replaces_rows() {
        let is_missing = |table: &TableRows| done.tables_made.contains(&table.table);
        let (missing, there): (Vec<TableRows>, Vec<TableRows>) = facts.tables.into_iter().partition(is_missing);
        if !missing.is_empty() {
            let missing = Missing { saved: &saved, connection, loading, tables: &missing };
            let made = missing.make((repository, &mut reader), &maintenance, monitor)?;
            result.failed.extend(made.refused.into_iter().map(|why| (result.name.clone(), why)));
            result.note_all(made.notes);
            done.roles_created = made.roles;
        }
        if !there.is_empty() {
            let names: Vec<String> = there.iter().map(|table| table.table.clone()).collect();
            let what = (Wanted { tables: &names, ..wanted }, there.as_slice());
            let replaced = replace::rows((connection, trusts_code), &saved, &mut reader, what, monitor);
            done.roles_left = replaced.map_err(|error| half_done(error, &done.tables_made))?;
        }
        result.notes.push("triggers did not run, and materialized views are as they were".to_owned());
    } else {
        let whole = Whole { saved: &saved, target, facts: &facts, loading };
        whole.restore(repository, maintenance, (result, &mut done), monitor)?;
    }
    finish(result, done);
    Ok(())
}

fn finish(result: &mut ComponentRestore, done: DatabaseRestore) {
    result.note_all(done.roles_left.iter().chain(&done.notes).cloned());
    result.written = 1;
    result.database = Some(done);
}

/// Says of an error what was done before it.
fn half_done(error: Error, made: &[String]) -> Error {
    if made.is_empty() {
        return error;
    }
    let made = made.join(", ").escape_debug().to_string();
    Error::Refused(format!("{}; tables that were gone are there again: {made}", with_causes(&error)))
}

/// Makes sure, before anything is touched, that a component can be restored as it is asked for. Says whether all of its tables
/// are known by then.
///
/// # Errors
/// [`Error::Refused`], [`Error::Model`]; [`Error::Sink`] when the server cannot be reached.
pub fn check_target(
    repository: &Repository,
    component: &Component,
    target: &DatabaseTarget,
    monitor: &Monitor<'_>,
) -> Result<bool, Error> {
    let cancel = monitor.cancel();
    let saved = SavedDatabase::find(&mut repository.reader()?, component)?;
    let is_there = exists(&target.connection, cancel)?;
    check(&saved, target, is_there, cancel).map(|_| saved.index().is_some())
}

fn check(
    saved: &SavedDatabase<'_>,
    target: &DatabaseTarget,
    is_there: bool,
    cancel: &Cancel,
) -> Result<Checked, Error> {
    check_wanted(saved, target.wanted(saved))?;
    if target.is_new && is_there {
        let name = &target.connection.database;
        return Err(Error::Refused(format!("there is a database {name} already, and --into makes one of its own")));
    }
    if target.replaces_rows() {
        replace::check(&target.connection, saved, target.wanted(saved), cancel)
    } else {
        Ok(Checked::default())
    }
}

/// Makes sure that a database can be replaced, and says what will be otherwise afterwards.
fn check_replaceable(
    maintenance: &Connection,
    facts: &DatabaseFacts,
    cancel: &Cancel,
) -> Result<Option<String>, Error> {
    let name = &facts.name;
    if let Some(extension) = facts.bound_extension() {
        return Err(Error::Refused(format!(
            "{name} has the extension {extension}, which a server makes only in the database of a name that it is set to, so that no other one can \
             take its place: rename the one that is there, and restore again"
        )));
    }
    refuse_prepared(maintenance, name, cancel)?;
    let live = encoding_of(maintenance, name, cancel)?;
    Ok(live.filter(|live| *live != facts.encoding).map(|live| {
        let saved = facts.encoding.escape_debug();
        format!("{name} is in the encoding {live}, and comes back in {saved}, as it was saved: characters that {saved} does not have cannot be written any more")
    }))
}

/// Refuses to replace a database that has prepared transactions: the server does not let it be renamed before they end.
fn refuse_prepared(maintenance: &Connection, name: &str, cancel: &Cancel) -> Result<(), Error> {
    let prepared = prepared_transactions(maintenance, name, cancel)?;
    if prepared.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = prepared.iter().map(|gid| format!("'{}'", gid.escape_debug())).collect();
    Err(Error::Refused(format!(
        "the database {name} has transactions that were prepared and have not ended ({}), and cannot be replaced before: \
         COMMIT PREPARED or ROLLBACK PREPARED them",
        named.join(", ")
    )))
}

/// Makes sure that the snapshot has what is wanted of it.
fn check_wanted(saved: &SavedDatabase<'_>, wanted: Wanted<'_>) -> Result<(), Error> {
    let known = &saved.facts.tables;
    if let Some(missing) =
        wanted.tables.iter().find(|wanted| !known.iter().any(|table| is_called(&table.table, wanted)))
    {
        let database = &saved.facts.name;
        return Err(Error::Refused(format!(
            "the snapshot of {database} has no table {missing} (it is said like public.users)"
        )));
    }
    if matches!(saved.dump, Dump::Plain(_)) && !wanted.tables.is_empty() {
        let why = "it is one plain dump, out of which no single tables can be restored";
        return Err(Error::Refused(format!("{why}: --into restores all of it into a database of its own")));
    }
    saved.check_mask(wanted.mask)
}

/// A server whose container was started again takes a moment until it lets anybody in.
fn wait_for_server(connection: &Connection, restarted: &dyn Fn(&String) -> bool, monitor: &Monitor<'_>) {
    let Place::Container { name, .. } = &connection.place else { return };
    let deadline = Instant::now() + READY_LIMIT;
    // What keeps it is told by the restore, which is tried all the same.
    let cancel = monitor.cancel();
    while restarted(name)
        && maintenance(connection, cancel).is_err()
        && !monitor.is_cancelled()
        && Instant::now() < deadline
    {
        std::thread::sleep(READY_PAUSE);
    }
}

fn counts(facts: &DatabaseFacts) -> DatabaseRestore {
    let rows = facts.tables.iter().map(|table| table.rows).sum();
    DatabaseRestore { tables: facts.tables.len() as u64, rows, ..DatabaseRestore::default() }
}

/// A server on which a database is loaded for a test.
#[derive(Debug, Clone)]
pub struct TestPlace {
    /// How to reach it.
    pub connection: Connection,
    /// Sessions that load at once.
    pub jobs: usize,
    /// Whether nothing else is on the server, so that all code of the database may run there.
    pub is_throwaway: bool,
}

/// Loads the dump of a component of a snapshot into a scratch database, compares its rows, gives it its settings, and drops it.
///
/// # Errors
/// [`Error::Sink`] when it cannot be loaded or has other rows; [`Error::Model`] when the dump is damaged.
pub fn load_and_count(
    repository: &Repository,
    (snapshot, component): (&Snapshot, &Component),
    place: &TestPlace,
    monitor: &Monitor<'_>,
) -> Result<DatabaseRestore, Error> {
    let cancel = monitor.cancel();
    let saved = SavedDatabase::find(&mut repository.reader()?, component)?;
    let (maintenance, _) = maintenance(&place.connection, cancel)?;
    if place.is_throwaway {
        make_tablespaces(&maintenance, &saved.roles.tablespaces, cancel);
    }
    let (loaded, roles) = LoadedDatabase::create(
        maintenance.clone(),
        (saved.facts, &saved.of_server),
        Some("test"),
        &saved.roles,
        cancel,
    )?;
    let (trusts_code, is_foreign) = (place.is_throwaway, snapshot.imported.is_some());
    let loading = Loading { wanted: Wanted::default(), jobs: place.jobs, trusts_code, is_foreign, goes_on: false };
    let outcome = load(repository, &loaded, &saved, loading, monitor).and_then(|Said { mut notes, .. }| {
        notes.extend(loaded.notes().iter().cloned());
        loaded.check_rows(&saved.facts.tables, cancel)?.into_iter().next().map_or(Ok(()), Err)?;
        loaded.set_properties((saved.facts, &saved.of_server), false, cancel)?;
        Ok((loaded.left_roles(cancel)?, notes))
    });
    loaded.discard();
    // Made for this test alone. A role that cannot be dropped any more was put to use meanwhile.
    for role in &roles.names {
        let _ = tidy_up(&maintenance, &[format!("DROP ROLE {}", ident(role))]);
    }
    outcome.map(|(roles_left, notes)| DatabaseRestore { roles_left, notes, ..counts(saved.facts) })
}
