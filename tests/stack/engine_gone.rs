//! An engine that goes away in the middle of something.

use std::fs;
use std::process::{Child, Command, Stdio};

use larder::docker::{Hold, HoldMethod, Journals, Purpose};
use serde_json::Value;

use crate::holding::engine_and;
use crate::proxy::Proxy;
use crate::support::{Stack, component, run, until};

/// Starts a backup whose engine is behind the proxy.
fn begin(stack: &Stack, proxy: &Proxy) -> Child {
    let mut command: Command = stack.command(&["create", "--json"]);
    command.env("DOCKER_HOST", proxy.host()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("larder starts")
}

fn end(child: Child, code: i32) -> Value {
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

#[test]
fn an_engine_that_is_away_for_a_moment_lets_containers_go_on_when_it_is_back() {
    let stack = Stack::bare();
    stack.start_models();
    let proxy = Proxy::start(&stack.host);
    let (engine, container) = engine_and(&stack, &proxy.host(), "ollama");
    let folder = stack.path("held");
    let journals = Journals::new(&folder);
    let hold = Hold::begin(&engine, &[container], HoldMethod::Pause, Purpose::Backup, &journals).expect("it is paused");
    assert_eq!(stack.state("ollama"), "paused");
    proxy.cut();
    let releasing = std::thread::spawn(move || hold.release());
    until("it was tried in vain", || proxy.refused() > 0);
    proxy.open();
    releasing.join().expect("no panic").expect("it goes on");
    stack.assert_runs(&["ollama"]);
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0, "nothing is left to make good");
}

#[test]
fn an_engine_that_goes_away_in_an_archive_costs_that_volume() {
    let stack = Stack::bare();
    stack.start_models();
    stack.configure("[volumes.ollama_data]\nmethod = \"engine\"\n");
    let zeros = stack.mountpoint(&stack.volume("ollama_data")).join("zeros");
    fs::File::create(zeros).and_then(|file| file.set_len(64 << 20)).expect("written");
    let proxy = Proxy::start(&stack.host);
    proxy.cut_after(16 << 20);
    let child = begin(&stack, &proxy);
    until("letting go was tried in vain", || proxy.refused() > 0);
    proxy.open();
    let night = end(child, 3);
    let models = component(&night, "docker_volume_ollama_data");
    assert_eq!(models["status"], "failed", "{models}");
    assert!(models["errors"].to_string().contains("went away while it was to archive"), "{models}");
    assert_eq!(component(&night, "config")["status"], "complete");
    stack.assert_runs(&["ollama"]);
    assert_eq!(stack.larder(&["list"]).exits(0).stderr, "", "nothing is held any more");
}

#[test]
fn an_engine_that_goes_away_in_a_dump_costs_that_database() {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.sql("CREATE TABLE articles AS SELECT md5(n::text) AS text FROM generate_series(1, 300000) AS n");
    stack.configure("[volumes.postgres_data]\nskip = true\n");
    let proxy = Proxy::start(&stack.host);
    proxy.cut_after(3 << 20);
    let night = end(begin(&stack, &proxy), 3);
    let database = component(&night, "database");
    assert_eq!(database["status"], "failed", "{database}");
    assert!(database["errors"].to_string().contains("the Docker Engine"), "{database}");
    assert_eq!(component(&night, "config")["status"], "complete");
    stack.create();
}

#[test]
fn a_backup_whose_engine_is_silent_can_be_interrupted() {
    let stack = Stack::bare();
    stack.start_models();
    stack.configure("[volumes.ollama_data]\nmethod = \"engine\"\n[docker]\nhold_secs = 3600\n");
    let zeros = stack.mountpoint(&stack.volume("ollama_data")).join("zeros");
    fs::File::create(zeros).and_then(|file| file.set_len(64 << 20)).expect("written");
    let proxy = Proxy::start(&stack.host);
    proxy.stall_after(16 << 20);
    let child = begin(&stack, &proxy);
    until("a part of the archive has arrived", || proxy.is_stalled());
    assert_eq!(stack.state("ollama"), "paused");
    run(Command::new("kill").arg("-INT").arg(child.id().to_string())).exits(0);
    until("it wants to let the container go on", || proxy.unanswered() > 0);
    proxy.open();
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(130));
    stack.assert_runs(&["ollama"]);
}
