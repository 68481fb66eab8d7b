//! Casts that the owner of a type makes later, and that are used where an expression is read again, or a function is run.

use crate::attacker::Attacked;

const TYPE: &str = "CREATE TYPE m.e AS ENUM ('a', 'b')";
/// The cast is to what a server would do by itself before it is there.
const CAST: &str = "CREATE FUNCTION m.cast(m.e) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 'a'; END $f$;
     CREATE CAST (m.e AS text) WITH FUNCTION m.cast(m.e)";

/// What others had made with a type ran code of its owner when it was made again, with their rights.
#[test]
fn casts_that_come_later_run_with_nobodys_rights_without_a_word() {
    let made = [
        ("a check", "CREATE TABLE public.t (id integer PRIMARY KEY, k m.e CHECK (k::text <> 'zz')); INSERT INTO public.t VALUES (1, 'a')"),
        (
            "a function of a generated column",
            "CREATE FUNCTION public.sf(k m.e) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT k::text';
             CREATE TABLE public.t (id integer PRIMARY KEY, k m.e, g text GENERATED ALWAYS AS (public.sf(k)) STORED); INSERT INTO public.t VALUES (1, 'a')",
        ),
        (
            "a constant of a generated column",
            "CREATE FUNCTION public.sf(k m.e) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT k::text';
             CREATE TABLE public.t (id integer PRIMARY KEY, g text GENERATED ALWAYS AS (public.sf('a')) STORED); INSERT INTO public.t VALUES (1)",
        ),
        (
            "a function of an index",
            "CREATE FUNCTION public.sf(k m.e) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT k::text';
             CREATE TABLE public.t (id integer PRIMARY KEY, k m.e); INSERT INTO public.t VALUES (1, 'a'); CREATE INDEX ON public.t (public.sf(k))",
        ),
        ("a view", "CREATE TABLE public.t (id integer PRIMARY KEY, k m.e); INSERT INTO public.t VALUES (1, 'a'); CREATE MATERIALIZED VIEW public.w AS SELECT k::text FROM public.t"),
        (
            "a function of a view",
            "CREATE FUNCTION public.sf(k m.e) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT k::text';
             CREATE TABLE public.t (id integer PRIMARY KEY, k m.e); INSERT INTO public.t VALUES (1, 'a'); CREATE MATERIALIZED VIEW public.w AS SELECT public.sf(k) FROM public.t",
        ),
    ];
    for (what, sql) in made {
        for is_role in [false, true] {
            let mut attacked = Attacked::new();
            attacked.as_mallory(TYPE);
            attacked.system.sql(&format!("GRANT USAGE ON SCHEMA m TO PUBLIC; {sql}"));
            if is_role {
                let victim = attacked.system.new_role("NOLOGIN");
                let all = "SELECT format('ALTER %s %s OWNER TO :ROLE', CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, oid::regclass)
                    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname IN ('t', 'w')";
                for statement in attacked.system.sql(&all.replace(":ROLE", &victim)).lines() {
                    attacked.system.sql(statement);
                }
            }
            attacked.as_mallory(CAST);
            attacked.system.create();
            let what = format!("{what}, of {}", if is_role { "a role" } else { "a superuser" });
            attacked.assert_harmless(&format!("{what}, saved"));
            let restored = attacked.restore(&[]);
            attacked.assert_harmless(&format!("{what}, restored"));
            // A view is read with the rights of its owner, who has chosen that.
            if !(is_role && what.contains("view")) {
                assert_ne!(restored.code, 0, "{what}: {restored:?}");
                assert!(restored.stderr.contains("--run-code-as-superuser"), "{what}: {restored:?}");
            }
        }
    }
}

/// A cast that was made while rows were replaced was used by who looked at the references of the table.
#[test]
fn values_of_types_of_others_are_compared_by_nobody_who_has_more_rights() {
    let attacked = Attacked::new();
    let mallory = &attacked.mallory;
    attacked.system.sql(&format!("GRANT REFERENCES ON public.numbers TO {mallory}"));
    attacked.as_mallory(TYPE);
    attacked.as_mallory(
        "CREATE FUNCTION m.number(m.e) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
         CREATE CAST (m.e AS integer) WITH FUNCTION m.number(m.e) AS IMPLICIT;
         CREATE TABLE m.t (k m.e PRIMARY KEY REFERENCES public.numbers); INSERT INTO m.t VALUES ('a'); DROP CAST (m.e AS integer)",
    );
    attacked.system.create();
    let refused = attacked.restore(&["--tables", "public.numbers"]).exits(1);
    assert!(refused.stderr.contains("--run-code-as-superuser"), "{refused:?}");
    attacked.assert_harmless("rows are replaced");
}

/// The server looks at single rows as the owner of the table that they refer to.
#[test]
fn a_key_that_casts_is_made_by_nobody_who_has_more_rights() {
    let attacked = Attacked::new();
    let mallory = &attacked.mallory;
    attacked.system.sql(&format!("GRANT REFERENCES ON public.numbers TO {mallory}"));
    attacked.as_mallory(TYPE);
    attacked.as_mallory(
        "CREATE FUNCTION m.number(m.e) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
         CREATE CAST (m.e AS integer) WITH FUNCTION m.number(m.e) AS IMPLICIT;
         CREATE TABLE m.t (k m.e PRIMARY KEY REFERENCES public.numbers); INSERT INTO m.t VALUES ('a');
         CREATE OR REPLACE FUNCTION m.number(m.e) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN 1; END $f$",
    );
    attacked.system.create();
    let restored = attacked.restore(&[]);
    attacked.assert_harmless("restored");
    assert!(restored.code != 0 && restored.stderr.contains("--run-code-as-superuser"), "{restored:?}");
}

/// Whoever has a schema kept every database from being restored in which superusers own tables with references, by a cast that nobody used.
#[test]
fn a_cast_that_nothing_uses_keeps_nobody_from_restoring() {
    let attacked = Attacked::new();
    attacked.as_mallory(TYPE);
    attacked.as_mallory(CAST);
    attacked.system.sql(
        "CREATE TABLE public.p (id integer PRIMARY KEY, n varchar(9) UNIQUE); INSERT INTO public.p VALUES (1, 'x');
         CREATE TABLE public.o (id integer PRIMARY KEY, a bigint REFERENCES public.p (id), b text REFERENCES public.p (n));
         INSERT INTO public.o VALUES (1, 1, 'x')",
    );
    attacked.system.create();
    let restored = attacked.restore(&[]);
    assert_eq!(restored.code, 0, "{restored:?}");
    let one = attacked.restore(&["--tables", "public.o"]);
    assert_eq!(one.code, 0, "{one:?}");
    attacked.assert_harmless("a cast that nothing uses");
}
