//! Code of an owner that reaches for what belongs to others while the database is loaded, when what protects them is not there yet.

use crate::attacker::Attacked;

/// A function that an index, a check or a generated column may call, and that does this, whatever comes of it.
fn immutable(name: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION m.{name}_v() RETURNS void LANGUAGE plpgsql AS $v$ BEGIN
            BEGIN {body} EXCEPTION WHEN OTHERS THEN NULL; END; END $v$;
         CREATE FUNCTION m.{name}(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.{name}_v(); RETURN $1; END $f$;"
    )
}

/// Whoever owned a generated column or a check called functions that run as a superuser before he was denied that.
#[test]
fn functions_that_run_as_others_are_closed_while_code_of_owners_runs() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let mallory = &attacked.mallory;
        attacked.system.sql(
            "CREATE FUNCTION public.arun(text) RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS $f$ BEGIN EXECUTE $1; END $f$;
             REVOKE EXECUTE ON FUNCTION public.arun(text) FROM PUBLIC;
             CREATE FUNCTION public.astep(integer, text) RETURNS integer SECURITY DEFINER LANGUAGE plpgsql AS $f$ BEGIN EXECUTE $2; RETURN 1; END $f$;
             CREATE AGGREGATE public.asum(text) (SFUNC = public.astep, STYPE = integer);
             REVOKE EXECUTE ON FUNCTION public.astep(integer, text), public.asum(text) FROM PUBLIC;
             CREATE FUNCTION public.for_all() RETURNS integer SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
             CREATE PROCEDURE public.for_some() SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';",
        );
        attacked.system.sql(&format!("GRANT EXECUTE ON PROCEDURE public.for_some() TO {mallory} WITH GRANT OPTION"));
        attacked.as_mallory(&immutable("f", &format!("PERFORM public.arun('ALTER ROLE {mallory} SUPERUSER');")));
        attacked.as_mallory(&immutable("g", &format!("PERFORM public.asum('ALTER ROLE {mallory} SUPERUSER');")));
        attacked.as_mallory(
            "CREATE TABLE m.t (id integer PRIMARY KEY, g integer GENERATED ALWAYS AS (m.f(1) + m.g(1)) STORED, CHECK (m.f(id) > 0), CHECK (m.g(id) > 0));
             INSERT INTO m.t VALUES (1)",
        );
        attacked.assert_harmless("set up");
        attacked.system.create();
        let state = format!(
            "SELECT p.oid::regprocedure, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(proacl, acldefault('f', proowner))) a), has_function_privilege('{mallory}', p.oid, 'EXECUTE')
             FROM pg_proc p WHERE pronamespace = 'public'::regnamespace ORDER BY proname"
        );
        let before = attacked.system.sql(&state);
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.sql(&state), before, "{method}");
    }
}

/// Triggers and policies come after the rows: until then a check read and changed rows that they keep it from.
#[test]
fn rows_of_others_are_neither_read_past_policies_nor_changed() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let mallory = &attacked.mallory;
        // Its rows come before and after those of the role, whatever the order is.
        for table in ["a.victim", "z.victim"] {
            let schema = &table[..1];
            attacked.system.sql(&format!(
                "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {mallory};
                 CREATE TABLE {table} (id integer PRIMARY KEY, who text, word text); INSERT INTO {table} VALUES (1, 'ada', 'secret'), (2, '{mallory}', 'mine');
                 CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'nobody changes it'; END $f$;
                 CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
                 ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON {table} USING (who = CURRENT_USER);
                 CREATE VIEW {schema}.v AS SELECT * FROM {table}; GRANT UPDATE, DELETE ON {schema}.v TO {mallory};
                 CREATE FUNCTION {schema}.change() RETURNS void SECURITY DEFINER LANGUAGE sql AS $f$ UPDATE {table} SET word = 'changed' $f$;
                 GRANT SELECT, UPDATE, DELETE ON {table} TO {mallory}; GRANT SELECT ON numbers TO {mallory}"
            ));
        }
        let act = |schema: &str| {
            format!(
                "BEGIN INSERT INTO m.seen SELECT word FROM {schema}.victim WHERE word <> 'mine'; EXCEPTION WHEN OTHERS THEN NULL; END;
                 BEGIN UPDATE {schema}.victim SET word = 'changed'; EXCEPTION WHEN OTHERS THEN NULL; END;
                 BEGIN DELETE FROM {schema}.v; EXCEPTION WHEN OTHERS THEN NULL; END;
                 BEGIN PERFORM {schema}.change(); EXCEPTION WHEN OTHERS THEN NULL; END;"
            )
        };
        attacked.as_mallory("CREATE TABLE m.seen (word text)");
        attacked.as_mallory(&immutable("f", &(act("a") + &act("z"))));
        // What others let it read it may look up.
        attacked.as_mallory(
            "CREATE FUNCTION m.known(integer) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.numbers WHERE id = $1)';
             CREATE TABLE m.t (id integer PRIMARY KEY, CHECK (m.f(id) > 0)); INSERT INTO m.t VALUES (1); DELETE FROM m.seen;
             CREATE MATERIALIZED VIEW m.w AS SELECT m.f(1)",
        );
        attacked.as_mallory("DELETE FROM m.seen");
        attacked.system.sql("CREATE MATERIALIZED VIEW public.counted AS SELECT count(*) FROM a.victim");
        attacked.system.create();
        let state = "SELECT (SELECT string_agg(word, ',') FROM a.victim), (SELECT string_agg(word, ',') FROM z.victim), (SELECT string_agg(DISTINCT word, ',') FROM m.seen),
            (SELECT string_agg(relname || relacl::text || relrowsecurity, ',' ORDER BY oid::regclass::text) FROM pg_class WHERE relname IN ('victim', 'v', 't'))";
        let before = attacked.system.sql(state);
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.sql(state), before, "{method}");
        attacked.assert_harmless(method);
    }
}

/// What everybody is denied by a privilege was open until all privileges were given. A function of the server under another name
/// needs no `SECURITY DEFINER` to reach its files.
#[test]
fn what_everybody_is_denied_is_denied_while_code_of_owners_runs() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.system.sql(
            "CREATE FUNCTION public.first() RETURNS integer LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION public.first() FROM PUBLIC;
             CREATE FUNCTION public.reads(text) RETURNS text LANGUAGE internal STRICT AS 'pg_read_file_all'; REVOKE EXECUTE ON FUNCTION public.reads(text) FROM PUBLIC;
             REVOKE EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) FROM PUBLIC; REVOKE SELECT ON pg_catalog.pg_roles FROM PUBLIC",
        );
        attacked.as_mallory("CREATE TABLE m.seen (what text)");
        attacked.as_mallory(&immutable(
            "f",
            "BEGIN INSERT INTO m.seen SELECT public.reads('PG_VERSION'); EXCEPTION WHEN OTHERS THEN NULL; END;
             BEGIN INSERT INTO m.seen SELECT public.first()::text; EXCEPTION WHEN OTHERS THEN NULL; END;
             BEGIN INSERT INTO m.seen SELECT count(*)::text FROM pg_catalog.pg_roles; EXCEPTION WHEN OTHERS THEN NULL; END;",
        ));
        attacked.as_mallory(
            "CREATE TABLE m.t (id integer PRIMARY KEY, g integer GENERATED ALWAYS AS (m.f(1)) STORED, CHECK (m.f(id) > 0)); INSERT INTO m.t VALUES (1)",
        );
        assert_eq!(attacked.system.sql("SELECT count(*) FROM m.seen"), "0");
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.sql("SELECT string_agg(what, ',') FROM m.seen"), "", "{method}");
    }
}

/// Indexes of partitions became parts after foreign keys as soon as any index called a function.
#[test]
fn keys_of_partitioned_tables_come_back_beside_indexes_that_are_computed() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(
            "CREATE FUNCTION m.one() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
             CREATE TABLE m.a (id integer PRIMARY KEY); CREATE INDEX ON m.a ((id + m.one()));
             CREATE TABLE m.p (id integer PRIMARY KEY, a integer) PARTITION BY RANGE (id); CREATE TABLE m.p1 PARTITION OF m.p FOR VALUES FROM (0) TO (9);
             CREATE INDEX ON m.p ((a + m.one())); CREATE INDEX ON m.p (a); INSERT INTO m.p VALUES (1, 1);
             CREATE TABLE m.c (id integer REFERENCES m.p); INSERT INTO m.c VALUES (1)",
        );
        attacked.system.create();
        let before = attacked.system.fingerprint();
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
    }
}
