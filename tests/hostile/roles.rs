//! What others do with the roles that a restore makes for a while: everybody on the server sees their names.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::attacker::Attacked;

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
