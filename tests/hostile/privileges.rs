//! Code of others in sessions of a superuser: by a backup, by a restore, by a test restore.

use std::fs;
use std::process::Stdio;

use crate::attacker::Attacked;
use crate::support::{run, unique};

/// Each makes something in the schema `own` that runs its code when it is restored.
const TRAPS: [(&str, &str); 14] = [
    ("a check", "CREATE TABLE own.t (id integer PRIMARY KEY, CHECK (m.evil(id)))"),
    ("a check without a key", "CREATE TABLE own.t (id integer, CHECK (m.evil(id)))"),
    ("a check of all columns", "CREATE TABLE own.t (id integer, x text, CONSTRAINT c CHECK (m.evil(id))); ALTER TABLE own.t ADD CONSTRAINT d CHECK (m.evil(t))"),
    ("a generated column", "CREATE TABLE own.t (id integer, g integer GENERATED ALWAYS AS (m.evil_id(id)) STORED)"),
    ("a default", "CREATE TABLE own.t (id integer, d integer DEFAULT m.evil_id(1))"),
    ("a domain", "CREATE DOMAIN own.d AS integer CHECK (m.evil(VALUE)); CREATE TABLE own.t (id own.d PRIMARY KEY)"),
    ("a domain in an array", "CREATE DOMAIN own.d AS integer CHECK (m.evil(VALUE)); CREATE TABLE own.t (id own.d[])"),
    (
        "the input of a type",
        "CREATE DOMAIN own.d AS integer CHECK (m.evil(VALUE)); CREATE TYPE own.pair AS (a own.d, b integer); CREATE TABLE own.t (id own.pair)",
    ),
    ("an index on an expression", "CREATE TABLE own.t (id integer); CREATE INDEX i ON own.t (m.evil_id(id))"),
    ("an index with a condition", "CREATE TABLE own.t (id integer); CREATE INDEX i ON own.t (id) WHERE m.evil(id)"),
    ("a materialized view", "CREATE TABLE own.t (id integer); CREATE MATERIALIZED VIEW own.v AS SELECT m.evil(id) FROM own.t"),
    (
        "a partition",
        "CREATE TABLE own.w (id integer) PARTITION BY RANGE (m.evil_id(id)); CREATE TABLE own.t PARTITION OF own.w FOR VALUES FROM (0) TO (9)",
    ),
    (
        "the bound of a partition",
        "CREATE DOMAIN own.d AS integer CHECK (m.evil(VALUE)); CREATE TABLE own.w (id own.d) PARTITION BY RANGE (id);
         CREATE TABLE own.t PARTITION OF own.w FOR VALUES FROM (0) TO (9)",
    ),
    (
        "a cast of a foreign key",
        "CREATE TYPE own.n AS ENUM ('1'); CREATE FUNCTION own.cast(own.n) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
            $f$ BEGIN PERFORM m.try_all(); RETURN 1; END $f$; CREATE CAST (own.n AS integer) WITH FUNCTION own.cast(own.n) AS IMPLICIT;
         CREATE TABLE own.p (id integer PRIMARY KEY); INSERT INTO own.p VALUES (1); CREATE TABLE own.t (id own.n REFERENCES own.p)",
    ),
];

/// Rows of each kind of `own.t`.
fn rows(trap: &str) -> &'static str {
    match trap {
        "the input of a type" => "INSERT INTO own.t VALUES ((1, 2))",
        "a domain in an array" => "INSERT INTO own.t VALUES ('{1,2}')",
        "a cast of a foreign key" => "INSERT INTO own.t VALUES ('1')",
        "a materialized view" => "INSERT INTO own.t (id) VALUES (1); REFRESH MATERIALIZED VIEW own.v",
        _ => "INSERT INTO own.t (id) VALUES (1)",
    }
}

/// A table owner became superuser by a restore, and by a test restore alone.
#[test]
fn code_of_a_table_owner_gains_nothing_by_a_restore() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.set_traps(TRAPS.iter().map(|(trap, sql)| (*sql, rows(trap))));
        attacked.system.create();
        attacked.assert_harmless(&format!("{method}, saved"));
        let before = attacked.system.fingerprint();
        attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
        attacked.assert_harmless(&format!("{method}, tested on the live server"));
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(&format!("{method}, restored"));
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
        assert_eq!(attacked.system.scratch_databases(), "", "{method}");
    }
}

/// A materialized view of a role was not made again where policies of its table had hidden rows from that role: a restore failed,
/// because dumps ask for an error instead.
#[test]
fn a_materialized_view_of_rows_that_policies_hide_is_restored() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.system.sql(&format!(
            "CREATE TABLE guarded (id integer PRIMARY KEY, is_shown boolean); INSERT INTO guarded VALUES (1, true), (2, false);
             ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON guarded USING (is_shown);
             GRANT SELECT ON guarded TO {0}; CREATE MATERIALIZED VIEW whole AS SELECT id FROM guarded",
            attacked.mallory
        ));
        attacked.as_mallory("CREATE MATERIALIZED VIEW m.v AS SELECT id FROM public.guarded");
        attacked.system.create();
        let before = attacked.system.fingerprint();
        attacked.system.larder(&["verify", "latest", "--test-restore"]).exits(0);
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
        let rows = "SELECT (SELECT string_agg(id::text, ',') FROM m.v), (SELECT count(*) FROM whole), (SELECT count(*) FROM guarded)";
        assert_eq!(attacked.system.sql(rows), "1|2|2", "{method}");
    }
}

/// An event trigger of a superuser whose function another role may write ran as soon as it was restored.
#[test]
fn an_event_trigger_does_not_run_before_the_end_of_a_restore() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(
            "CREATE TABLE m.t (id integer PRIMARY KEY); INSERT INTO m.t VALUES (1); CREATE MATERIALIZED VIEW m.v AS SELECT id FROM m.t;
             CREATE FUNCTION m.fired() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN NULL; END $f$;",
        );
        attacked.system.sql("CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION m.fired(); COMMENT ON EVENT TRIGGER watch IS 'x'");
        attacked.as_mallory(
            "CREATE OR REPLACE FUNCTION m.fired() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); END $f$",
        );
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        let found =
            attacked.system.sql("SELECT evtname, obj_description(oid, 'pg_event_trigger') FROM pg_event_trigger");
        assert_eq!(found, "watch|x");
    }
}

/// An event trigger of a superuser stays with who restores where that superuser is none. Whoever it was could write its function
/// anew then, and have the next superuser who makes a table run it.
#[test]
fn an_event_trigger_gives_a_superuser_of_before_nothing_back() {
    let attacked = Attacked::new();
    let mallory = &attacked.mallory;
    attacked.as_mallory("CREATE FUNCTION m.fired() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN NULL; END $f$");
    attacked.system.sql(&format!(
        "ALTER ROLE {mallory} SUPERUSER;
         CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION m.fired(); ALTER EVENT TRIGGER watch OWNER TO {mallory}"
    ));
    attacked.system.create();
    attacked.system.sql(&format!("ALTER EVENT TRIGGER watch DISABLE; ALTER ROLE {mallory} NOSUPERUSER"));
    let state = || attacked.system.sql("SELECT evtenabled, pg_get_userbyid(evtowner) FROM pg_event_trigger");
    let restorer = &attacked.system.server.user;
    let restored = attacked.restore(&["--run-code-as-superuser"]).exits(0);
    assert!(!restored.all().contains("is disabled"), "{}", restored.all());
    assert_eq!(state(), format!("O|{restorer}"));
    let restored = attacked.restore(&[]).exits(0);
    let said = format!("the event trigger watch is disabled: its function belongs to {mallory}");
    assert!(restored.all().contains(&said), "{}", restored.all());
    assert_eq!(state(), format!("D|{restorer}"));
    attacked.as_mallory(
        "CREATE OR REPLACE FUNCTION m.fired() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); END $f$",
    );
    attacked.system.sql("CREATE TABLE made_by_a_superuser ()");
    attacked.assert_harmless("an event trigger");
}

/// The function that checks the options of a foreign data wrapper is called when that is made, by who restores.
#[test]
fn options_of_a_foreign_data_wrapper_are_checked_by_no_code_of_others() {
    let attacked = Attacked::new();
    attacked
        .as_mallory("CREATE FUNCTION m.checks(text[], oid) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN NULL; END $f$");
    attacked.system.sql("CREATE FOREIGN DATA WRAPPER w VALIDATOR m.checks");
    attacked.as_mallory(
        "CREATE OR REPLACE FUNCTION m.checks(text[], oid) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); END $f$",
    );
    attacked.system.create();
    let refused = attacked.restore(&[]);
    attacked.assert_harmless("a foreign data wrapper");
    assert!(refused.code != 0 && refused.stderr.contains("m.checks"), "{}", refused.all());
    assert!(refused.stderr.contains("--run-code-as-superuser"), "{}", refused.all());
}

/// The owner of a database redirected names that a backup did not qualify.
#[test]
fn a_search_path_of_others_redirects_nothing() {
    let attacked = Attacked::new();
    let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
    attacked
        .system
        .sql(&format!("ALTER DATABASE {database} OWNER TO {mallory}; GRANT CREATE ON SCHEMA public TO {mallory};"));
    attacked.as_mallory("CREATE TABLE m.t (id integer PRIMARY KEY, x text); INSERT INTO m.t VALUES (1, 'x')");
    let mut traps: Vec<String> = Vec::new();
    for (name, arguments, result) in [
        ("current_setting", "text", "text"),
        ("pg_database_size", "name", "bigint"),
        ("current_database", "", "name"),
        ("quote_ident", "text", "text"),
        ("format", "text, VARIADIC \"any\"", ""),
        ("to_jsonb", "anyelement", "jsonb"),
        ("pg_table_size", "regclass", "bigint"),
        ("set_config", "text, text, boolean", "text"),
        ("count", "", "bigint"),
    ] {
        if !result.is_empty() {
            traps.push(format!(
                "CREATE FUNCTION public.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN NULL; END $f$;"
            ));
        }
    }
    for operator in ["=", "<>", "~", "!~", "||"] {
        for (left, right) in [
            ("name", "name"),
            ("name", "text"),
            ("text", "text"),
            ("\"char\"", "\"char\""),
            ("oid", "oid"),
            ("boolean", "boolean"),
        ] {
            let left_name = left.trim_matches('"');
            let function =
                format!("op_{}_{left_name}_{right}", operator.bytes().map(u32::from).sum::<u32>()).replace('"', "");
            traps.push(format!(
                "CREATE FUNCTION public.\"{function}\"({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN true; END $f$;
                 CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.\"{function}\");"
            ));
        }
    }
    attacked.as_mallory(&traps.concat());
    attacked.as_mallory(&format!("ALTER DATABASE {database} SET search_path = public, pg_catalog"));
    attacked.system.create();
    attacked.assert_harmless("saved");
    attacked.system.larder(&["plan"]).exits(0);
    attacked.assert_harmless("planned");
    attacked.restore(&["--tables", "m.t"]).exits(0);
    attacked.assert_harmless("rows replaced");
    attacked.restore(&[]).exits(0);
    attacked.assert_harmless("restored");
}

/// To plan a query is to run what is constant in an index, and a transaction that only reads starts programs all the same.
#[test]
fn what_is_constant_in_an_index_is_not_run_by_a_backup_or_a_count() {
    let attacked = Attacked::new();
    let mark = format!("/tmp/{}", unique("larder_hostile_mark"));
    attacked.as_mallory(&format!(
        "CREATE FUNCTION m.start() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
            EXECUTE $s$COPY (SELECT 1) TO PROGRAM 'touch {mark}'$s$; EXCEPTION WHEN OTHERS THEN NULL; END $f$;
         CREATE FUNCTION m.constant(text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.start(); RETURN 1; END $f$;
         CREATE TABLE m.a (id integer PRIMARY KEY); CREATE INDEX ON m.a ((m.constant('a')));
         CREATE TABLE m.b (id integer PRIMARY KEY); CREATE INDEX ON m.b (id) WHERE m.constant('b') = 1;
         CREATE TABLE m.c (id integer PRIMARY KEY); CREATE STATISTICS m.s ON (m.constant('c')), id FROM m.c;
         INSERT INTO m.a VALUES (1); INSERT INTO m.b VALUES (1); INSERT INTO m.c VALUES (1)"
    ));
    let assert_not_run = |what: &str| assert!(!std::path::Path::new(&mark).exists(), "{what}: a program was started");
    attacked.system.create();
    assert_not_run("create");
    attacked.system.larder(&["plan"]).exits(0);
    assert_not_run("plan");
    attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
    assert_not_run("verify");
    attacked.restore(&[]).exits(0);
    assert_not_run("restore");
}

/// Rows that were replaced in a live table ran the code of its owner, whose triggers may run always.
#[test]
fn code_of_a_table_owner_gains_nothing_where_rows_are_replaced() {
    let attacked = Attacked::new();
    attacked.as_mallory(
        "CREATE TABLE m.t (id integer PRIMARY KEY); INSERT INTO m.t VALUES (1), (2);
         CREATE TABLE m.\"$check$; x\" (id integer PRIMARY KEY); INSERT INTO m.\"$check$; x\" VALUES (1);",
    );
    attacked.system.create();
    attacked.as_mallory(
        "CREATE FUNCTION m.fired() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN NEW; END $f$;
         CREATE TRIGGER a BEFORE INSERT ON m.t FOR EACH ROW EXECUTE FUNCTION m.fired(); ALTER TABLE m.t ENABLE ALWAYS TRIGGER a;
         CREATE TRIGGER b BEFORE DELETE ON m.t FOR EACH STATEMENT EXECUTE FUNCTION m.fired(); ALTER TABLE m.t ENABLE REPLICA TRIGGER b;
         CREATE INDEX i ON m.t (m.evil_id(id)); ALTER TABLE m.t ADD CHECK (m.evil(id)); DELETE FROM m.t WHERE id = 2",
    );
    attacked.restore(&["--tables", "m.t"]).exits(0);
    attacked.assert_harmless("rows replaced");
    assert_eq!(attacked.system.sql("SELECT count(*) FROM m.t"), "2");
    attacked.restore(&["--tables", "m.$check$; x"]).exits(0);
    // A table of somebody else besides would need the rights of both.
    let both = attacked.restore(&["--tables", "m.t,public.numbers"]).exits(1);
    assert!(both.stderr.contains("--run-code-as-superuser"), "{}", both.stderr);
    attacked.assert_harmless("nothing replaced");
}

/// What a table's code does while its rows are loaded could make another table run code, which who restores loads.
#[test]
fn code_that_runs_for_one_table_gives_none_to_another() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(
            "CREATE DOMAIN m.plain AS integer; CREATE TABLE m.z (id integer PRIMARY KEY, x text); INSERT INTO m.z VALUES (1);
             CREATE TABLE m.zz (id m.plain, x text); INSERT INTO m.zz VALUES (1);
             CREATE FUNCTION m.fired() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.try_all(); RETURN NEW; END $f$;
             CREATE FUNCTION m.spread(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
                BEGIN EXECUTE 'ALTER TABLE m.z ADD CHECK (m.evil(id))'; EXCEPTION WHEN OTHERS THEN NULL; END;
                BEGIN EXECUTE 'CREATE TRIGGER a BEFORE INSERT ON m.z FOR EACH ROW EXECUTE FUNCTION m.fired()'; EXCEPTION WHEN OTHERS THEN NULL; END;
                BEGIN EXECUTE 'ALTER DOMAIN m.plain ADD CHECK (m.evil(VALUE)) NOT VALID'; EXCEPTION WHEN OTHERS THEN NULL; END;
                BEGIN
                    EXECUTE 'DROP TABLE m.zz'; EXECUTE 'CREATE VIEW m.zz AS SELECT 1 AS id, NULL::text AS x';
                    EXECUTE 'CREATE TRIGGER a INSTEAD OF INSERT ON m.zz FOR EACH ROW EXECUTE FUNCTION m.fired()';
                EXCEPTION WHEN OTHERS THEN NULL; END;
                RETURN true; END $f$;
             CREATE TABLE m.a (id integer PRIMARY KEY);",
        );
        attacked.as_mallory("INSERT INTO m.a VALUES (1)");
        attacked.as_mallory("ALTER TABLE m.a ADD CONSTRAINT c CHECK (m.spread(id)) NOT VALID");
        // As it is in a dump it is checked for each row.
        attacked.system.sql("UPDATE pg_constraint SET convalidated = true WHERE conname = 'c'");
        let before = attacked.system.fingerprint();
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
    }
}

/// Whoever owns a table could change it while it was loaded, in the database that was to take the place of the old one.
#[test]
fn nobody_else_gets_into_a_database_that_is_loaded() {
    let attacked = Attacked::new();
    attacked.system.sql("INSERT INTO numbers SELECT n, repeat('x', 300) FROM generate_series(10, 300000) n");
    let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
    attacked.system.sql(&format!("ALTER DATABASE {database} OWNER TO {mallory}"));
    attacked.system.create();
    let mut restore =
        attacked.system.command(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
    let mut restoring = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut tried = 0;
    while restoring.try_wait().expect("it is ours").is_none() {
        let fresh = attacked.system.scratch_databases();
        if fresh.contains("_larder_new_") {
            let name = fresh.lines().find(|name| name.contains("_larder_new_")).expect("it is there");
            // Before there is anything in it, and when it is done, it is open: nothing of it is loaded then.
            let is_loaded = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'numbers') - (SELECT count(*) FROM pg_class WHERE relname = 'numbers_pkey')";
            let said = run(attacked.psql_of_mallory(name).args(["-c", is_loaded]));
            let is_closed = said.stderr.contains("permission denied");
            assert!(said.code != 0 || said.stdout.trim() == "0", "{said:?}");
            tried += u32::from(is_closed);
        }
    }
    assert!(restoring.wait().expect("it is ours").success());
    assert!(tried > 0, "it was seen while it was loaded");
    let owner = format!("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{database}'");
    assert_eq!(attacked.system.server.sql("postgres", &owner), mallory);
}

/// A table of a superuser that calls a function of somebody else is restored only on a word.
#[test]
fn code_in_the_table_of_a_superuser_needs_a_word() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.system.sql("ALTER TABLE numbers ADD CONSTRAINT c CHECK (m.evil(id))");
        attacked.system.server.sql("postgres", &format!("ALTER ROLE {} NOSUPERUSER", attacked.mallory));
        attacked.system.create();
        let before = attacked.system.fingerprint();
        let refused = attacked.restore(&[]).exits(2);
        assert!(
            refused.stderr.contains("public.numbers") && refused.stderr.contains("--run-code-as-superuser"),
            "{refused:?}"
        );
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.fingerprint(), before);
        attacked.restore(&["--run-code-as-superuser"]);
        attacked.system.server.sql("postgres", &format!("ALTER ROLE {} NOSUPERUSER", attacked.mallory));
    }
}

/// What is legal goes on: several owners, functions in checks, forced policies, and nobody is asked.
#[test]
fn databases_of_several_owners_come_back_without_a_question() {
    for method in ["tables", "pg_dump"] {
        let mut attacked = Attacked::new();
        attacked.by_method(method);
        let other = attacked.system.new_role("NOLOGIN");
        attacked.as_mallory(
            "CREATE FUNCTION m.positive(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RETURN $1 > 0; END $f$;
             CREATE TABLE m.t (id integer PRIMARY KEY CHECK (m.positive(id)), x text DEFAULT 'x'); INSERT INTO m.t SELECT generate_series(1, 1000);
             CREATE TABLE m.f (id integer PRIMARY KEY, t integer REFERENCES m.t, CHECK (id > 0)); INSERT INTO m.f VALUES (1, 1);
             ALTER TABLE m.f ENABLE ROW LEVEL SECURITY; ALTER TABLE m.f FORCE ROW LEVEL SECURITY; CREATE POLICY p ON m.f USING (false);
             ALTER TABLE m.t ADD CONSTRAINT small CHECK (m.positive(10000 - id)) NOT VALID;",
        );
        attacked.system.sql(&format!(
            "CREATE SCHEMA o; GRANT USAGE ON SCHEMA o TO {other}; CREATE TABLE o.t (id serial PRIMARY KEY, n numeric CHECK (n > 0),
                g integer GENERATED ALWAYS AS (7) STORED); INSERT INTO o.t (n) SELECT generate_series(1, 100); ALTER TABLE o.t OWNER TO {other};
             CREATE TABLE o.mine (id integer PRIMARY KEY CHECK (id > 0)); INSERT INTO o.mine VALUES (1)"
        ));
        let before = attacked.system.fingerprint();
        attacked.system.create();
        attacked.system.sql("DELETE FROM m.f; DELETE FROM o.t");
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
        attacked.assert_harmless(method);
    }
}

/// Roles that a killed restore has left are dropped by the next one, those of a running one are not.
#[test]
fn roles_of_a_killed_restore_are_dropped_by_the_next() {
    let attacked = Attacked::new();
    attacked.as_mallory("CREATE TABLE m.t (id integer PRIMARY KEY CHECK (id > 0)); INSERT INTO m.t VALUES (1)");
    attacked.system.create();
    let made = "CREATE ROLE larder_load_00000000000000ff LOGIN; COMMENT ON ROLE larder_load_00000000000000ff IS 'made by Larder to load x';
        CREATE ROLE larder_load_00000000000000fe LOGIN";
    attacked.system.server.sql("postgres", made);
    // A backup that is made meanwhile does not keep it.
    attacked.system.create();
    let roles = attacked.system.larder(&["cat", "latest:database/roles.json"]).exits(0).stdout;
    assert!(roles.contains(&attacked.mallory) && !roles.contains("larder_load_"), "{roles}");
    attacked.restore(&[]).exits(0);
    let left = "SELECT string_agg(rolname || ' ' || rolcanlogin, ', ') FROM pg_roles WHERE rolname ~ '^larder_load_00000000000000f[ef]$'";
    let found = attacked.system.server.sql("postgres", left);
    attacked.system.server.sql("postgres", "DROP ROLE IF EXISTS larder_load_00000000000000fe");
    assert_eq!(found, "larder_load_00000000000000fe true", "a role of others stays");
    attacked.assert_harmless("restored");
}

/// A dump may say what no backup of a server would: a default is run where rows do not name its column.
#[test]
fn a_dump_of_somebody_else_runs_no_code_of_table_owners() {
    let attacked = Attacked::new();
    let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
    for (number, (rows, insert)) in [
        ("COPY m.t (id) FROM stdin;\n1\n\\.\n", "COPY"),
        ("INSERT INTO m.t (id) VALUES (1);\nINSERT INTO m.t (id)\nVALUES (2);\n", "INSERT"),
    ]
    .into_iter()
    .enumerate()
    {
        let dump = format!(
            "--\n-- PostgreSQL database dump\n--\n\nCREATE SCHEMA m;\nALTER SCHEMA m OWNER TO {mallory};\n\
             CREATE FUNCTION m.try_all() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN\n\
             BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;\n\
             BEGIN EXECUTE 'ALTER ROLE {mallory} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;\n\
             EXECUTE 'SET ROLE {mallory}'; RETURN 1; END $$;\n\
             ALTER FUNCTION m.try_all() OWNER TO {mallory};\n\
             CREATE TABLE m.t (id integer, d integer DEFAULT m.try_all());\nALTER TABLE m.t OWNER TO {mallory};\n\
             {rows}\n--\n-- PostgreSQL database dump complete\n--\n"
        );
        let path = attacked.system.beside(&format!("{database}_backup_2025090{}_020000.sql", number + 1));
        fs::write(&path, dump).expect("the folder is ours");
        let path = path.to_string_lossy().into_owned();
        attacked.system.larder(&["restore", &path, "--components", "database", "--force", "--no-snapshot"]).exits(2);
        attacked.assert_harmless(insert);
        attacked.system.larder(&["import", &path]);
        attacked.assert_harmless(insert);
    }
}
