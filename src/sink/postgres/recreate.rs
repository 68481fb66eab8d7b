//! Tables that are gone from a live database, made in it again: they and their rows in one transaction, and then what they can be without.
//!
//! They are made by a role that may make things in their schemas and has the rights of their owner, where that is no superuser, and are given to
//! their owner then: so nothing that others have written runs with all rights, and an owner needs no right any more that he had when he
//! made them.

use super::lanes::{LaneOptions, Lanes};
use super::loader_role::{LoaderRoles, NO_LIMIT, Rights};
use super::reading::next_part;
use super::refusals::{Refusal, why};
use super::replace::REPLICA;
use super::row_session::{RowSession, action, failed, lock_names};
use super::written::SETTLE;
use crate::postgres::access::Access;
use crate::postgres::name_lock::NameLock;
use crate::postgres::part::Part;
use crate::postgres::script::ScriptReader;
use crate::postgres::sql::{ident, literal, table as table_name};
use crate::postgres::wrapped::wrapped;
use crate::postgres::{self, Connection, Session, Stopped, execute, object_of, query};
use crate::progress::Progress;
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
/// What looks at rows, or at parts of a table, of others.
const LOOKS_AT_OTHERS: [&str; 3] = ["FK CONSTRAINT", "TABLE ATTACH", "INDEX ATTACH"];

/// Takes away what others may do with new tables and their sequences: nobody has that before everything else is there.
const CLOSE_SQL: &str = "DECLARE given record; BEGIN
    FOR given IN SELECT c.oid::pg_catalog.regclass AS name, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
        FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
        WHERE a.grantee <> c.relowner AND (c.oid = ANY (ARRAY[:TABLES]::pg_catalog.regclass[]) OR c.relkind = 'S' AND EXISTS (
            SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY (ARRAY[:TABLES]::pg_catalog.regclass[])))
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name, given.grantee);
    END LOOP;
END";
/// Makes sure that the role owns nothing but these tables and their sequences: code that belongs to them could have had it make something where
/// nobody else may.
const OWNS_ELSE_SQL: &str = "IF EXISTS (SELECT FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
        WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o' AND r.rolname = :MAKER
            AND NOT (s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND (s.objid = ANY (ARRAY[:TABLES]::pg_catalog.regclass[]) OR EXISTS (
                SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.objid AND d.deptype IN ('a', 'i')
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY (ARRAY[:TABLES]::pg_catalog.regclass[]))))) THEN
        RAISE EXCEPTION 'code that belongs to the tables has made something else';
    END IF;";
/// Event triggers that fire for statements of a restore too, and run functions of roles that are no superusers.
const EVENT_TRIGGERS_SQL: &str =
    "SELECT pg_catalog.format('the event trigger %I', e.evtname) FROM pg_catalog.pg_event_trigger e
    JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    WHERE e.evtenabled IN ('A', 'R') AND NOT r.rolsuper";

/// The statements of a dump of some tables.
#[derive(Debug, Default)]
pub struct TableScript {
    /// What is made before there are rows.
    before: Vec<Vec<u8>>,
    /// What is made of them.
    after: Vec<Vec<u8>>,
    /// What can be missing, with its kind.
    rest: Vec<(String, Vec<u8>)>,
    encoding: String,
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
                    let text = statements.whole();
                    match (NEEDED.contains(&kind.as_str()), has_rows) {
                        (true, false) => script.before.push(text),
                        (true, true) => script.after.push(text),
                        (false, _) => script.rest.push((kind, text)),
                    }
                }
                Part::Statements(_) | Part::Begin | Part::Commit | Part::Rows(_) | Part::RowsEnd => {}
            }
        }
        Ok(script)
    }

    /// Adds a statement that can be missing.
    pub fn add(&mut self, kind: &str, statement: &str) {
        self.rest.push((kind.to_owned(), format!("{statement};\n").into_bytes()));
    }
}

/// Who makes tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// Who restores.
    Restorer,
    /// A role with the rights of their owner.
    ForOwner,
    /// A role that has no rights of others.
    ForSuperuser,
}

/// Tables of one owner that are made.
#[derive(Debug, Clone, Copy)]
pub struct Recreated<'r> {
    /// Their names, quoted where needed.
    pub tables: &'r [String],
    /// Their schemas.
    pub schemas: &'r [String],
    /// Their owner.
    pub owner: &'r str,
    /// Whether that is a superuser.
    pub is_superusers: bool,
    /// Tables that they refer to, or are parts of, and those around them, as they stand in SQL.
    pub partners: &'r [String],
}

/// A transaction that makes tables. Without its end there are none.
pub struct TableMaker<'a> {
    session: RowSession<'a>,
    roles: LoaderRoles,
    of: Recreated<'a>,
    maker: Maker,
    script: TableScript,
    is_superuser: bool,
    /// Keeps schemas under their names.
    names: Option<NameLock>,
    progress: &'a dyn Progress,
}

impl<'a> TableMaker<'a> {
    /// Makes tables without rows. `maintenance` is a connection to another database of the same server.
    ///
    /// # Errors
    /// [`Error::NoLoader`], [`Error::Database`], [`Error::AsOwner`]; [`Error::Code`] where an event trigger would run code of others.
    pub fn begin(
        (database, maintenance): (Connection, Connection),
        of: Recreated<'a>,
        (script, trusts_code): (TableScript, bool),
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let stopped = || progress.cancelled();
        let ask = |sql: &str| query(&database, sql, &stopped).map_err(|source| failed(&database, None, source));
        let rows = ask("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")?;
        let is_superuser = rows.first().and_then(|row| row.first()?.as_deref()) == Some("t");
        let maker = match (trusts_code || !is_superuser, of.is_superusers) {
            (true, _) => Maker::Restorer,
            (false, false) => Maker::ForOwner,
            (false, true) => Maker::ForSuperuser,
        };
        if !trusts_code && is_superuser {
            let objects: Vec<String> = ask(EVENT_TRIGGERS_SQL)?.into_iter().flatten().flatten().collect();
            if !objects.is_empty() {
                return Err(Error::Code { objects });
            }
        }
        let names = lock_names(&database, &stopped)?;
        LoaderRoles::drop_left(&maintenance, &stopped);
        let mut roles = LoaderRoles::new(maintenance, database.clone());
        let lanes = open_maker(&mut roles, (&database, of, maker), progress)?;
        let session = RowSession::new(database, lanes, None, script.encoding.clone());
        let mut made = Self { session, roles, of, maker, script, is_superuser, names, progress };
        if maker == Maker::Restorer && is_superuser {
            made.session.statements(&format!("SET LOCAL {REPLICA};\n"))?;
        }
        for statements in std::mem::take(&mut made.script.before) {
            made.say(&statements)?;
        }
        let close = made.for_tables(CLOSE_SQL)?;
        made.session.statements(&format!("DO {};\n", literal(&close)))?;
        Ok(made)
    }

    /// The session that takes the rows.
    pub const fn session(&mut self) -> &mut RowSession<'a> {
        &mut self.session
    }

    /// Makes what is made of the rows, runs checks of ours, which are statements of PL/pgSQL, and ends the transaction. Then everything
    /// else is made, thing by thing. Returns what of that could not be.
    ///
    /// # Errors
    /// Those of [`TableMaker::begin`]; nothing has changed then, unless the tables could not be given to their owner.
    pub fn end(mut self, checks: &str) -> Result<Vec<Refusal>, Error> {
        for statements in std::mem::take(&mut self.script.after) {
            self.say(&statements)?;
        }
        let own = if self.maker == Maker::Restorer { String::new() } else { self.for_tables(OWNS_ELSE_SQL)? };
        let body = literal(&format!("BEGIN {checks} {SETTLE} {own} END;"));
        self.session.statements(&format!("SET CONSTRAINTS ALL IMMEDIATE;\nDO {body};\nCLOSE ALL;\nCOMMIT;\n"))?;
        let Self { session, mut roles, of, maker, script, is_superuser, names, progress } = self;
        let database = session.database.clone();
        session.end()?;
        if maker != Maker::Restorer || is_superuser {
            let give = of.tables.iter().map(|name| Ok(give(&table_name(name)?, of.owner, roles.last())));
            let give: Vec<String> = give.collect::<Result<_, _>>().map_err(|source| failed(&database, None, source))?;
            let given = in_replica(is_superuser, &give);
            execute(&database, &given, &|| false).map_err(|source| failed(&database, None, source))?;
        }
        let mut rest = Rest { database, of, maker, is_superuser, encoding: &script.encoding, progress, lanes: None };
        let mut refused = Vec::new();
        for (kind, statements) in &script.rest {
            let made = rest.make((kind, statements), &mut roles);
            match made {
                Ok(()) => {}
                Err(error) if progress.cancelled() => return Err(error),
                Err(error) => refused.push(Refusal { object: object_of(statements), why: reason(&error) }),
            }
        }
        rest.end()?;
        roles.drop_all();
        drop(names);
        Ok(refused)
    }

    fn say(&mut self, statements: &[u8]) -> Result<(), Error> {
        let statements = wrapped(statements, &self.script.encoding);
        self.session.say(statements.into_bytes())?;
        self.session.wait()
    }

    /// A statement of ours about these tables, and the role that makes them.
    fn for_tables(&self, sql: &str) -> Result<String, Error> {
        let names: Result<Vec<String>, postgres::Error> =
            self.of.tables.iter().map(|name| Ok(literal(&table_name(name)?))).collect();
        let names = names.map_err(|source| failed(&self.session.database, None, source))?;
        let maker = literal(self.roles.last().unwrap_or_default());
        Ok(sql.replace(":MAKER", &maker).replace(":TABLES", &names.join(", ")))
    }
}

/// What tables can be without, made thing by thing.
struct Rest<'a> {
    database: Connection,
    of: Recreated<'a>,
    maker: Maker,
    is_superuser: bool,
    encoding: &'a str,
    progress: &'a dyn Progress,
    /// The session of the owner, until something ends it.
    lanes: Option<Lanes<'a>>,
}

impl Rest<'_> {
    fn make(&mut self, (kind, statements): (&str, &[u8]), roles: &mut LoaderRoles) -> Result<(), Error> {
        let text = wrapped(statements, self.encoding);
        let stopped = || self.progress.cancelled();
        match self.maker {
            Maker::ForOwner => self.as_owner(&text, roles),
            Maker::ForSuperuser if LOOKS_AT_OTHERS.contains(&kind) => self.where_no_code_runs(&text, &stopped),
            Maker::Restorer | Maker::ForSuperuser => {
                let text = in_replica(self.is_superuser, &[text]);
                execute(&self.database, &text, &stopped).map_err(|source| failed(&self.database, None, source))
            }
        }
    }

    fn as_owner(&mut self, text: &str, roles: &mut LoaderRoles) -> Result<(), Error> {
        let mut lanes = if let Some(lanes) = self.lanes.take() {
            lanes
        } else {
            let options = LaneOptions { count: 1, one_transaction: false, role: Some(self.of.owner), settings: &[] };
            let (owner, granted) = (self.of.owner, [ident(self.of.owner)]);
            let rights = Rights { owner, granted: &granted, settings: &[NO_LIMIT, REPLICA], inherits: false };
            roles.lanes(rights, options, self.progress)?
        };
        let done = lanes.say(0, text.as_bytes().to_vec()).and_then(|()| lanes.wait());
        done.map_err(|source| failed(&self.database, Some(self.of.owner), source))?;
        self.lanes = Some(lanes);
        Ok(())
    }

    /// Runs a statement with all rights where no code of others can run: nobody gives the tables around an index meanwhile.
    fn where_no_code_runs(&self, text: &str, stopped: Stopped<'_>) -> Result<(), Error> {
        let run = || {
            let names: Vec<String> = self.of.partners.iter().map(|name| literal(name)).collect();
            let sql = format!(
                "SELECT name FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS name WHERE pg_catalog.to_regclass(name) IS NOT NULL",
                names.join(", ")
            );
            let there: Vec<String> = query(&self.database, &sql, stopped)?.into_iter().flatten().flatten().collect();
            let mut session = Session::open(&self.database, "larder", stopped)?;
            let only: Vec<String> = there.iter().map(|name| format!("ONLY {name}")).collect();
            session.run(
                &format!("BEGIN; SET LOCAL {REPLICA}; LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE;", only.join(", ")),
                stopped,
            )?;
            let access = Access::read(&self.database, stopped)?;
            let is_of_others =
                |name: &&String| access.owner(name).is_some() || access.runs_code(name) || access.may_cast(name);
            let objects: Vec<String> = there.iter().filter(is_of_others).cloned().collect();
            if !objects.is_empty() {
                return Ok(Err(Error::Code { objects }));
            }
            session.run(&format!("{text}COMMIT;"), stopped)?;
            session.end().map(Ok)
        };
        run().map_err(|source| failed(&self.database, None, source))?
    }

    fn end(self) -> Result<(), Error> {
        match self.lanes {
            Some(lanes) => lanes.end().map_err(|source| failed(&self.database, Some(self.of.owner), source)),
            None => Ok(()),
        }
    }
}

/// Opens the session in which tables are made.
fn open_maker<'a>(
    roles: &mut LoaderRoles,
    (database, of, maker): (&Connection, Recreated<'_>, Maker),
    progress: &'a dyn Progress,
) -> Result<Lanes<'a>, Error> {
    let options = LaneOptions { count: 1, one_transaction: true, role: None, settings: &[] };
    if maker == Maker::Restorer {
        let lanes = Lanes::open(database, options, progress);
        return lanes.map_err(|source| Error::Database { action: action(database), source });
    }
    let owner = (maker == Maker::ForOwner).then(|| ident(of.owner));
    let schemas = of.schemas.iter().map(|name| format!("CREATE, USAGE ON SCHEMA {}", ident(name)));
    let granted: Vec<String> = owner.into_iter().chain(schemas).collect();
    let rights = Rights { owner: of.owner, granted: &granted, settings: &[NO_LIMIT, REPLICA], inherits: true };
    roles.lanes(rights, options, progress)
}

/// The statement that gives a table, as it stands in SQL, to its owner. It must be the one that this role has made, where one has: whoever owns
/// the schema could have put his own into its place, and what he gives it would run with the rights of the owner.
fn give(table: &str, owner: &str, maker: Option<&str>) -> String {
    let alter = format!("ALTER TABLE {table} OWNER TO {}", ident(owner));
    let Some(maker) = maker else { return alter };
    let body = format!(
        "BEGIN LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) c.relowner
                WHERE c.oid OPERATOR(pg_catalog.=) {0}::pg_catalog.regclass AND r.rolname OPERATOR(pg_catalog.=) {1}) THEN
                RAISE EXCEPTION 'somebody has replaced %', {0};
            END IF;
            {alter};
        END",
        literal(table),
        literal(maker)
    );
    format!("DO {}", literal(&body))
}

/// Statements after those that keep event triggers from firing, where that may be set.
fn in_replica(is_superuser: bool, statements: &[String]) -> Vec<String> {
    let set = is_superuser.then(|| format!("SET {REPLICA}"));
    set.into_iter().chain(statements.iter().cloned()).collect()
}

/// Why something was not made, in words.
fn reason(error: &Error) -> String {
    match error {
        Error::Database { source, .. } | Error::AsOwner { source, .. } => why(source),
        error => error.to_string(),
    }
}

impl std::fmt::Debug for TableMaker<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TableMaker({:?})", self.of)
    }
}
