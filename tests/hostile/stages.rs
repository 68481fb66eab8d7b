//! Code of a role that runs while a superuser makes indexes and materialized views, looks at references, or makes roles.

use crate::attacker::Attacked;
use crate::support::{roles_go, run};

/// A function that changes what others are made of, in whatever session it is run.
const SWAP: &str =
    "CREATE TYPE m.safe AS ENUM ('a', 'b');
     CREATE FUNCTION m.swap() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
        BEGIN EXECUTE 'ALTER TYPE m.safe RENAME TO old'; EXECUTE 'CREATE DOMAIN m.safe AS m.old CHECK (m.evil(VALUE))'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'CREATE OR REPLACE VIEW m.vw AS SELECT m.evil_id(1) AS a'; EXCEPTION WHEN OTHERS THEN NULL; END;
        RETURN true; END $f$;";

/// What was looked at before was changed by an index or a materialized view while that was made.
#[test]
fn nothing_is_changed_while_indexes_and_views_are_made() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(SWAP);
        attacked.as_mallory(
            "CREATE VIEW m.vw AS SELECT 1 AS a;
             CREATE FUNCTION m.i(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN RETURN $1; END $f$;
             CREATE MATERIALIZED VIEW m.mv AS SELECT m.i(1) AS a; CREATE TABLE m.t (id integer); INSERT INTO m.t VALUES (1);
             CREATE INDEX i ON m.t (m.i(id)); CREATE INDEX mvi ON m.mv (a) WHERE '{a}'::m.safe[] IS NOT NULL;
             CREATE OR REPLACE FUNCTION m.i(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM m.swap(); RETURN $1; END $f$;",
        );
        attacked.system.create();
        attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
        attacked.assert_harmless(method);
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
    }
}

/// The materialized view of a superuser reads the view of somebody else, who can have it run anything.
#[test]
fn a_view_of_a_superuser_that_reads_one_of_others_needs_a_word() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory("CREATE VIEW m.vw AS SELECT 1 AS a");
        attacked.system.sql("CREATE MATERIALIZED VIEW public.smv AS SELECT a FROM m.vw");
        attacked.as_mallory("CREATE OR REPLACE VIEW m.vw AS SELECT m.evil_id(1) AS a");
        attacked.system.create();
        let refused = attacked.restore(&[]).exits(2);
        assert!(refused.stderr.contains("public.smv"), "{refused:?}");
        attacked.assert_harmless(method);
    }
}

/// Whether references hold was looked at by a superuser, also in tables that are not replaced, whose indexes ran then.
#[test]
fn what_replaced_rows_are_compared_with_runs_nothing_as_a_superuser() {
    for (sql, table) in [
        ("CREATE INDEX i ON m.b (a) WHERE m.evil_id(1) > 0", "m.a"),
        ("CREATE STATISTICS m.s ON (m.evil_id(1) + id), id FROM m.b", "m.a"),
        ("CREATE STATISTICS m.s ON (m.evil_id(1) + id), id FROM m.a", "m.b"),
    ] {
        let attacked = Attacked::new();
        attacked.as_mallory(&format!(
            "CREATE TABLE m.a (id integer PRIMARY KEY); CREATE TABLE m.b (id integer PRIMARY KEY, a integer REFERENCES m.a);
             INSERT INTO m.a VALUES (1); INSERT INTO m.b VALUES (1, 1); {sql}"
        ));
        attacked.system.create();
        attacked.restore(&["--tables", table]).exits(0);
        attacked.assert_harmless(sql);
    }
}

/// The difference of two values of a range is code of whoever made the type.
#[test]
fn the_difference_of_a_range_is_not_computed_by_a_superuser() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        // An error within an index would be one of the server.
        attacked.as_mallory(&format!(
            "CREATE FUNCTION m.sd(integer, integer) RETURNS double precision IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN
                IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE {} SUPERUSER; END IF; RETURN 1; END $f$;
             CREATE TYPE m.rg AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = m.sd);
             CREATE TABLE m.s (id integer PRIMARY KEY, r m.rg); CREATE INDEX ON m.s USING gist (r);
             INSERT INTO m.s SELECT n, m.rg(n, n + 3) FROM generate_series(1, 600) n",
            attacked.mallory
        ));
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        if method == "tables" {
            attacked.restore(&["--tables", "m.s"]).exits(0);
            attacked.assert_harmless("--tables");
        }
    }
}

/// A snapshot from before made a role a superuser again, and gave it to one that was there.
#[test]
fn a_role_that_is_made_again_has_no_power_and_gives_none() {
    let mut attacked = Attacked::new();
    let mallory = attacked.mallory.clone();
    let power = attacked.system.new_role("SUPERUSER CREATEROLE BYPASSRLS");
    let server = attacked.system.server.clone();
    server.sql("postgres", &format!("GRANT {power} TO {mallory}"));
    attacked.system.sql(&format!("CREATE TABLE owned (id integer PRIMARY KEY); ALTER TABLE owned OWNER TO {power}"));
    attacked.system.create();
    let alone = roles_go();
    attacked.system.sql("DROP TABLE owned");
    server.sql("postgres", &format!("DROP ROLE {power}"));
    let mut restore =
        attacked.system.command(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
    let restored = run(&mut restore).exits(0);
    let state = format!(
        "SELECT rolsuper OR rolcreaterole OR rolbypassrls, EXISTS (SELECT FROM pg_auth_members WHERE roleid = r.oid) FROM pg_roles r WHERE rolname = '{power}'"
    );
    assert_eq!(server.sql("postgres", &state), "f|f");
    assert!(
        restored.all().contains("without SUPERUSER, CREATEROLE, BYPASSRLS")
            && restored.all().contains(&format!("{mallory} was not made a member of {power}")),
        "{restored:?}"
    );
    attacked.assert_harmless("restored");
    drop(alone);
}
