//! Tables that were dropped and come back into a live database, where what they call may be somebody else's by now.

use std::thread;

use crate::attacker::Attacked;
use crate::races::wait_until;

/// A table of a superuser in the schema of the role, who may drop what is in there, and puts his own into its place.
const SAVED: &str = "CREATE FUNCTION m.same(integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION m.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE OPERATOR m.### (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4pl);
    CREATE DOMAIN m.dom AS integer; CREATE TYPE m.pair AS (a m.dom, b integer);
    CREATE TABLE m.other (id integer PRIMARY KEY); INSERT INTO m.other VALUES (1), (2); CREATE TABLE m.t (id integer PRIMARY KEY, x integer)";
/// The same of the role, which does all that it can.
const OTHERS: &str = "DROP TABLE m.t; DROP FUNCTION m.same(integer); DROP FUNCTION m.pass(); DROP OPERATOR m.### (integer, integer); DROP TYPE m.pair; DROP DOMAIN m.dom; DROP TABLE m.other;
    CREATE FUNCTION m.same(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN m.evil_id($1); END';
    CREATE FUNCTION m.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM m.try_all(); RETURN NEW; END';
    CREATE OPERATOR m.### (LEFTARG = integer, RIGHTARG = integer, FUNCTION = m.add);
    CREATE DOMAIN m.dom AS integer CHECK (m.evil(VALUE)); CREATE TYPE m.pair AS (a m.dom, b integer);
    CREATE TABLE m.other (id integer PRIMARY KEY); INSERT INTO m.other VALUES (1), (2)";
const OF_OTHERS: &str = "who does not own the table";
/// What the table has besides, and what is said of that.
const PARTS: [(&str, &str); 12] = [
    ("ALTER TABLE m.t ADD CHECK (m.same(x) > 0)", OF_OTHERS),
    ("ALTER TABLE m.t ADD g integer GENERATED ALWAYS AS (m.same(1)) STORED", OF_OTHERS),
    ("ALTER TABLE m.t ALTER x SET DEFAULT m.same(1)", OF_OTHERS),
    ("CREATE INDEX i ON m.t (m.same(x))", OF_OTHERS),
    ("CREATE INDEX i ON m.t (id) WHERE m.same(1) = 1", OF_OTHERS),
    ("CREATE INDEX i ON m.t ((x OPERATOR(m.###) 1))", OF_OTHERS),
    ("CREATE POLICY p ON m.t USING (m.same(x) > 0)", OF_OTHERS),
    ("ALTER TABLE m.t ADD d m.dom DEFAULT 1", OF_OTHERS),
    ("ALTER TABLE m.t ADD d m.pair[]", OF_OTHERS),
    ("CREATE STATISTICS m.st ON (m.same(x)), id FROM m.t", OF_OTHERS),
    ("CREATE TRIGGER g BEFORE INSERT ON m.t FOR EACH ROW EXECUTE FUNCTION m.pass()", OF_OTHERS),
    ("ALTER TABLE m.t ADD FOREIGN KEY (x) REFERENCES m.other", "belongs to neither a superuser nor"),
];
/// Those of them that the table can be without.
const RESTS: usize = 3;

/// A function that a table called was called by its name when the table was made again, with all rights, or later by whoever used the table.
#[test]
fn a_dropped_table_calls_nothing_that_has_come_to_be_somebody_elses() {
    assert_calls_nothing(0);
}

/// The same of other parts of it.
#[test]
fn a_dropped_table_has_nothing_that_has_come_to_be_somebody_elses() {
    assert_calls_nothing(1);
}

fn assert_calls_nothing(first: usize) {
    for (number, (part, said)) in PARTS.iter().enumerate().skip(first).step_by(2) {
        let attacked = Attacked::new();
        attacked.as_mallory("CREATE FUNCTION m.add(integer, integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN m.evil_id($1 + $2); END'");
        attacked.system.sql(&format!("{SAVED}; {part}; INSERT INTO m.t (id, x) VALUES (1, 1), (2, 2)"));
        attacked.system.create();
        attacked.as_mallory(OTHERS);
        let restored = attacked.restore(&["--tables", "m.t"]);
        attacked.assert_harmless(part);
        assert!(restored.stderr.contains(said), "{part}: {restored:?}");
        let is_rest = number >= PARTS.len() - RESTS;
        assert_eq!(restored.code, if is_rest { 3 } else { 1 }, "{part}: {restored:?}");
        let found = attacked.system.sql("SELECT to_regclass('m.t') IS NOT NULL");
        assert_eq!(found, if is_rest { "t" } else { "f" }, "{part}");
        if is_rest {
            let state = "SELECT count(*), (SELECT rolsuper FROM pg_class c JOIN pg_roles r ON r.oid = relowner WHERE c.oid = 'm.t'::regclass) FROM m.t";
            assert_eq!(attacked.system.sql(state), "2|t", "{part}");
            attacked.system.sql("INSERT INTO m.t (id, x) VALUES (3, 1); ANALYZE m.t");
            attacked.assert_harmless(part);
        }
    }
}

/// Code of its owner could make something in a schema where he may not, as the table is made there.
#[test]
fn a_dropped_table_makes_nothing_else_where_its_owner_may_not() {
    let attacked = Attacked::new();
    attacked.as_mallory(
        "CREATE FUNCTION m.plant() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            BEGIN EXECUTE 'CREATE TABLE public.planted (a integer)'; EXCEPTION WHEN insufficient_privilege THEN NULL; END; RETURN true; END $f$;
         CREATE FUNCTION m.check_it(integer) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN m.plant(); END'; GRANT USAGE ON SCHEMA m TO PUBLIC",
    );
    attacked.system.sql(&format!(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE TABLE public.t (id integer PRIMARY KEY CHECK (m.check_it(id))); INSERT INTO t VALUES (1);
         ALTER TABLE public.t OWNER TO {}; DROP TABLE IF EXISTS public.planted",
        attacked.mallory
    ));
    attacked.system.create();
    attacked.system.sql("DROP TABLE public.t");
    let refused = attacked.restore(&["--tables", "public.t"]).exits(1);
    assert!(refused.stderr.contains("code that belongs to the tables has made something else"), "{}", refused.stderr);
    assert_eq!(
        attacked.system.sql("SELECT to_regclass('public.t') IS NULL, to_regclass('public.planted') IS NULL"),
        "t|t"
    );
    attacked.assert_harmless("a table");
}

/// Its code has no rights of anybody, also not of the owner: another one may have written it by now.
#[test]
fn code_of_a_dropped_table_has_no_rights_of_its_owner() {
    let mut attacked = Attacked::new();
    let owner = attacked.system.new_role("NOLOGIN");
    attacked.system.sql(&format!(
        "GRANT CREATE, USAGE ON SCHEMA public TO {0}, {1}; SET ROLE {0};
         CREATE FUNCTION public.f(anyelement) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1'; CREATE TABLE public.secret (a integer);
         CREATE TABLE public.t (id integer, x text, g integer GENERATED ALWAYS AS (public.f('a'::text)) STORED); INSERT INTO public.t (id) VALUES (1)",
        owner, attacked.mallory
    ));
    attacked.system.create();
    attacked.system.sql("DROP TABLE public.t");
    attacked.as_mallory(
        "CREATE FUNCTION public.f(text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN
            BEGIN EXECUTE 'GRANT ALL ON public.secret TO PUBLIC'; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN 1; END $f$",
    );
    let refused = attacked.restore(&["--tables", "public.t"]).exits(1);
    assert!(refused.stderr.contains("function public.f(text) belongs to"), "{}", refused.stderr);
    assert_eq!(attacked.system.sql("SELECT relacl IS NULL FROM pg_class WHERE relname = 'secret'"), "t");
}

/// A restore that is killed before the table is given to its owner leaves one that nobody can use: the next one makes it anew.
#[test]
fn a_table_that_a_killed_restore_has_left_is_made_again() {
    let attacked = Attacked::new();
    attacked.system.sql("CREATE TABLE public.t (id integer PRIMARY KEY); INSERT INTO public.t VALUES (1), (2)");
    attacked.system.create();
    attacked.system.sql("DROP TABLE public.t");
    // What such a restore leaves: its role cannot be dropped.
    let left = format!("larder_load_{:016x}", std::process::id());
    attacked.system.sql(&format!(
        "CREATE ROLE {left}; COMMENT ON ROLE {left} IS 'made by Larder to load {}'; CREATE TABLE public.t (id integer); ALTER TABLE public.t OWNER TO {left}; GRANT USAGE ON SCHEMA m TO {left}",
        attacked.system.database
    ));
    let restored = attacked.restore(&["--tables", "public.t"]).exits(0);
    assert!(restored.stdout.contains("made again, as they were gone: public.t"));
    let state = format!(
        "SELECT count(*), (SELECT rolsuper FROM pg_class c JOIN pg_roles r ON r.oid = relowner WHERE c.oid = 'public.t'::regclass), to_regrole('{left}') IS NULL FROM public.t"
    );
    assert_eq!(attacked.system.sql(&state), "2|t|t");
}

/// Rows went into a table of that name that somebody else had made meanwhile.
#[test]
fn rows_go_into_no_table_of_somebody_else() {
    let mut attacked = Attacked::new();
    let owner = attacked.system.new_role("NOLOGIN");
    attacked.system.sql(&format!(
        "CREATE TABLE public.t (id integer PRIMARY KEY); INSERT INTO public.t VALUES (1); ALTER TABLE public.t OWNER TO {owner}; GRANT CREATE, USAGE ON SCHEMA public TO {}",
        attacked.mallory
    ));
    attacked.system.create();
    attacked.system.sql("DROP TABLE public.t");
    attacked.as_mallory("CREATE TABLE public.t (id integer PRIMARY KEY)");
    for more in [&["--tables", "public.t", "--dry-run"][..], &["--tables", "public.t"]] {
        let refused = attacked.restore(more).exits(1);
        assert!(
            refused.stderr.contains(&format!("belongs to {} now, and belonged to {owner}", attacked.mallory)),
            "{refused:?}"
        );
    }
    assert_eq!(attacked.system.sql("SELECT count(*) FROM public.t"), "0");
}

/// What the rows of a foreign key are compared with was exchanged when it was made: an index there ran code of somebody else, which read the rows.
#[test]
fn what_a_foreign_key_refers_to_is_not_exchanged() {
    let attacked = Attacked::new();
    attacked.system.sql(
        "CREATE TABLE m.p (id integer PRIMARY KEY); INSERT INTO m.p VALUES (1);
         CREATE TABLE public.c (p integer REFERENCES m.p, v text); INSERT INTO public.c VALUES (1, 'secret'); ALTER TABLE public.c ADD PRIMARY KEY (v)",
    );
    attacked.system.create();
    attacked.system.sql("DROP TABLE public.c");
    attacked.as_mallory(
        "DROP TABLE m.p; CREATE SEQUENCE m.seen; GRANT ALL ON m.seen TO PUBLIC;
         CREATE FUNCTION m.leak(integer) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN
            BEGIN PERFORM setval('m.seen', 1000 + count(*)) FROM public.c; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN true; END $f$;
         CREATE TABLE m.p (id integer PRIMARY KEY); INSERT INTO m.p VALUES (1); CREATE INDEX ON m.p (id) WHERE m.leak(1); GRANT REFERENCES ON m.p TO PUBLIC; GRANT USAGE ON SCHEMA m TO PUBLIC",
    );
    let restored = attacked.restore(&["--tables", "public.c"]).exits(3);
    assert!(restored.stderr.contains("m.p is not there, or belongs to neither a superuser nor"), "{restored:?}");
    assert_eq!(attacked.system.sql("SELECT last_value FROM m.seen"), "1");
}

/// The server does not lock types and functions: what was dropped while a table was made that needs it was missed by nobody, and no backup could
/// read the table.
#[test]
fn what_a_table_needs_is_not_dropped_meanwhile() {
    let attacked = Attacked::new();
    attacked.system.sql(
        "CREATE TYPE public.e AS ENUM ('a'); CREATE TABLE public.t (id integer PRIMARY KEY, e public.e); INSERT INTO public.t VALUES (1, 'a')",
    );
    attacked.system.create();
    attacked.system.sql("DROP TABLE public.t");
    // Nobody sees before the table is committed that it needs the type, and whoever gives it to its owner has to wait; with newer servers, who makes it.
    let waits = wait_until(
        "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND (locktype = 'transactionid' AND transactionid = pg_current_xact_id()::xid
            OR locktype = 'object' AND classid = 'pg_type'::regclass))",
    );
    let restored = thread::scope(|scope| {
        let dropping = scope.spawn(|| attacked.system.sql(&format!("BEGIN; DROP TYPE public.e; {waits} COMMIT")));
        attacked.system.sql(&wait_until("EXISTS (SELECT FROM pg_locks WHERE granted AND locktype = 'object' AND classid = 'pg_type'::regclass AND objid = 'public.e'::regtype AND mode = 'AccessExclusiveLock')"));
        let restored = attacked.restore(&["--tables", "public.t"]);
        dropping.join().expect("it drops the type");
        restored
    });
    let says = ["something that the table needs is gone", "referenced type was concurrently dropped"];
    assert!(says.iter().any(|why| restored.stderr.contains(why)), "{restored:?}");
    assert_eq!(restored.code, 1, "{restored:?}");
    assert_eq!(attacked.system.sql("SELECT to_regclass('public.t') IS NULL"), "t");
    attacked.system.create();
}
