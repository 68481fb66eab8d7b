//! Containers that start and end while a backup runs: what is said of their volumes is what was seen of them.
//!
//! The backup runs in the test, so that something can be done at an exact point of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::cancel::Cancel;
use larder::docker::{Engine, Helper, HoldMethod};
use larder::events::{Event, Events, Phase, Unheard};
use larder::model::{Component, Consistency, SnapshotKind};
use larder::monitor::Monitor;
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin, VolumeOrigin};
use larder::postgres::Connection;
use larder::process::Place;
use larder::repo::Repository;
use larder::source::postgres::DumpSource;
use larder::source::{Excludes, ReadMethod, VolumeSource, VolumeUse};

use crate::support::{Stack, component};

const NAME: &str = "docker_volume_ollama_data";

/// Does something when the volume is about to be read.
struct Hook<'a> {
    action: &'a (dyn Fn() + Sync),
    done: AtomicBool,
}

impl Events for Hook<'_> {
    fn event(&self, event: Event<'_>) {
        let is_read = matches!(event, Event::Phase { phase: Phase::BackingUp { component: NAME }, .. });
        if is_read && !self.done.swap(true, Ordering::Relaxed) {
            (self.action)();
        }
    }
}

struct Scan<'a> {
    stack: &'a Stack,
    hold: Option<HoldMethod>,
}

impl Scan<'_> {
    /// Looks at the volume, does something, and backs it up; does something else when it is about to be read.
    fn backup(&self, before: &(dyn Fn() + Sync), while_read: &(dyn Fn() + Sync)) -> Component {
        let engine = Arc::new(Engine::connect(Some(&self.stack.host)).expect("the engine answers"));
        let full = self.stack.volume("ollama_data");
        let volume = engine.volume(&full).expect("the engine answers").expect("it is there");
        let usage = VolumeUse { containers: engine.users(&[&full]).expect("it answers"), ..VolumeUse::default() };
        let source = VolumeSource::new(engine, volume, ReadMethod::Auto, Excludes::default(), usage);
        let source = source.expect("it can be read");
        let origin = VolumeOrigin { source, hold: self.hold, limit: Duration::from_mins(1) };
        before();
        let hook = Hook { action: while_read, done: AtomicBool::new(false) };
        backup_one(self.stack, Origin::Volume(Box::new(origin)), &hook)
    }
}

fn backup_one(stack: &Stack, origin: Origin, events: &dyn Events) -> Component {
    let cancel = Cancel::new();
    let monitor = Monitor::new(events, &cancel, false);
    let sources = [ComponentSource { name: NAME.parse().expect("a name"), origin }];
    let storage = larder::storage::open(&stack.path("repository").to_string_lossy(), &larder::rooted::Trust::default());
    let repository = Repository::open_or_create(storage.expect("a folder")).expect("the folder is ours");
    let journals = larder::docker::Journals::new(stack.path("held"));
    let options = BackupOptions { read_back: false, journals, ..BackupOptions::new(SnapshotKind::Full, "", "") };
    let reservation = backup::reserve(&repository).expect("a name");
    let report = backup::run(&repository, reservation, &sources, &options, &monitor).expect("something is saved");
    report.snapshot.components.into_iter().next().expect("one component")
}

/// A volume whose only writer is stopped.
fn stopped_stack() -> Stack {
    let stack = Stack::bare();
    stack.start_models();
    stack.write("ollama_data", "model.bin", b"model");
    stack.docker(&["stop", &stack.container("ollama")]).exits(0);
    stack
}

#[test]
fn a_container_that_starts_after_the_scan_is_held() {
    let stack = stopped_stack();
    let start = || drop(stack.docker(&["start", &stack.container("ollama")]).exits(0));
    let saved = Scan { stack: &stack, hold: Some(HoldMethod::Pause) }.backup(&start, &|| {});
    assert_eq!(saved.consistency, Consistency::Paused, "{:?}", saved.errors);
    assert_eq!(saved.volume.expect("a volume").held, [stack.container("ollama")]);
    stack.assert_runs(&["ollama"]);
}

#[test]
fn a_container_that_starts_while_its_volume_is_read_is_named() {
    let stack = stopped_stack();
    let name = stack.container("ollama");
    let start = || drop(stack.docker(&["start", &name]).exits(0));
    let pass_by = || {
        stack.docker(&["start", &name]).exits(0);
        stack.docker(&["kill", &name]).exits(0);
    };
    for meanwhile in [&pass_by as &(dyn Fn() + Sync), &start] {
        let saved = Scan { stack: &stack, hold: Some(HoldMethod::Pause) }.backup(&|| {}, meanwhile);
        assert_eq!(saved.consistency, Consistency::Live, "{:?}", saved.errors);
        assert!(saved.errors.messages[0].contains(&name), "{:?}", saved.errors);
        assert!(saved.root.is_some(), "it is kept all the same");
    }
    stack.docker(&["kill", &name]).exits(0);
    let unheld = Scan { stack: &stack, hold: None }.backup(&|| {}, &start);
    assert_eq!((unheld.consistency, unheld.errors.count), (Consistency::Live, 0), "{:?}", unheld.errors);
    stack.docker(&["kill", &name]).exits(0);
    for hold in [Some(HoldMethod::Pause), Some(HoldMethod::Stop), None] {
        let still = Scan { stack: &stack, hold }.backup(&|| {}, &|| {});
        assert_eq!((still.consistency, still.errors.count), (Consistency::Stopped, 0), "{:?}", still.errors);
        assert_eq!(still.bytes_read, 0, "nothing has changed since the last backup");
    }
}

/// The engine says nothing of a container while it makes an archive of it.
#[test]
fn an_archive_of_somebody_else_keeps_nobody_waiting() {
    let stack = Stack::bare();
    stack.start_models();
    let zeros = stack.mountpoint(&stack.volume("ollama_data")).join("zeros");
    std::fs::File::create(zeros).and_then(|file| file.set_len(256 << 20)).expect("written");
    let engine = Arc::new(Engine::connect(Some(&stack.host)).expect("the engine answers"));
    let helper = Helper::create(&engine, &stack.volume("ollama_data")).expect("a helper");
    let mut archive = helper.archive();
    while archive.next_entry().expect("it arrives").is_some_and(|entry| entry.size_bytes == 0) {}
    assert_eq!(component(&stack.create(), NAME)["status"], "complete");
    drop(archive);
}

/// What a server is asked to write down is written down when its volume is about to be read, not hours before.
#[test]
fn redis_is_asked_to_save_after_everything_else_was_read() {
    let stack = Stack::bare();
    stack.start_redis("redis_data");
    for quiesce in ["pause", "stop", "none"] {
        for method in ["mountpoint", "engine"] {
            stack.configure(&format!("[volumes.redis_data]\nquiesce = \"{quiesce}\"\nmethod = \"{method}\"\n"));
            stack.redis(&format!("set kept {quiesce}-{method}"));
            let night = stack.larder(&["create", "--json"]).exits(0);
            let order = ["config …", "_cti_redis_1 is saving …", "docker_volume_redis_data …"];
            let places: Vec<_> = order.iter().map(|line| night.stderr.find(line).expect(line)).collect();
            assert!(places.is_sorted(), "{}", night.stderr);
            assert_eq!(component(&night.json(), "docker_volume_redis_data")["status"], "complete");
            let dump = stack.command(&["cat", "latest:docker_volume_redis_data/dump.rdb"]).output().expect("it runs");
            let text = String::from_utf8_lossy(&dump.stdout).into_owned();
            assert!(text.contains(&format!("{quiesce}-{method}")), "what was in memory is saved");
        }
    }
}

#[test]
fn a_dump_says_what_was_found_to_be_missing_beside_it() {
    let stack = Stack::bare();
    stack.start_postgres();
    let engine = Arc::new(Engine::connect(Some(&stack.host)).expect("the engine answers"));
    let place = Place::Container { engine, name: stack.container("cti_postgres") };
    let (user, database) = (Some("cti".to_owned()), "cti".to_owned());
    let connection = Connection { user, database, place, ..Connection::default() };
    let source = DumpSource::new(connection, [0; 32]).reporting(Some("others are not known".to_owned()));
    let saved = backup_one(&stack, Origin::Database(Box::new(source)), &Unheard);
    assert_eq!(saved.errors.messages, ["others are not known"]);
    assert!(saved.root.is_some() && saved.database.is_some(), "the dump is kept all the same");
}
