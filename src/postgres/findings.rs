//! What a dump of somebody else would run, before it is loaded.

use std::io::{self, Read};

use super::script::ScriptReader;

/// What in a dump is code of whoever wrote it, or no statement of a dump: the first ones, and how many more there are. Looked
/// at is what can be loaded, up to a command of `psql` or what reaches beyond the database.
///
/// # Errors
/// Those of the reader.
pub(crate) fn code_in(reader: impl Read) -> io::Result<Vec<String>> {
    let mut failure = None;
    let mut script = ScriptReader::new(Noting { reader, failure: &mut failure });
    // What cannot be loaded runs nothing.
    while let Ok(Some(_)) = script.next_part() {}
    let (mut found, count) = script.code();
    drop(script);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let more = count - found.len() as u64;
    if more > 0 {
        found.push(format!("{more} more"));
    }
    Ok(found)
}

/// Tells an error of the reader from others.
struct Noting<'f, R> {
    reader: R,
    failure: &'f mut Option<io::Error>,
}

impl<R: Read> Read for Noting<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.reader.read(target).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            *self.failure = Some(error);
            io::ErrorKind::Other.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Accepts;

    /// What `pg_dump --clean --if-exists --inserts` 15 made of a database that has one of everything.
    const EVERYTHING: &str = include_str!("../../tests/dumps/everything.sql");
    /// What `pg_dump` 15 made of a database like those of applications.
    const APPLICATION: &str = include_str!("../../tests/dumps/application.sql");
    const HEAD: &str = "SET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n\
        CREATE TABLE public.t (a integer, b text);\n";

    /// None of these is a statement of `pg_dump`.
    const REFUSED: &[&str] = &[
        "DO $$BEGIN END$$;",
        "SELECT f();",
        "SELECT pg_catalog.setval(f(), 1);",
        "SELECT pg_catalog.setval('s', (SELECT 1));",
        "SELECT setval('s', 1);",
        "SELECT pg_catalog.set_config('session_replication_role', 'replica', false);",
        "SELECT pg_catalog.set_config(E'role', 'x', false);",
        "SELECT * FROM pg_catalog.setval('s', 1);",
        "SELECT * FROM pg_catalog.pg_restore_relation_stats('a', 'b'), f();",
        "SELECT pg_catalog.lo_create('1') FROM f();",
        "SELECT pg_catalog.lo_export(1, '/x');",
        "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = f();",
        "SELECT 1;",
        "UPDATE pg_catalog.pg_authid SET rolsuper = true;",
        "DELETE FROM t;",
        "EXPLAIN ANALYZE SELECT f();",
        "WITH x AS (SELECT f()) SELECT 1;",
        "PREPARE p AS SELECT f();",
        "EXECUTE p;",
        "CALL f();",
        "LOAD 'x';",
        "VALUES (f());",
        "TABLE t;",
        "(SELECT f());",
        "DECLARE c CURSOR FOR SELECT f();",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING;",
        "NOTIFY x;",
        "LOCK TABLE pg_catalog.pg_authid;",
        "VACUUM;",
        "TRUNCATE t;",
        "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c;",
        "REINDEX TABLE t;",
        "SET ROLE x;",
        "SET session_replication_role = replica;",
        "SET LOCAL search_path = x;",
        "SET plpgsql.extra_errors = 'x';",
        "SET  standard_conforming_strings = off;",
        "SET client_encoding = 'SJIS';",
        "RESET ROLE;",
        "CREATE TABLE x AS SELECT f();",
        "CREATE TABLE x (a) AS SELECT f();",
        "CREATE UNLOGGED TABLE x AS EXECUTE p;",
        "CREATE TEMP TABLE x (a integer);",
        "CREATE MATERIALIZED VIEW v AS SELECT f() WITH DATA;",
        "CREATE MATERIALIZED VIEW v AS SELECT f();",
        "CREATE MATERIALIZED VIEW v AS SELECT f() WITH NO",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p;",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = true);",
        "ALTER SUBSCRIPTION s ENABLE;",
        "CREATE SCHEMA s CREATE VIEW v AS SELECT f();",
        "INSERT INTO t SELECT f();",
        "INSERT INTO t (a) SELECT f();",
        "INSERT INTO t (SELECT f());",
        "INSERT INTO t VALUES (f());",
        "INSERT INTO t VALUES ((SELECT f()));",
        "INSERT INTO t VALUES (\"f\"(1));",
        "INSERT INTO t VALUES (1) RETURNING f();",
        "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = f();",
        "INSERT INTO t (a[f()]) VALUES (1);",
        "INSERT INTO t VALUES (1 === 2);",
        "INSERT INTO pg_catalog.pg_proc VALUES (1);",
        "INSERT INTO \"pg_catalog\".pg_proc VALUES (1);",
        "INSERT INTO d.pg_catalog.pg_proc VALUES (1);",
        "INSERT INTO pg_proc VALUES (1);",
        "INSERT INTO U&\"\\0070g_proc\" VALUES (1);",
        "COPY pg_catalog.pg_authid (rolname) FROM stdin;\nx\n\\.\n",
        "COPY (SELECT f()) TO STDOUT;",
        "COPY t TO STDOUT;",
        "COPY t FROM stdin WHERE f();",
        "GRANT ALL ON ALL FUNCTIONS IN SCHEMA pg_catalog TO x;",
        "GRANT ALL ON DATABASE d TO x;",
        "COMMENT ON ROLE x IS 'y';",
        "COMMIT PREPARED 'x';",
        "ALTER EXTENSION x UPDATE;",
        "DROP OWNED BY x;",
        "CREATE VIEW v AS SELECT U&\"\\0066\"(1);",
        // A string goes on in the next line as it began.
        "COMMENT ON TABLE t IS E'a'\n'b\\''; DO $$evil$$; --';",
        "COMMENT ON TABLE t IS 'a",
        "DO $$BEGIN END$$",
    ];

    /// Code, and what is said of it.
    const CODE: &[(&str, &str)] = &[
        ("CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';", "the function public.f"),
        ("CREATE OR REPLACE PROCEDURE \"A b\"() LANGUAGE sql AS '';", "the procedure \"A b\""),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC; SELECT 1; END;", "the function f"),
        ("CREATE AGGREGATE a (integer) (SFUNC = f, STYPE = integer);", "the aggregate a"),
        ("CREATE OPERATOR public.=== (FUNCTION = f, LEFTARG = integer);", "the operator"),
        ("CREATE OPERATOR CLASS c FOR TYPE integer USING btree AS FUNCTION 1 f(integer);", "the operator"),
        ("CREATE CAST (integer AS text) WITH FUNCTION f(integer);", "the cast"),
        ("CREATE TRIGGER t1 BEFORE INSERT ON public.t EXECUTE FUNCTION suppress();", "the trigger t1"),
        ("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();", "the event trigger e"),
        ("CREATE RULE r AS ON INSERT TO public.t DO ALSO (SELECT 1; SELECT 2);", "the rule r"),
        ("CREATE TRUSTED PROCEDURAL LANGUAGE l HANDLER h;", "the trusted procedural language l"),
        ("CREATE DEFAULT CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM f;", "the default conversion c"),
        ("CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION f(internal));", "the transform"),
        ("CREATE ACCESS METHOD m TYPE TABLE HANDLER h;", "the access method m"),
        ("CREATE FOREIGN DATA WRAPPER w;", "the foreign data wrapper w"),
        ("CREATE SERVER s FOREIGN DATA WRAPPER w;", "the server s"),
        ("CREATE FOREIGN TABLE public.f (a integer) SERVER s;", "the foreign table public.f"),
        ("CREATE USER MAPPING FOR a SERVER s;", "the user mapping"),
        ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false);", "the subscription s"),
        ("CREATE TEXT SEARCH TEMPLATE s.t (LEXIZE = f);", "the text search template s.t"),
        ("CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;", "the extension pg_cron"),
        ("CREATE EXTENSION dblink;", "the extension dblink"),
        ("ALTER FUNCTION pg_catalog.pg_read_file(text) SECURITY DEFINER;", "the function pg_catalog.pg_read_file"),
        ("CREATE TYPE public.b (INPUT = i, OUTPUT = o);", "public.b(…) in CREATE type public.b("),
        ("CREATE TABLE public.x (a integer DEFAULT public.f());", "public.f(…) in CREATE table public.x("),
        ("CREATE TABLE public.x (a integer DEFAULT f /* x */\n-- y\n (1));", "f(…) in CREATE table public.x("),
        ("CREATE TABLE public.x (a integer CHECK (\"evil f\"(a)));", "\"evil f\"(…) in CREATE table public.x("),
        ("CREATE TABLE public.x (a integer GENERATED ALWAYS AS (f(a)) STORED);", "f(…) in CREATE table public.x("),
        ("CREATE TABLE public.x (a integer) PARTITION BY LIST (f(a));", "f(…) in CREATE table public.x("),
        (
            "CREATE TABLE public.x PARTITION OF public.y FOR VALUES IN (NOT f(1));",
            "f(…) in CREATE table public.x partition",
        ),
        ("CREATE INDEX i ON public.t (f(a));", "f(…) in CREATE index i on public."),
        ("CREATE INDEX i ON public.t (a) WHERE a > 1 AND f(a);", "f(…) in CREATE index i on public."),
        ("CREATE STATISTICS public.s ON (f(a)), b FROM public.t;", "f(…) in CREATE statistics public.s on"),
        ("CREATE POLICY p ON public.t USING (f(a));", "f(…) in CREATE policy p on public."),
        ("CREATE DOMAIN public.d AS integer CHECK (f(VALUE));", "f(…) in CREATE domain public.d as"),
        ("CREATE VIEW public.v AS SELECT f(1);", "f(…) in CREATE view public.v as"),
        ("CREATE VIEW public.v AS SELECT * FROM ONLY public.t, f(1) x;", "f(…) in CREATE view public.v as"),
        ("CREATE VIEW public.v AS SELECT 1 FROM a JOIN b ON f(a.x);", "f(…) in CREATE view public.v as"),
        ("CREATE VIEW public.v AS SELECT m.lower('x');", "m.lower(…) in CREATE view public.v as"),
        (
            "CREATE VIEW public.v AS SELECT query_to_xml('SELECT 1', true, true, '');",
            "query_to_xml(…) in CREATE view public.v as",
        ),
        ("CREATE VIEW public.v AS SELECT pg_catalog.pg_read_file('x');", "pg_read_file in CREATE view public.v as"),
        ("CREATE VIEW public.v AS SELECT * FROM \"pg_authid\";", "pg_authid in CREATE view public.v as"),
        ("CREATE MATERIALIZED VIEW public.v AS SELECT f() WITH NO DATA;", "f(…) in CREATE materialized view public.v"),
        ("CREATE PUBLICATION p FOR TABLE public.t WHERE (f(a));", "f(…) in CREATE publication p for table"),
        ("ALTER TABLE public.t ALTER COLUMN a TYPE text USING f(a);", "f(…) in ALTER table public.t alter"),
        ("ALTER TABLE ONLY public.t ADD CONSTRAINT c CHECK (f(a)) NOT VALID;", "f(…) in ALTER table only public.t"),
        ("ALTER TABLE public.t RENAME TO u;", "ALTER table public.t rename"),
        ("ALTER TABLE public.t SET SCHEMA u;", "ALTER table public.t set"),
        ("ALTER TABLE cron.job OWNER TO x;", "ALTER table cron.job owner"),
        (
            "ALTER TABLE ONLY public.t ATTACH PARTITION cron.job DEFAULT;",
            "rows of cron.job, which the dump does not make",
        ),
        ("ALTER SCHEMA pg_catalog OWNER TO x;", "ALTER schema pg_catalog owner"),
        ("ALTER TYPE integer OWNER TO x;", "ALTER type integer owner"),
        ("CREATE DOMAIN pg_catalog.d AS integer;", "CREATE domain pg_catalog.d as"),
        ("DROP TABLE public.t;", "DROP table"),
        ("COPY cron.job (command) FROM stdin;\nx\n\\.\n", "rows of cron.job, which the dump does not make"),
        ("INSERT INTO cron.job (command) VALUES ('x');", "rows of cron.job, which the dump does not make"),
        ("INSERT INTO t VALUES (1);", "rows of t, which the dump does not make"),
        (
            "CREATE TABLE IF NOT EXISTS cron.job (a integer);\nINSERT INTO cron.job VALUES (1);",
            "rows of cron.job, which the dump does not make",
        ),
        (
            "CREATE VIEW public.v AS SELECT 1;\nINSERT INTO public.v VALUES (1);",
            "rows of public.v, which the dump does not make",
        ),
        ("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO x;", "GRANT execute on function"),
        ("GRANT SELECT ON TABLE pg_catalog.pg_authid TO x;", "GRANT select on table pg_catalog"),
        ("GRANT SELECT ON TABLE pg_authid TO x;", "pg_authid in GRANT select on table pg_authid"),
        ("GRANT CREATE ON SCHEMA pg_catalog TO x;", "GRANT create on schema pg_catalog"),
        ("SECURITY LABEL FOR anon ON COLUMN public.t.a IS 'MASKED WITH FUNCTION f()';", "SECURITY LABEL"),
        ("SET standard_conforming_strings = off;\n", "SET standard_conforming_strings = off"),
        ("INSERT INTO public.t VALUES (1E'\\'');", "INSERT into public.t values, which versions read in several ways"),
        ("CREATE VIEW public.v AS SELECT $1$;\n", "CREATE view public.v as, which versions read in several ways"),
    ];

    fn read(script: &str, accepts: Accepts) -> Result<(), String> {
        let mut reader = ScriptReader::new(script.as_bytes()).accepting(accepts);
        while reader.next_part().map_err(|error| error.to_string())?.is_some() {}
        Ok(())
    }

    fn found(script: &str) -> Vec<String> {
        let found = code_in(script.as_bytes()).expect("reading from memory");
        let with_head = format!("{HEAD}{script}");
        // What is asked for before is what is refused then.
        assert_eq!(found.is_empty(), read(script, Accepts::DumpsWithoutCode).is_ok(), "{with_head}: {found:?}");
        found
    }

    #[test]
    fn all_that_pg_dump_writes_is_accepted() {
        assert_eq!(read(EVERYTHING, Accepts::Dumps), Ok(()));
        assert_eq!(read(APPLICATION, Accepts::DumpsWithoutCode), Ok(()));
        assert_eq!(found(APPLICATION), [""; 0]);
        for text in [
            "SET SESSION AUTHORIZATION 'a';\nSET SESSION AUTHORIZATION DEFAULT;\nRESET SESSION AUTHORIZATION;\n",
            "SET default_with_oids = false;\nSET transaction_timeout = 0;\nSET xmloption = content;\n",
            "SET search_path = public, pg_catalog;\nCREATE TABLE a (id integer);\nCOPY a (id) FROM stdin;\n1\n\\.\n\
             SELECT pg_catalog.setval('a_id_seq', 1, false);\nINSERT INTO a VALUES (1, -2, 1e+10, 'x', NULL, DEFAULT, B'1', '-Infinity');\n",
            "SELECT pg_catalog.lo_create('1');\nBEGIN;\nSELECT pg_catalog.lo_open('1', 131072);\n\
             SELECT pg_catalog.lowrite(0, '\\x00');\nSELECT pg_catalog.lo_close(0);\nCOMMIT;\n",
            "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '1';\n",
            "SELECT * FROM pg_catalog.pg_restore_attribute_stats(\n\t'version', '180000'::integer,\n\t'null_frac', '0.5'::real,\n\
             \t'most_common_freqs', '{0.5}'::real[],\n\t'most_common_vals', '{\"f(x)\"}'::text\n);\n",
            "ALTER TABLE public.t DISABLE TRIGGER ALL;\nALTER SCHEMA public OWNER TO pg_database_owner;\n;;\n",
            "SET standard_conforming_strings = on;\nSET row_security = off;",
            "CREATE TABLE public.\"a \"\"b\"\" c\" (a integer);\nCOPY public.\"a \"\"b\"\" c\" (a) FROM stdin;\n1\n\\.\n",
        ] {
            let script = if text.starts_with("ALTER") { format!("{HEAD}{text}") } else { text.to_owned() };
            assert_eq!(read(&script, Accepts::Dumps), Ok(()), "{text}");
            assert_eq!(found(&script), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_pg_dump_does_not_write_is_refused() {
        for text in REFUSED {
            let said = read(text, Accepts::Dumps).expect_err(text);
            assert!(said.contains("which pg_dump does not write (`--run-code-as-superuser`"), "{text}: {said}");
            assert!(read(text, Accepts::DumpsWithoutCode).is_err(), "{text}");
            assert_ne!(found(text), [""; 0], "{text}");
            assert_eq!(read(text, Accepts::All), Ok(()), "{text}");
        }
        // What the server brings along is not a dump's to drop, also before it makes anything.
        for text in [
            "DROP SCHEMA information_schema CASCADE;",
            "DROP VIEW pg_catalog.pg_user;",
            "DROP VIEW IF EXISTS pg_user;",
            "DROP TEXT SEARCH CONFIGURATION english;",
            "DROP VIEW IF EXISTS public.v, pg_catalog.pg_user;",
        ] {
            assert_ne!(code_in(text.as_bytes()).expect("reading from memory"), [""; 0], "{text}");
        }
        for text in [
            "DROP VIEW IF EXISTS public.v;",
            "DROP EXTENSION x;",
            "DROP TABLE public.t CASCADE;",
            "DROP FUNCTION public.f(integer, text);",
        ] {
            assert_eq!(code_in(text.as_bytes()).expect("reading from memory"), [""; 0], "{text}");
        }
        let [deep, deeper] = [8, 9].map(|depth| "/*".repeat(depth) + &"*/".repeat(depth));
        assert_eq!(read(&deep, Accepts::Dumps), Ok(()));
        // The server reads such text in a time that is quadratic in its length, and lets nobody end it.
        assert!(read(&deeper, Accepts::Dumps).expect_err("no dump").contains("with comments within comments"));
        let said = read("/* x */ do\n$$ $$;", Accepts::Dumps).expect_err("no dump");
        assert_eq!(
            said,
            "it has the statement DO, which pg_dump does not write (`--run-code-as-superuser` loads it all the same, with all rights)"
        );
    }

    #[test]
    fn nothing_is_given_out_before_it_is_known() {
        // The rest of a script is run without its end, too.
        let long = format!("CREATE MATERIALIZED VIEW public.v AS SELECT 1\n{}WITH DATA;\n", " \n".repeat(2 << 20));
        let mut reader = ScriptReader::new(long.as_bytes()).accepting(Accepts::Dumps);
        assert!(reader.next_part().is_err());
    }

    /// What an application of several tenants has needed the word.
    #[test]
    fn policies_may_ask_for_settings() {
        let policy = "CREATE POLICY p ON public.t USING (tenant = current_setting('app.tenant'::text)::integer);";
        let table = "CREATE TABLE public.t (tenant integer);";
        assert_eq!(found(&format!("{table} {policy}")), Vec::<String>::new());
        assert_eq!(found("CREATE VIEW public.v AS SELECT role_name FROM information_schema.enabled_roles;").len(), 1);
        assert_eq!(found("CREATE VIEW public.v AS SELECT current_setting('x'::text);").len(), 1);
    }

    #[test]
    fn code_is_found_whoever_it_belongs_to() {
        for (text, expected) in CODE {
            let script = format!("{HEAD}{text}");
            let found = code_in(script.as_bytes()).expect("reading from memory");
            assert!(found.iter().any(|found| found.starts_with(expected)), "{text}: {found:?}");
            let said = read(&script, Accepts::DumpsWithoutCode).expect_err(text);
            assert!(said.contains("--run-code-as-superuser"), "{text}: {said}");
        }
        assert_eq!(code_in(EVERYTHING.as_bytes()).expect("reading from memory").len(), 21);
    }

    #[test]
    fn an_error_of_the_reader_is_told_from_what_cannot_be_loaded() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        assert!(code_in("SELECT 1;\n".as_bytes().chain(Broken)).is_err());
        assert_eq!(code_in("DO $$x$$;\n\\! id\n".as_bytes()).expect("it was read"), ["DO"]);
    }
}
