//! Databases, and tables of them, that lie in tablespaces.

use serde_json::Value;

use crate::support::{System, component, unique};

/// Where the database lies.
fn place(system: &System) -> String {
    system.sql("SELECT spcname FROM pg_database d JOIN pg_tablespace s ON s.oid = dattablespace WHERE datname = current_database()")
}

/// Restores the database and returns its part of the report.
fn restore(system: &System) -> Value {
    let words = ["restore", "latest", "--components", "database", "--force", "--no-snapshot", "--json"];
    component(&system.larder(&words).exits(0).json(), "database").clone()
}

/// A restore made the database in the default tablespace and said nothing, and a test restore failed for each table in another one.
#[test]
fn a_database_comes_back_in_its_tablespace() {
    let system = System::with_numbers(10);
    let (name, server) = (&system.database, &system.server);
    let [own, other] = ["own space", "other space"].map(unique);
    for made in [&own, &other] {
        server.sql(
            "postgres",
            &format!("SET allow_in_place_tablespaces = on;\nCREATE TABLESPACE \"{made}\" LOCATION ''"),
        );
    }
    server.sql("postgres", &format!("ALTER DATABASE {name} SET TABLESPACE \"{own}\""));
    system.sql(&format!("CREATE TABLE elsewhere TABLESPACE \"{other}\" AS SELECT 1 AS id"));
    let created = system.create();
    assert_eq!(component(&created, "database")["database"]["tablespace"], own.as_str(), "{created}");
    let report = system.larder(&["verify", "latest", "--test-restore", "--json"]).exits(0).json();
    assert!(!report["test_restore"].to_string().contains("tablespace"), "{report}");
    let restored = restore(&system);
    assert_eq!(place(&system), own);
    assert!(!restored["notes"].to_string().contains("tablespace"), "{restored}");
    system.drop_database();
    server.sql("postgres", &format!("DROP TABLESPACE \"{own}\""));
    let restored = restore(&system);
    assert_eq!(place(&system), "pg_default");
    assert!(restored["notes"].to_string().contains(&format!("there is no {own} that")), "{restored}");
    let spaced =
        "SELECT spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = reltablespace WHERE relname = 'elsewhere'";
    assert_eq!(system.sql(spaced), other);
    system.drop_database();
    server.sql("postgres", &format!("DROP TABLESPACE \"{other}\""));
}
