//! Databases of which the server refuses something, restored all the same with `--continue`.

use super::support::{Run, System, component};

const METHODS: [&str; 2] = ["tables", "pg_dump"];

fn restore(system: &System, options: &[&str]) -> Run {
    let arguments = ["restore", "latest", "--components", "database", "--force", "--no-snapshot"];
    system.larder(&[&arguments[..], options].concat())
}

/// What `pg_dump` cannot restore either: functions that look for names without a schema, and a row that refers to nothing.
const REFUSED: &str = "
    CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)';
    CREATE FUNCTION slug(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN norm(t); END';
    CREATE TABLE computed (id int PRIMARY KEY, t text, s text GENERATED ALWAYS AS (slug(t)) STORED);
    INSERT INTO computed (id, t) SELECT g, 'T' || g FROM generate_series(1, 10) g;
    CREATE TABLE indexed (id int PRIMARY KEY, t text);
    CREATE INDEX indexed_slug ON indexed (slug(t));
    COMMENT ON INDEX indexed_slug IS 'of a slug';
    INSERT INTO indexed SELECT g, 'T' || g FROM generate_series(1, 10) g;
    CREATE FUNCTION n() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM indexed); END';
    CREATE MATERIALIZED VIEW counted AS SELECT n() AS n;
    CREATE DOMAIN slugged AS text CHECK (slug(VALUE) <> '');
    CREATE TABLE typed (id int PRIMARY KEY, words slugged[] DEFAULT '{x}'::slugged[]);
    CREATE INDEX typed_id ON typed (id);
    INSERT INTO typed VALUES (1), (2);
    CREATE TABLE of_typed (id int PRIMARY KEY REFERENCES typed);
    INSERT INTO of_typed VALUES (1);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, p int, note text DEFAULT 'none');
    CREATE TABLE heap AS SELECT g AS id FROM generate_series(1, 100) g;
    INSERT INTO parent VALUES (1);
    INSERT INTO child VALUES (1, 1), (2, 99);
    SET session_replication_role = replica;
    ALTER TABLE child ADD CONSTRAINT child_p FOREIGN KEY (p) REFERENCES parent NOT VALID;
    RESET session_replication_role;
    UPDATE pg_constraint SET convalidated = true WHERE conname = 'child_p'";

#[test]
fn what_the_server_refuses_is_left_out_and_named() {
    for is_of_other in [false, true] {
        for method in METHODS {
            check(is_of_other, method);
        }
    }
}

fn check(is_of_other: bool, method: &str) {
    let mut system = System::bare();
    let owner = system.new_role("");
    system.sql(REFUSED);
    if is_of_other {
        system.sql(&format!(
            "GRANT CREATE ON SCHEMA public TO {owner};
             DO $$ DECLARE o text; BEGIN
                FOR o IN SELECT 'TABLE ' || oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')
                    UNION ALL SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                LOOP EXECUTE format('ALTER %s OWNER TO {owner}', o); END LOOP;
             END $$"
        ));
    }
    system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
    system.create();
    system.sql("DELETE FROM heap; INSERT INTO parent VALUES (2)");

    let refused = restore(&system, &[]).exits(1);
    assert!(refused.stderr.contains("--continue") && refused.stderr.contains("larder cat"), "{method}: {refused:?}");
    assert_eq!(system.sql("SELECT count(*) FROM parent"), "2", "nothing has changed");

    let restored = restore(&system, &["--continue", "--json"]).exits(3).json();
    let told = component(&restored, "database")["failed"].to_string();
    for object in [
        "the TABLE public.typed: function norm(text) does not exist",
        "the rows of public.typed: the table is not there",
        "the FK CONSTRAINT public.of_typed of_typed_id_fkey: relation \\\"public.typed\\\" does not exist",
        "the rows of public.computed: function norm(text) does not exist",
        "the INDEX public.indexed_slug: function norm(text) does not exist",
        "the MATERIALIZED VIEW DATA public.counted: relation \\\"indexed\\\" does not exist",
        "the FK CONSTRAINT public.child child_p: insert or update on table \\\"child\\\" violates foreign key constraint",
        "table public.computed has 0 rows where the snapshot has 10",
        "table public.typed has none of its rows where the snapshot has 2",
    ] {
        assert!(told.contains(object), "{is_of_other} {method}: {object}: {told}");
    }
    assert_eq!(component(&restored, "database")["rows"], 100 + 10 + 1 + 1 + 2, "{restored}");
    assert!(!told.contains("psql") && !told.contains("<stdin>"), "{told}");
    let rows = "SELECT (SELECT count(*) FROM heap), (SELECT count(*) FROM indexed), (SELECT count(*) FROM parent), (SELECT count(*) FROM child),
        (SELECT count(*) FROM pg_constraint WHERE conname IN ('indexed_pkey', 'child_pkey', 'child_p')), (SELECT relispopulated FROM pg_class WHERE relname = 'counted'),
        (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'larder%'), (SELECT count(*) FROM pg_event_trigger)";
    assert_eq!(system.sql(rows), "100|10|1|2|2|f|0|0", "{is_of_other} {method}");
    assert_eq!(system.scratch_databases(), "");
}
