//! What the owner of a database does to keep it where a restore wants to replace it.

use crate::attacker::Attacked;

/// The owner of the database is the role, which has changed a row since the snapshot.
fn attacked() -> Attacked {
    let attacked = Attacked::new();
    let (database, mallory) = (&attacked.system.database, &attacked.mallory);
    attacked.system.server.sql("postgres", &format!("ALTER DATABASE {database} OWNER TO {mallory}"));
    attacked.as_mallory("CREATE TABLE m.t (id integer PRIMARY KEY, a text); INSERT INTO m.t VALUES (1, 'saved')");
    attacked.system.create();
    attacked.as_mallory("UPDATE m.t SET a = 'later'");
    attacked
}

/// A database that its owner had made a template could not be dropped: it was replaced, and the report said that nothing was
/// restored.
#[test]
fn a_template_is_replaced() {
    let attacked = attacked();
    attacked.as_mallory(&format!("ALTER DATABASE {} IS_TEMPLATE true", attacked.system.database));
    attacked.restore(&[]).exits(0);
    assert_eq!(attacked.system.sql("SELECT a FROM m.t"), "saved");
    assert_eq!(attacked.system.scratch_databases(), "");
}

/// The server drops no database with a subscription: the replaced one stayed, and tried to read from the publisher.
#[test]
fn a_database_with_a_subscription_is_replaced() {
    let attacked = attacked();
    attacked.system.sql(
        "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = 'far_slot')",
    );
    attacked.system.create();
    attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
    assert_eq!(attacked.system.scratch_databases(), "", "a test leaves nothing");
    attacked.as_mallory("UPDATE m.t SET a = 'lost'");
    let report = attacked.restore(&[]).exits(0);
    assert!(report.all().contains("its slot far_slot stays at the publisher"), "{report:?}");
    assert_eq!(attacked.system.sql("SELECT a FROM m.t"), "later");
    assert_eq!(
        attacked.system.sql(
            "SELECT subenabled, subslotname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE subname = 's' AND datname = current_database()"
        ),
        "f|far_slot"
    );
    assert_eq!(attacked.system.scratch_databases(), "");
    attacked.system.sql("ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s");
}

/// Where the replaced database could not be dropped, the report said that nothing was restored.
#[test]
fn a_replaced_database_that_stays_is_told() {
    let attacked = attacked();
    let (server, database) = (&attacked.system.server, &attacked.system.database);
    let owner = format!("SELECT datdba::regrole FROM pg_database WHERE datname = '{database}'");
    // The server drops no database with a subscription, and the trigger has that one stay.
    attacked.system.sql(
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE);
         CREATE FUNCTION keep() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'it stays'; END $f$;
         CREATE EVENT TRIGGER keep ON ddl_command_start WHEN TAG IN ('DROP SUBSCRIPTION') EXECUTE FUNCTION keep();
         ALTER EVENT TRIGGER keep ENABLE ALWAYS",
    );
    let report = attacked.restore(&["--json"]).exits(3);
    assert_eq!(attacked.system.sql("SELECT a FROM m.t"), "saved");
    let old = attacked.system.scratch_databases();
    assert!(report.stderr.contains("the database is restored"), "{report:?}");
    assert!(
        report.stderr.contains(&format!("is now called {old}")) && report.stderr.contains("subscription"),
        "{report:?}"
    );
    assert_eq!(report.json()["components"][0]["status"], "partial");
    assert_eq!(server.sql("postgres", &owner), attacked.mallory);
    let lets_in = format!("SELECT datallowconn FROM pg_database WHERE datname = '{old}'");
    assert_eq!(server.sql("postgres", &lets_in), "f", "it lets nobody in");
    server.sql("postgres", &format!("ALTER DATABASE {old} ALLOW_CONNECTIONS true"));
    server.sql(&old, "DROP EVENT TRIGGER keep");
    server.sql(&old, "DROP SUBSCRIPTION s");
    server.sql("postgres", &format!("DROP DATABASE {old}"));
}
