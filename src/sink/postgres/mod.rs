//! Loading a dump into a fresh database, proving its rows, and putting it into the place of the old one.
//!
//! The old database serves until the new one is complete; renaming both is one transaction.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

mod entries;
mod lanes;
mod load;

pub use load::Loader;

use super::Error;
use crate::clock::LocalTime;
use crate::model::{DatabaseFacts, TableRows, split_table, unquote};
use crate::progress::Progress;
use crate::source::postgres::{Connection, ident, literal, psql, psql_program};
use crate::source::{self, Process};

/// Databases that a connection can be made to while others are renamed.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];
const COPY_BUFFER_BYTES: usize = 64 << 10;
/// How long a program is listened to before it is asked whether it was fed.
const LISTEN_TIME: Duration = Duration::from_millis(50);
const RENAME_TRIES: u32 = 50;
const RENAME_PAUSE: Duration = Duration::from_millis(100);

/// Schema and name of a table, without quotes.
type TableName = (String, String);

/// A fresh database that a dump is loaded into. Dropped unless it is put in place.
#[derive(Debug)]
pub struct LoadedDatabase {
    maintenance: Connection,
    name: String,
}

/// A connection to the same server that does not use the database itself, and whether there is that database.
///
/// # Errors
/// [`Error::Database`] when the server cannot be reached.
pub fn maintenance(connection: &Connection) -> Result<(Connection, bool), Error> {
    let sql = find_sql(&connection.database);
    let mut last = None;
    for name in MAINTENANCE.into_iter().filter(|name| *name != connection.database) {
        let candidate = connection.with_database(name);
        match psql(&candidate, &sql) {
            Ok(found) => return Ok((candidate, !found.is_empty())),
            Err(error) => last = Some(error),
        }
    }
    let source = last.unwrap_or_else(|| source::Error::Settings("no maintenance database".to_owned()));
    Err(Error::Database { action: format!("reach the server of {connection}"), source })
}

/// Whether the server has the database of a connection.
///
/// # Errors
/// Those of [`maintenance`].
pub fn exists(connection: &Connection) -> Result<bool, Error> {
    maintenance(connection).map(|(_, is_there)| is_there)
}

/// A query that has a row when there is a database of this name.
fn find_sql(name: &str) -> String {
    format!("SELECT 1 FROM pg_database WHERE datname = {}", literal(name))
}

impl LoadedDatabase {
    /// Creates an empty database beside the one that the facts describe. Roles that the snapshot names and the server
    /// lacks are made from `globals`, without passwords.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn create(
        maintenance: Connection,
        facts: &DatabaseFacts,
        suffix: &str,
        globals: &str,
    ) -> Result<(Self, Vec<String>), Error> {
        let (roles, has_owner) = create_missing_roles(&maintenance, globals, &facts.owner)?;
        let name = beside(&facts.name, suffix);
        let owner = if has_owner { format!(" OWNER {}", ident(&facts.owner)) } else { String::new() };
        let plain = format!("CREATE DATABASE {} TEMPLATE template0{owner}", ident(&name));
        let full = format!(
            "{plain} ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            literal(&facts.encoding),
            literal(&facts.collate),
            literal(&facts.ctype)
        );
        let action = format!("create the database {name}");
        if run(&maintenance, &action, &full).is_err() {
            // The locale of the old server may be unknown here: its encoding is what the data needs.
            let encoded = format!("{plain} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'", literal(&facts.encoding));
            run(&maintenance, &action, &encoded)?;
        }
        Ok((Self { maintenance, name }, roles))
    }

    /// The name of the fresh database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Loads a dump in one transaction. The first error ends it.
    ///
    /// # Errors
    /// [`Error::Database`] with what `psql` said; [`Error::Io`] when the dump cannot be read.
    pub fn load(&self, dump: &mut dyn Read) -> Result<(), Error> {
        let action = || format!("load the dump into the database {}", self.name);
        let failed = |source| Error::Database { action: action(), source };
        let connection = self.maintenance.with_database(&self.name);
        let mut program = connection.program(psql_program(&connection.place));
        program.args(["-X", "-w", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f", "-"]);
        let (input, process) = program.start(true).map_err(failed)?;
        let mut input = input.expect("it was started with an input");
        let (fed, mut process) = feed_and_listen(dump, &mut input, process);
        if fed.is_err() {
            // Without an end, the transaction must not be committed. A program in a container cannot be killed, but its
            // session can be ended.
            process.kill();
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ";
            let _ = psql(&self.maintenance, &format!("{end}{}", literal(&self.name)));
        }
        drop(input);
        let ended = process.finish();
        match fed {
            Err(Feed::Read(source)) => Err(Error::io("read", "the dump", source)),
            Ok(()) => ended.map_err(failed),
            Err(Feed::Write) => {
                let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
                let unread = || source::Error::Stream { what: "psql".to_owned(), source: closed() };
                Err(failed(ended.err().unwrap_or_else(unread)))
            }
        }
    }

    /// Sessions that load into it at the same time. What they load stays when one fails: it is whole only at their end.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn loader<'a>(&self, jobs: usize, encoding: &str, progress: &'a dyn Progress) -> Result<Loader<'a>, Error> {
        let action = format!("load the dump into the database {}", self.name);
        Loader::open(&self.maintenance.with_database(&self.name), (jobs, encoding, false), action, progress)
    }

    /// How many foreign keys there are.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn count_foreign_keys(&self) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0";
        let rows = run(&self.maintenance.with_database(&self.name), "count the foreign keys", sql)?;
        Ok(rows.iter().flatten().find_map(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Compares the rows of each table with the snapshot.
    ///
    /// # Errors
    /// [`Error::Rows`] for the first table that differs; [`Error::Database`].
    pub fn check_rows(&self, facts: &DatabaseFacts) -> Result<(), Error> {
        if facts.tables.is_empty() {
            return Ok(());
        }
        let connection = self.maintenance.with_database(&self.name);
        let (partitioned, of_extensions) = self.partitioned_and_of_extensions()?;
        let count = |(number, table): (usize, &TableRows)| {
            let only = if partitioned.contains(&split_table(&table.table)) { "" } else { "ONLY " };
            format!("SELECT {number}, count(*) FROM {only}{}", table.table)
        };
        let counts: Vec<String> = facts.tables.iter().enumerate().map(count).collect();
        let sql = format!("SET search_path = '';\n{} ORDER BY 1", counts.join("\nUNION ALL "));
        let rows = run(&connection, "count the rows that were loaded", &sql)?;
        for (number, table) in facts.tables.iter().enumerate() {
            let found = rows.get(number).and_then(|row| row.get(1)).cloned().unwrap_or_default();
            let brought_along = |found: u64| found > table.rows && of_extensions.contains(&split_table(&table.table));
            if found != table.rows.to_string() && !found.parse().is_ok_and(brought_along) {
                return Err(Error::Rows { table: table.table.clone(), expected: table.rows, found });
            }
        }
        Ok(())
    }

    /// Schema and name of two kinds of tables. Where rows were loaded through the table that its partitions belong to, they are
    /// counted through it too. What an extension brings along is there before its own rows are loaded, and is in no dump.
    fn partitioned_and_of_extensions(&self) -> Result<(HashSet<TableName>, HashSet<TableName>), Error> {
        let sql = "SELECT n.nspname, c.relname, c.relkind = 'p', EXISTS (
                SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')";
        let (mut partitioned, mut of_extensions) = (HashSet::new(), HashSet::new());
        for row in run(&self.maintenance.with_database(&self.name), "list the tables that were loaded", sql)? {
            let [schema, name, is_partitioned, is_of_extension] = row.as_slice() else { continue };
            let table = || (schema.clone(), name.clone());
            partitioned.extend((is_partitioned == "t").then(table));
            of_extensions.extend((is_of_extension == "t").then(table));
        }
        Ok((partitioned, of_extensions))
    }

    /// Gives the database its settings and privileges, renames it to the snapshot's name, and drops the old one. One that is
    /// new takes no other one's place.
    ///
    /// # Errors
    /// [`Error::Database`]; the old database serves on then.
    pub fn put_in_place(self, facts: &DatabaseFacts, is_new: bool) -> Result<(), Error> {
        let target = facts.name.as_str();
        let properties = facts.properties.iter().map(|property| property.replace(":DBNAME", &ident(&self.name)));
        let sql = properties.chain([find_sql(target)]).collect::<Vec<_>>().join(";\n");
        let found = run(&self.maintenance, "give the database its settings", &sql)?;
        let old = beside(target, "old");
        let had_old = !is_new && !found.is_empty();
        if had_old {
            self.swap(target, &old)?;
        } else {
            let sql = format!("ALTER DATABASE {} RENAME TO {}", ident(&self.name), ident(target));
            run(&self.maintenance, &format!("rename the database to {target}"), &sql)?;
        }
        let maintenance = self.maintenance.clone();
        // It has another name now and must not be dropped.
        std::mem::forget(self);
        if had_old {
            let sql = format!("DROP DATABASE {} WITH (FORCE)", ident(&old));
            run(&maintenance, &format!("drop the replaced database, which is now called {old}"), &sql)?;
        }
        Ok(())
    }

    fn swap(&self, target: &str, old: &str) -> Result<(), Error> {
        let allow = |allowed: bool| format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", ident(target));
        let action = format!("put the restored database in the place of {target}");
        run(&self.maintenance, &action, &allow(false))?;
        let terminate = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ({}, {}) AND pid <> pg_backend_pid()",
            literal(target),
            literal(&self.name)
        );
        let rename = format!(
            "BEGIN; ALTER DATABASE {} RENAME TO {}; ALTER DATABASE {} RENAME TO {}; COMMIT;",
            ident(target),
            ident(old),
            ident(&self.name),
            ident(target)
        );
        // Connections take a moment to end, and the server refuses to rename until they have.
        let mut renamed = Ok(Vec::new());
        for _ in 0..RENAME_TRIES {
            renamed =
                run(&self.maintenance, &action, &terminate).and_then(|_| run(&self.maintenance, &action, &rename));
            if renamed.is_ok() {
                break;
            }
            std::thread::sleep(RENAME_PAUSE);
        }
        if renamed.is_err() {
            run(&self.maintenance, "let connections to the database in again", &allow(true))?;
        }
        renamed.map(drop)
    }
}

impl Drop for LoadedDatabase {
    fn drop(&mut self) {
        // What is left behind when this fails has a name that says what it is.
        let _ = psql(&self.maintenance, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(&self.name)));
    }
}

enum Feed {
    Read(io::Error),
    Write,
}

/// Feeds a process while what it writes is read and dropped: one that cannot get rid of its messages reads nothing.
fn feed_and_listen(dump: &mut dyn Read, input: &mut dyn Write, mut process: Process) -> (Result<(), Feed>, Process) {
    let fed_all = AtomicBool::new(false);
    let fed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 4096];
            while !fed_all.load(Ordering::Acquire) {
                match process.read_within(&mut buffer, LISTEN_TIME) {
                    Ok(None | Some(1..)) => {}
                    // What broke is told by how the process ends.
                    Ok(Some(0)) | Err(_) => break,
                }
            }
        });
        let fed = feed(dump, input);
        fed_all.store(true, Ordering::Release);
        fed
    });
    (fed, process)
}

fn feed(dump: &mut dyn Read, input: &mut dyn Write) -> Result<(), Feed> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let len = match dump.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Feed::Read(error)),
        };
        // `psql` has ended with an error and says itself with which.
        input.write_all(buffer.get(..len).unwrap_or_default()).map_err(|_| Feed::Write)?;
    }
}

/// Runs those statements of `globals` that concern roles the server lacks. Returns the names of the roles, and whether the
/// owner is there then. Which names are quoted where is up to the server and to the version of `pg_dumpall`.
fn create_missing_roles(maintenance: &Connection, globals: &str, owner: &str) -> Result<(Vec<String>, bool), Error> {
    let rows = run(maintenance, "list the roles", "SELECT rolname FROM pg_roles")?;
    let known: HashSet<String> = rows.into_iter().flatten().collect();
    let mut created = Vec::new();
    for line in globals.lines() {
        let Some(role) = line.strip_prefix("CREATE ROLE ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        if known.contains(&unquote(role)) {
            continue;
        }
        run(maintenance, &format!("create the role {role}"), line)?;
        let alter = format!("ALTER ROLE {role} ");
        for statement in globals.lines().filter(|line| line.starts_with(&alter)) {
            run(maintenance, &format!("set up the role {role}"), statement)?;
        }
        created.push(role.to_owned());
    }
    for statement in memberships(globals, &created) {
        run(maintenance, "make the roles members of one another", &statement)?;
    }
    let has_owner = known.contains(owner) || created.iter().any(|role| unquote(role) == owner);
    Ok((created, has_owner))
}

/// The statements of `globals` that make one of these roles a member of another, or another a member of it. Who granted
/// it is left out: that role may have another name on this server.
fn memberships(globals: &str, roles: &[String]) -> Vec<String> {
    let concerns = |grant: &str| {
        let Some((role, member)) = grant.split_once(" TO ") else { return false };
        roles.iter().any(|name| {
            let rest = member.strip_prefix(name.as_str());
            name == role || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    };
    let grants = globals.lines().filter_map(|line| line.strip_prefix("GRANT ")?.strip_suffix(';'));
    let grants = grants.map(|grant| grant.split_once(" GRANTED BY ").map_or(grant, |(grant, _)| grant));
    grants.filter(|grant| concerns(grant)).map(|grant| format!("GRANT {grant}")).collect()
}

fn run(connection: &Connection, action: &str, sql: &str) -> Result<Vec<Vec<String>>, Error> {
    psql(connection, sql).map_err(|source| Error::Database { action: action.to_owned(), source })
}

/// A name for a database beside another one, unique to this moment and within PostgreSQL's 63 bytes.
fn beside(name: &str, suffix: &str) -> String {
    let tail = format!("_larder_{suffix}_{}_{}", LocalTime::now().stamp(), std::process::id());
    let mut head = name.to_owned();
    while head.len() + tail.len() > 63 {
        head.pop();
    }
    head + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_of_the_roles_that_were_made() {
        let globals = "CREATE ROLE app;\nGRANT readers TO app GRANTED BY postgres;\nGRANT app TO \"Web User\" WITH ADMIN OPTION;\n\
            GRANT readers TO app_two;\nGRANT other TO another;\n";
        let made = ["app".to_owned()];
        let expected = ["GRANT readers TO app", "GRANT app TO \"Web User\" WITH ADMIN OPTION"];
        assert_eq!(memberships(globals, &made), expected);
        assert_eq!(memberships(globals, &["\"Web User\"".to_owned()]), expected[1..]);
    }

    #[test]
    fn names_beside_a_database_fit() {
        let name = beside(&"ä".repeat(40), "old");
        assert!(name.len() <= 63 && name.contains("_larder_old_"), "{name}");
    }
}
