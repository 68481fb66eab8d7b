//! Tables whose rows are computed from others, or checked by them, when they are loaded.

use std::process::Command;

use crate::support::{System, feed, run};

const TABLES: &str = "
    CREATE TABLE a_country (code text NOT NULL);
    INSERT INTO a_country VALUES ('de'), ('fr');
    CREATE FUNCTION known_country(c text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.a_country WHERE code = c)';
    CREATE TABLE person (id int PRIMARY KEY, c text CHECK (known_country(c)));
    INSERT INTO person SELECT n, 'de' FROM generate_series(1, 1000) AS n;
    CREATE TABLE b_large (id int PRIMARY KEY, pad text);
    INSERT INTO b_large SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 2000) AS n;
    CREATE FUNCTION known_large(n int) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RETURN EXISTS (SELECT FROM public.b_large WHERE id = n); END $f$;
    CREATE DOMAIN large_id AS int CHECK (known_large(VALUE));
    CREATE FUNCTION pad_of(n int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN (SELECT substr(pad, 1, 8) FROM public.b_large WHERE id = n); END $f$;
    CREATE TABLE child (id int PRIMARY KEY, large large_id[], first int, g text NOT NULL GENERATED ALWAYS AS (pad_of(first)) STORED);
    INSERT INTO child SELECT n, ARRAY[2000 - n], 1600 + n FROM generate_series(1, 300) AS n;
    CREATE FUNCTION known_person(n int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.person WHERE id = n)';
    CREATE TABLE x_log (person int CHECK (known_person(person)));
    INSERT INTO x_log SELECT n FROM generate_series(1, 500) AS n;
    CREATE FUNCTION is_logged(n int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.x_log WHERE person = n)';
    CREATE TABLE \"z\"\"order\" (id int PRIMARY KEY, person int CHECK (is_logged(person)));
    INSERT INTO \"z\"\"order\" SELECT n, n FROM generate_series(1, 500) AS n;
";

/// Restores the newest snapshot into the place of the database that is there, and where there is none: both are as it was.
fn assert_comes_back(system: &System, before: &str, method: &str) {
    for is_there in [true, false] {
        if !is_there {
            system.drop_database();
        }
        system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
        assert_eq!(system.fingerprint(), before, "{method}");
    }
}

/// What one table looks up in another one was loaded after it, or at the same time: the database could not be restored.
#[test]
fn what_looks_into_others_is_loaded_after_them() {
    let system = System::with_numbers(10);
    system.sql(TABLES);
    let before = system.fingerprint();
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\njobs = 3\n").as_bytes());
        system.create();
        assert_comes_back(&system, &before, method);
        system.larder(&["verify", "latest", "--test-restore"]).exits(0);
    }
    system.write("larder.toml", b"");
    system.create();
    // Some of them, and what they look into.
    let into = format!("{}_some", system.database);
    let tables =
        ["restore", "latest", "--into", &into, "--force", "--tables", "public.x_log,public.person,public.a_country"];
    system.larder(&tables).exits(0);
    assert_eq!(system.server.sql(&into, "SELECT count(*) FROM x_log"), "500");
    system.server.sql("postgres", &format!("DROP DATABASE {into}"));
}

/// All tables with a key came before those without one: what looks into these could not be loaded by hand.
#[test]
fn a_plain_dump_has_the_order_of_pg_dump() {
    let system = System::with_numbers(10);
    system.sql(TABLES);
    // Rows of several partitions are said to be those of the whole; a table comes after all of them.
    system.sql(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE parted (m mood, n int) PARTITION BY HASH (m);
         CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO parted SELECT unnest('{a,b}'::mood[]), 1; CREATE SEQUENCE counted; SELECT nextval('counted');
         CREATE TABLE zz (id int PRIMARY KEY); INSERT INTO zz VALUES (1); SELECT lo_from_bytea(0, 'large')",
    );
    // Which partition has which row is not known beforehand: see the documents.
    let found = |database: &str| {
        let found = system.fingerprint_of(database);
        found.lines().filter(|line| !line.starts_with("rows public.parted_")).collect::<Vec<_>>().join("\n")
    };
    let before = found(&system.database);
    system.create();
    let dump = system.larder(&["cat", "latest:database"]).exits(0).stdout;
    let into = format!("{}_plain", system.database);
    system.server.sql("postgres", &format!("CREATE DATABASE {into} TEMPLATE template0"));
    feed(&mut system.server.psql(&into), dump.as_bytes()).exits(0);
    assert_eq!(found(&into), before);
    system.server.sql("postgres", &format!("DROP DATABASE {into}"));
    let rows: Vec<_> =
        dump.lines().filter(|line| line.starts_with("COPY ") && line.ends_with(" FROM stdin;")).collect();
    let url = system.server.url(&system.database);
    let dumped = run(Command::new("pg_dump").args(["--dbname", &url])).exits(0).stdout;
    let expected: Vec<_> = dumped.lines().filter(|line| line.starts_with("COPY ")).collect();
    assert_eq!(rows, expected);
}

/// What stands after the rows in the order of `pg_dump`, and is needed by what stands before them, was looked for before it was made.
#[test]
fn a_default_that_needs_a_key_of_another_table_comes_back() {
    let system = System::with_numbers(10);
    system.sql(
        "CREATE TABLE a (id int PRIMARY KEY, name text UNIQUE);
         CREATE FUNCTION registered(n text) RETURNS int LANGUAGE sql BEGIN ATOMIC
            INSERT INTO a VALUES (100, n) ON CONFLICT ON CONSTRAINT a_name_key DO UPDATE SET name = excluded.name RETURNING id; END;
         CREATE TABLE t (k int PRIMARY KEY DEFAULT registered('d'), v text); INSERT INTO t VALUES (1, 'x');
         CREATE FUNCTION named(i int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT name FROM a WHERE id = i GROUP BY id; END;
         CREATE OPERATOR @@@ (RIGHTARG = int, FUNCTION = named);
         CREATE TABLE u (k int PRIMARY KEY, CHECK ((@@@ k) IS NULL)); INSERT INTO u VALUES (1)",
    );
    let before = system.fingerprint();
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        system.create();
        system.sql("ALTER TABLE t ALTER k DROP DEFAULT");
        assert_comes_back(&system, &before, method);
    }
}
