//! What an owner does to his table between the look at it and its reading.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::attacker::Attacked;

/// A table of the role, and a function that leaves a mark when it is run by somebody else.
fn attacked() -> (Attacked, std::path::PathBuf) {
    let attacked = Attacked::new();
    let mark = Attacked::mark_of_server();
    attacked.as_mallory(&format!(
        "CREATE FUNCTION m.v() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
            IF session_user <> '{}' THEN BEGIN COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; touch {}'; EXCEPTION WHEN OTHERS THEN NULL; END; END IF; END $f$;
         CREATE FUNCTION m.f(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.v(); RETURN $1; END $f$;
         CREATE TABLE m.t (id integer PRIMARY KEY, a integer); INSERT INTO m.t SELECT n, n FROM generate_series(1, 20000) AS n",
        attacked.mallory,
        mark.display()
    ));
    (attacked, mark)
}

/// Statistics that came after the look were evaluated by the planner, with the rights of who read.
#[test]
fn what_is_read_by_a_query_gets_no_statistics_meanwhile() {
    let (attacked, mark) = attacked();
    let mut psql = attacked.psql_of_mallory(&attacked.system.database);
    let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql");
    let mut input = child.stdin.take().expect("piped");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                let again = b"CREATE STATISTICS m.s ON (a + m.f(1)), id FROM m.t; DROP STATISTICS m.s;\n";
                input.write_all(again).and_then(|()| input.flush()).expect("it reads");
            }
        });
        for _ in 0..8 {
            attacked.system.create();
        }
        is_over.store(true, Ordering::Release);
    });
    drop(input);
    child.wait().expect("it ends");
    assert!(!mark.exists(), "code of the owner ran");
}

/// Where nobody can be kept from that, nothing is planned.
#[test]
fn a_table_that_is_being_altered_is_not_read_by_a_query() {
    let (attacked, mark) = attacked();
    let mut psql = attacked.psql_of_mallory(&attacked.system.database);
    let mut holder = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql");
    let mut input = holder.stdin.take().expect("piped");
    let mut output = BufReader::new(holder.stdout.take().expect("piped"));
    input
        .write_all(b"BEGIN; CREATE STATISTICS m.s ON (a + m.f(1)), id FROM m.t;\n\\echo made\n")
        .and_then(|()| input.flush())
        .expect("it reads");
    let mut line = String::new();
    while line.trim() != "made" {
        line.clear();
        assert!(output.read_line(&mut line).expect("it writes") > 0, "psql ended");
    }
    let before = attacked.system.sql("SELECT sum(id) FROM m.t");
    attacked.system.create();
    drop(input);
    assert!(holder.wait().expect("it ends").success());
    let shown = attacked.system.larder(&["show", "latest"]).exits(0).stdout;
    assert!(shown.contains("m.t (its owner could not be kept from giving it an index meanwhile)"), "{shown}");
    assert!(!mark.exists(), "code of the owner ran");
    attacked.restore(&[]).exits(0);
    assert_eq!(attacked.system.sql("SELECT sum(id) FROM m.t"), before);
}

/// A table that was being vacuumed when its lock was asked for was read as it lies: all of it was new to the repository.
#[test]
fn a_table_that_is_vacuumed_for_a_moment_is_read_in_order_all_the_same() {
    let (attacked, _) = attacked();
    let mut psql = attacked.psql_of_mallory(&attacked.system.database);
    let mut holder = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql");
    // It has the lock that VACUUM takes, and gives it back as soon as somebody waits for it.
    let script = b"BEGIN; LOCK TABLE m.t IN SHARE UPDATE EXCLUSIVE MODE;\n\\echo made\n
        DO $$ BEGIN FOR n IN 1..600 LOOP
            EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'm.t'::regclass);
            PERFORM pg_sleep(0.05);
        END LOOP; END $$; COMMIT;\n";
    holder.stdin.take().expect("piped").write_all(script).expect("it reads");
    let mut output = BufReader::new(holder.stdout.take().expect("piped"));
    let mut line = String::new();
    while line.trim() != "made" {
        line.clear();
        assert!(output.read_line(&mut line).expect("it writes") > 0, "psql ended");
    }
    attacked.system.create();
    assert!(holder.wait().expect("it ends").success());
    let shown = attacked.system.larder(&["show", "latest"]).exits(0).stdout;
    assert!(!shown.contains("m.t ("), "{shown}");
}

/// The owner of a table gives its partitions indexes, whoever owns those.
#[test]
fn a_partition_of_a_superuser_runs_nothing_of_who_owns_the_whole() {
    let (attacked, mark) = attacked();
    attacked.as_mallory("CREATE TABLE m.w (id integer PRIMARY KEY, a integer) PARTITION BY RANGE (id)");
    attacked
        .system
        .sql("CREATE TABLE m.part PARTITION OF m.w FOR VALUES FROM (0) TO (9); INSERT INTO m.w VALUES (1, 1)");
    attacked.as_mallory("CREATE INDEX ON m.w ((a + m.f(1)))");
    attacked.system.create();
    assert!(!mark.exists(), "code of the owner ran");
    let shown = attacked.system.larder(&["show", "latest"]).exits(0).stdout;
    assert!(shown.contains("m.part (its indexes or statistics run code of its owner)"), "{shown}");
}

/// Rows that were loaded through a partitioned table were counted by a query on it, which is planned; and an index that becomes
/// part of another is compared with it, with all that is constant in both.
#[test]
fn rows_of_partitions_are_counted_without_a_plan() {
    let (attacked, mark) = attacked();
    attacked.as_mallory(
        "CREATE TYPE m.e AS ENUM ('a', 'b'); CREATE TABLE m.h (id m.e, a integer) PARTITION BY HASH (id);
         CREATE TABLE m.h0 PARTITION OF m.h FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE m.h1 PARTITION OF m.h FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO m.h SELECT 'a', n FROM generate_series(1, 20) AS n; INSERT INTO m.h VALUES ('b', 21); CREATE INDEX ON m.h ((a + m.f(1))); CREATE INDEX ON m.h (a)",
    );
    let indexes = "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid IN ('m.h'::regclass, 'm.h0'::regclass)";
    let before = attacked.system.sql(indexes);
    attacked.system.create();
    attacked.restore(&[]).exits(0);
    assert!(!mark.exists(), "code of the owner ran");
    assert_eq!(attacked.system.sql(indexes), before);
    attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
    assert!(!mark.exists(), "code of the owner ran");
}

/// A materialized view of a superuser that reads a table of somebody else is a query on it, which is planned.
#[test]
fn a_view_of_a_superuser_plans_nothing_of_others() {
    let (attacked, mark) = attacked();
    attacked.system.sql("CREATE MATERIALIZED VIEW public.sums AS SELECT sum(id) AS sum FROM m.t");
    attacked.as_mallory("CREATE INDEX ON m.t ((a + m.f(1))); CREATE STATISTICS m.s ON (a + m.f(1)), id FROM m.t");
    for method in ["tables", "pg_dump"] {
        attacked.by_method(method);
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        assert!(!mark.exists(), "{method}: code of the owner ran");
    }
    assert_eq!(attacked.system.sql("SELECT sum FROM public.sums"), "200010000");
}

/// Statements that wait until this is so, but not for ever.
pub(crate) fn wait_until(condition: &str) -> String {
    format!(
        "SET statement_timeout = '120s'; DO $wait$ BEGIN
            WHILE NOT ({condition}) LOOP PERFORM pg_stat_clear_snapshot(), pg_sleep(0.002); END LOOP; END $wait$;"
    )
}

/// Runs Larder while somebody holds what it wants, who does not give it back before he has tried statements which must have to wait.
fn held_up(attacked: &Attacked, (hold, what, mode): (&str, &str, &str), tried: &[&str], larder: impl FnOnce()) {
    let is_held =
        |granted: &str| format!("EXISTS (SELECT FROM pg_locks WHERE {granted} AND relation = '{what}'::regclass)");
    let attempt = |sql: &&str| {
        format!(
            "DO $t$ BEGIN {sql}; RAISE '{sql} did not have to wait'; EXCEPTION WHEN lock_not_available THEN NULL; END $t$;"
        )
    };
    let tries = tried.iter().map(attempt).collect::<Vec<_>>().concat();
    let waits = wait_until(&is_held("NOT granted"));
    let sql = format!("BEGIN; {hold}; {waits} SET LOCAL lock_timeout = '300ms'; {tries} COMMIT");
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| attacked.system.sql(&sql));
        attacked.system.sql(&wait_until(&is_held(&format!("granted AND mode = '{mode}'"))));
        larder();
        holding.join().expect("everything had to wait");
    });
}

/// A schema was renamed between the look at a table of its name and the reading: that of its owner was read then, by a query that ran his
/// code, or saved as that of somebody else. A sequence was exchanged for a table, which `pg_dump` made a query on.
#[test]
fn schemas_and_sequences_keep_their_names_while_a_database_is_read() {
    let (attacked, _) = attacked();
    attacked.as_mallory("CREATE SEQUENCE m.s");
    let index = ("REINDEX INDEX public.numbers_pkey", "public.numbers_pkey", "AccessExclusiveLock");
    let table = ("LOCK TABLE public.numbers IN ACCESS EXCLUSIVE MODE", "public.numbers", "AccessExclusiveLock");
    for (method, hold) in [("tables", index), ("pg_dump", table)] {
        attacked.by_method(method);
        let tried = ["ALTER SCHEMA m RENAME TO n", "DROP SEQUENCE m.s", "ALTER SEQUENCE m.s RENAME TO other"];
        held_up(&attacked, hold, &tried, || drop(attacked.system.create()));
        let at = "SELECT last_value FROM m.s";
        assert_eq!(attacked.system.sql(at), "1");
    }
}

/// Rows that were meant for a table went to that of whoever had renamed the schemas meanwhile, and ran his code with all rights.
#[test]
fn schemas_keep_their_names_while_rows_are_replaced() {
    let (attacked, _) = attacked();
    attacked.system.create();
    let hold = ("LOCK TABLE public.numbers IN ROW EXCLUSIVE MODE", "public.numbers", "RowExclusiveLock");
    held_up(&attacked, hold, &["ALTER SCHEMA m RENAME TO n"], || {
        attacked.restore(&["--tables", "public.numbers"]).exits(0);
    });
}

/// Whoever renames a schema and does not end was waited for by each try to read, one after another.
#[test]
fn a_schema_that_is_being_renamed_fails_the_database_and_nothing_else() {
    let (attacked, _) = attacked();
    let mut psql = run_psql(&attacked);
    let mut input = psql.stdin.take().expect("piped");
    input
        .write_all(b"BEGIN; ALTER SCHEMA m RENAME TO n;\n\\echo made\n")
        .and_then(|()| input.flush())
        .expect("it reads");
    let mut output = BufReader::new(psql.stdout.take().expect("piped"));
    let mut line = String::new();
    while line.trim() != "made" {
        line.clear();
        assert!(output.read_line(&mut line).expect("it writes") > 0, "psql ended");
    }
    let created = attacked.system.larder(&["create", "--json"]).exits(3);
    drop(input);
    assert!(psql.wait().expect("it ends").success());
    assert!(
        created.stderr.contains("a schema is being renamed or dropped in a transaction that has not ended after 30 s"),
        "{created:?}"
    );
    let components = created.json()["components"].clone();
    let saved =
        components.as_array().expect("a list").iter().filter(|component| component["status"] == "complete").count();
    assert_eq!(saved + 1, components.as_array().map_or(0, Vec::len), "{components}");
}

/// A `psql` of the superuser that is told what to do.
fn run_psql(attacked: &Attacked) -> std::process::Child {
    let mut psql = attacked.system.server.psql(&attacked.system.database);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql")
}
