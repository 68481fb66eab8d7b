//! What a role or a database is set to, and what a backup and a restore make of it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::support::{System, run};

/// By both methods.
fn for_each_method(system: &System, test: impl Fn(&str)) {
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        test(method);
    }
}

/// A restore set the database to its time zone only when its rows were loaded: a check of it failed, and a view had other days.
#[test]
fn a_database_is_loaded_with_the_settings_that_say_what_values_are() {
    let system = System::with_numbers(10);
    let name = &system.database;
    system.sql(&format!(
        "ALTER DATABASE {name} SET timezone = 'America/New_York'; ALTER DATABASE {name} SET app.rate = '3';
         ALTER DATABASE {name} SET datestyle = 'SQL, DMY'; ALTER DATABASE {name} SET statement_timeout = '20s';
         ALTER DATABASE {name} SET intervalstyle = 'sql_standard'; ALTER DATABASE {name} SET array_nulls = off;
         ALTER DATABASE {name} SET transform_null_equals = on; ALTER ROLE {} IN DATABASE {name} SET app.tenant = 'acme'",
        system.server.user
    ));
    // Another session, which has them.
    system.sql(
        "CREATE TABLE at (id int PRIMARY KEY, ts timestamptz, day date, span interval, CHECK (ts::date = day));
         INSERT INTO at SELECT 1, '2026-01-02 02:00+00', '01-01-2026', '-1 02:03:04';
         CREATE MATERIALIZED VIEW days AS SELECT ts::date AS day, '03/04/2026'::date AS other FROM at;
         CREATE MATERIALIZED VIEW rates AS SELECT current_setting('app.rate')::int * 7 AS rate;
         CREATE FUNCTION is_none(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN coalesce(t = NULL, false); END';
         CREATE FUNCTION told(i interval) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
         CREATE TABLE made (id int PRIMARY KEY, t text, i interval, none boolean GENERATED ALWAYS AS (is_none(t)) STORED,
            told text GENERATED ALWAYS AS (told(i)) STORED, nulls text[]);
         INSERT INTO made (id, t, i, nulls) VALUES (1, NULL, '1 day 02:03', ARRAY['NULL', NULL]);
         CREATE MATERIALIZED VIEW of_tenant AS SELECT current_setting('app.tenant', true) AS tenant, ('{x,NUL' || 'L}')::text[] AS words;",
    );
    let found = || {
        system.sql("SELECT days.day, other, rate, span, none, told, tenant, words, cardinality(nulls), nulls[1], nulls[2] IS NULL
            FROM days, rates, at, made, of_tenant")
    };
    let before = found();
    assert!(before.starts_with("01/01/2026|03/04/2026|21|"), "{before}");
    assert!(before.ends_with("|t|1 2:03:00|acme|{x,\"NULL\"}|2|NULL|t"), "{before}");
    for_each_method(&system, |method| {
        system.create();
        system.larder(&["verify", "latest", "--test-restore"]).exits(0);
        let restore = ["restore", "latest", "--components", "database", "--force", "--no-snapshot"];
        system.larder(&restore).exits(0);
        assert_eq!(found(), before, "{method}");
        system.drop_database();
        system.larder(&restore).exits(0);
        assert_eq!(found(), before, "{method}");
    });
    system.write("larder.toml", b"");
    system.create();
    system.sql("DELETE FROM at");
    system.larder(&["restore", "latest", "--tables", "public.at", "--force", "--no-snapshot"]).exits(0);
    assert_eq!(system.sql("SELECT count(*) FROM at"), "1");
}

/// Sessions of Larder became nobody else, and `pg_dump` became whom the owner of the database had set: no run was complete any more.
#[test]
fn a_database_that_is_set_to_another_role_is_read_by_who_logged_in() {
    let mut system = System::with_numbers(10);
    let (role, name) = (system.new_role(""), system.database.clone());
    system.sql(&format!(
        "CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int PRIMARY KEY, v text); INSERT INTO hidden.t VALUES (1, 'one');
         CREATE TABLE hidden.heap AS SELECT 2 AS id; ALTER DATABASE {name} SET role = '{role}'"
    ));
    let found = || system.sql("SET ROLE NONE; SELECT v, heap.id FROM hidden.t, hidden.heap");
    for_each_method(&system, |method| {
        system.create();
        system.sql("SET ROLE NONE; DELETE FROM hidden.t; DELETE FROM hidden.heap");
        system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
        assert_eq!(found(), "one|2", "{method}");
    });
}

/// A transaction that is put off waits for others for ever, and no lock says for whom.
#[test]
fn nothing_waits_for_a_transaction_that_is_put_off() {
    let system = System::with_numbers(10);
    let name = &system.database;
    system.sql(&format!(
        "ALTER DATABASE {name} SET default_transaction_isolation = 'serializable';
         ALTER DATABASE {name} SET default_transaction_deferrable = on; ALTER DATABASE {name} SET lock_timeout = '1ms'"
    ));
    let mut writer = system.server.psql(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql runs");
    let input = writer.stdin.as_mut().expect("it has one");
    input
        .write_all(
            b"BEGIN ISOLATION LEVEL SERIALIZABLE NOT DEFERRABLE;
              INSERT INTO numbers SELECT max(id) + 1 FROM numbers;\n\\echo begun\n",
        )
        .expect("it reads");
    let mut line = String::new();
    BufReader::new(writer.stdout.as_mut().expect("it has one")).read_line(&mut line).expect("it speaks");
    assert_eq!(line, "begun\n");
    for_each_method(&system, |_| {
        let create = system.command(&["create"]);
        let mut limited = Command::new("timeout");
        limited.arg("60").arg(create.get_program()).args(create.get_args());
        for (variable, value) in create.get_envs() {
            match value {
                Some(value) => limited.env(variable, value),
                None => limited.env_remove(variable),
            };
        }
        run(&mut limited).exits(0);
    });
    drop(writer.stdin.take());
    assert!(writer.wait().expect("it ends").success());
}

/// The rows of a table whose key has another order than its index were sorted with the limit of the database, and nothing of it was saved.
#[test]
fn temporary_files_are_not_limited() {
    let system = System::bare();
    system.sql(
        "CREATE TABLE t (k text COLLATE \"en-x-icu\" PRIMARY KEY, b text); INSERT INTO t SELECT md5(n::text), repeat('x', 50) FROM generate_series(1, 60000) AS n",
    );
    let before = system.fingerprint();
    system.sql(&format!("ALTER DATABASE {} SET temp_file_limit = '2MB'", system.database));
    system.create();
    system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
    system.sql(&format!("ALTER DATABASE {} RESET temp_file_limit", system.database));
    assert_eq!(system.fingerprint(), before);
}

/// Limits of the time of statements, locks and transactions ended a restore when everything was loaded; empty lists of names were told wrongly, and
/// the restore was refused.
#[test]
fn limits_and_empty_lists_of_a_database_and_a_role_keep_nothing_from_coming_back() {
    let system = System::bare();
    system.sql("CREATE TABLE t (id int PRIMARY KEY, b text); INSERT INTO t SELECT n, repeat('x', 20) FROM generate_series(1, 200000) AS n; CREATE INDEX ON t (b)");
    let before = system.fingerprint();
    let (name, user) = (&system.database, &system.server.user);
    let limits = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"];
    let of_all: String = limits.map(|limit| format!("ALTER DATABASE {name} SET {limit} = '15ms';")).concat();
    let settings = "SELECT string_agg(coalesce(r.rolname, '-') || ' ' || (SELECT string_agg(one, ', ' ORDER BY one) FROM unnest(s.setconfig) AS one), E'\\n' ORDER BY r.rolname) FROM pg_db_role_setting s
        JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = ";
    let settings = format!("{settings}'{name}'");
    let set = format!(
        "{of_all} ALTER DATABASE {name} SET search_path = ''; ALTER DATABASE {name} SET temp_tablespaces = '';
         ALTER ROLE {user} IN DATABASE {name} SET search_path = ''; ALTER ROLE {user} IN DATABASE {name} SET statement_timeout = '15ms'"
    );
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        system.server.sql("postgres", &set);
        let set = system.server.sql("postgres", &settings);
        system.create();
        for is_there in [true, false] {
            if !is_there {
                system.drop_database();
            }
            system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
            assert_eq!(system.server.sql("postgres", &settings), set, "{method}");
        }
        system.server.sql(
            "postgres",
            &format!("ALTER DATABASE {name} RESET ALL; ALTER ROLE {user} IN DATABASE {name} RESET ALL"),
        );
        assert_eq!(system.fingerprint(), before, "{method}");
    }
}
