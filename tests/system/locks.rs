//! What a backup locks, and what it does where somebody else waits for its locks.

use super::support::{System, component};
use super::tables::slow_system;

/// Statements of PL/pgSQL that wait until this is so.
fn wait_until(condition: &str) -> String {
    format!(
        "SET statement_timeout = '120s'; DO $wait$ BEGIN
            WHILE NOT ({condition}) LOOP PERFORM pg_stat_clear_snapshot(), pg_sleep(0.002); END LOOP; END $wait$;"
    )
}

/// Whether somebody waits for a lock of this relation.
fn is_wanted(relation: &str) -> String {
    format!("EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = '{relation}'::regclass)")
}

/// Saves the database while the index of its first table, `aaa`, is being rebuilt, which keeps the first session from reading; until
/// `until` is so. Returns what the last statements said that were run then.
fn create_held_up(system: &System, until: &str, statements: &str, beside: &str) -> (serde_json::Value, String) {
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| {
            let waits = wait_until(until);
            system.sql(&format!("BEGIN; REINDEX INDEX aaa_pkey; {waits} {statements}; COMMIT"))
        });
        system.sql(&wait_until(
            "EXISTS (SELECT FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND relation = 'aaa_pkey'::regclass)",
        ));
        let beside = scope.spawn(|| system.sql(&format!("{} {beside}", wait_until(&is_wanted("aaa_pkey")))));
        let created = system.larder(&["create", "--json"]).exits(0).json();
        beside.join().expect("it is done after the backup");
        (created, holding.join().expect("the index is rebuilt"))
    })
}

/// Each session, and three `pg_dump`, locked every table: a few hundred took most of what a server has.
#[test]
fn only_one_session_and_pg_dump_lock_all_tables() {
    let system = System::bare();
    system.sql(
        "CREATE TABLE aaa (id int PRIMARY KEY); DO $$ BEGIN FOR n IN 1..600 LOOP
            EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a int, b int); CREATE INDEX ON t%s (a); CREATE INDEX ON t%s (b)', n, n, n);
        END LOOP; END $$; INSERT INTO t600 VALUES (1); INSERT INTO aaa VALUES (1)",
    );
    let before = system.fingerprint();
    let counts = format!(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity a USING (pid) WHERE a.application_name LIKE 'larder%' AND a.datname = '{}'",
        system.database
    );
    let (created, locks) = create_held_up(&system, &is_wanted("aaa_pkey"), &counts, "SELECT 1");
    let locks: u64 = locks.lines().last().and_then(|line| line.parse().ok()).expect("a number");
    assert!((600..1_300).contains(&locks), "{locks} locks");
    assert_eq!(component(&created, "database")["database"]["tables"].as_array().map(Vec::len), Some(601));
    system.drop_database();
    system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
    assert_eq!(system.fingerprint(), before);
}

/// One session had read a piece of the table, the other waited for who rebuilt the index, and he for the first.
#[test]
fn an_index_that_is_rebuilt_between_two_pieces_of_a_table_holds_nobody_up() {
    let system = slow_system();
    system.sql("CREATE TABLE aaa (id int PRIMARY KEY); INSERT INTO aaa VALUES (1)");
    let (created, _) = create_held_up(&system, &is_wanted("large_pkey"), "SELECT 1", "REINDEX INDEX large_pkey");
    assert_eq!(component(&created, "database")["status"], "complete", "{created}");
}

#[test]
fn a_table_that_somebody_waits_to_alter_is_read_all_the_same() {
    let system = slow_system();
    system.sql(
        "CREATE TABLE aaa (id int PRIMARY KEY); INSERT INTO aaa VALUES (1);
        CREATE TABLE small (id int PRIMARY KEY, text text); INSERT INTO small VALUES (1, 'as it was')",
    );
    let (created, _) = create_held_up(&system, &is_wanted("small"), "SELECT 1", "ALTER TABLE small DROP COLUMN text");
    assert_eq!(component(&created, "database")["status"], "complete", "{created}");
    assert_eq!(system.larder(&["cat", "latest:database/data/public.small"]).exits(0).stdout, "1\tas it was\n");
}

/// Everything was loaded in one transaction, and the server had no room for a lock of each object.
#[test]
fn thousands_of_large_objects_come_back() {
    let system = System::with_numbers(1);
    system.sql("DO $$ BEGIN PERFORM lo_from_bytea(n, convert_to('object ' || n, 'UTF8')) FROM generate_series(100001, 112000) AS n; END $$");
    let all =
        "SELECT count(*), md5(string_agg(encode(lo_get(oid), 'hex'), '' ORDER BY oid)) FROM pg_largeobject_metadata";
    let before = system.sql(all);
    assert!(before.starts_with("12000|"), "{before}");
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        system.create();
        for is_there in [true, false] {
            if !is_there {
                system.drop_database();
            }
            system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
            assert_eq!(system.sql(all), before, "{method}");
        }
    }
}
