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

/// A table that runs code of its owner is made by him: what he lacks for that was said for the first time by the restore, of a database that was
/// complete and whose test restore had succeeded.
#[test]
fn what_an_owner_lacks_to_make_his_table_is_named() {
    let mut system = System::with_numbers(1);
    let [owner, other] = ["NOLOGIN", "NOLOGIN"].map(|options| system.new_role(options));
    system.sql(&format!(
        "CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO PUBLIC; CREATE SCHEMA priv; CREATE FUNCTION s.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
         ALTER FUNCTION s.f OWNER TO {owner}; CREATE TYPE s.mood AS ENUM ('a'); REVOKE USAGE ON TYPE s.mood FROM PUBLIC; CREATE SEQUENCE priv.sq;
         CREATE TABLE s.par (a int); ALTER TABLE s.par OWNER TO {other};
         CREATE TABLE s.chi (g int GENERATED ALWAYS AS (s.f(a)) STORED) INHERITS (s.par); ALTER TABLE s.chi OWNER TO {owner};
         CREATE TABLE s.ty (m s.mood, a int CHECK (s.f(a) > 0)); ALTER TABLE s.ty OWNER TO {owner};
         CREATE TABLE s.num (n bigint DEFAULT nextval('priv.sq') CHECK (s.f(n::int) > 0)); ALTER TABLE s.num OWNER TO {owner};
         CREATE TABLE s.all (a int CHECK (s.f(a) > 0)); ALTER TABLE s.all OWNER TO pg_database_owner;
         CREATE TABLE s.spaced (a int, g int GENERATED ALWAYS AS (a + 1) STORED, m s.mood); ALTER TABLE s.spaced OWNER TO {owner};
         CREATE TABLE s.fine (a int CHECK (s.f(a) > 0)); ALTER TABLE s.fine OWNER TO {owner}"
    ));
    for method in METHODS {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        let said = system.larder(&["create"]).exits(0).stderr;
        for what in [
            format!(
                "s.chi is made by its owner, as it could run code of others, and {owner} does not own s.par, which it inherits from"
            ),
            format!(
                "s.ty is made by its owner, as it could run code of others, and {owner} may not use the type s.mood"
            ),
            format!(
                "s.spaced is made by its owner, as it could run code of others, and {owner} may not use the type s.mood"
            ),
            format!("and {owner} may not use the schema of priv.sq"),
            "pg_database_owner is no role that another one can be a member of".to_owned(),
        ] {
            assert!(said.contains(&what), "{method}: {what}: {said}");
        }
        assert!(
            !said.contains("s.fine is made") && said.contains("not restored without --run-code-as-superuser"),
            "{said}"
        );
    }
    let before = system.fingerprint();
    let restore = ["restore", "latest", "--components", "database", "--force", "--no-snapshot"];
    system.larder(&restore).exits(1);
    system.larder(&[&restore[..], &["--run-code-as-superuser"]].concat()).exits(0);
    assert_eq!(system.fingerprint(), before);
}
