//! Containers that are held while their volumes are read: who can be, who cannot, and what is said of a volume then.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use larder::docker::{Container, Engine, Error, Hold, HoldMethod, Journals, Purpose, State};

use crate::proxy::Proxy;
use crate::support::{IMAGE, Stack, component, text, until};

/// Ends when it is asked to.
const WAITING: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"];

/// The engine of the tests, or what leads to it, and a container of it.
pub(crate) fn engine_and(stack: &Stack, host: &str, service: &str) -> (Arc<Engine>, Container) {
    let engine = Arc::new(Engine::connect(Some(host)).expect("the engine answers"));
    let container = engine.container(&stack.container(service)).expect("it was started");
    (engine, container)
}

#[test]
fn what_could_not_be_let_go_stays_in_the_journal() {
    let stack = Stack::bare();
    stack.create_volume("x", &[]);
    let bound = stack.path("bound");
    fs::create_dir(&bound).expect("the folder is ours");
    let mount = format!("type=bind,src={},dst=/bound", bound.display());
    stack.start("bound", (&stack.volume("x"), "/x"), &["--mount", &mount], &WAITING);
    let (engine, container) = engine_and(&stack, &stack.host, "bound");
    let journals = Journals::new(stack.path("held"));
    let hold = Hold::begin(&engine, &[container], HoldMethod::Stop, Purpose::Backup, &journals).expect("it is stopped");
    fs::remove_dir(&bound).expect("the folder is ours");
    hold.release().expect_err("it cannot be started without the folder");
    fs::create_dir(&bound).expect("the folder is ours");
    let (journal, leftover) = journals.leftovers().pop().expect("the next command must know of it");
    leftover.resume(&engine, Duration::ZERO).expect("it can be started again");
    journal.clear();
    stack.assert_runs(&["bound"]);
}

/// A container of another project that had got the name meanwhile was started.
#[test]
fn a_journal_means_a_container_and_not_its_name() {
    let stack = Stack::bare();
    stack.start_models();
    let (engine, container) = engine_and(&stack, &stack.host, "ollama");
    let journals = Journals::new(stack.path("held"));
    Hold::begin(&engine, &[container], HoldMethod::Stop, Purpose::Backup, &journals).expect("it is stopped").keep();
    let name = stack.container("ollama");
    stack.docker(&["rm", &name]).exits(0);
    stack.docker(&["create", "--name", &name, IMAGE, "rm"]).exits(0);
    let (_, leftover) = journals.leftovers().pop().expect("the hold was not ended");
    assert_eq!(leftover.names(), [name]);
    leftover.resume(&engine, Duration::ZERO).expect("what is gone needs nothing");
    assert_eq!(stack.state("ollama"), "created");
}

#[test]
fn a_container_that_removes_itself_is_not_stopped() {
    let stack = Stack::bare();
    stack.start_models();
    stack.create_volume("x", &[]);
    stack.start("passing", (&stack.volume("x"), "/x"), &["--rm"], &WAITING);
    stack.configure("[volumes.x]\nquiesce = \"stop\"\n");
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    let volume = component(&night, "docker_volume_x");
    assert_eq!(volume["consistency"], "live", "{volume}");
    let error = volume["errors"].to_string();
    assert!(error.contains(&stack.container("passing")) && error.contains("--rm"), "{error}");
    stack.assert_runs(&["passing", "ollama"]);
    let (engine, passing) = engine_and(&stack, &stack.host, "passing");
    let (_, models) = engine_and(&stack, &stack.host, "ollama");
    let started = models.started.clone();
    let journals = Journals::new(stack.path("held"));
    let refused = Hold::begin(&engine, &[passing, models], HoldMethod::Stop, Purpose::Backup, &journals);
    assert!(matches!(refused, Err(Error::Unholdable { .. })), "{refused:?}");
    assert_eq!(engine.container(&stack.container("ollama")).expect("it runs").started, started, "nobody was stopped");
    stack.configure("");
    assert_eq!(component(&stack.create(), "docker_volume_x")["consistency"], "paused");
}

#[test]
fn a_container_that_is_restarted_again_and_again_is_named() {
    let stack = Stack::bare();
    stack.start_models();
    let volume = stack.volume("ollama_data");
    stack.start("broken", (&volume, "/models"), &["--restart", "always"], &["false"]);
    let name = stack.container("broken");
    // From then on it stands still for seconds.
    until("it was restarted often", || {
        let count = stack.docker(&["inspect", "-f", "{{.RestartCount}}", &name]).text();
        count.parse::<u32>().is_ok_and(|count| count >= 5) && stack.state("broken") == "restarting"
    });
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    let models = component(&night, "docker_volume_ollama_data");
    let error = models["errors"].to_string();
    assert!(error.contains(&name) && error.contains("again and again") && error.contains("docker logs"), "{error}");
    stack.assert_runs(&["ollama"]);
}

#[test]
fn a_container_that_has_ended_since_it_was_listed_is_passed_over() {
    let stack = Stack::bare();
    stack.start_models();
    stack.create_volume("x", &[]);
    stack.start("ended", (&stack.volume("x"), "/x"), &[], &WAITING);
    stack.start("removed", (&stack.volume("x"), "/x"), &[], &WAITING);
    let (engine, ended) = engine_and(&stack, &stack.host, "ended");
    let others = ["removed", "ollama"].map(|service| engine_and(&stack, &stack.host, service).1);
    let listed = [&[ended][..], &others].concat();
    assert!(listed.iter().all(|container| container.state == State::Running));
    stack.docker(&["kill", &stack.container("ended")]).exits(0);
    stack.docker(&["rm", "--force", &stack.container("removed")]).exits(0);
    let journals = Journals::new(stack.path("held"));
    let hold = Hold::begin(&engine, &listed, HoldMethod::Pause, Purpose::Backup, &journals).expect("the other is held");
    assert_eq!(hold.names(), [stack.container("ollama")]);
    hold.release().expect("it goes on");
    stack.assert_runs(&["ollama"]);
    assert!(journals.leftovers().is_empty());
}

/// A server that forked all the time escaped a freeze once, and its volume was saved while it went on writing.
#[test]
fn a_container_that_cannot_be_frozen_at_once_is_frozen_a_moment_later() {
    let stack = Stack::bare();
    stack.start_models();
    let proxy = Proxy::start(&stack.host);
    let (engine, container) = engine_and(&stack, &proxy.host(), "ollama");
    proxy.refuse("/pause", 2);
    let journals = Journals::new(stack.path("held"));
    let hold = Hold::begin(&engine, &[container], HoldMethod::Pause, Purpose::Backup, &journals).expect("it is paused");
    assert_eq!(proxy.refusals_left(), 0, "it was refused at first");
    assert_eq!(stack.state("ollama"), "paused");
    hold.release().expect("it goes on");
    stack.assert_runs(&["ollama"]);
}

#[test]
fn a_container_that_can_never_be_frozen_costs_nobody_else_a_hold() {
    let stack = Stack::bare();
    stack.start_models();
    stack.create_volume("x", &[]);
    stack.start("beside", (&stack.volume("x"), "/x"), &[], &WAITING);
    let proxy = Proxy::start(&stack.host);
    let (engine, models) = engine_and(&stack, &proxy.host(), "ollama");
    let (_, beside) = engine_and(&stack, &proxy.host(), "beside");
    proxy.refuse("/pause", u32::MAX);
    let journals = Journals::new(stack.path("held"));
    let listed = [models, beside];
    let refused =
        Hold::begin(&engine, &listed, HoldMethod::Pause, Purpose::Backup, &journals).expect_err("it is refused");
    assert!(refused.to_string().contains("unable to freeze"), "{refused}");
    assert_eq!(proxy.refusals_left(), u32::MAX - 5, "one of them was tried, five times");
    stack.assert_runs(&["ollama", "beside"]);
    assert!(journals.leftovers().is_empty());
}

/// A container that could not be started any more kept the note of all that were held, and every command started the others again,
/// also those that somebody had stopped.
#[test]
fn one_that_cannot_go_on_keeps_no_other_from_being_stopped() {
    let stack = Stack::bare();
    stack.create_volume("x", &[]);
    fs::create_dir_all(stack.path("data/sub")).expect("ours");
    let bind = format!("type=bind,src={},dst=/sub", stack.path("data/sub").display());
    let label = ["--label", "larder.quiesce=stop"];
    stack.start("lost", (&stack.volume("x"), "/x"), &[&label[..], &["--mount", &bind]].concat(), &WAITING);
    stack.start("other", (&stack.volume("x"), "/x"), &[], &WAITING);
    fs::remove_dir(stack.path("data/sub")).expect("ours");
    let created = stack.larder(&["create"]);
    assert!(created.code != 0, "{created:?}");
    assert_eq!((stack.state("lost").as_str(), stack.state("other").as_str()), ("exited", "running"));
    stack.docker(&["stop", &stack.container("other")]).exits(0);
    let listed = stack.larder(&["list"]);
    assert!(listed.stderr.contains(&stack.container("lost")), "it is told again: {listed:?}");
    assert_eq!(stack.state("other"), "exited", "somebody has stopped it");
    fs::create_dir(stack.path("data/sub")).expect("ours");
    stack.larder(&["list"]).exits(0);
    assert_eq!((stack.state("lost").as_str(), stack.state("other").as_str()), ("running", "exited"));
}

/// A container that somebody had frozen ran after a restore of its volume.
#[test]
fn what_was_frozen_before_a_restore_is_frozen_afterwards() {
    let stack = Stack::bare();
    stack.create_volume("x", &[]);
    stack.start("frozen", (&stack.volume("x"), "/x"), &[], &WAITING);
    stack.start("app", (&stack.volume("x"), "/x"), &[], &WAITING);
    stack.write("x", "file", b"1");
    let name = text(&stack.create()["name"]);
    stack.docker(&["pause", &stack.container("frozen")]).exits(0);
    stack.write("x", "file", b"2");
    stack.larder(&["restore", &name, "--components", "docker_volume_x", "--force"]).exits(0);
    assert_eq!((stack.state("frozen").as_str(), stack.state("app").as_str()), ("paused", "running"));
    assert_eq!(fs::read(stack.mountpoint(&stack.volume("x")).join("file")).expect("it is back"), b"1");
}
