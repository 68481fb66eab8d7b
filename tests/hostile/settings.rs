//! Settings of a database, which its owner gives to everybody who comes into it.

use crate::attacker::Attacked;

/// Everybody could be made to become the owner, whose code was then taken for code of who asks. Planning a query ran it, and it
/// became who had logged in again.
#[test]
fn whoever_logs_in_stays_that() {
    let attacked = Attacked::new();
    let (database, mallory) = (&attacked.system.database, &attacked.mallory);
    // A backup reads only: what it can be made to do is seen outside of the database.
    let mark = Attacked::mark_of_server();
    attacked.as_mallory(&format!(
        "CREATE FUNCTION m.v() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
            IF session_user = '{0}' THEN BEGIN
                SET SESSION AUTHORIZATION {0}; COPY (SELECT 1) TO PROGRAM 'touch {1}'; SET ROLE {mallory};
            EXCEPTION WHEN OTHERS THEN NULL; END; END IF; END $f$;
         CREATE FUNCTION m.f(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.v(); RETURN $1; END $f$;
         CREATE TABLE m.t (id integer PRIMARY KEY); INSERT INTO m.t VALUES (1), (2);
         CREATE INDEX ON m.t ((id + m.f(1))); CREATE STATISTICS m.s ON (id + m.f(1)), id FROM m.t",
        attacked.system.server.user,
        mark.display()
    ));
    attacked.system.sql(&format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {mallory}; ALTER DATABASE {database} OWNER TO {mallory}"
    ));
    attacked.as_mallory(&format!("ALTER DATABASE {database} SET role = {mallory}"));
    attacked.system.larder(&["plan"]).exits(0);
    attacked.system.create();
    assert!(!mark.exists(), "code of the owner ran");
    attacked.restore(&["--tables", "m.t"]);
    assert!(!mark.exists(), "code of the owner ran");
    attacked.restore(&[]).exits(0);
    assert!(!mark.exists(), "code of the owner ran");
}

/// Rows that were replaced were read by the settings of the database: a null in an array became a text.
#[test]
fn rows_are_read_as_they_were_written_whatever_the_settings() {
    let attacked = Attacked::new();
    let database = &attacked.system.database;
    attacked.system.sql("CREATE TABLE a (id integer PRIMARY KEY, a text[]); INSERT INTO a VALUES (1, '{NULL,x}')");
    for setting in [
        "array_nulls = off",
        "backslash_quote = off",
        "transform_null_equals = on",
        "datestyle = 'SQL, DMY'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
    ] {
        attacked.system.sql(&format!("ALTER DATABASE {database} SET {setting}"));
    }
    attacked.system.create();
    attacked.system.sql("DELETE FROM a");
    attacked.restore(&["--tables", "public.a"]).exits(0);
    assert_eq!(attacked.system.sql("SELECT a[1] IS NULL, a[2] FROM a"), "t|x");
}

/// What a dump sets of strings was known to one session: what owners made got another text, and so did indexes.
#[test]
fn constants_mean_the_same_whatever_the_database_sets_of_strings() {
    let attacked = Attacked::new();
    let (database, owner) = (&attacked.system.database, &attacked.mallory);
    attacked.system.sql(&format!("ALTER DATABASE {database} SET standard_conforming_strings = off"));
    attacked.as_mallory(
        r"CREATE DOMAIN m.d AS text CHECK (VALUE <> $$a\b$$); CREATE FUNCTION m.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
          CREATE TABLE m.t (id integer PRIMARY KEY, x text DEFAULT $$a\b$$, y m.d[] DEFAULT $${a}$$, CHECK (x <> $$c\d$$));
          INSERT INTO m.t VALUES (1); CREATE INDEX i ON m.t (id) WHERE x <> $$e\f$$; CREATE INDEX j ON m.t (x) WHERE x <> $$g\h$$",
    );
    attacked
        .system
        .sql(r"CREATE TABLE t (id integer, x text DEFAULT $$a\b$$); CREATE VIEW v AS SELECT $$a\b$$::text AS x");
    for method in ["tables", "pg_dump"] {
        attacked.by_method(method);
        let state = "SET standard_conforming_strings = on; SELECT string_agg(text, E'\n' ORDER BY text) FROM (
            SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
            UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'm'::regnamespace
            UNION ALL SELECT pg_get_viewdef('v'::regclass)) AS texts (text)";
        let before = attacked.system.sql(state);
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.sql(state), before, "{method}, {owner}");
    }
}
