//! Rows of tables that stay, replaced in one transaction of one session.
//!
//! Where that runs code of the owner of the tables, it is a session with the rights of that owner and no others.

use super::loader_role::{LoaderRoles, NO_LIMIT, REPLICA, Rights};
use super::row_session::{RowSession, action, check_held, failed, lock_names};
use super::session_pool::{PoolOptions, SessionPool};
use super::written::{COUNTS, Watch, around};
use crate::cancel::Cancel;
use crate::monitor::Monitor;
use crate::postgres::Connection;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::dump_encoding::UTF8;
use crate::postgres::name_lock::NameLock;
use crate::postgres::sql::{ident, literal};
use crate::sink::Error;

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
    session: RowSession<'a>,
    roles: LoaderRoles,
    /// The tables with the columns of their rows.
    tables: Vec<(String, Vec<String>)>,
    trusts_code: bool,
    /// Keeps schemas under their names.
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
        monitor: &'a Monitor<'a>,
    ) -> Result<Self, Error> {
        let cancel = monitor.cancel();
        let names = lock_names(&database, cancel)?;
        let owner = if options.trusts_code { None } else { only_owner(&database, tables, cancel)? };
        LoaderRoles::drop_left(&maintenance, cancel);
        let mut roles = LoaderRoles::new(maintenance, database.clone());
        let pool_options = PoolOptions { count: 1, one_transaction: true, role: owner.as_deref(), settings: &[] };
        let opened = if let Some(owner) = &owner {
            // Who is no superuser cannot set it himself.
            let rights = Rights { owner, granted: &[ident(owner)], settings: &[NO_LIMIT, REPLICA, COUNTS] };
            roles.open_pool(rights, pool_options, monitor)
        } else {
            let pool = SessionPool::open(&database, pool_options, monitor.cancel());
            pool.map_err(|source| Error::Database { action: action(&database), source })
        };
        let pool = match opened {
            Ok(pool) => pool,
            Err(error) => {
                roles.discard();
                return Err(error);
            }
        };
        let tables = tables.iter().map(|(table, columns)| ((*table).to_owned(), columns.to_vec())).collect();
        let (trusts_code, encoding) = (options.trusts_code, options.encoding.to_owned());
        let session = RowSession::new(database, pool, owner, encoding);
        let mut replacer = Self { session, roles, tables, trusts_code, names, watch: None };
        if replacer.session.owner.is_none()
            && let Err(error) = replacer.session.statements(&format!("SET LOCAL {REPLICA};\n"))
        {
            replacer.discard();
            return Err(error);
        }
        Ok(replacer)
    }

    /// Keeps everybody else from these tables, as they stand in SQL. What was found of them before may have been true until then.
    ///
    /// # Errors
    /// Those of [`RowSession::statements`]; [`Error::Code`] when they have come to run code of others meanwhile;
    /// [`Error::Deferred`] when code of their owner could run when nobody looks any more.
    pub fn lock(&mut self, names: &[String], monitor: &Monitor<'_>) -> Result<(), Error> {
        let only = names.iter().map(|name| format!("ONLY {name}")).collect::<Vec<_>>().join(", ");
        self.session.statements(&format!("LOCK TABLE {only} IN ACCESS EXCLUSIVE MODE;\n"))?;
        if self.trusts_code {
            return Ok(());
        }
        let cancel = monitor.cancel();
        if self.session.owner.is_none() {
            // Nobody gives those an index meanwhile that they are compared with; their rows may change.
            let wanted: Vec<&str> = self.tables.iter().map(|(table, _)| table.as_str()).collect();
            let partners = Access::partners(&self.session.database, &wanted, cancel);
            let partners = partners.map_err(|source| failed(&self.session.database, None, source))?;
            let only = partners.iter().map(|name| format!("ONLY {name}")).collect::<Vec<_>>().join(", ");
            self.session.statements(&format!("LOCK TABLE {only} IN SHARE UPDATE EXCLUSIVE MODE;\n"))?;
        }
        let tables: Vec<(&str, &[String])> =
            self.tables.iter().map(|(table, columns)| (table.as_str(), columns.as_slice())).collect();
        let owner = only_owner(&self.session.database, &tables, cancel)?;
        if owner.is_some() && owner != self.session.owner {
            return Err(Error::Code { objects: self.tables.iter().map(|(table, _)| table.clone()).collect() });
        }
        if let (Some(owner), Some(role)) = (&self.session.owner, self.roles.last()) {
            self.watch = Some(Watch::begin(&self.session.database, (owner, role), names, cancel)?);
        }
        Ok(())
    }

    /// The session that takes the rows.
    pub const fn session(&mut self) -> &mut RowSession<'a> {
        &mut self.session
    }

    /// Runs checks of ours, which are statements of PL/pgSQL, and ends the transaction: from now on others see the rows. Where
    /// code of the owner was run, nothing of it runs any more when the checks are done, and it has written to these tables alone.
    /// Returns in words which roles that were made for it could not be dropped.
    ///
    /// # Errors
    /// Those of [`RowSession::statements`]; [`Error::Written`]; [`Error::Unusable`] when they were not locked.
    pub fn end(mut self, checks: &str, monitor: &Monitor<'_>) -> Result<Vec<String>, Error> {
        if let Err(error) = self.commit(checks, monitor) {
            self.discard();
            return Err(error);
        }
        let Self { session, mut roles, names, .. } = self;
        let ended = session.end();
        roles.drop_all();
        drop(names);
        ended.map(|()| roles.left())
    }

    /// Gives up: nothing has changed then, and what was made for it is dropped. Where a step has failed, this is what comes next.
    pub fn discard(self) {
        self.session.discard();
        self.roles.discard();
    }

    fn commit(&mut self, checks: &str, monitor: &Monitor<'_>) -> Result<(), Error> {
        // What that code has put off runs now. It may also have changed what our texts mean.
        self.session.statements(&format!(
            "SET CONSTRAINTS ALL IMMEDIATE;\nSET LOCAL client_encoding = {};\nSET LOCAL search_path = pg_catalog, pg_temp;\n",
            literal(UTF8)
        ))?;
        let watch = self.watch.take();
        if self.session.owner.is_some() && watch.is_none() {
            return Err(Error::Unusable("no rows are replaced: their tables were not locked before".to_owned()));
        }
        let checks = if watch.is_some() { around(checks) } else { checks.to_owned() };
        // A cursor that outlives its transaction would be read at the end of that.
        self.session.statements(&format!("{}CLOSE ALL;\n", block(&checks)))?;
        if let Some(watch) = &watch {
            watch.check_locks(&self.session.database, monitor.cancel())?;
            self.session.statements(&block(&watch.counted()))?;
        }
        check_held(&mut self.names, &self.session.database)?;
        self.session.statements("COMMIT;\n")
    }
}

/// The one who replaces the rows of all these tables, where that is not who restores.
fn only_owner(database: &Connection, tables: &[(&str, &[String])], cancel: &Cancel) -> Result<Option<String>, Error> {
    let access = Access::read(database, cancel).map_err(|source| failed(database, None, source))?;
    let all: Vec<LoadAs> = tables.iter().map(|(table, columns)| access.of(table, columns)).collect::<Result<_, _>>()?;
    let names = || tables.iter().map(|(table, _)| (*table).to_owned()).collect();
    // Whether references hold is a query on others too.
    let wanted: Vec<&str> = tables.iter().map(|(table, _)| *table).collect();
    let partners = Access::partners(database, &wanted, cancel).map_err(|source| failed(database, None, source))?;
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

impl std::fmt::Debug for RowReplacer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RowReplacer(to {})", action(&self.session.database))
    }
}
