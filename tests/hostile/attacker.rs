//! A role without rights, and the traps that it sets in a database where it may make a schema.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Run, Server, System, unique};

/// A system whose database a role may use that is no superuser.
pub(crate) struct Attacked {
    pub(crate) system: System,
    /// The role. It may log in, and owns nothing but the schema `m`.
    pub(crate) mallory: String,
}

impl Attacked {
    /// A database with a table of the superuser and a schema of the role.
    pub(crate) fn new() -> Self {
        let mut system = System::with_numbers(5);
        let mallory = system.new_role("LOGIN PASSWORD 'mallory' NOSUPERUSER NOCREATEDB NOCREATEROLE");
        system.sql(&format!("ALTER TABLE numbers ADD PRIMARY KEY (id); CREATE SCHEMA m AUTHORIZATION {mallory};"));
        let attacked = Self { system, mallory };
        // It does all that it can in any session that runs it, and never fails. What calls it may have to be immutable.
        attacked.as_mallory(&format!(
            "CREATE FUNCTION m.try_all() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
                BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
                BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN NULL; END;
                BEGIN EXECUTE 'ALTER ROLE {0} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
                BEGIN EXECUTE 'SET ROLE {1}'; EXECUTE 'ALTER ROLE {0} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
                BEGIN EXECUTE 'SET ROLE {0}'; EXCEPTION WHEN OTHERS THEN NULL; END;
                RETURN true; END $f$;
             CREATE FUNCTION m.evil(anyelement) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN true; END $f$;
             CREATE FUNCTION m.evil_id(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN $1; END $f$;",
            attacked.mallory, attacked.system.server.user
        ));
        attacked
    }

    /// Runs SQL as the role.
    pub(crate) fn as_mallory(&self, sql: &str) {
        self.as_mallory_in(&self.system.database, sql);
    }

    /// Runs SQL as the role in another database.
    pub(crate) fn as_mallory_in(&self, database: &str, sql: &str) {
        self.server_of_mallory().sql(database, sql);
    }

    /// `psql` as the role.
    pub(crate) fn psql_of_mallory(&self, database: &str) -> Command {
        self.server_of_mallory().psql(database)
    }

    /// Sets traps, each with rows that it needs, in schemas of their own that are called `own` in their texts.
    pub(crate) fn set_traps<'t>(&self, traps: impl Iterator<Item = (&'t str, &'t str)>) {
        for (number, (sql, rows)) in traps.enumerate() {
            let schema = format!("m{number}");
            self.system.sql(&format!("CREATE SCHEMA {schema} AUTHORIZATION {}", self.mallory));
            self.as_mallory(&format!("{sql};\n{rows}").replace("own.", &format!("{schema}.")));
        }
    }

    fn server_of_mallory(&self) -> Server {
        let server = self.system.server.clone();
        Server { user: self.mallory.clone(), password: "mallory".to_owned(), ..server }
    }

    /// Makes sure that the role has gained nothing. What it did as itself would be seen too, so nothing of that may count.
    pub(crate) fn assert_harmless(&self, what: &str) {
        let sql =
            format!("SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = '{}'", self.mallory);
        assert_eq!(self.system.server.sql("postgres", &sql), "f", "{what}: the role has become a superuser");
        let evil = format!(
            "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'evil%'
                OR oid IN (SELECT member FROM pg_auth_members WHERE roleid = '{}'::regrole)",
            self.mallory
        );
        assert_eq!(self.system.server.sql("postgres", &evil), "0", "{what}: there are roles that nobody made");
    }

    /// A path that does not exist, for a command that makes it when it is run.
    pub(crate) fn mark(&self, name: &str) -> PathBuf {
        let path = self.system.beside(name);
        assert!(!path.exists());
        path
    }

    /// A path that does not exist, where a command that the server starts could make a file.
    pub(crate) fn mark_of_server() -> PathBuf {
        let path = std::env::temp_dir().join(unique("larder_mark"));
        assert!(!path.exists());
        path
    }

    /// Larder reads the database by this method from now on.
    pub(crate) fn by_method(&self, method: &str) {
        let text = format!("[database]\nmethod = \"{method}\"\n");
        fs::write(self.system.path("larder.toml"), text).expect("the folder is ours");
    }

    pub(crate) fn restore(&self, more: &[&str]) -> Run {
        let arguments = [&["restore", "latest", "--components", "database", "--force", "--no-snapshot"], more].concat();
        self.system.larder(&arguments)
    }
}
