//! What a drill proves, and what it does not take for proven.

use serde_json::Value;

use crate::support::{Stack, text};

fn test_of<'a>(report: &'a Value, name: &str) -> &'a Value {
    let tests = report["test_restore"].as_array().expect("a list");
    tests.iter().find(|test| test["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn a_dump_that_failed_fails_the_drill() {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.configure("[database]\ncontainer = \"cti_postgres\"\nname = \"cti\"\nuser = \"nobody_such\"\n");
    let name = text(&stack.larder(&["create", "--json"]).exits(3).json()["name"]);
    let report = stack.larder(&["verify", &name, "--drill", "--json"]).exits(1).json();
    let database = test_of(&report, "database");
    assert!(database["errors"][0].as_str().is_some_and(|error| error.contains("could not be saved")), "{database}");
    assert!(database["notes"].to_string().contains("nobody_such"), "{database}");
}

#[test]
fn each_dump_is_tested_on_its_own_server() {
    let stack = Stack::bare();
    stack.start_postgres();
    let mountpoint = stack.create_volume("second_data", &[]);
    stack.start_postgres_on("second", &stack.volume("second_data"), &mountpoint);
    let name = text(&stack.create()["name"]);
    stack.sql("ALTER ROLE cti SET default_transaction_read_only = on");
    let report = stack.larder(&["verify", &name, "--test-restore", "--json"]).exits(1).json();
    assert!(test_of(&report, "database")["errors"].to_string().contains("read-only"), "{report}");
    assert_eq!(test_of(&report, "database_second")["errors"], Value::from(Vec::<Value>::new()), "{report}");
}

#[test]
fn a_server_on_a_copy_reaches_nothing_beyond_it() {
    let stack = Stack::bare();
    stack.start_postgres();
    let data = stack.mountpoint(&stack.volume("postgres_data"));
    let settings = "data_directory = '/nonexistent'\nhba_file = '/nonexistent/hba'\nident_file = '/nonexistent/ident'\n\
        external_pid_file = '/nonexistent/pid'\nlogging_collector = on\nprimary_conninfo = 'host=/nonexistent'\n";
    let configuration = data.join("postgresql.conf");
    let before = std::fs::read_to_string(&configuration).expect("it is there");
    std::fs::write(&configuration, before + settings).expect("written");
    std::fs::write(data.join("standby.signal"), "").expect("written");
    let drill = || {
        let name = text(&stack.create()["name"]);
        let report = stack.larder(&["verify", &name, "--drill", "--json"]).exits(0).json();
        test_of(&report, "docker_volume_postgres_data").clone()
    };
    assert_eq!(drill()["server_started"], true);
    std::os::unix::fs::symlink("/nonexistent", data.join("pg_tblspc/17000")).expect("linked");
    let test = drill();
    assert_eq!(test["server_started"], Value::Null);
    assert!(test["notes"].to_string().contains("pg_tblspc/17000"), "{test}");
}
