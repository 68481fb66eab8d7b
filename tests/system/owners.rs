//! Databases whose objects belonged to a superuser that is none where they are restored.

use serde_json::Value;

use crate::support::{System, component};

/// Restores the database where there is none, and returns its part of the report.
fn restore(system: &System) -> Value {
    system.drop_database();
    let words = ["restore", "latest", "--components", "database", "--force", "--no-snapshot", "--json"];
    component(&system.larder(&words).exits(0).json(), "database").clone()
}

/// Who owns what only a superuser can, whether the event trigger is enabled, and ends what keeps the database from being dropped.
fn owners(system: &System) -> String {
    let found = system.sql(
        "SELECT pg_get_userbyid(evtowner), evtenabled, obj_description(oid, 'pg_event_trigger') FROM pg_event_trigger
         UNION ALL SELECT pg_get_userbyid(fdwowner), 'w', fdwacl::text FROM pg_foreign_data_wrapper
         UNION ALL SELECT pg_get_userbyid(subowner), 's', NULL FROM pg_subscription WHERE subname = current_database()
         UNION ALL SELECT pg_get_userbyid(srvowner), 'f', NULL FROM pg_foreign_server ORDER BY 2",
    );
    let name = &system.database;
    system.sql(&format!("DROP SUBSCRIPTION {name}"));
    found
}

/// A superuser is made again without that, and what it owned could not be given to it: no such database came back on a server
/// whose superuser has another name, and every test restore of one failed.
#[test]
fn what_only_a_superuser_can_own_stays_with_who_restores_where_its_owner_is_none() {
    let mut system = System::with_numbers(10);
    let [owner, user] = ["SUPERUSER", "NOLOGIN"].map(|options| system.new_role(options));
    let (name, restorer) = (system.database.clone(), system.server.user.clone());
    system.sql(&format!(
        "CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN NULL; END $f$;
         CREATE FOREIGN DATA WRAPPER wrapper OPTIONS (a 'b');
         ALTER FOREIGN DATA WRAPPER wrapper OWNER TO {owner};
         GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO {user};
         CREATE SERVER far FOREIGN DATA WRAPPER wrapper;
         ALTER SERVER far OWNER TO {owner};
         CREATE SUBSCRIPTION {name} CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE);
         ALTER SUBSCRIPTION {name} OWNER TO {owner};
         CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watched();
         ALTER EVENT TRIGGER watch ENABLE ALWAYS;
         ALTER EVENT TRIGGER watch OWNER TO {owner};
         COMMENT ON EVENT TRIGGER watch IS 'of a superuser';"
    ));
    system.create();
    let saved = owners(&system);
    let kept = ["the event trigger watch", "the foreign data wrapper wrapper", &format!("the subscription {name}")]
        .map(|object| {
            format!("{object} belongs to the restoring role: {owner}, who owned it, is no superuser on this")
        });
    let report = system.larder(&["verify", "latest", "--test-restore", "--json"]).exits(0).json();
    let tested = report["test_restore"].to_string();
    assert!(kept.iter().all(|kept| tested.contains(kept)) && !tested.contains("is disabled"), "{report}");
    for is_superuser in [false, true] {
        let word = if is_superuser { "SUPERUSER" } else { "NOSUPERUSER" };
        system.server.sql("postgres", &format!("ALTER ROLE {owner} {word}"));
        let restored = restore(&system);
        let notes = restored["notes"].to_string();
        assert!(kept.iter().all(|kept| notes.contains(kept) != is_superuser), "{word}: {restored}");
        let found = owners(&system);
        if is_superuser {
            assert_eq!(found, saved);
        } else {
            let expected = format!(
                "{restorer}|A|of a superuser\n{owner}|f|\n{restorer}|s|\n{restorer}|w|{{{restorer}=U/{restorer},{user}=U/{restorer}}}"
            );
            assert_eq!(found, expected);
        }
    }
}

/// A trigger runs when everything is loaded, and kept the database from being restored all the same.
#[test]
fn functions_that_only_triggers_call_keep_nothing_from_being_restored() {
    let mut system = System::with_numbers(10);
    let role = system.new_role("");
    system.sql(&format!(
        "GRANT CREATE ON SCHEMA public TO {role};
         CREATE TABLE t (id int PRIMARY KEY, b int DEFAULT 0, CHECK (id > 0)); INSERT INTO t VALUES (1);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; ALTER FUNCTION f() OWNER TO {role};
         CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
         CREATE FUNCTION ok(n int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'; ALTER FUNCTION ok(int) OWNER TO {role}"
    ));
    let before = system.fingerprint();
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        let created = system.larder(&["create"]).exits(0).stderr;
        assert!(!created.contains("run-code-as-superuser"), "{created}");
        restore(&system);
        assert_eq!(system.fingerprint(), before, "{method}");
    }
    // What is run for each row does.
    system.sql("ALTER TABLE t ADD CHECK (ok(b))");
    let created = system.larder(&["create"]).exits(0).stderr;
    assert!(created.contains("only with --run-code-as-superuser") && created.contains("public.t"), "{created}");
}

/// The server looks for a table by its name as the owner whose code it runs, who may not use its schema: nothing of the database came back.
#[test]
fn a_table_in_a_schema_that_its_owner_may_not_use_comes_back() {
    for method in ["tables", "pg_dump"] {
        let mut system = System::with_numbers(1);
        let owner = system.new_role("NOLOGIN");
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        system.sql(&format!(
            "CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO PUBLIC; CREATE SCHEMA priv; CREATE FUNCTION s.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 1; END';
             ALTER FUNCTION s.f OWNER TO {owner};
             CREATE TABLE priv.made (id int PRIMARY KEY, g int GENERATED ALWAYS AS (s.f(id)) STORED); INSERT INTO priv.made VALUES (1); ALTER TABLE priv.made OWNER TO {owner};
             CREATE TABLE priv.checked (id int CHECK (s.f(id) > 0)); INSERT INTO priv.checked VALUES (1); CREATE INDEX ON priv.checked (s.f(id)); ALTER TABLE priv.checked OWNER TO {owner}"
        ));
        let before = system.fingerprint();
        system.create();
        let restore =
            || system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
        restore();
        assert_eq!(system.fingerprint(), before, "{method}");
        system.drop_database();
        restore();
        assert_eq!(system.fingerprint(), before, "{method}");
    }
}

/// What was lent to an owner for one statement was still there when it was looked for before the next one, and gone when that ran: an ordinary
/// database was refused now and then.
#[test]
fn partitions_of_an_owner_who_may_not_make_things_in_their_schema_yet_are_attached() {
    let mut system = System::with_numbers(1);
    let owner = system.new_role("NOLOGIN");
    system.sql(&format!(
        "CREATE SCHEMA s; GRANT USAGE, CREATE ON SCHEMA s TO {owner}; SET ROLE {owner};
         CREATE FUNCTION s.norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
         CREATE TABLE s.whole (a text, b text) PARTITION BY RANGE (s.norm(a), b)"
    ));
    for n in 0..9 {
        system.sql(&format!(
            "SET ROLE {owner}; CREATE TABLE s.part_{n} PARTITION OF s.whole FOR VALUES FROM ('{n}', '') TO ('{n}', 'z')"
        ));
    }
    let before = system.fingerprint();
    system.create();
    for _ in 0..3 {
        restore(&system);
        assert_eq!(system.fingerprint(), before);
    }
}
