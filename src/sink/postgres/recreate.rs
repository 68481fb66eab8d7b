//! Tables that are gone from a live database, made in it again with all that belongs to them, in one transaction.
//!
//! A dump names functions and types, and in a live database these may belong to somebody else by now. So the tables are made by a role that has
//! no rights but to make things in their schemas, what the server has found by each name is looked at after each statement, and only then they
//! are given to their owner.

use super::loader_role::{LoaderRoles, NO_LIMIT, REPLICA, Rights, drop_half_made};
use super::refusals::{Refusal, why};
use super::row_session::{RowSession, action, check_held, failed, lock_names};
use super::session_pool::{PoolOptions, SessionPool, has_ended};
use super::table_script::{Optional, TableScript};
use super::written::SETTLE;
use crate::cancel::Cancel;
use crate::model::split_names;
use crate::monitor::Monitor;
use crate::postgres::name_lock::NameLock;
use crate::postgres::overloads::Overloads;
use crate::postgres::sql::{ident, literal, table as table_name};
use crate::postgres::wrapped::wrapped;
use crate::postgres::{self, Connection, Session, execute, object_of, query, refused};
use crate::sink::Error;

/// Makes sure that everything that the tables call, have values of, or refer to is there, and belongs to their owner, to a superuser, or to who
/// makes them. With `:KEEPS`, which only a superuser may, nobody drops it before the transaction ends.
const OF_OTHERS_SQL: &str = "DECLARE needed record; there bigint := 1; BEGIN :SETTLE
    FOR needed IN WITH RECURSIVE made AS (
        SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS class, pg_catalog.to_regclass(name)::pg_catalog.oid AS oid
            FROM pg_catalog.unnest(ARRAY[:TABLES]::pg_catalog.text[]) AS name
        UNION SELECT d.classid, d.objid FROM made m JOIN pg_catalog.pg_depend d ON d.refclassid = m.class AND d.refobjid = m.oid
            AND (d.deptype IN ('a', 'i') OR d.classid <> 'pg_catalog.pg_class'::pg_catalog.regclass)
    ), used AS (
        SELECT d.refclassid AS class, d.refobjid AS oid FROM made m JOIN pg_catalog.pg_depend d ON d.classid = m.class AND d.objid = m.oid WHERE d.refobjid >= 16384
        UNION SELECT more.class, more.oid FROM used u CROSS JOIN LATERAL (
            SELECT d.refclassid AS class, d.refobjid AS oid FROM pg_catalog.pg_depend d WHERE d.classid = u.class AND d.objid = u.oid AND d.refobjid >= 16384
                AND d.deptype <> 'e' AND u.class <> 'pg_catalog.pg_class'::pg_catalog.regclass
            UNION ALL SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_depend d ON d.objid = c.oid AND d.refobjid >= 16384
                WHERE u.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = u.oid AND c.relkind IN ('c', 'r', 'p', 'f', 'v', 'm') AND d.classid = u.class
            UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint k
                WHERE u.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND k.contypid = u.oid
        ) AS more
    )
    SELECT u.class::pg_catalog.regclass AS class, u.oid, pg_catalog.pg_describe_object(u.class, u.oid, 0) AS what,
        coalesce(f.proowner, y.typowner, o.oprowner, c.relowner, l.collowner, a.opcowner, b.opfowner, t.cfgowner, i.dictowner) AS owner,
        u.class IN ('pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_namespace'::pg_catalog.regclass, 'pg_catalog.pg_language'::pg_catalog.regclass,
            'pg_catalog.pg_extension'::pg_catalog.regclass, 'pg_catalog.pg_am'::pg_catalog.regclass, 'pg_catalog.pg_ts_parser'::pg_catalog.regclass,
            'pg_catalog.pg_ts_template'::pg_catalog.regclass, 'pg_catalog.pg_attrdef'::pg_catalog.regclass) AS is_unowned
        FROM used u
            LEFT JOIN pg_catalog.pg_proc f ON u.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = u.oid
            LEFT JOIN pg_catalog.pg_type y ON u.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND y.oid = u.oid
            LEFT JOIN pg_catalog.pg_operator o ON u.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = u.oid
            LEFT JOIN pg_catalog.pg_class c ON u.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = u.oid
            LEFT JOIN pg_catalog.pg_collation l ON u.class = 'pg_catalog.pg_collation'::pg_catalog.regclass AND l.oid = u.oid
            LEFT JOIN pg_catalog.pg_opclass a ON u.class = 'pg_catalog.pg_opclass'::pg_catalog.regclass AND a.oid = u.oid
            LEFT JOIN pg_catalog.pg_opfamily b ON u.class = 'pg_catalog.pg_opfamily'::pg_catalog.regclass AND b.oid = u.oid
            LEFT JOIN pg_catalog.pg_ts_config t ON u.class = 'pg_catalog.pg_ts_config'::pg_catalog.regclass AND t.oid = u.oid
            LEFT JOIN pg_catalog.pg_ts_dict i ON u.class = 'pg_catalog.pg_ts_dict'::pg_catalog.regclass AND i.oid = u.oid
        ORDER BY 3
    LOOP
        IF :KEEPS THEN
            EXECUTE pg_catalog.format('SELECT FROM %s WHERE oid OPERATOR(pg_catalog.=) %s FOR KEY SHARE', needed.class, needed.oid);
            GET DIAGNOSTICS there = ROW_COUNT;
        END IF;
        IF there = 0 OR needed.owner IS NULL AND NOT needed.is_unowned THEN
            RAISE EXCEPTION 'something that the table needs is gone: %', coalesce(needed.what, needed.class::pg_catalog.text);
        ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = needed.owner AND (r.rolsuper OR r.rolname IN (:OWNER, SESSION_USER, :MAKER))) AND NOT needed.is_unowned THEN
            RAISE EXCEPTION '% belongs to %, who does not own the table', needed.what, pg_catalog.pg_get_userbyid(needed.owner);
        END IF;
    END LOOP;
END;";
/// Makes sure that the role owns nothing but these tables, with what belongs to them: code that belongs to them could have had it make something
/// where nobody else may.
const OWNS_ELSE_SQL: &str = "IF EXISTS (SELECT FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
        WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o' AND r.rolname = SESSION_USER
            AND NOT (s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND s.objid = ANY (ARRAY[:TABLES]::pg_catalog.regclass[]))
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = s.classid AND d.objid = s.objid
                AND (d.deptype IN ('a', 'i') OR s.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass)
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY (ARRAY[:TABLES]::pg_catalog.regclass[]))) THEN
        RAISE EXCEPTION 'code that belongs to the tables has made something else';
    END IF;";
/// Gives the statistics objects of tables to a role.
const GIVE_STATISTICS_SQL: &str = "FOR statistics IN SELECT s.stxnamespace::pg_catalog.regnamespace AS schema, s.stxname AS name FROM pg_catalog.pg_statistic_ext s
        WHERE s.stxrelid OPERATOR(pg_catalog.=) ANY (ARRAY[:TABLES]::pg_catalog.regclass[]) LOOP
        EXECUTE pg_catalog.format('ALTER STATISTICS %s.%I OWNER TO %I', statistics.schema, statistics.name, :OWNER);
    END LOOP;";
/// Event triggers that fire for statements of a restore too, and run functions of roles that are no superusers.
const EVENT_TRIGGERS_SQL: &str =
    "SELECT pg_catalog.format('the event trigger %I', e.evtname) FROM pg_catalog.pg_event_trigger e
    JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    WHERE e.evtenabled IN ('A', 'R') AND NOT r.rolsuper";
/// The schema of a table, quoted where needed, where that belongs to a superuser or to this owner.
const LENDS_SQL: &str =
    "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles r ON r.oid = c.relowner WHERE c.oid = pg_catalog.to_regclass(:TABLE) AND (r.rolsuper OR r.rolname = :OWNER)";

/// Tables of one owner that are made.
#[derive(Debug, Clone, Copy)]
pub struct Recreated<'r> {
    /// Their names, quoted where needed.
    pub tables: &'r [String],
    /// Their schemas.
    pub schemas: &'r [String],
    /// Their owner.
    pub owner: &'r str,
    /// Statements that take from him what he has taken from himself.
    pub own_rights: &'r [String],
    /// Whether code of roles that are no superusers may run with all rights of who restores.
    pub trusts_code: bool,
}

/// Who makes tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// Who restores, and may give them away or not.
    Restorer { is_superuser: bool },
    /// A role without rights.
    Role,
}

/// A transaction that makes tables. Without its end there are none.
pub struct TableMaker<'a> {
    session: RowSession<'a>,
    roles: LoaderRoles,
    of: Recreated<'a>,
    /// The tables as they stand in SQL.
    quoted: Vec<String>,
    maker: Maker,
    script: &'a mut TableScript,
    /// Keep the tables that foreign keys refer to.
    kept: Vec<Session>,
    /// Keeps schemas under their names.
    names: Option<NameLock>,
}

impl<'a> TableMaker<'a> {
    /// Makes tables without rows. `maintenance` is a connection to another database of the same server.
    ///
    /// # Errors
    /// [`Error::NoLoader`], [`Error::Database`], [`Error::AsOwner`]; [`Error::Code`] where code of others would run with the rights of who
    /// restores.
    pub fn begin(
        (database, maintenance): (Connection, Connection),
        of: Recreated<'a>,
        script: &'a mut TableScript,
        monitor: &'a Monitor<'a>,
    ) -> Result<Self, Error> {
        let cancel = monitor.cancel();
        let ask = |sql: &str| query(&database, sql, cancel).map_err(|source| failed(&database, None, source));
        let rows = ask("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")?;
        let is_superuser = rows.first().and_then(|row| row.first()?.as_deref()) == Some("t");
        let maker = if of.trusts_code || !is_superuser { Maker::Restorer { is_superuser } } else { Maker::Role };
        if !of.trusts_code {
            let mut objects: Vec<String> = ask(EVENT_TRIGGERS_SQL)?.into_iter().flatten().flatten().collect();
            if maker != Maker::Role {
                objects.extend(calls_of_others(&database, script, cancel)?);
            }
            if !objects.is_empty() {
                return Err(Error::Code { objects });
            }
        }
        let names = lock_names(&database, cancel)?;
        let quoted: Result<Vec<String>, postgres::Error> = of.tables.iter().map(|name| table_name(name)).collect();
        let quoted = quoted.map_err(|source| failed(&database, None, source))?;
        drop_half_made((&database, &maintenance), &quoted, cancel)?;
        LoaderRoles::drop_left(&maintenance, cancel);
        let mut roles = LoaderRoles::new(maintenance, database.clone());
        let pool = match open_maker(&mut roles, (&database, of, maker), monitor) {
            Ok(pool) => pool,
            Err(error) => {
                roles.discard();
                return Err(error);
            }
        };
        let session = RowSession::new(database, pool, None, script.encoding.clone());
        let mut made = Self { session, roles, of, quoted, maker, script, kept: Vec::new(), names };
        match made.make() {
            Ok(()) => Ok(made),
            Err(error) => {
                made.discard();
                Err(error)
            }
        }
    }

    /// Makes the tables.
    fn make(&mut self) -> Result<(), Error> {
        if self.maker == (Maker::Restorer { is_superuser: true }) {
            self.session.statements(&format!("SET LOCAL {REPLICA};\n"))?;
        }
        let looked = self.looked();
        for statements in &self.script.before {
            say(&mut self.session, statements, &looked)?;
        }
        Ok(())
    }

    /// Gives up: there are no tables then, and what was made for it is dropped. Where a step has failed, this is what comes next.
    pub fn discard(self) {
        self.session.discard();
        self.roles.discard();
    }

    /// The session that takes the rows.
    pub const fn session(&mut self) -> &mut RowSession<'a> {
        &mut self.session
    }

    /// Runs checks of ours, which are statements of PL/pgSQL, makes everything else, and ends the transaction. Without checks it only tries
    /// that, and undoes it. Where the server refuses something that the tables can be without, everything is undone, and that is returned: it is
    /// in the script no more.
    ///
    /// # Errors
    /// Those of [`TableMaker::begin`]; nothing has changed then.
    pub fn end(mut self, checks: Option<&str>) -> Result<Option<Refusal>, Error> {
        let looked = self.looked();
        match self.finish(checks, &looked) {
            Ok(None) if checks.is_some() => self.commit(&looked).map(|()| None),
            outcome => {
                self.discard();
                outcome
            }
        }
    }

    /// Makes everything else. Returns what the server has refused and the tables can be without.
    fn finish(&mut self, checks: Option<&str>, looked: &str) -> Result<Option<Refusal>, Error> {
        if let Some(checks) = checks {
            // Policies could hide rows from who owns the tables.
            self.session.statements(&format!("DO {};\n", literal(&format!("BEGIN {checks} END;"))))?;
        }
        for statements in &self.script.after {
            say(&mut self.session, statements, looked)?;
        }
        for place in 0..self.script.rest.len() {
            let Optional { statements, other } = self.script.rest.get(place).expect("it is one of them");
            if let (Some(other), Some(role)) = (other, self.roles.last())
                && !self.of.tables.iter().any(|table| split_names(table) == split_names(other))
                && !lend(&self.session.database, (other, self.of.owner), (role, &mut self.kept))?
            {
                let why = format!("{other} is not there, or belongs to neither a superuser nor {}", self.of.owner);
                let refused = self.script.rest.remove(place);
                return Ok(Some(Refusal { object: object_of(&refused.statements), why }));
            }
            if let Err(error) = say(&mut self.session, statements, looked) {
                return self.without(place, error).map(Some);
            }
        }
        Ok(None)
    }

    /// Leaves something out that the server has refused.
    fn without(&mut self, place: usize, error: Error) -> Result<Refusal, Error> {
        match error {
            Error::Database { source, .. } if has_ended(&source) => {
                let refused = self.script.rest.remove(place);
                Ok(Refusal { object: object_of(&refused.statements), why: why(&source) })
            }
            error => Err(error),
        }
    }

    /// Ends the transaction, and gives the tables to their owner where that could not be done in it.
    fn commit(mut self, looked: &str) -> Result<(), Error> {
        if let Err(error) = self.end_transaction(looked) {
            self.discard();
            return Err(error);
        }
        let give = self.for_tables(GIVE_STATISTICS_SQL).replace(":OWNER", &literal(self.of.owner));
        let give = (self.maker == Maker::Role).then(|| self.give(self.roles.last(), &give));
        let Self { session, mut roles, names, kept, .. } = self;
        let database = session.database.clone();
        let ended = session.end();
        drop(kept);
        let given = ended.and_then(|()| match give {
            Some(give) => give_to_owner(&database, give),
            None => Ok(()),
        });
        roles.drop_all();
        drop(names);
        given
    }

    fn end_transaction(&mut self, looked: &str) -> Result<(), Error> {
        // What belongs to the tables may have put something off.
        self.session.statements("SET CONSTRAINTS ALL IMMEDIATE;\n")?;
        let own = if self.maker == Maker::Role { self.for_tables(OWNS_ELSE_SQL) } else { String::new() };
        let give = self.for_tables(GIVE_STATISTICS_SQL).replace(":OWNER", &literal(self.of.owner));
        let given = match self.maker {
            Maker::Restorer { is_superuser: true } => self.give(None, &give),
            Maker::Restorer { is_superuser: false } | Maker::Role => String::new(),
        };
        let body = literal(&format!("BEGIN {SETTLE} {own} END;"));
        self.session.statements(&format!("{looked}DO {body};\nCLOSE ALL;\n{given}"))?;
        check_held(&mut self.names, &self.session.database)?;
        self.session.statements("COMMIT;\n")
    }

    /// The statement that gives the tables to their owner. They must be those that this role has made, where one has: whoever owns a schema
    /// could have put his own into their place, and what he gives them would run with the rights of the owner.
    fn give(&self, maker: Option<&str>, statistics: &str) -> String {
        let owner = ident(self.of.owner);
        let check = |table: &String| {
            maker.map_or_else(String::new, |maker| {
                format!(
                    "LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;
                    IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) c.relowner
                        WHERE c.oid OPERATOR(pg_catalog.=) {0}::pg_catalog.regclass AND r.rolname OPERATOR(pg_catalog.=) {1}) THEN
                        RAISE EXCEPTION 'somebody has replaced %', {0};
                    END IF;\n",
                    literal(table),
                    literal(maker)
                )
            })
        };
        let checks: String = self.quoted.iter().map(check).collect();
        let gives = |table: &String| format!("ALTER TABLE {table} OWNER TO {owner};\n");
        let tables = self.quoted.iter().map(gives).collect::<Vec<_>>().concat();
        // Who has made a table has everything, and what is his becomes the owner's.
        let tables = tables + &self.of.own_rights.join("\n");
        // Somebody may have dropped what nobody saw to be needed so far.
        let looks = if maker.is_some() { self.looks(true) } else { String::new() };
        format!(
            "DO {};\n",
            literal(&format!("DECLARE statistics record; BEGIN {checks}{looks}{tables}{statistics} END;"))
        )
    }

    /// The statements that look at what the server has found by the names in those before.
    fn looks(&self, keeps: bool) -> String {
        if self.of.trusts_code {
            return String::new();
        }
        let maker = literal(self.roles.last().unwrap_or_default());
        let sql = OF_OTHERS_SQL.replace(":SETTLE", SETTLE).replace(":OWNER", &literal(self.of.owner));
        self.for_tables(&sql.replace(":MAKER", &maker).replace(":KEEPS", &keeps.to_string()))
    }

    /// The same as one statement.
    fn looked(&self) -> String {
        let looks = self.looks(false);
        if looks.is_empty() { looks } else { format!("DO {};\n", literal(&looks)) }
    }

    /// A statement of ours about these tables.
    fn for_tables(&self, sql: &str) -> String {
        let names: Vec<String> = self.quoted.iter().map(|name| literal(name)).collect();
        sql.replace(":TABLES", &names.join(", "))
    }
}

/// Runs the statement that gives the tables to their owner.
fn give_to_owner(database: &Connection, give: String) -> Result<(), Error> {
    let given = execute(database, &[format!("SET {REPLICA}"), give], &Cancel::new());
    given.map_err(|source| match source {
        postgres::Error::Process(error) => failed(database, None, refused(error)),
        source => failed(database, None, source),
    })
}

/// Runs statements of a dump, and one of ours right after them.
fn say(session: &mut RowSession<'_>, statements: &[u8], looked: &str) -> Result<(), Error> {
    let statements = wrapped(statements, &session.encoding);
    session.statements(&format!("{statements}{looked}"))
}

/// Lets a role refer to a table, where that belongs to a superuser or to this owner, and keeps it from being dropped: what somebody else puts
/// into its place could have an index, whose code the role would run when it looks at the rows.
fn lend(
    database: &Connection,
    (table, owner): (&str, &str),
    (role, kept): (&str, &mut Vec<Session>),
) -> Result<bool, Error> {
    let mut lend = || {
        let mut session = Session::open(database, "larder", &Cancel::new())?;
        if session.run(&format!("BEGIN; LOCK TABLE ONLY {table} IN ROW SHARE MODE;"), &Cancel::new()).is_err() {
            return Ok(false);
        }
        let sql = LENDS_SQL.replace(":TABLE", &literal(table)).replace(":OWNER", &literal(owner));
        let rows = query(database, &sql, &Cancel::new())?;
        let Some(schema) = rows.into_iter().flatten().flatten().next() else { return Ok(false) };
        kept.push(session);
        let role = ident(role);
        let grants =
            [format!("GRANT USAGE ON SCHEMA {schema} TO {role}"), format!("GRANT REFERENCES ON {table} TO {role}")];
        execute(database, &grants, &Cancel::new()).map(|()| true)
    };
    lend().map_err(|source| failed(database, None, source))
}

/// What statements would call that others have written than who asks, each in words.
fn calls_of_others(database: &Connection, script: &TableScript, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let others = Overloads::of_others(database, cancel).map_err(|source| failed(database, None, source))?;
    let calls = script.all().filter_map(|statements| {
        let overload = others.called_in(&String::from_utf8_lossy(statements), None)?;
        let authors = overload.authors.join(", ").escape_debug().to_string();
        Some(format!("{} (it calls {overload} of {authors})", object_of(statements)))
    });
    Ok(calls.collect())
}

/// Opens the session in which tables are made.
fn open_maker<'a>(
    roles: &mut LoaderRoles,
    (database, of, maker): (&Connection, Recreated<'_>, Maker),
    monitor: &'a Monitor<'a>,
) -> Result<SessionPool<'a>, Error> {
    let options = PoolOptions { count: 1, one_transaction: true, role: None, settings: &[] };
    if maker != Maker::Role {
        let pool = SessionPool::open(database, options, monitor.cancel());
        return pool.map_err(|source| Error::Database { action: action(database), source });
    }
    let schemas = of.schemas.iter().map(|name| format!("CREATE, USAGE ON SCHEMA {}", ident(name)));
    let granted: Vec<String> = schemas.collect();
    roles.open_pool(Rights { owner: of.owner, granted: &granted, settings: &[NO_LIMIT] }, options, monitor)
}

impl std::fmt::Debug for TableMaker<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TableMaker({:?})", self.of)
    }
}
