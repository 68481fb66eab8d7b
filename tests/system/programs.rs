//! A host where a program of PostgreSQL is not installed: what is not done there, and what is said of it.

use std::process::Command;

use serde_json::Value;

use crate::support::{Run, System, run};

/// Runs the words behind the name of a program and a folder where no program of that name is found, neither among those of a
/// version of PostgreSQL nor among all others.
const HIDE: &str = "set -e; program=$1 folder=$2; shift 2; mkdir -p \"$folder/all\"; cp -as /usr/bin/. \"$folder/all\"
    for bin in /usr/lib/postgresql/*/bin; do
        version=${bin%/bin}; own=$folder/${version##*/}; cp -a \"$bin\" \"$own\"; rm -f \"$own/$program\"; mount --bind \"$own\" \"$bin\"
    done
    rm -f \"$folder/all/$program\"; PATH=$folder/all exec \"$@\"";

fn without(program: &str, system: &System, arguments: &[&str]) -> Run {
    let larder = system.command(arguments);
    let folder = system.beside(&format!("without {program} {}", arguments.join(" ")));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", HIDE, "sh", program]).arg(folder);
    command.arg(larder.get_program()).args(larder.get_args());
    for (name, value) in larder.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    run(&mut command)
}

/// The cause: what cannot be tested here was said to have failed, and nobody was told what to install.
#[test]
fn without_psql_a_test_restore_is_not_done() {
    let system = System::with_numbers(10);
    system.create();
    let lacking = "psql is not installed here (Debian: postgresql-client)";
    let report = without("psql", &system, &["verify", "latest", "--test-restore", "--json"]).exits(3).json();
    let tests = report["test_restore"].as_array().expect("a list");
    let test = tests.iter().find(|test| test["name"] == "database").expect("a test of the database");
    assert!(test["not_done"].as_str().is_some_and(|why| why.contains(lacking)), "{test}");
    assert_eq!(test["errors"], Value::from(Vec::<Value>::new()), "{test}");
    let created = without("psql", &system, &["create"]).exits(3);
    assert!(created.stderr.contains(lacking), "{}", created.stderr);
}

/// The cause: a plan asked the server and never looked for what dumps it.
#[test]
fn a_plan_says_that_pg_dump_is_missing() {
    let system = System::with_numbers(10);
    system.larder(&["plan"]).exits(0);
    for words in [&["plan"][..], &["create", "--dry-run"], &["create"]] {
        let said = without("pg_dump", &system, words).exits(3).stderr;
        assert!(said.contains("no pg_dump of version") && said.contains("(Debian: postgresql-client-"), "{said}");
    }
}
