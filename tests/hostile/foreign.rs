//! Tables on other servers, which say where they are and who is asked for there.

use crate::attacker::Attacked;

/// A server that is this one, reached as the role, and a partitioned table that has one part here and one there. Where a row of it
/// belongs depends on numbers that are new in each database.
fn with_a_part_elsewhere() -> (Attacked, String) {
    let attacked = Attacked::new();
    let (server, database, mallory) = (&attacked.system.server, &attacked.system.database, &attacked.mallory);
    let there = format!("{database}_there");
    server.sql("postgres", &format!("CREATE DATABASE {there} OWNER {mallory}"));
    attacked.as_mallory_in(&there, "CREATE TABLE sink (e text, t text)");
    attacked
        .system
        .sql(&format!("CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {mallory}"));
    attacked.as_mallory(&format!(
        "CREATE TYPE m.en AS ENUM ('a','b','c','d','e','f','g','h','i','j','k','l','m','n','o','p');
         CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', port '{}', dbname '{there}');
         CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user '{mallory}', password 'mallory');
         CREATE TABLE m.root (e m.en, t text) PARTITION BY HASH (e);
         CREATE TABLE m.here PARTITION OF m.root FOR VALUES WITH (modulus 2, remainder 0);
         CREATE FOREIGN TABLE m.there PARTITION OF m.root FOR VALUES WITH (modulus 2, remainder 1)
            SERVER elsewhere OPTIONS (schema_name 'public', table_name 'sink');
         INSERT INTO m.root SELECT e, 'x' FROM unnest(enum_range(NULL::m.en)) AS e",
        server.host, server.port
    ));
    attacked.as_mallory_in(&there, "TRUNCATE sink");
    (attacked, there)
}

/// Rows went to another server, as who restores: where that one lets him in, what the role has there ran as him. And what had gone
/// there was counted as if it were here.
#[test]
fn rows_go_to_no_other_server() {
    let (attacked, there) = with_a_part_elsewhere();
    for method in ["tables", "pg_dump"] {
        attacked.by_method(method);
        let here = "SELECT count(*) FROM ONLY m.here";
        let before = attacked.system.sql(here);
        attacked.system.create();
        for more in [&[][..], &["--into", &format!("{there}_new")]] {
            let refused = attacked.restore(more);
            assert_ne!(refused.code, 0, "{method}: {refused:?}");
            assert!(refused.all().contains("foreign table"), "{method}: {refused:?}");
            assert_eq!(attacked.system.server.sql(&there, "SELECT count(*) FROM sink"), "0", "{method}");
        }
        assert_eq!(attacked.system.sql(here), before, "{method}");
        assert_eq!(attacked.system.scratch_databases(), "");
        // With the word rows may go there, and are not taken for rows of this database.
        let loaded = attacked.restore(&["--run-code-as-superuser"]);
        let gone = attacked.system.server.sql(&there, "SELECT count(*) FROM sink");
        assert_eq!(loaded.code == 0, gone == "0", "{method}, {gone} rows are there: {loaded:?}");
        attacked.as_mallory_in(&there, "TRUNCATE sink");
    }
    attacked.system.drop_database();
    attacked.system.server.sql("postgres", &format!("DROP DATABASE {there}"));
}

/// A materialized view of a superuser got rows from wherever the owner of a foreign table said, as who restores.
#[test]
fn what_a_view_of_a_superuser_reads_elsewhere_needs_a_word() {
    let (attacked, there) = with_a_part_elsewhere();
    for reads in ["m.there", "m.root"] {
        attacked.system.sql(&format!(
            "DROP MATERIALIZED VIEW IF EXISTS public.seen; CREATE MATERIALIZED VIEW public.seen AS SELECT t FROM {reads}"
        ));
        attacked.system.create();
        let refused = attacked.restore(&[]).exits(2);
        assert!(refused.all().contains("public.seen (code of"), "{reads}: {refused:?}");
    }
    attacked.system.drop_database();
    attacked.system.server.sql("postgres", &format!("DROP DATABASE {there}"));
}
