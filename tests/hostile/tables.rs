//! Code of a table's owner in the session that replaces the table's rows, which runs no triggers; and in the roles that are made
//! for loading.

use std::process::Stdio;

use crate::attacker::Attacked;
use crate::support::{Server, run};

/// A table of the role with rows that are saved; and one of the superuser that lets it insert, but for a trigger and a foreign key.
fn attacked() -> Attacked {
    let attacked = Attacked::new();
    let mallory = &attacked.mallory;
    attacked.system.sql(&format!(
        "CREATE TABLE guarded (id integer REFERENCES numbers);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'nobody inserts'; END $f$;
         CREATE TRIGGER refuse BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse(); GRANT INSERT ON guarded TO {mallory};
         CREATE FUNCTION insert_for_all() RETURNS void SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO public.guarded VALUES (999)'"
    ));
    // It does what it does only where no triggers run: where they do, it could not be set up.
    attacked.as_mallory(
        "CREATE TABLE m.t (id integer PRIMARY KEY); INSERT INTO m.t VALUES (1), (2);
         CREATE FUNCTION m.act(sql text) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            IF current_setting('session_replication_role') = 'replica' THEN EXECUTE sql; END IF; RETURN true; END $f$",
    );
    attacked.system.create();
    attacked
}

/// An `ENABLE ALWAYS` trigger of `m.t` that does this.
fn trigger(kind: &str, when: &str, sql: &str) -> String {
    format!(
        "CREATE FUNCTION m.fired() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.act($s${sql}$s$); RETURN NEW; END $f$;
         CREATE {kind} a {when} FOR EACH ROW EXECUTE FUNCTION m.fired(); ALTER TABLE m.t ENABLE ALWAYS TRIGGER a"
    )
}

/// Rows are not replaced where `m.t` has one of these traps: what is said has this in it, with the role for `:ROLE`.
fn assert_refused(traps: &[(&str, String, &str)]) {
    for (trap, sql, named) in traps {
        let attacked = attacked();
        attacked.as_mallory(sql);
        attacked.as_mallory("DELETE FROM m.t WHERE id = 2");
        let refused = attacked.restore(&["--tables", "m.t"]).exits(1);
        let named = named.replace(":ROLE", &attacked.mallory);
        assert!(refused.stderr.contains(&named), "{trap}: {}", refused.stderr);
        let rows = "SELECT (SELECT count(*) FROM guarded), (SELECT count(*) FROM m.t)";
        assert_eq!(attacked.system.sql(rows), "0|1", "{trap}");
        attacked.assert_harmless(trap);
    }
}

/// Code of the owner of a table could write to tables of others past their triggers and foreign keys.
#[test]
fn what_replacing_rows_runs_writes_to_no_other_table() {
    let before = "BEFORE INSERT ON m.t";
    let insert = "INSERT INTO public.guarded VALUES (999)";
    // It is the locks that tell, to who restores.
    let guarded = "code of :ROLE has written to public.guarded besides";
    assert_refused(&[
        ("a trigger", trigger("TRIGGER", before, insert), guarded),
        ("a check", format!("ALTER TABLE m.t ADD CHECK (m.act('{insert}'))"), guarded),
        ("a default", format!("ALTER TABLE m.t ADD COLUMN d boolean DEFAULT m.act('{insert}')"), guarded),
        ("a function of a superuser", trigger("TRIGGER", before, "SELECT public.insert_for_all()"), guarded),
        (
            "what is put off",
            trigger("CONSTRAINT TRIGGER", "AFTER INSERT ON m.t DEFERRABLE INITIALLY DEFERRED", insert),
            "a of m.t",
        ),
    ]);
}

/// It could also change the role that it ran as, and make things where no event trigger saw it.
#[test]
fn what_replacing_rows_runs_changes_nothing_else() {
    let before = "BEFORE INSERT ON m.t";
    let password = "DO $d$ DECLARE owner text := CURRENT_USER; BEGIN RESET ROLE; EXECUTE format('ALTER ROLE %I PASSWORD %L', SESSION_USER, 'known');
        EXECUTE 'SET ROLE ' || owner; END $d$";
    let make = "CREATE OR REPLACE FUNCTION m.made() RETURNS void LANGUAGE sql AS ''";
    assert_refused(&[
        ("a password", trigger("TRIGGER", before, password), "pg_catalog.pg_authid"),
        ("a function", trigger("TRIGGER", before, make), "pg_catalog.pg_proc"),
        ("a large object", trigger("TRIGGER", before, "SELECT lo_from_bytea(0, '\\x00')"), "pg_catalog.pg_largeobject"),
    ]);
}

/// What had been made was named as `null values cannot be formatted as an SQL identifier`: nobody else sees its name yet.
#[test]
fn what_replacing_rows_makes_is_told() {
    let make = "CREATE TABLE IF NOT EXISTS m.made (x integer)";
    let told = "code of :ROLE has written to something that it has made besides";
    assert_refused(&[("a table", trigger("TRIGGER", "BEFORE INSERT ON m.t", make), told)]);
}

/// A cursor that outlives its transaction was read at the end of it, when nobody looked any more.
#[test]
fn what_replacing_rows_leaves_to_the_end_of_the_transaction_does_not_run() {
    let attacked = attacked();
    let cursor = "DO $d$ BEGIN IF NOT EXISTS (SELECT FROM pg_cursors WHERE name = 'c') THEN
        EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT m.act(''INSERT INTO public.guarded VALUES (999)'')'; END IF; END $d$";
    attacked.as_mallory(&trigger("TRIGGER", "BEFORE INSERT ON m.t", cursor));
    attacked.as_mallory("DELETE FROM m.t WHERE id = 2");
    attacked.restore(&["--tables", "m.t"]).exits(0);
    assert_eq!(attacked.system.sql("SELECT (SELECT count(*) FROM guarded), (SELECT count(*) FROM m.t)"), "0|2");
}

/// Casts run where references are looked at. Code in one could change what was looked at already.
#[test]
fn rows_stay_as_they_were_looked_at() {
    let attacked = attacked();
    attacked.as_mallory(&cast("UPDATE m.c SET id = id"));
    attacked.system.create();
    let refused = attacked.restore(&["--tables", "m.c"]).exits(1);
    assert!(refused.stderr.contains("rows were changed while they were looked at"), "{}", refused.stderr);
}

/// Code in a cast could change what the names mean by which the next reference was looked at.
#[test]
fn references_are_looked_at_whatever_code_has_set() {
    let attacked = attacked();
    attacked.as_mallory(&cast("SELECT set_config('search_path', 'm, pg_catalog', true)"));
    attacked.system.create();
    attacked.as_mallory(&format!(
        "CREATE FUNCTION m.format(text, text, regclass, text, text, regclass, text) RETURNS text LANGUAGE sql AS $$SELECT 'SELECT false'$$;
         INSERT INTO m.t VALUES (3); GRANT REFERENCES ON m.t TO {}",
        attacked.system.server.user
    ));
    attacked.system.sql(&format!(
        "CREATE TABLE refers (id integer REFERENCES m.t); INSERT INTO refers VALUES (3); GRANT SELECT ON refers TO {}",
        attacked.mallory
    ));
    let refused = attacked.restore(&["--tables", "m.c,m.t"]).exits(1);
    assert!(refused.stderr.contains("would refer to rows of m.t that are not there"), "{}", refused.stderr);
    assert_eq!(attacked.system.sql("SELECT count(*) FROM m.t"), "3");
}

/// A table `m.c` whose reference is looked at by a cast that does this.
fn cast(sql: &str) -> String {
    format!(
        "CREATE TYPE m.n AS ENUM ('1'); CREATE FUNCTION m.cast(m.n) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
            $f$ BEGIN PERFORM m.act($s${sql}$s$); RETURN 1; END $f$; CREATE CAST (m.n AS integer) WITH FUNCTION m.cast(m.n) AS IMPLICIT;
         CREATE TABLE m.c (id m.n PRIMARY KEY REFERENCES m.t); INSERT INTO m.c VALUES ('1')"
    )
}

/// What is legal goes on: checks, defaults, generated columns, triggers that write nowhere else, partitions, long values, and
/// foreign keys from and to other tables.
#[test]
fn rows_of_tables_that_run_code_of_their_owner_are_replaced() {
    let attacked = Attacked::new();
    attacked.as_mallory(
        "CREATE FUNCTION m.positive(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN PERFORM FROM m.p FOR KEY SHARE; RETURN $1 > 0; END $f$;
         CREATE FUNCTION m.fired() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.x := coalesce(NEW.x, 'none'); RETURN NEW; END $f$;
         CREATE TABLE m.p (id integer PRIMARY KEY); INSERT INTO m.p VALUES (1), (2);
         CREATE TABLE m.t (id serial PRIMARY KEY CHECK (m.positive(id)), p integer REFERENCES m.p, x text, g integer GENERATED ALWAYS AS (id + 1) STORED);
         CREATE TRIGGER a BEFORE INSERT ON m.t FOR EACH ROW EXECUTE FUNCTION m.fired(); ALTER TABLE m.t ENABLE ALWAYS TRIGGER a;
         CREATE INDEX ON m.t (lower(left(x, 5)));
         INSERT INTO m.t (p, x) SELECT 1, (SELECT string_agg(md5((n * m)::text), '') FROM generate_series(1, 500) m) FROM generate_series(1, 5) n;
         CREATE TABLE m.u (id integer PRIMARY KEY, t integer REFERENCES m.t); INSERT INTO m.u VALUES (1, 1);
         CREATE TABLE m.w (id integer PRIMARY KEY CHECK (m.positive(id))) PARTITION BY RANGE (id);
         CREATE TABLE m.w_1 PARTITION OF m.w FOR VALUES FROM (0) TO (9); CREATE TABLE m.w_2 PARTITION OF m.w DEFAULT;
         INSERT INTO m.w VALUES (1), (10)",
    );
    attacked.system.create();
    let before = attacked.system.fingerprint();
    for tables in ["m.t", "m.w_1", "m.t,m.w_1,m.w_2,m.u"] {
        attacked.as_mallory("UPDATE m.t SET p = 2; DELETE FROM m.w WHERE id = 1");
        attacked.restore(&["--tables", tables]).exits(0);
        if tables.len() > 5 {
            assert_eq!(attacked.system.fingerprint(), before, "{tables}");
        }
    }
    attacked.as_mallory("ALTER TABLE m.t ADD COLUMN s serial");
    attacked.restore(&["--tables", "m.t"]).exits(0);
    assert_eq!(attacked.system.sql("SELECT count(DISTINCT s), max(s) FROM m.t"), "5|10");
    let left = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename LIKE 'larder_load_%'",
        attacked.system.database
    );
    assert_eq!(attacked.system.sql(&left), "0");
}

/// Code in the session of a role that was made for loading gave that role another password, by which somebody else could log in
/// as it: into the database that was closed to others, and with the settings that only a superuser may give.
#[test]
fn nobody_else_logs_in_as_a_role_that_is_made_for_loading() {
    let attacked = Attacked::new();
    let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
    attacked.as_mallory(&format!(
        "CREATE FUNCTION m.open(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            IF SESSION_USER LIKE 'larder_load_%' THEN
                EXECUTE 'RESET ROLE'; EXECUTE format('ALTER ROLE %I PASSWORD %L', SESSION_USER, 'known');
                EXECUTE format('ALTER ROLE %I SET application_name = changed', SESSION_USER); EXECUTE 'SET ROLE {mallory}';
            END IF; RETURN true; END $f$;
         CREATE FUNCTION m.wait(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            WHILE SESSION_USER LIKE 'larder_load_%' AND clock_timestamp() < now() + interval '1 minute'
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{mallory}_go') LOOP
                PERFORM pg_catalog.pg_sleep(0.01); END LOOP; RETURN true; END $f$;
         CREATE TABLE m.a (id integer PRIMARY KEY CHECK (m.open(id))); INSERT INTO m.a VALUES (1);
         CREATE TABLE m.z (id integer PRIMARY KEY CHECK (m.wait(id))); INSERT INTO m.z VALUES (1)"
    ));
    attacked.system.create();
    let mut restore =
        attacked.system.command(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
    let mut restoring = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let changed = format!(
        "SELECT rolname, datname, rolcanlogin, rolconnlimit FROM pg_roles JOIN pg_stat_activity ON usename = rolname
            WHERE datname LIKE '{database}_larder_new_%' AND 'application_name=changed' = ANY (rolconfig) LIMIT 1"
    );
    let found = loop {
        let found = attacked.system.server.sql("postgres", &changed);
        if !found.is_empty() {
            break found;
        }
        assert!(restoring.try_wait().expect("it is ours").is_none(), "it has ended before it was seen");
    };
    let fields: Vec<&str> = found.split('|').collect();
    let [role, fresh, ..] = fields.as_slice() else { panic!("{found}") };
    let server = Server { user: (*role).to_owned(), password: "known".to_owned(), ..attacked.system.server.clone() };
    let tried = ["postgres", fresh].map(|database| run(server.psql(database).args(["-c", "SELECT 1"])));
    attacked.system.server.sql("postgres", &format!("CREATE ROLE {mallory}_go"));
    let restored = restoring.wait().expect("it is ours");
    attacked.system.server.sql("postgres", &format!("DROP ROLE {mallory}_go"));
    for tried in tried {
        assert!(tried.code != 0 && tried.stderr.contains("not permitted to log in"), "{tried:?}");
    }
    assert_eq!(fields.get(2..), Some(["f", "0"].as_slice()), "it cannot log in");
    assert!(restored.success());
    attacked.assert_harmless("restored");
}
