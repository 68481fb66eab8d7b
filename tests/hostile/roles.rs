//! What others do with the roles that a restore makes for a while: everybody on the server sees their names.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::attacker::Attacked;
use crate::support::unique;

/// A `psql` that is told one thing after another.
struct Told {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Told {
    fn start(mut psql: Command) -> Self {
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, input, output }
    }

    /// What it prints, until it is done.
    fn run(&mut self, sql: &str) -> String {
        let told = writeln!(self.input, "{sql}\n\\echo done");
        told.and_then(|()| self.input.flush()).expect("it reads");
        let mut printed = String::new();
        while !printed.ends_with("done\n") {
            assert!(self.output.read_line(&mut printed).expect("it writes") > 0, "psql ended");
        }
        printed.trim_end_matches("done\n").to_owned()
    }

    fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().expect("it ends").success());
    }
}

/// A table whose rows are loaded as their owner.
fn attacked(check: &str) -> Attacked {
    let attacked = Attacked::new();
    attacked.as_mallory(&function(check));
    attacked.as_mallory("CREATE TABLE m.t (id integer PRIMARY KEY, CHECK (m.f(id))); INSERT INTO m.t VALUES (1)");
    attacked.system.create();
    attacked
}

/// Makes the function that the table calls.
fn function(body: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION m.f(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN {body} RETURN true; END $f$"
    )
}

/// Looks at what all sessions do until one makes such a role, and returns its statement.
const LOOK: &str = "DO $f$ DECLARE seen text; since timestamptz := clock_timestamp(); BEGIN
        WHILE seen IS NULL AND clock_timestamp() < since + interval '1 minute' LOOP
            PERFORM pg_stat_clear_snapshot();
            SELECT query FROM pg_stat_activity WHERE query LIKE 'CREATE ROLE \"larder_load%' LIMIT 1 INTO seen;
        END LOOP;
        PERFORM set_config('larder.seen', coalesce(seen, ''), false); END $f$;
    SELECT current_setting('larder.seen');";

/// The statement that made the role had its password, which whoever reads the activity of others logged in with.
#[test]
fn the_activity_of_a_restore_tells_no_password() {
    let attacked = attacked("");
    let mut looking = Told::start(attacked.system.server.psql("postgres"));
    let seen = std::thread::scope(|scope| {
        let looks = scope.spawn(|| looking.run(LOOK));
        while !looks.is_finished() {
            attacked.restore(&[]).exits(0);
        }
        looks.join().expect("it looks")
    });
    looking.end();
    assert!(seen.contains("CREATE ROLE") && seen.contains("PASSWORD E'SCRAM-SHA-256$"), "{seen}");
}

/// Waits, when it is run for a restore, until something in another database depends on the role that runs it.
const WAIT: &str = "IF session_user ~ '^larder_load_' THEN
        WHILE clock_timestamp() < now() + interval '1 minute' AND NOT EXISTS (SELECT FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
            JOIN pg_database d ON d.oid = s.dbid WHERE r.rolname = session_user AND d.datname <> current_database()) LOOP END LOOP;
    END IF;";

/// A role gave each role that a restore made a privilege on a table of its own, in its own database: no restore on that server
/// ended well any more, because what it had made could not be dropped.
#[test]
fn nobody_keeps_a_restore_from_ending_well() {
    let attacked = attacked(WAIT);
    let (server, mallory) = (attacked.system.server.clone(), attacked.mallory.clone());
    let own = unique("larder_own");
    server.sql("postgres", &format!("CREATE DATABASE {own} OWNER {mallory}"));
    attacked.as_mallory_in(&own, "CREATE TABLE t (id integer)");
    let grant = format!(
        "DO $f$ DECLARE r name; BEGIN
            FOR r IN SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member WHERE m.rolname ~ '^larder_load_'
                AND a.roleid = '{mallory}'::regrole LOOP
                BEGIN EXECUTE format('GRANT SELECT ON t TO %I', r); EXCEPTION WHEN OTHERS THEN NULL; END;
            END LOOP; END $f$;"
    );
    let is_over = AtomicBool::new(false);
    let mut notes = Vec::new();
    std::thread::scope(|scope| {
        let mut granting = Told::start(attacked.psql_of_mallory(&own));
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                granting.run(&grant);
            }
            granting.end();
        });
        for command in [
            &["restore", "latest", "--components", "database", "--force", "--no-snapshot", "--json"][..],
            &["restore", "latest", "--components", "database", "--force", "--no-snapshot", "--tables", "m.t", "--json"],
            &["verify", "latest", "--test-restore", "--on-live-server", "--json"],
        ] {
            notes.push(attacked.system.larder(command));
        }
        is_over.store(true, Ordering::Release);
    });
    let left: Vec<String> = notes.into_iter().map(|run| role_in(&run.exits(0).stdout)).collect();
    let names = left.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let may_act = format!(
        "SELECT count(*) FROM pg_authid r WHERE rolname IN ({names}) AND (rolcanlogin OR rolpassword IS NOT NULL
            OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid))"
    );
    let are_there = format!("SELECT count(*) FROM pg_roles WHERE rolname IN ({names})");
    assert_eq!(
        (server.sql("postgres", &are_there), server.sql("postgres", &may_act)),
        ("3".to_owned(), "0".to_owned())
    );
    // They are dropped as soon as that is possible.
    server.sql("postgres", &format!("DROP DATABASE {own}"));
    attacked.as_mallory(&function(""));
    attacked.system.create();
    attacked.restore(&[]).exits(0);
    assert_eq!(server.sql("postgres", &are_there), "0");
}

/// The role that a report says could not be dropped.
fn role_in(report: &str) -> String {
    let (_, name) = report.split_once("the role larder_load_").expect("a note");
    assert!(name.contains("nobody can log in as it"), "{report}");
    format!("larder_load_{}", &name[..16])
}
