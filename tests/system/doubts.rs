//! What `create` says of databases that may not be restored as they are, while that can be mended.

use super::support::System;

const METHODS: [&str; 2] = ["tables", "pg_dump"];

/// It was said for the first time by the restore.
#[test]
fn functions_that_look_for_names_without_a_schema_are_named() {
    let system = System::with_numbers(1);
    system.sql(
        "CREATE TABLE doc (id int PRIMARY KEY, t text);
         CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)';
         CREATE FUNCTION slug(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN norm(t); END';
         CREATE FUNCTION sure(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = public AS 'BEGIN RETURN norm(t); END';
         CREATE FUNCTION named(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.norm(t) || count(t) FROM public.doc; END';
         CREATE FUNCTION n() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM doc); END';
         CREATE INDEX doc_slug ON doc (slug(t)); CREATE INDEX doc_sure ON doc (sure(t)); CREATE INDEX doc_named ON doc (named(t));
         CREATE TABLE p (id int PRIMARY KEY, t text CHECK (slug(t) <> ''), s text GENERATED ALWAYS AS (slug(t)) STORED);
         CREATE MATERIALIZED VIEW counted AS SELECT n() AS n",
    );
    for method in METHODS {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        let said = system.larder(&["create"]).exits(0).stderr;
        for what in [
            "the index public.doc_slug calls public.slug, which looks for norm without a schema",
            "a generated column of public.p calls public.slug, which looks for norm",
            "the constraint p_t_check of public.p calls public.slug",
            "the materialized view public.counted calls public.n, which looks for doc",
        ] {
            assert!(said.contains(what), "{method}: {what}: {said}");
        }
        assert!(!said.contains("doc_sure") && !said.contains("doc_named") && !said.contains("lower"), "{said}");
    }
}

/// A materialized view had the name of a database that was gone, and nobody was told.
#[test]
fn what_looks_at_the_name_of_the_database_is_named() {
    let system = System::with_numbers(1);
    system.sql(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE MATERIALIZED VIEW \"Own\" AS SELECT current_database() AS name;
         CREATE FUNCTION here() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_database(); END';
         CREATE INDEX t_here ON t ((here() || id)); CREATE MATERIALIZED VIEW other AS SELECT 1 AS n",
    );
    for method in METHODS {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        let created = system.larder(&["create"]).exits(0).stderr;
        for what in ["the materialized view public.\"Own\" asks", "the index public.t_here asks"] {
            assert!(created.contains(what), "{method}: {what}: {created}");
        }
        assert!(!created.contains("public.other"), "{created}");
        let restored = system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
        let restored = restored.exits(0).stderr;
        for statement in ["REFRESH MATERIALIZED VIEW public.\"Own\"", "REINDEX INDEX public.t_here"] {
            assert!(restored.contains(statement), "{method}: {statement}: {restored}");
            system.sql(statement);
        }
        assert_eq!(system.sql("SELECT name FROM \"Own\""), system.database);
    }
}
