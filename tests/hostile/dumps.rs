//! Dumps of somebody else, who says that all he has written belongs to the superuser.

use std::fs;

use crate::attacker::Attacked;
use crate::support::Run;

/// What makes the role a superuser when it is run by one, as the body of a function.
const BODY: &str = "$f$ BEGIN ALTER ROLE {mallory} SUPERUSER; RETURN true; END $f$";

/// What somebody has written into a dump; `{evil}` is a function that makes the role a superuser, `{mallory}` the role.
const TRICKS: [&str; 44] = [
    "DO $d$ BEGIN ALTER ROLE {mallory} SUPERUSER; END $d$;",
    "DO\n$d$ BEGIN ALTER ROLE {mallory} SUPERUSER; END $d$",
    "UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE rolname = '{mallory}';",
    "CREATE VIEW public.v AS SELECT * FROM pg_catalog.pg_authid;\nINSERT INTO public.v (oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit) VALUES (90001, 'evil_view', true, true, true, true, true, true, true, -1);",
    "INSERT INTO pg_catalog.pg_authid (oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit) VALUES (90002, 'evil_insert', true, true, true, true, true, true, true, -1);",
    "COPY pg_catalog.pg_authid (oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit) FROM stdin;\n90003\tevil_copy\tt\tt\tt\tt\tt\tt\tt\t-1\n\\.\n",
    "COMMENT ON SCHEMA public IS E'a'\n'b\\''; DO $d$ BEGIN ALTER ROLE {mallory} SUPERUSER; END $d$; --';",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO {mallory};",
    "GRANT CREATE ON SCHEMA pg_catalog TO {mallory};",
    "ALTER SCHEMA pg_catalog OWNER TO {mallory};",
    "ALTER TYPE integer OWNER TO {mallory};",
    "CREATE VIEW public.v AS SELECT * FROM pg_catalog.pg_read_file('/etc/passwd') f;\nGRANT SELECT ON TABLE public.v TO {mallory};",
    "CREATE MATERIALIZED VIEW public.v AS SELECT pg_catalog.query_to_xml('SELECT 1', true, true, '') AS x WITH NO DATA;\nREFRESH MATERIALIZED VIEW public.v;",
    "CREATE MATERIALIZED VIEW public.v AS SELECT (x.*)::text AS w FROM (SELECT ('SELECT 1'::text).ts_stat AS y) x WITH NO DATA;\nREFRESH MATERIALIZED VIEW public.v;",
    "CREATE VIEW public.v AS SELECT q.lo_unlink AS y FROM unnest(ARRAY['1'::oid]) q;",
    "CREATE MATERIALIZED VIEW public.v AS SELECT v.current_setting FROM lower('HBA_FILE') v WITH NO DATA;\nREFRESH MATERIALIZED VIEW public.v;",
    "CREATE TABLE public.x (a text);\nINSERT INTO public.x VALUES (('SELECT 1'::text).ts_stat);",
    "CREATE TABLE public.x (a text DEFAULT ('/etc/hostname'::text).lo_import);",
    "SET search_path = public;\nCREATE TYPE int4 AS ENUM ('a');\nALTER TYPE int4 OWNER TO {mallory};",
    "COMMENT ON DATABASE postgres IS 'x';",
    "LOAD 'auto_explain';",
    "SET session_preload_libraries = 'auto_explain';",
    "CREATE EXTENSION dblink;",
    "{evil}SELECT public.evil();",
    "{evil}SELECT pg_catalog.setval('public.s', 1) FROM public.evil();",
    "{evil}EXPLAIN ANALYZE SELECT public.evil();",
    "{evil}WITH x AS (SELECT public.evil()) SELECT * FROM x;",
    "{evil}PREPARE p AS SELECT public.evil();\nEXECUTE p;",
    "{evil}CREATE TABLE public.x AS SELECT public.evil();",
    "{evil}CREATE MATERIALIZED VIEW public.x AS SELECT public.evil();",
    "{evil}CREATE SCHEMA x CREATE TABLE x.t (a boolean) CREATE VIEW x.v AS SELECT public.evil();\nTABLE x.v;",
    "{evil}CREATE TABLE public.x (a integer, b boolean DEFAULT public.evil());\nINSERT INTO public.x (a) VALUES (1);",
    "{evil}CREATE TABLE public.x (a integer, b boolean DEFAULT public.evil());\nCOPY public.x (a) FROM stdin;\n1\n\\.\n",
    "{evil}CREATE TABLE public.x (a integer, CHECK (public.evil()));\nCOPY public.x (a) FROM stdin;\n1\n\\.\n",
    "{evil}CREATE TABLE public.x (a boolean);\nINSERT INTO public.x SELECT public.evil();",
    "{evil}CREATE TABLE public.x (a boolean);\nINSERT INTO public.x VALUES (public.evil());",
    "{evil}CREATE DOMAIN public.d AS integer CHECK (public.evil());\nCREATE TABLE public.x (a public.d);\nCOPY public.x (a) FROM stdin;\n1\n\\.\n",
    "{evil}CREATE TABLE public.x (a integer, b boolean GENERATED ALWAYS AS (public.evil_too()) STORED);\nINSERT INTO public.x (a) VALUES (1);",
    "{evil}CREATE TABLE public.x (a integer);\nINSERT INTO public.x VALUES (1);\nCREATE INDEX i ON public.x (public.evil_too());",
    "{evil}CREATE TABLE public.x PARTITION OF public.y FOR VALUES IN (public.evil());",
    "{evil}CREATE AGGREGATE public.g (boolean) (SFUNC = pg_catalog.booland_statefunc, STYPE = boolean);\nCREATE VIEW public.v AS SELECT public.evil();",
    "CREATE FUNCTION public.t() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN ALTER ROLE {mallory} SUPERUSER; RETURN NEW; END $f$;\nCREATE TABLE public.x (a integer);\nCREATE TRIGGER t BEFORE INSERT ON public.x FOR EACH ROW EXECUTE FUNCTION public.t();\nCOPY public.x (a) FROM stdin;\n1\n\\.\n",
    "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN ALTER ROLE {mallory} SUPERUSER; END $f$;\nCREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.e();\nCREATE TABLE public.x (a integer);",
    "CREATE PROCEDURE public.p() LANGUAGE plpgsql AS $f$ BEGIN ALTER ROLE {mallory} SUPERUSER; END $f$;\nCALL public.p();",
];

fn dump(attacked: &Attacked, number: usize, trick: &str) -> String {
    let function = |name: &str, kind: &str| {
        format!("CREATE FUNCTION public.{name}() RETURNS boolean {kind} LANGUAGE plpgsql AS {BODY};\n")
    };
    let evil = function("evil", "VOLATILE") + &function("evil_too", "IMMUTABLE");
    let text = trick.replace("{evil}", &evil).replace("{mallory}", &attacked.mallory);
    let dump = format!(
        "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\n{text}\n\n--\n-- PostgreSQL database dump complete\n--\n"
    );
    let (month, day) = (1 + number / 28, 1 + number % 28);
    let name = format!("{}_backup_2025{month:02}{day:02}_020000.sql", attacked.system.database);
    let path = attacked.system.beside(&name);
    fs::write(&path, dump).expect("the folder is ours");
    path.to_string_lossy().into_owned()
}

fn restore(attacked: &Attacked, what: &str, more: &[&str]) -> Run {
    let arguments = ["restore", what, "--components", "database", "--force", "--no-snapshot"];
    attacked.system.larder(&[&arguments, more].concat())
}

/// Whoever wrote a dump became a superuser by its restore: what it says owns its code was believed.
#[test]
fn a_dump_of_somebody_else_runs_no_code_of_its_own() {
    let attacked = Attacked::new();
    let before = attacked.system.fingerprint();
    for (number, trick) in TRICKS.iter().enumerate() {
        let path = dump(&attacked, number, trick);
        let refused = restore(&attacked, &path, &[]).exits(2);
        assert!(
            refused.stderr.contains("code of whoever wrote it") && refused.stderr.contains("--run-code-as-superuser"),
            "{trick}: {refused:?}"
        );
        if number == 0 {
            let imported = attacked.system.larder(&["import", &path]);
            assert!(imported.stdout.contains("imported before"), "{trick}: {imported:?}");
            let latest = restore(&attacked, "latest", &[]);
            assert_ne!(latest.code, 0, "{trick}: {latest:?}");
        }
        // Nobody is asked here: what loads looks itself.
        let tested = attacked.system.larder(&["verify", &path, "--test-restore", "--on-live-server"]);
        assert_ne!(tested.code, 0, "{trick}: {tested:?}");
        assert!(tested.all().contains("--run-code-as-superuser"), "{trick}: {tested:?}");
        attacked.assert_harmless(trick);
        assert_eq!(attacked.system.fingerprint(), before, "{trick}");
        assert_eq!(attacked.system.scratch_databases(), "", "{trick}");
    }
}

/// What is asked for is done: with the word, a dump may have functions.
#[test]
fn a_dump_with_functions_is_loaded_with_a_word() {
    let attacked = Attacked::new();
    let path = dump(
        &attacked,
        0,
        "CREATE FUNCTION public.f(a integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT a > 0';\n\
         CREATE TABLE public.x (a integer CHECK (public.f(a)));\nINSERT INTO public.x SELECT generate_series(1, 5);\nDO $$BEGIN END$$;",
    );
    let refused = restore(&attacked, &path, &[]).exits(2);
    assert!(
        refused.stderr.contains("the function public.f, public.f(…) in CREATE table public.x(, INSERT"),
        "{refused:?}"
    );
    restore(&attacked, &path, &["--run-code-as-superuser"]).exits(0);
    assert_eq!(attacked.system.sql("SELECT count(*) FROM public.x"), "5");
}

/// The dump of an application without functions needs no word, and comes back as it was.
#[test]
fn the_dump_of_an_application_is_loaded_without_a_word() {
    let mut attacked = Attacked::new();
    let text = fs::read_to_string("tests/dumps/application.sql").expect("it is there");
    let (reader, writer) = (attacked.system.new_role("NOLOGIN"), attacked.system.new_role("NOLOGIN"));
    let text = text.replace(" TO reader;", &format!(" TO {reader};")).replace(" TO writer;", &format!(" TO {writer};"));
    // The extensions are those of contrib, which a server has.
    let name = format!("{}_backup_20250901_020000.sql", attacked.system.database);
    let path = attacked.system.beside(&name);
    fs::write(
        &path,
        text.replace(" FOR ROLE postgres ", &format!(" FOR ROLE {} ", attacked.system.server.user))
            .replace("OWNER TO postgres", &format!("OWNER TO {}", attacked.system.server.user)),
    )
    .expect("the folder is ours");
    restore(&attacked, &path.to_string_lossy(), &[]).exits(0);
    assert_eq!(attacked.system.sql("SELECT count(*) FROM public.auth_user"), "2");
}

/// A dump that drops everything before it makes it again was refused: in the new database there was nothing to drop.
#[test]
fn what_a_dump_drops_need_not_be_there() {
    let attacked = Attacked::new();
    let drops = "ALTER TABLE ONLY public.x DROP CONSTRAINT x_pkey;\nDROP INDEX public.i;\nALTER TABLE public.x ALTER COLUMN a DROP DEFAULT;\n\
        DROP SEQUENCE public.s;\nDROP TABLE public.x;\nDROP TYPE public.e;\nDROP FUNCTION public.f(integer);\nDROP EXTENSION citext;\nDROP SCHEMA nowhere;\n\n\
        --\n-- Name: x; Type: TABLE; Schema: public; Owner: -\n--\n\nCREATE TABLE public.x (a integer);\n";
    let path = dump(&attacked, 0, drops);
    restore(&attacked, &path, &["--run-code-as-superuser"]).exits(0);
    assert_eq!(attacked.system.sql("SELECT count(*) FROM public.x"), "0");
}
