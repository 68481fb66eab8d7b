//! Code that the server runs while it makes tables, partitions, keys and views: what is constant in an expression, and the
//! values that stand in a statement.

use crate::attacker::Attacked;

/// A function that may be called with a constant, and does all that it can. What is immutable may call what is not.
const CONSTANT: &str =
    "CREATE FUNCTION m.p(text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 1; END $f$;
     CREATE FUNCTION m.plus(integer, text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN $1; END $f$;
     CREATE OPERATOR m.#+# (LEFTARG = integer, RIGHTARG = text, FUNCTION = m.plus);
     CREATE TYPE m.n AS ENUM ('1');
     CREATE FUNCTION m.cast(m.n) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 1; END $f$;
     CREATE CAST (m.n AS integer) WITH FUNCTION m.cast(m.n);
     CREATE DOMAIN m.d AS integer CHECK (m.evil(VALUE)); CREATE TYPE m.pair AS (a m.d, b integer);";

/// Each makes something in the schema `own` whose restore evaluates that at once.
const TRAPS: [(&str, &str); 10] = [
    ("a generated column", "CREATE TABLE own.t (id integer, g integer GENERATED ALWAYS AS (m.p('x')) STORED)"),
    ("an operator", "CREATE TABLE own.t (id integer, g integer GENERATED ALWAYS AS (1 OPERATOR(m.#+#) 'x') STORED)"),
    ("a cast", "CREATE TABLE own.t (id integer, g integer GENERATED ALWAYS AS ('1'::m.n::integer) STORED)"),
    (
        "the key of partitions",
        "CREATE TABLE own.w (id integer) PARTITION BY RANGE ((id + m.p('x'))); CREATE TABLE own.t PARTITION OF own.w FOR VALUES FROM (0) TO (9)",
    ),
    (
        "the check of a partition",
        "CREATE TABLE own.w (id integer) PARTITION BY RANGE (id); CREATE TABLE own.t (id integer, CHECK (id + m.p('x') > 0));
         ALTER TABLE own.w ATTACH PARTITION own.t FOR VALUES FROM (0) TO (9)",
    ),
    (
        "an index beside a foreign key",
        "CREATE TABLE own.p (id integer PRIMARY KEY); INSERT INTO own.p VALUES (1); CREATE INDEX i ON own.p ((id + m.p('x')));
         CREATE TABLE own.t (id integer REFERENCES own.p); CREATE INDEX j ON own.t ((id + m.p('x')))",
    ),
    (
        "statistics beside a foreign key",
        "CREATE TABLE own.p (id integer PRIMARY KEY); INSERT INTO own.p VALUES (1); CREATE STATISTICS own.s ON (id + m.p('x')), id FROM own.p;
         CREATE TABLE own.t (id integer REFERENCES own.p)",
    ),
    ("a default that is a value of a checked array", "CREATE TABLE own.t (id integer, a m.d[] DEFAULT '{1}'::m.d[])"),
    ("a default that is a checked pair", "CREATE TABLE own.t (id integer, a m.pair DEFAULT '(1,2)'::m.pair)"),
    (
        "an exclusion",
        "CREATE TABLE own.t (id integer, r int4range, EXCLUDE USING gist (r WITH &&, int4range(id, id + m.p('x'), '[]') WITH &&))",
    ),
];

/// Those that every query on the table evaluates.
const PLANNED: [&str; 3] = ["an index beside a foreign key", "statistics beside a foreign key", "an exclusion"];

/// The server ran what was constant in an expression when a superuser made the table, the partition or the key.
#[test]
fn what_is_constant_in_the_shape_is_not_run_by_a_superuser() {
    for method in ["tables", "pg_dump"] {
        for is_planned in [false, true] {
            let attacked = Attacked::new();
            attacked.by_method(method);
            attacked.as_mallory(CONSTANT);
            let traps = TRAPS.iter().filter(|(trap, _)| PLANNED.contains(trap) == is_planned);
            attacked.set_traps(traps.map(|(_, sql)| (*sql, "INSERT INTO own.t (id) VALUES (1)")));
            attacked.system.create();
            attacked.assert_harmless(&format!("{method}, saved"));
            // A query of the superuser here would itself run what is constant in an index.
            let state = || if is_planned { String::new() } else { attacked.system.fingerprint() };
            let before = state();
            attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
            attacked.assert_harmless(&format!("{method}, tested on the live server"));
            attacked.restore(&[]).exits(0);
            attacked.assert_harmless(&format!("{method}, restored"));
            assert_eq!(state(), before, "{method}");
            assert_eq!(attacked.system.scratch_databases(), "", "{method}");
        }
    }
}

/// Each makes something with values that are checked when it is made. They kept the whole database from being restored.
const VALUES: [(&str, &str); 10] = [
    (
        "a view",
        "CREATE VIEW own.v AS SELECT '{1}'::m.d[] AS x; GRANT SELECT ON own.v TO PUBLIC; COMMENT ON VIEW own.v IS 'x'",
    ),
    ("a materialized view", "CREATE MATERIALIZED VIEW own.mv AS SELECT '(1,2)'::m.pair AS x"),
    (
        "a default of a function",
        "CREATE FUNCTION own.g(a m.pair DEFAULT '(1,2)') RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    ),
    (
        "a body of a function",
        "CREATE FUNCTION own.h() RETURNS m.d[] LANGUAGE sql BEGIN ATOMIC SELECT '{1}'::m.d[]; END",
    ),
    ("a condition of an index", "CREATE INDEX i ON own.t (id) WHERE '{1}'::m.d[] IS NOT NULL"),
    ("a policy", "CREATE POLICY p ON own.t USING ('{1}'::m.d[] IS NOT NULL)"),
    (
        "a trigger",
        "CREATE TRIGGER g BEFORE UPDATE ON own.t FOR EACH ROW WHEN ('{1}'::m.d[] IS NOT NULL) EXECUTE FUNCTION m.nothing()",
    ),
    ("a rule", "CREATE RULE r AS ON DELETE TO own.t WHERE '{1}'::m.d[] IS NULL DO INSTEAD NOTHING"),
    (
        "a default of a view",
        "CREATE VIEW own.w AS SELECT id, a FROM own.t; ALTER VIEW own.w ALTER COLUMN a SET DEFAULT '{1}'::m.d[]",
    ),
    ("an aggregate", "CREATE AGGREGATE own.a (integer) (SFUNC = m.add, STYPE = m.pair, INITCOND = '(1,2)')"),
];

/// Values of types that somebody else checks were read by a superuser, then by nobody.
#[test]
fn values_that_others_check_are_read_by_owners() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(CONSTANT);
        attacked.as_mallory(
            "CREATE FUNCTION m.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE FUNCTION m.add(m.pair, integer) RETURNS m.pair LANGUAGE sql AS 'SELECT $1'",
        );
        attacked.system.sql(&format!("CREATE SCHEMA own AUTHORIZATION {}", attacked.mallory));
        attacked.as_mallory("CREATE TABLE own.t (id integer, a m.d[]); INSERT INTO own.t (id) VALUES (1)");
        for (_, sql) in &VALUES {
            attacked.as_mallory(sql);
        }
        attacked.system.create();
        attacked.assert_harmless(&format!("{method}, saved"));
        let state = "SELECT string_agg(pg_describe_object(classid, objid, objsubid), ', ' ORDER BY pg_describe_object(classid, objid, objsubid))
            FROM pg_depend WHERE refobjid = 'm.d[]'::regtype OR refobjid = 'm.pair'::regtype";
        let before = attacked.system.sql(state);
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(&format!("{method}, restored"));
        assert_eq!(attacked.system.sql(state), before, "{method}");
        assert_eq!(attacked.system.scratch_databases(), "", "{method}");
    }
}

/// Where a superuser owns what has such a value, nobody else can read it.
#[test]
fn values_that_others_check_need_a_word_where_superusers_own_them() {
    for method in ["tables", "pg_dump"] {
        for sql in [
            "CREATE VIEW public.v AS SELECT '{1}'::m.d[] AS x",
            "CREATE POLICY p ON public.t USING ('{1}'::m.d[] IS NOT NULL)",
        ] {
            let attacked = Attacked::new();
            attacked.by_method(method);
            attacked.as_mallory(&CONSTANT.replace("m.evil(VALUE)", "VALUE > 0"));
            attacked.system.sql("CREATE TABLE public.t (id integer)");
            attacked.system.sql(sql);
            attacked.as_mallory("ALTER DOMAIN m.d ADD CHECK (m.evil(VALUE)) NOT VALID");
            attacked.system.create();
            let before = attacked.system.fingerprint();
            let refused = attacked.restore(&[]);
            attacked.assert_harmless(&format!("{method}, {sql}"));
            assert_eq!(refused.code, 1, "{method}, {sql}: {refused:?}");
            assert!(refused.stderr.contains("--run-code-as-superuser"), "{refused:?}");
            assert_eq!(attacked.system.fingerprint(), before, "{method}, {sql}");
            assert_eq!(attacked.system.scratch_databases(), "", "{method}, {sql}");
        }
    }
}

/// A check that was given to a domain without looking at what there was came after all else, and nothing was thought to have
/// values that it checks: a superuser read them.
#[test]
fn values_are_read_by_owners_also_where_the_check_comes_last() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(
            "CREATE DOMAIN m.d AS integer; CREATE TABLE m.t (id integer PRIMARY KEY, x integer); INSERT INTO m.t VALUES (1, 1);
             CREATE POLICY p ON m.t USING (x = ANY ('{6}'::m.d[]::integer[])); CREATE INDEX i ON m.t (id) WHERE '{7}'::m.d[] IS NOT NULL;
             CREATE FUNCTION m.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER g BEFORE UPDATE ON m.t FOR EACH ROW WHEN ('{1}'::m.d[] IS NOT NULL) EXECUTE FUNCTION m.g();
             CREATE RULE r AS ON DELETE TO m.t WHERE '{1}'::m.d[] IS NULL DO INSTEAD NOTHING;
             ALTER TABLE m.t ADD CHECK ('{8}'::m.d[] IS NOT NULL) NOT VALID; CREATE STATISTICS m.s ON (x || '{9}'::m.d[]::text), x FROM m.t;
             ALTER DOMAIN m.d ADD CHECK (m.evil(VALUE)) NOT VALID",
        );
        attacked.system.create();
        attacked.assert_harmless(&format!("{method}, saved"));
        attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
        attacked.assert_harmless(&format!("{method}, tested on the live server"));
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(&format!("{method}, restored"));
    }
}

/// What makes something is run whole, however long it is: a piece of it was run by who restores.
#[test]
fn a_long_statement_is_no_way_around_that() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(CONSTANT);
        attacked.as_mallory(
            "DO $$ BEGIN EXECUTE format('CREATE TABLE m.t (id integer, x text DEFAULT %L, g integer GENERATED ALWAYS AS (m.p(''x'')) STORED)', repeat(E'y\\n', 1500000)); END $$",
        );
        attacked.as_mallory("INSERT INTO m.t (id, x) VALUES (1, 'x')");
        attacked.system.create();
        let restored = attacked.restore(&[]);
        attacked.assert_harmless(method);
        restored.exits(0);
    }
}

/// The title of an entry is made of names: a schema could make a table look like a comment.
#[test]
fn a_name_does_not_say_what_an_entry_makes() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let mallory = &attacked.mallory;
        attacked.system.sql(&format!("CREATE SCHEMA \"s; Type: COMMENT; Owner: {mallory}\" AUTHORIZATION {mallory}"));
        attacked.as_mallory(CONSTANT);
        attacked.as_mallory(&format!(
            "SET search_path = \"s; Type: COMMENT; Owner: {mallory}\";
             CREATE TABLE t (id integer PRIMARY KEY, g integer GENERATED ALWAYS AS (m.p('x')) STORED, CHECK (m.evil(id)));
             INSERT INTO t VALUES (1)"
        ));
        attacked.system.create();
        let before = attacked.system.fingerprint();
        let restored = attacked.restore(&[]);
        attacked.assert_harmless(method);
        restored.exits(0);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
    }
}

/// The owner of a table was looked for in its text: a value and the name of the table could together name a superuser.
#[test]
fn a_value_does_not_say_who_owns_a_table() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(CONSTANT);
        let superuser = attacked.system.sql("SELECT current_user");
        attacked.as_mallory(&format!(
            "CREATE TABLE m.\"t'; -- x\" (id integer, g integer GENERATED ALWAYS AS (m.p('x')) STORED,
                 x text DEFAULT E'\nALTER TABLE m.t OWNER TO {superuser};\nSET default_x = ');
             INSERT INTO m.\"t'; -- x\" (id) VALUES (1)"
        ));
        attacked.system.create();
        let restored = attacked.restore(&[]);
        attacked.assert_harmless(method);
        restored.exits(0);
    }
}

/// Privileges that somebody gave on behalf of an owner come back, also where code of others runs meanwhile.
#[test]
fn privileges_that_others_gave_come_back() {
    for method in ["tables", "pg_dump"] {
        let mut attacked = Attacked::new();
        attacked.by_method(method);
        let (giver, taker) = (attacked.system.new_role("NOLOGIN"), attacked.system.new_role("NOLOGIN"));
        attacked.as_mallory(CONSTANT);
        attacked.as_mallory(
            "CREATE TABLE m.t (id integer PRIMARY KEY, g integer GENERATED ALWAYS AS (m.p('x')) STORED, CHECK (m.evil(id)));
             INSERT INTO m.t VALUES (1)",
        );
        attacked.system.sql(&format!(
            "GRANT USAGE ON SCHEMA m TO {giver} WITH GRANT OPTION; GRANT SELECT ON m.t TO {giver} WITH GRANT OPTION;
             SET SESSION AUTHORIZATION {giver}; GRANT USAGE ON SCHEMA m TO {taker}; GRANT SELECT ON m.t TO {taker};"
        ));
        let state = "SELECT nspacl::text, (SELECT relacl::text FROM pg_class WHERE relname = 't') FROM pg_namespace WHERE nspname = 'm'";
        let before = attacked.system.sql(state);
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.sql(state), before, "{method}");
    }
}

/// Where a column of a table becomes not null, the server runs what is constant in the checks of that: with all rights, as the statement
/// stands behind that which makes the table.
#[test]
fn a_column_that_becomes_not_null_runs_no_check_as_a_superuser() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory("CREATE TABLE m.par (a integer)");
        attacked.as_mallory(
            "CREATE TABLE m.ch () INHERITS (m.par); ALTER TABLE m.ch ALTER a SET NOT NULL; ALTER TABLE m.ch ADD CHECK (m.evil(1)); INSERT INTO m.ch VALUES (1)",
        );
        let rows = "SELECT count(*), (SELECT string_agg(attnotnull::text, '') FROM pg_attribute WHERE attrelid = 'm.ch'::regclass AND attnum > 0) FROM m.par";
        let before = attacked.system.sql(rows);
        attacked.system.create();
        attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
        attacked.assert_harmless(method);
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.sql(rows), before);
    }
}

/// A superuser's table that calls what somebody else has written is not loaded without a word, by such a statement neither.
#[test]
fn a_superusers_column_that_becomes_not_null_runs_no_code_of_others() {
    let attacked = Attacked::new();
    attacked.system.sql(
        "CREATE TABLE public.par (a integer); CREATE TABLE public.ch () INHERITS (public.par); ALTER TABLE public.ch ALTER a SET NOT NULL",
    );
    attacked.system.sql("ALTER TABLE public.ch ADD CHECK (m.evil(1)) NOT VALID");
    attacked.system.sql("INSERT INTO public.par VALUES (1)");
    let harmless = format!("ALTER ROLE {} NOSUPERUSER", attacked.mallory);
    attacked.system.sql(&harmless);
    attacked.system.create();
    attacked.assert_harmless("create");
    let refused = attacked.restore(&[]).exits(2);
    attacked.assert_harmless("restore");
    assert!(refused.stderr.contains("--run-code-as-superuser"), "{}", refused.stderr);
}
