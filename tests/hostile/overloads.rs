//! Functions and operators that somebody else has made under the name of one that is called: a dump does not say which of them is meant.

use std::fs;

use crate::attacker::Attacked;

/// What a superuser has in a schema where others may make things, too.
const CALLED: &str = "CREATE FUNCTION public.f(anyelement) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
     CREATE FUNCTION public.plus(anyelement, anyelement) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
     CREATE OPERATOR public.#+# (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = public.plus);
     CREATE TABLE public.t (id integer, x text)";
/// What somebody else makes afterwards. It fits better than what is called.
const OVERLOADS: &str =
    "CREATE FUNCTION public.f(text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 1; END $f$;
     CREATE FUNCTION public.plus(text, text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 1; END $f$;
     CREATE OPERATOR public.#+# (LEFTARG = text, RIGHTARG = text, FUNCTION = public.plus)";
/// Each is of the superuser, and calls what he has made.
const CALLS: [(&str, &str); 22] = [
    ("an index", "CREATE INDEX i ON public.t (public.f(x))"),
    ("a constant in an index", "CREATE INDEX i ON public.t ((id + public.f('a'::text)))"),
    ("an operator in an index", "CREATE INDEX i ON public.t ((x OPERATOR(public.#+#) x))"),
    ("a condition of an index", "CREATE UNIQUE INDEX i ON public.t (id) WHERE public.f(x) > 0"),
    ("an exclusion", "ALTER TABLE public.t ADD EXCLUDE USING gist (int4range(id, id + public.f(x)) WITH &&)"),
    ("statistics", "CREATE STATISTICS public.s ON (public.f(x)), id FROM public.t"),
    ("a default", "ALTER TABLE public.t ALTER id SET DEFAULT public.f('a'::text)"),
    ("a check", "ALTER TABLE public.t ADD CHECK (public.f(x) > 0)"),
    ("a check of nothing", "ALTER TABLE public.t ADD CHECK (public.f(x) > 0) NOT VALID"),
    ("a generated column", "ALTER TABLE public.t ADD g integer GENERATED ALWAYS AS (public.f(x)) STORED"),
    ("a constant in a generated column", "CREATE TABLE public.u (id integer, g integer GENERATED ALWAYS AS (id + public.f('a'::text)) STORED)"),
    (
        "a check that is inherited",
        "CREATE TABLE public.par (a integer, CHECK (a > public.f('a'::text))); CREATE TABLE public.ch () INHERITS (public.par); ALTER TABLE public.ch ALTER a SET NOT NULL",
    ),
    (
        "the key of partitions",
        "CREATE TABLE public.w (id integer) PARTITION BY RANGE ((id + public.f('a'::text))); CREATE TABLE public.w1 PARTITION OF public.w FOR VALUES FROM (0) TO (9)",
    ),
    ("a view", "CREATE VIEW public.v AS SELECT public.f(x) FROM public.t"),
    ("a materialized view", "CREATE MATERIALIZED VIEW public.mv AS SELECT public.f(x) FROM public.t"),
    ("a policy", "CREATE POLICY p ON public.t USING (public.f(x) > 0); ALTER TABLE public.t ENABLE ROW LEVEL SECURITY"),
    ("a rule", "CREATE RULE r AS ON DELETE TO public.t WHERE public.f(old.x) > 0 DO INSTEAD NOTHING"),
    ("a domain", "CREATE DOMAIN public.d AS text CHECK (public.f(VALUE) > 0); CREATE TABLE public.u (x public.d)"),
    ("a domain that is looked at later", "CREATE DOMAIN public.d AS text; ALTER DOMAIN public.d ADD CHECK (public.f(VALUE) > 0) NOT VALID"),
    ("a function", "CREATE FUNCTION public.g(x text) RETURNS integer SECURITY DEFINER LANGUAGE sql BEGIN ATOMIC SELECT public.f(x); END"),
    (
        "a condition of a trigger",
        "CREATE FUNCTION public.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER g BEFORE UPDATE ON public.t FOR EACH ROW WHEN (public.f(new.x) > 0) EXECUTE FUNCTION public.g()",
    ),
    ("an aggregate", "CREATE FUNCTION public.a(integer, anyelement) RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE public.total (text) (SFUNC = public.a, STYPE = integer)"),
];

/// What is called, by its names.
const BOUND: &str = "SELECT string_agg(call, '; ' ORDER BY call) FROM (
    SELECT DISTINCT pg_describe_object(classid, objid, objsubid) || ': ' || pg_describe_object(refclassid, refobjid, 0) AS call FROM pg_depend WHERE refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND refobjid >= 16384
        AND classid <> 'pg_proc'::regclass OR refobjid = to_regprocedure('public.f(anyelement)')) d";

/// A database in which a superuser has made this, and somebody else what fits better.
fn overloaded(sql: &str, overloads: &str) -> Attacked {
    let attacked = Attacked::new();
    attacked.system.sql(CALLED);
    attacked.system.sql(&format!("INSERT INTO public.t VALUES (1, 'a'); {sql}"));
    attacked.system.sql(&format!("GRANT CREATE, USAGE ON SCHEMA public TO {}", attacked.mallory));
    attacked.as_mallory(overloads);
    attacked
}

/// Makes sure that each of these calls means the same after a restore, or is not restored.
fn assert_not_exchanged(first: usize, step: usize) {
    for (number, (what, sql)) in CALLS.iter().enumerate().skip(first).step_by(step) {
        let more = "CREATE FUNCTION public.a(integer, text) RETURNS integer LANGUAGE sql AS 'SELECT 1'";
        let overloads = if *what == "an aggregate" { more } else { OVERLOADS };
        let attacked = overloaded(sql, overloads);
        attacked.by_method(["tables", "pg_dump"][number % 2]);
        let created = attacked.system.create().to_string();
        assert!(created.contains("it may not be restored without --run-code-as-superuser"), "{what}: {created}");
        let before = attacked.system.sql(BOUND);
        let restored = attacked.restore(&[]);
        attacked.assert_harmless(what);
        assert_eq!(attacked.system.sql(BOUND), before, "{what}: {restored:?}");
        // A dump may make it before somebody else's function is there.
        let is_refused = restored.stderr.contains("it calls") && restored.stderr.contains("--run-code-as-superuser");
        let is_right = restored.code == i32::from(is_refused) && (is_refused || what.starts_with("a domain"));
        assert!(is_right, "{what}: {restored:?}");
        assert_eq!(attacked.system.scratch_databases(), "", "{what}");
    }
}

/// An index of a superuser was made anew with the function of somebody else, and ran it with all rights.
#[test]
fn what_is_called_is_not_exchanged_for_what_somebody_else_has_made() {
    assert_not_exchanged(0, 3);
}

/// The same.
#[test]
fn what_is_called_is_not_exchanged_for_what_somebody_else_has_made_either() {
    assert_not_exchanged(1, 3);
}

/// The same.
#[test]
fn what_is_called_is_exchanged_for_nothing() {
    assert_not_exchanged(2, 3);
}

/// A type is called by its name, too: what is looked for is a cast then, which its check is a part of.
#[test]
fn a_type_is_no_function_of_somebody_else() {
    let attacked =
        overloaded("CREATE INDEX i ON public.t (public.f(x))", "CREATE DOMAIN public.f AS text CHECK (m.evil(VALUE))");
    attacked.system.create();
    let refused = attacked.restore(&[]).exits(1);
    attacked.assert_harmless("a domain");
    assert!(refused.stderr.contains("it calls"), "{refused:?}");
}

/// What a range type constructs was taken for what a superuser has made, as he makes it in a restore; its values are cast by their author then.
#[test]
fn what_a_type_constructs_belongs_to_its_owner() {
    for (number, sql) in [
        "CREATE FUNCTION public.g(text, text) RETURNS text IMMUTABLE LANGUAGE sql BEGIN ATOMIC SELECT public.pair($1, $2); END;
         CREATE OPERATOR public.## (LEFTARG = text, RIGHTARG = text, FUNCTION = public.g); CREATE INDEX i ON public.t ((x OPERATOR(public.##) x))",
        "CREATE VIEW public.v AS SELECT public.pair(x, x) AS p FROM public.t;
         CREATE MATERIALIZED VIEW public.mv AS SELECT query_to_xml('SELECT p::text FROM public.v', true, true, '')::text AS p",
        "ALTER TABLE public.t ALTER x SET DEFAULT public.pair('a'::text, 'b'::text)",
        "CREATE POLICY p ON public.t USING (public.pair(x, x) = 'a')",
    ]
    .iter()
    .enumerate()
    {
        let pair = "CREATE FUNCTION public.pair(anyelement, anyelement) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'a' $$";
        let attacked = overloaded(
            &format!("{pair}; {sql}"),
            "CREATE TYPE public.pair AS RANGE (subtype = text);
             CREATE FUNCTION public.c(public.pair) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 'a'; END $f$;
             CREATE CAST (public.pair AS text) WITH FUNCTION public.c(public.pair) AS IMPLICIT",
        );
        attacked.by_method(["tables", "pg_dump"][number % 2]);
        attacked.system.create();
        let refused = attacked.restore(&[]).exits(1);
        attacked.assert_harmless(sql);
        assert!(refused.stderr.contains("--run-code-as-superuser"), "{sql}: {refused:?}");
    }
}

/// A cast that somebody makes later is found when a text is read again.
#[test]
fn values_are_not_cast_by_what_somebody_else_has_made_since() {
    for (number, sql) in [
        "CREATE FUNCTION public.g(text) RETURNS boolean IMMUTABLE LANGUAGE sql BEGIN ATOMIC SELECT $1::m.mood IS NULL; END;
         CREATE FUNCTION public.h(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql BEGIN ATOMIC SELECT public.g($1); END;
         CREATE OPERATOR public.## (LEFTARG = text, RIGHTARG = text, FUNCTION = public.h); CREATE INDEX i ON public.t ((x OPERATOR(public.##) x))",
        "CREATE VIEW public.v AS SELECT x::m.mood AS p FROM public.t",
        "ALTER TABLE public.t ADD b text DEFAULT ('a'::text::m.mood)::text",
        "CREATE POLICY p ON public.t USING (x::m.mood IS NULL)",
    ]
    .iter()
    .enumerate()
    {
        let attacked = Attacked::new();
        attacked.by_method(["tables", "pg_dump"][number % 2]);
        attacked.as_mallory("CREATE TYPE m.mood AS ENUM ('a')");
        attacked.system.sql(&format!("CREATE TABLE public.t (id integer, x text); INSERT INTO public.t VALUES (1, 'a'); {sql}"));
        attacked.as_mallory(
            "CREATE FUNCTION m.c(text) RETURNS m.mood IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 'a'; END $f$;
             CREATE CAST (text AS m.mood) WITH FUNCTION m.c(text)",
        );
        let created = attacked.system.create().to_string();
        assert!(created.contains("it may not be restored without --run-code-as-superuser"), "{sql}: {created}");
        let refused = attacked.restore(&[]);
        attacked.assert_harmless(sql);
        assert!(refused.code != 0 && refused.stderr.contains("--run-code-as-superuser"), "{sql}: {refused:?}");
    }
}

/// Code of others was looked for in what is called, and not in what that calls.
#[test]
fn what_calls_code_of_others_by_something_else_runs_it() {
    for (number, sql) in [
        "CREATE INDEX i ON public.t (public.g(id))",
        "ALTER TABLE public.t ADD CHECK (public.g(id))",
        "ALTER TABLE public.t ADD g boolean GENERATED ALWAYS AS (public.g(id)) STORED",
        "CREATE DOMAIN public.d AS integer CHECK (public.g(VALUE)); ALTER TABLE public.t ADD d public.d DEFAULT 1",
        "CREATE OPERATOR public.## (LEFTARG = integer, RIGHTARG = integer, FUNCTION = m.two); CREATE MATERIALIZED VIEW public.mv AS SELECT id OPERATOR(public.##) id FROM public.t",
        "CREATE AGGREGATE public.total (integer) (SFUNC = m.two, STYPE = integer); CREATE MATERIALIZED VIEW public.mv AS SELECT public.total(id) FROM public.t",
    ]
    .iter()
    .enumerate()
    {
        let attacked = Attacked::new();
        attacked.by_method(["tables", "pg_dump"][number % 2]);
        attacked.as_mallory("CREATE FUNCTION m.two(integer, integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM m.try_all(); RETURN 1; END'");
        // Nothing of it is run before.
        let harmless = "CREATE OR REPLACE FUNCTION m.try_all() RETURNS boolean LANGUAGE sql AS 'SELECT true'";
        let body = attacked.system.sql("SELECT pg_get_functiondef('m.try_all'::regproc)");
        attacked.as_mallory(harmless);
        attacked.system.sql(&format!(
            "CREATE FUNCTION public.g(integer) RETURNS boolean IMMUTABLE LANGUAGE sql BEGIN ATOMIC SELECT m.evil($1); END;
             CREATE TABLE public.t (id integer); INSERT INTO public.t VALUES (1); {sql}"
        ));
        attacked.as_mallory(&body);
        attacked.system.create();
        attacked.assert_harmless(&format!("{sql}, saved"));
        let refused = attacked.restore(&[]);
        attacked.assert_harmless(sql);
        assert!(refused.code != 0 && refused.stderr.contains("--run-code-as-superuser"), "{sql}: {refused:?}");
    }
}

/// Everything else is loaded where that is wanted.
#[test]
fn the_rest_is_loaded_without_the_index() {
    let attacked = overloaded("CREATE INDEX i ON public.t (public.f(x))", OVERLOADS);
    attacked.system.create();
    let restored = attacked.restore(&["--continue"]).exits(3);
    attacked.assert_harmless("continued");
    assert!(restored.stderr.contains("INDEX public.i") && restored.stderr.contains("it calls"), "{restored:?}");
    assert_eq!(attacked.system.sql("SELECT count(*), to_regclass('public.i') IS NULL FROM public.t"), "1|t");
}

/// Where the function that is called is refused, that of somebody else is the only one of its name.
#[test]
fn what_takes_the_place_of_what_was_refused_is_not_called() {
    for sql in [
        "CREATE INDEX i ON public.t (public.g(x))",
        "CREATE TABLE public.u (id integer, g integer GENERATED ALWAYS AS (id + public.g('a'::text)) STORED)",
    ] {
        let attacked = Attacked::new();
        // A library that is gone when the database is restored.
        let libraries = attacked.system.sql("SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'");
        let library = Attacked::mark_of_server();
        fs::copy(format!("{libraries}/citext.so"), &library).expect("the server has its extensions");
        attacked.system.sql(&format!(
            "CREATE FUNCTION public.g(anyelement) RETURNS integer IMMUTABLE LANGUAGE c AS '{}', 'citext_hash';
             CREATE TABLE public.t (id integer, x text); {sql}; GRANT CREATE, USAGE ON SCHEMA public TO {}",
            library.display(),
            attacked.mallory
        ));
        attacked.as_mallory(
            "CREATE FUNCTION public.g(text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 1; END $f$",
        );
        attacked.system.create();
        fs::remove_file(&library).expect("it is ours");
        let restored = attacked.restore(&["--continue"]);
        attacked.assert_harmless(sql);
        assert!(restored.stderr.contains("it calls"), "{restored:?}");
    }
}

/// Where several have functions of one name, each with other parameters, what the server finds counts, and not the name.
#[test]
fn functions_of_several_with_one_name_are_told_apart() {
    for method in ["tables", "pg_dump"] {
        let mut attacked = Attacked::new();
        attacked.by_method(method);
        let app = attacked.system.new_role("NOLOGIN");
        attacked.system.sql(&format!(
            "GRANT CREATE, USAGE ON SCHEMA public TO {0}, {1}; CREATE FUNCTION public.norm(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
             CREATE TABLE public.mine (x text); INSERT INTO public.mine VALUES ('A'); CREATE UNIQUE INDEX mine_i ON public.mine (public.norm(x)) WHERE public.norm('a'::text) = 'a';
             SET ROLE {0}; CREATE FUNCTION public.norm(text, integer) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper($1)';
             CREATE TABLE public.his (x text); INSERT INTO public.his VALUES ('A'); CREATE INDEX his_i ON public.his (x, public.norm(x, 1));
             CREATE STATISTICS public.his_s ON (public.norm(x, 1)), x FROM public.his; ALTER TABLE public.his ADD CHECK (public.norm(x, 1) = 'A') NOT VALID;
             ALTER TABLE public.his ADD r int4range; ALTER TABLE public.his ADD EXCLUDE USING gist (r WITH &&, int4range(1, length(public.norm(x, 1))) WITH &&)",
            app, attacked.mallory
        ));
        attacked.as_mallory(
            "CREATE FUNCTION public.norm(integer) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'",
        );
        let created = attacked.system.create().to_string();
        assert!(created.contains("it may not be restored without"), "{created}");
        let before = attacked.system.fingerprint();
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
    }
}

/// Whoever has overloads of his own calls them; and what is called by another name is made.
#[test]
fn own_overloads_are_restored() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.system.sql(CALLED);
        attacked.system.sql("CREATE FUNCTION public.h(anyelement) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 2'; INSERT INTO public.t VALUES (1, 'a')");
        attacked
            .system
            .sql("CREATE INDEX i ON public.t (public.h(x)); ALTER TABLE public.t ADD CHECK (public.h(x) > 0)");
        attacked.system.sql(&format!("GRANT CREATE, USAGE ON SCHEMA public TO {}", attacked.mallory));
        attacked.as_mallory(OVERLOADS);
        attacked.as_mallory(
            "CREATE TABLE m.t (id integer, x text, CHECK (public.f(x) > 0), g integer GENERATED ALWAYS AS (public.f('a'::text)) STORED);
             INSERT INTO m.t VALUES (1, 'a'); CREATE INDEX i ON m.t (public.f(x)) WHERE x OPERATOR(public.#+#) x > 0;
             CREATE STATISTICS m.s ON (public.f(x)), id FROM m.t; CREATE VIEW m.v AS SELECT public.f(x) FROM m.t",
        );
        attacked.system.create();
        // Rows of the superuser alone: a query of his on the others would itself run code of the role.
        let state = "SELECT count(*), to_regclass('m.i'), to_regclass('m.v'), (SELECT count(*) FROM pg_statistic_ext WHERE stxname = 's') FROM public.t";
        let before = attacked.system.sql(state);
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.sql(state), before, "{method}");
    }
}
