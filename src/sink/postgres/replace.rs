//! Rows of tables that stay, replaced in one transaction of one session.
//!
//! Where that runs code of the owner of the tables, it is a session with the rights of that owner and no others.

use std::io::Read;

use super::lanes::{LaneOptions, Lanes};
use super::loader_role::LoaderRoles;
use super::reading::{next_part, read_piece, unreadable};
use super::written::{COUNTS, Watch, around};
use crate::model::rows::END;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::dump_encoding::UTF8;
use crate::postgres::name_lock::NameLock;
use crate::postgres::part::Part;
use crate::postgres::script::ScriptReader;
use crate::postgres::sql::literal;
use crate::postgres::wrapped::copy;
use crate::postgres::{self, Connection, WholeRows};
use crate::progress::Progress;
use crate::sink::Error;

/// Triggers do not run in its sessions, but for those that always do.
const REPLICA: &str = "session_replication_role = replica";

/// How rows are replaced.
#[derive(Debug, Clone, Copy)]
pub struct ReplaceOptions<'o> {
    /// The encoding that the rows are written in.
    pub encoding: &'o str,
    /// Whether code of roles that are no superusers may run with all rights of who restores.
    pub trusts_code: bool,
}

/// A transaction that replaces rows. Without its end, nothing has changed.
pub struct RowReplacer<'a> {
    database: Connection,
    lanes: Lanes<'a>,
    roles: LoaderRoles,
    /// Whose rights it has, where those are not the ones of who restores.
    owner: Option<String>,
    /// The tables with the columns of their rows.
    tables: Vec<(String, Vec<String>)>,
    trusts_code: bool,
    encoding: String,
    /// Keeps schemas under their names: else somebody could have rows of others written to his table, and his code run with all rights.
    names: Option<NameLock>,
    /// Looks at what code of the owner writes to.
    watch: Option<Watch>,
}

impl<'a> RowReplacer<'a> {
    /// Begins to replace rows of these tables, given with the columns of the rows. `maintenance` is a connection to another
    /// database of the same server.
    ///
    /// # Errors
    /// [`Error::Code`] when the tables run code of several roles; [`Error::NoLoader`], [`Error::Database`].
    pub fn open(
        (database, maintenance): (Connection, Connection),
        tables: &[(&str, &[String])],
        options: ReplaceOptions<'_>,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let stopped = || progress.cancelled();
        let names = NameLock::take(&database, "larder", &stopped).map_err(|source| failed(&database, None, source))?;
        let owner = if options.trusts_code { None } else { only_owner(&database, tables, &stopped)? };
        LoaderRoles::drop_left(&maintenance, &stopped);
        let mut roles = LoaderRoles::new(maintenance, database.clone());
        let lane = LaneOptions { count: 1, one_transaction: true, role: owner.as_deref(), settings: &[] };
        let lanes = if let Some(owner) = &owner {
            // Who is no superuser cannot set it himself.
            roles.lanes(owner, lane, &[REPLICA, COUNTS], progress)?
        } else {
            let lanes = Lanes::open(&database, lane, progress);
            lanes.map_err(|source| Error::Database { action: action(&database), source })?
        };
        let tables = tables.iter().map(|(table, columns)| ((*table).to_owned(), columns.to_vec())).collect();
        let (trusts_code, encoding) = (options.trusts_code, options.encoding.to_owned());
        let mut replacer = Self { database, lanes, roles, owner, tables, trusts_code, encoding, names, watch: None };
        if replacer.owner.is_none() {
            replacer.statements(&format!("SET LOCAL {REPLICA};\n"))?;
        }
        Ok(replacer)
    }

    /// Keeps everybody else from these tables, as they stand in SQL. What was found of them before may have been true until then.
    ///
    /// # Errors
    /// Those of [`RowReplacer::statements`]; [`Error::Code`] when they have come to run code of others meanwhile;
    /// [`Error::Deferred`] when code of their owner could run when nobody looks any more.
    pub fn lock(&mut self, names: &[String], progress: &dyn Progress) -> Result<(), Error> {
        let only = names.iter().map(|name| format!("ONLY {name}")).collect::<Vec<_>>().join(", ");
        self.statements(&format!("LOCK TABLE {only} IN ACCESS EXCLUSIVE MODE;\n"))?;
        if self.trusts_code {
            return Ok(());
        }
        let stopped = || progress.cancelled();
        if self.owner.is_none() {
            // Nobody gives those an index meanwhile that they are compared with; their rows may change.
            let wanted: Vec<&str> = self.tables.iter().map(|(table, _)| table.as_str()).collect();
            let partners = Access::partners(&self.database, &wanted, &stopped);
            let partners = partners.map_err(|source| failed(&self.database, None, source))?;
            let only = partners.iter().map(|name| format!("ONLY {name}")).collect::<Vec<_>>().join(", ");
            self.statements(&format!("LOCK TABLE {only} IN SHARE UPDATE EXCLUSIVE MODE;\n"))?;
        }
        let tables: Vec<(&str, &[String])> =
            self.tables.iter().map(|(table, columns)| (table.as_str(), columns.as_slice())).collect();
        let owner = only_owner(&self.database, &tables, &stopped)?;
        if owner.is_some() && owner != self.owner {
            return Err(Error::Code { objects: self.tables.iter().map(|(table, _)| table.clone()).collect() });
        }
        if let (Some(owner), Some(role)) = (&self.owner, self.roles.last()) {
            self.watch = Some(Watch::begin(&self.database, (owner, role), names, &stopped)?);
        }
        Ok(())
    }

    /// Runs statements of ours.
    ///
    /// # Errors
    /// [`Error::Database`], or [`Error::AsOwner`], with what the server said.
    pub fn statements(&mut self, text: &str) -> Result<(), Error> {
        self.say(text.as_bytes().to_vec())?;
        self.lanes.wait().map_err(|source| failed(&self.database, self.owner.as_deref(), source))
    }

    /// Takes the rows of a script, and none of its statements.
    ///
    /// # Errors
    /// Those of [`RowReplacer::statements`]; [`Error::Io`] when it cannot be read.
    pub fn rows_of_script(&mut self, script: &mut dyn Read) -> Result<(), Error> {
        let mut reader = ScriptReader::new(script).in_encoding(&self.encoding);
        let mut whole = WholeRows::default();
        while let Some(part) = next_part(&mut reader)? {
            match part {
                Part::Statements(_) | Part::Begin | Part::Commit => {}
                Part::Copy { table, columns } => {
                    whole = WholeRows::default();
                    self.copy((&table, &columns))?;
                }
                Part::Rows(rows) => {
                    whole.check(&rows).map_err(unreadable)?;
                    self.say(rows)?;
                }
                Part::RowsEnd => {
                    whole.end().map_err(unreadable)?;
                    self.say(END.to_vec())?;
                }
            }
        }
        Ok(())
    }

    /// Takes rows of these columns of a table.
    ///
    /// # Errors
    /// Those of [`RowReplacer::rows_of_script`].
    pub fn rows(&mut self, table: (&str, &[String]), rows: &mut dyn Read) -> Result<(), Error> {
        self.copy(table)?;
        let mut whole = WholeRows::default();
        while let Some(piece) = read_piece(rows)? {
            whole.check(&piece).map_err(unreadable)?;
            self.say(piece)?;
        }
        whole.end().map_err(unreadable)?;
        self.say(END.to_vec())
    }

    /// Runs checks of ours, which are statements of PL/pgSQL, and ends the transaction: from now on others see the rows. Where
    /// code of the owner was run, nothing of it runs any more when the checks are done, and it has written to these tables alone.
    /// Returns in words which roles that were made for it could not be dropped.
    ///
    /// # Errors
    /// Those of [`RowReplacer::statements`]; [`Error::Written`]; [`Error::Unusable`] when they were not locked.
    pub fn end(mut self, checks: &str, progress: &dyn Progress) -> Result<Vec<String>, Error> {
        // What that code has put off runs now. It may also have changed what our texts mean.
        self.statements(&format!(
            "SET CONSTRAINTS ALL IMMEDIATE;\nSET LOCAL client_encoding = {};\nSET LOCAL search_path = pg_catalog, pg_temp;\n",
            literal(UTF8)
        ))?;
        let watch = self.watch.take();
        if self.owner.is_some() && watch.is_none() {
            return Err(Error::Unusable("no rows are replaced: their tables were not locked before".to_owned()));
        }
        let checks = if watch.is_some() { around(checks) } else { checks.to_owned() };
        // A cursor that outlives its transaction would be read at the end of that.
        self.statements(&format!("{}CLOSE ALL;\n", block(&checks)))?;
        if let Some(watch) = &watch {
            watch.check_locks(&self.database, &|| progress.cancelled())?;
            self.statements(&block(&watch.counted()))?;
        }
        self.statements("COMMIT;\n")?;
        let Self { database, lanes, mut roles, owner, names, .. } = self;
        lanes.end().map_err(|source| failed(&database, owner.as_deref(), source))?;
        drop(names);
        roles.drop_all();
        Ok(roles.left())
    }

    fn copy(&mut self, table: (&str, &[String])) -> Result<(), Error> {
        let statement = copy(table, "SET LOCAL", &self.encoding);
        let statement = statement.map_err(|source| failed(&self.database, self.owner.as_deref(), source))?;
        self.say(statement.into_bytes())
    }

    fn say(&mut self, piece: Vec<u8>) -> Result<(), Error> {
        self.lanes.say(0, piece).map_err(|source| failed(&self.database, self.owner.as_deref(), source))
    }
}

/// The one who replaces the rows of all these tables, where that is not who restores.
fn only_owner(
    database: &Connection,
    tables: &[(&str, &[String])],
    stopped: postgres::Stopped<'_>,
) -> Result<Option<String>, Error> {
    let access = Access::read(database, stopped).map_err(|source| failed(database, None, source))?;
    let all: Vec<LoadAs> = tables.iter().map(|(table, columns)| access.of(table, columns)).collect::<Result<_, _>>()?;
    let names = || tables.iter().map(|(table, _)| (*table).to_owned()).collect();
    // Whether references hold is a query on others too.
    let wanted: Vec<&str> = tables.iter().map(|(table, _)| *table).collect();
    let partners = Access::partners(database, &wanted, stopped).map_err(|source| failed(database, None, source))?;
    let runs_code = partners.iter().any(|table| access.runs_code(table) || access.may_cast(table));
    if !runs_code && all.iter().all(|load_as| *load_as == LoadAs::Restorer) {
        return Ok(None);
    }
    let coded = partners.iter().map(String::as_str).filter(|table| access.runs_code(table));
    let owners: Option<Vec<&str>> = wanted.iter().copied().chain(coded).map(|table| access.owner(table)).collect();
    match owners.as_deref() {
        Some([first, rest @ ..]) if rest.iter().all(|owner| owner == first) => Ok(Some((*first).to_owned())),
        _ => Err(Error::Code { objects: names() }),
    }
}

/// Runs statements of PL/pgSQL. A name may have any dollar quote in it, so that none is used.
fn block(statements: &str) -> String {
    format!("DO {};\n", literal(&format!("BEGIN {statements} END;")))
}

fn action(database: &Connection) -> String {
    format!("replace the rows in {database}")
}

fn failed(database: &Connection, owner: Option<&str>, source: postgres::Error) -> Error {
    match owner {
        Some(owner) => Error::AsOwner { owner: owner.to_owned(), source },
        None => Error::Database { action: action(database), source },
    }
}

impl std::fmt::Debug for RowReplacer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RowReplacer(to {})", action(&self.database))
    }
}
