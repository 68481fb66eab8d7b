//! What somebody adds to an extension, whose members no dump has.

use crate::attacker::Attacked;
use crate::support::component;

/// A schema that its owner had added to an extension was left out of the dump: the backup was said to be complete, and no restore
/// could load it. So were a table and its rows, and they were only said not to be in the order of a key.
#[test]
fn what_is_added_to_an_extension_is_not_said_to_be_saved() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let (database, mallory) = (&attacked.system.database, &attacked.mallory);
        attacked.system.sql(&format!("GRANT CREATE ON DATABASE {database} TO {mallory}; CREATE EXTENSION citext"));
        attacked.as_mallory(
            "CREATE EXTENSION hstore SCHEMA m; CREATE SCHEMA \"m s\"; CREATE TABLE \"m s\".t (id integer PRIMARY KEY); INSERT INTO \"m s\".t VALUES (1);
             CREATE TABLE m.mine (id integer PRIMARY KEY); INSERT INTO m.mine VALUES (1);
             CREATE FUNCTION m.one() RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE VIEW m.v AS SELECT m.one()",
        );
        attacked.system.create();
        let members = ["SCHEMA \"m s\"", "TABLE m.mine", "FUNCTION m.one()"];
        for member in members {
            attacked.as_mallory(&format!("ALTER EXTENSION hstore ADD {member}"));
            let created = attacked.system.larder(&["create", "--json"]).exits(3).json();
            assert_eq!(component(&created, "database")["status"], "partial", "{method}: {member}");
            let said = attacked.system.larder(&["show", "latest"]).exits(0).stdout;
            let mend = format!("ALTER EXTENSION hstore DROP {member}");
            assert!(said.contains(&mend) && said.contains(&format!("(of {mallory})")), "{method}: {said}");
            attacked.as_mallory(&mend);
            attacked.system.create();
        }
        attacked.restore(&[]).exits(0);
        assert_eq!(
            attacked.system.sql("SELECT (SELECT count(*) FROM \"m s\".t), (SELECT count(*) FROM m.mine)"),
            "1|1"
        );
    }
}

/// Of a table with rows that a superuser had made a part of an extension, nothing was said where `pg_dump` reads everything.
#[test]
fn what_superusers_have_in_extensions_is_theirs() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.system.sql(
            "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE TABLE of_hstore (id integer PRIMARY KEY); INSERT INTO of_hstore VALUES (1);
             CREATE TABLE of_citext (id integer PRIMARY KEY); CREATE SCHEMA of_hstore; CREATE TABLE of_hstore.t (id integer PRIMARY KEY);
             ALTER EXTENSION hstore ADD TABLE of_hstore; ALTER EXTENSION citext ADD TABLE of_citext",
        );
        attacked
            .as_mallory("CREATE TABLE m.t (h public.hstore, c public.citext); INSERT INTO m.t VALUES ('a=>1', 'x')");
        let created = attacked.system.larder(&["create", "--json"]).exits(0).json();
        assert_eq!(component(&created, "database")["status"], "complete", "{method}");
        let said = attacked.system.larder(&["show", "latest"]).exits(0).stdout;
        let told = "rows of tables that belong to the extension hstore are not saved: public.of_hstore";
        assert!(said.contains(told) && !said.contains("the extension citext"), "{method}: {said}");
    }
}
