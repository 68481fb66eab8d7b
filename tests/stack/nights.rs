//! Whole nights of a live stack: everything is saved, changed, saved again, lost, and given back as it was.

use std::fs;

use serde_json::Value;

use crate::support::{Stack, component, noise, text, until};

const SERVICES: [&str; 3] = ["cti_postgres", "cti_redis", "ollama"];

/// What can be seen of the system from outside.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    rows: String,
    keys: String,
    models: String,
}

fn look(stack: &Stack) -> Seen {
    Seen {
        rows: stack.fingerprint("cti_postgres"),
        keys: stack.keys("cti_redis"),
        models: stack.files(&stack.volume("ollama_data")),
    }
}

fn change(stack: &Stack) {
    stack.sql("UPDATE articles SET text = 'changed' WHERE id % 100 = 0");
    stack.sql("CREATE TABLE later AS SELECT generate_series(1, 7) AS id");
    stack.redis("set third 3");
    stack.redis("del first");
    stack.write("ollama_data", "second.bin", &noise(1 << 20, 2));
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    fs::remove_file(models.join("blobs/small")).expect("it is there");
    std::os::unix::fs::chown(models.join("blobs"), Some(1234), Some(5678)).expect("the tests run as root");
}

#[test]
fn each_night_of_a_stack_comes_back() {
    let stack = Stack::full();
    stack.write("ollama_data", "large.bin", &noise(200 << 20, 5));
    let first = stack.create();
    let seen_first = look(&stack);
    change(&stack);
    let second = stack.create();
    let seen_second = look(&stack);
    assert_ne!(seen_first, seen_second);
    assert_saved(&second);
    stack.assert_runs(&SERVICES);

    // The volume of Redis goes with its container, and Compose makes both again, empty.
    stack.docker(&["rm", "--force", &stack.container("cti_redis")]).exits(0);
    stack.docker(&["volume", "rm", &stack.volume("redis_data")]).exits(0);
    stack.start_redis("redis_data");
    assert_eq!(stack.keys("cti_redis"), "");
    stack.try_sql("cti_postgres", "postgres", "DROP DATABASE cti WITH (FORCE)").exits(0);
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    fs::remove_file(models.join("model.bin")).expect("it is there");
    stack.write("ollama_data", "blobs/new", b"to go");

    for (night, seen) in [(&first, &seen_first), (&second, &seen_second), (&first, &seen_first)] {
        let name = text(&night["name"]);
        let restored = stack.larder(&["restore", &name, "--force", "--json"]).exits(0).json();
        let skipped = &restored["skipped"][0];
        assert_eq!(skipped["name"], "docker_volume_postgres_data", "the dump wins: {restored}");
        let redis = component(&restored, "docker_volume_redis_data");
        assert_eq!(redis["restarted"], Value::from(vec![stack.container("cti_redis")]));
        assert_eq!(&look(&stack), seen, "{name}");
        stack.assert_runs(&SERVICES);
    }
}

fn assert_saved(night: &Value) {
    let expected = [
        ("database", "database", "dumped"),
        ("config", "directory", "live"),
        ("docker_volume_ollama_data", "volume", "paused"),
        ("docker_volume_postgres_data", "volume", "paused"),
        ("docker_volume_redis_data", "volume", "paused"),
    ];
    for (name, kind, consistency) in expected {
        let found = component(night, name);
        assert_eq!((&found["kind"], &found["consistency"]), (&kind.into(), &consistency.into()), "{name}");
        assert_eq!(found["errors_count"], 0, "{found}");
    }
    let volume = &component(night, "docker_volume_postgres_data")["volume"];
    assert_eq!((&volume["method"], &volume["server_data"]), (&"mountpoint".into(), &"".into()), "{volume}");
    assert_eq!(volume["held"].as_array().map(Vec::len), Some(1), "{volume}");
    assert_eq!(component(night, "database")["database"]["tables"][0]["rows"], 20_000);
}

#[test]
fn the_data_directory_is_restored_when_it_is_named() {
    let stack = Stack::full();
    let name = text(&stack.create()["name"]);
    let before = stack.fingerprint("cti_postgres");
    stack.sql("DROP TABLE articles");
    let both = ["restore", &name, "--components", "database,docker_volume_postgres_data", "--force"];
    let refused = stack.larder(&both).exits(2);
    assert!(refused.stderr.contains("the same database"), "{}", refused.stderr);
    let named = ["restore", &name, "--components", "docker_volume_postgres_data", "--force", "--json"];
    let restored = stack.larder(&named).exits(0).json();
    assert_eq!(restored["components"][0]["restarted"], Value::from(vec![stack.container("cti_postgres")]));
    assert_eq!(stack.fingerprint("cti_postgres"), before);
}

/// A server that has nothing to start from gets its data directory back, and the dump is not loaded as well.
#[test]
fn a_stack_that_is_gone_comes_back_from_its_volumes() {
    let stack = Stack::full();
    let name = text(&stack.create()["name"]);
    let seen = look(&stack);
    let labels = stack.docker(&["volume", "inspect", "-f", "{{json .Labels}}", &stack.volume("redis_data")]).text();
    for service in SERVICES {
        stack.docker(&["rm", "--force", &stack.container(service)]).exits(0);
    }
    for volume in ["postgres_data", "redis_data", "ollama_data"] {
        stack.docker(&["volume", "rm", &stack.volume(volume)]).exits(0);
    }
    let restored = stack.larder(&["restore", &name, "--force", "--json"]).exits(0).json();
    assert_eq!(restored["skipped"][0]["name"], "database", "{restored}");
    let again = stack.docker(&["volume", "inspect", "-f", "{{json .Labels}}", &stack.volume("redis_data")]).text();
    assert_eq!(again, labels);

    let volume = stack.volume("postgres_data");
    stack.start_postgres_on("cti_postgres", &volume, &stack.mountpoint(&volume));
    stack.start_redis_on("cti_redis", &stack.volume("redis_data"));
    assert_eq!(look(&stack), seen);
}

#[test]
fn every_database_of_the_server_is_saved() {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.sql("CREATE DATABASE crm");
    stack.sql_in("crm", "CREATE TABLE customers AS SELECT generate_series(1, 42) AS id");
    let night = stack.create();
    assert_eq!(component(&night, "database_crm")["database"]["tables"][0]["rows"], 42);
    stack.sql("DROP DATABASE crm");
    let name = text(&night["name"]);
    stack.larder(&["restore", &name, "--components", "database_crm", "--force"]).exits(0);
    assert_eq!(stack.sql_in("crm", "SELECT count(*) FROM customers"), "42");
}

#[test]
fn a_drill_leaves_nothing_behind() {
    let stack = Stack::full();
    let name = text(&stack.create()["name"]);
    let volumes = || {
        let listed = stack.docker(&["volume", "ls", "--quiet", "--filter", "label=larder.throwaway"]).stdout;
        let helpers = stack.docker(&["ps", "--all", "--quiet", "--filter", "label=larder.helper"]).stdout;
        (listed, helpers)
    };
    let report = stack.larder(&["verify", &name, "--drill", "--json"]).exits(0).json();
    assert_eq!((&report["drill"]["ok"], &report["drill"]["within_target"]), (&true.into(), &true.into()), "{report}");
    let tests = report["test_restore"].as_array().expect("a list");
    assert_eq!(tests.len(), 5, "{report}");
    let server = tests.iter().find(|test| test["name"] == "docker_volume_postgres_data").expect("it was tested");
    assert_eq!(server["server_started"], true, "{server}");
    // Other tests have theirs for a moment.
    until("nothing is left", || volumes() == (String::new(), String::new()));
    assert_eq!(stack.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%larder%'"), "0");
    stack.assert_runs(&SERVICES);
}
