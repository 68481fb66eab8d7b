//! A storage that is far away: nothing above it knows.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use larder::cancel::Cancel;
use larder::model::Retention;
use larder::monitor::Monitor;
use larder::pipeline::lookup;
use larder::pipeline::prune::{self, PruneOptions};
use larder::pipeline::verify::{VerifyOptions, verify};
use larder::repo::Repository;
use larder::rooted::Guarded;
use larder::storage::{
    Area, Error, ExclusiveLease, Fetched, Key, Lease, Listed, MemoryStorage, PutMode, Reservation, Retractable,
    Storage, Upload, contract,
};

use super::faults::History;

/// How long each answer takes.
const LATENCY: Duration = Duration::from_millis(20);

/// Objects in memory, as far away as on another continent, and no folder of this host.
#[derive(Debug, Clone, Default)]
struct Remote(MemoryStorage);

impl Remote {
    fn ask(&self) -> &MemoryStorage {
        sleep(LATENCY);
        &self.0
    }
}

struct RemoteUpload(Box<dyn Upload>);

impl Upload for RemoteUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write(bytes)
    }

    fn finish(self: Box<Self>, key: &Key, mode: PutMode) -> Result<(), Error> {
        sleep(LATENCY);
        self.0.finish(key, mode)
    }
}

impl Storage for Remote {
    fn describe(&self) -> String {
        "remote:".to_owned()
    }

    fn describe_object(&self, key: &Key) -> String {
        format!("remote:/{key}")
    }

    fn guarded(&self) -> Result<Guarded, Error> {
        self.ask().guarded()
    }

    fn lease(&self, waits: &dyn Fn()) -> Result<Lease, Error> {
        self.ask().lease(waits)
    }

    fn reserve(&self, name: &str) -> Result<Option<Reservation>, Error> {
        self.ask().reserve(name)
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), Error> {
        self.ask().put(key, bytes, mode)
    }

    fn upload(&self, area: Area) -> Result<Box<dyn Upload>, Error> {
        Ok(Box::new(RemoteUpload(self.ask().upload(area)?)))
    }

    fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, Error> {
        self.ask().get(key, len_bytes_max)
    }

    fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), Error> {
        self.ask().get_range(key, offset, target)
    }

    fn get_ranges(&self, key: &Key, ranges: &mut [(u64, &mut [u8])]) -> Result<(), Error> {
        self.ask().get_ranges(key, ranges)
    }

    fn fetch(&self, key: &Key) -> Result<Fetched, Error> {
        self.ask().fetch(key)
    }

    fn stat(&self, key: &Key) -> Result<u64, Error> {
        self.ask().stat(key)
    }

    fn list(&self, area: Area) -> Result<Vec<Listed>, Error> {
        self.ask().list(area)
    }

    fn occupied_by(&self) -> Result<Option<String>, Error> {
        self.ask().occupied_by()
    }

    fn delete(&self, key: &Key, alone: &ExclusiveLease) -> Result<(), Error> {
        self.ask().delete(key, alone)
    }

    fn retract(&self, area: Retractable, name: &str) -> Result<(), Error> {
        self.ask().retract(area, name)
    }

    fn sweep(&self, alone: &ExclusiveLease) -> Result<(), Error> {
        self.ask().sweep(alone)
    }
}

#[test]
fn it_does_what_every_storage_has_to() {
    let remote = Remote::default();
    contract::check(&|| Arc::new(remote.clone()));
}

#[test]
fn commands_run_on_it_as_on_a_folder() {
    let mut history = History::nights(3);
    let remote = Remote(history.storage.clone());
    history.write("fresh", b"of the remote");
    history.backup_to(remote.clone()).expect("a backup");
    assert_eq!(history.note_new(&history.storage.clone()), 4);
    let repository = Repository::open(Arc::new(remote)).expect("it is there");
    let found = lookup::snapshots(&repository).expect("a list").snapshots;
    assert_eq!(found.len(), 4);
    for snapshot in &found {
        assert_eq!(history.restored(&repository, snapshot), history.night(snapshot.name.as_str()));
    }
    let retention = Retention { last: 2, ..Retention::NONE };
    let plan = prune::plan(
        &repository,
        &PruneOptions { retention, ..PruneOptions::default() },
        &Monitor::unheard(&Cancel::new()),
    )
    .expect("a plan");
    prune::execute(&repository, plan, &Monitor::unheard(&Cancel::new())).expect("a prune");
    let kept = lookup::snapshots(&repository).expect("a list").snapshots;
    assert_eq!(kept.len(), 2);
    let options = VerifyOptions { read_data: true, ..VerifyOptions::default() };
    let report = verify(&repository, None, options, &Monitor::unheard(&Cancel::new())).expect("a check");
    assert!(report.is_clean(), "{report:?}");
}
