//! Directories that their owner moves while they are saved or restored: what is in them may belong to somebody else, and is not lost.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};

use larder::cancel::Cancel;
use larder::events::{Event, Events, Unheard};
use larder::model::{Snapshot, SnapshotKind, Status};
use larder::monitor::Monitor;
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::pipeline::restore::{
    self, ComponentRestore, Destination, RestoreJob, RestoreOptions, Safety, safety_snapshot,
};
use larder::repo::Repository;
use larder::rooted::Trust;
use larder::source::{DirSource, Excludes};
use larder::storage::MemoryStorage;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use super::support::{System, is_root};

/// Does something once, as soon as data of a file has been read.
struct WhileReading<'a>(Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>);

impl<'a> WhileReading<'a> {
    fn of(act: impl FnOnce() + Send + 'a) -> Self {
        Self(Mutex::new(Some(Box::new(act))))
    }
}

impl Events for WhileReading<'_> {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Advanced { .. })
            && let Some(act) = self.0.lock().expect("whole").take()
        {
            act();
        }
    }
}

/// A directory with `aa`, a file `mid`, and `zz` with something of root's in it.
struct Models {
    folder: TempDir,
    repository: Repository,
}

impl Models {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let repository = Repository::open_or_create(Arc::new(MemoryStorage::default())).expect("a new repository");
        let models = Self { folder, repository };
        models.write("aa/own", "his");
        models.write("mid", "in between");
        models.write("zz/sub/file", "old");
        models
    }

    fn path(&self, relative: &str) -> std::path::PathBuf {
        self.folder.path().join("models").join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("ours");
        fs::write(path, text).expect("ours");
    }

    fn has(&self, relative: &str, text: &str) -> bool {
        fs::read(self.path(relative)).is_ok_and(|bytes| bytes == text.as_bytes())
    }

    /// Lets the two change places.
    fn exchange(&self) {
        renameat_with(CWD, self.path("aa"), CWD, self.path("zz"), RenameFlags::EXCHANGE).expect("exchange");
    }

    fn sources(&self) -> Vec<ComponentSource> {
        let origin = Origin::Directory(DirSource::new(self.path(""), Excludes::default()));
        vec![ComponentSource { name: "models".parse().expect("a name"), origin }]
    }

    fn save(&self, events: &dyn Events) -> Snapshot {
        let cancel = Cancel::new();
        let name = backup::reserve(&self.repository).expect("a name");
        let report =
            backup::run(&self.repository, name, &self.sources(), &options(), &Monitor::new(events, &cancel, false));
        report.expect("saved").snapshot
    }

    fn save_before_restore(&self, events: &dyn Events) -> Safety {
        let cancel = Cancel::new();
        let monitor = Monitor::new(events, &cancel, false);
        safety_snapshot(&self.repository, self.sources(), &options(), &monitor).expect("saved")
    }

    fn restore(&self, snapshot: &Snapshot, safety: Safety) -> ComponentRestore {
        let component = snapshot.component("models").expect("it was saved");
        let (folder, excludes) = (self.path(""), Excludes::default());
        let destination = Destination::Live { folder, excludes, trust: Trust::default() };
        let jobs = [RestoreJob { component, destination, parts: None }];
        let report = restore::run(
            &self.repository,
            snapshot,
            &jobs,
            safety,
            RestoreOptions::default(),
            &Monitor::unheard(&Cancel::new()),
        );
        report.expect("a restore").components.remove(0)
    }
}

fn options() -> BackupOptions {
    BackupOptions { read_back: false, ..BackupOptions::new(SnapshotKind::Files, "host", "a test") }
}

fn says(messages: &[String], text: &str) -> bool {
    messages.iter().any(|message| message.contains(text))
}

/// The safety snapshot had read the one when they changed places, and so had nothing of the other; the restore removed it.
#[test]
fn what_was_moved_while_it_was_saved_is_not_removed() {
    let models = Models::new();
    let before = models.save(&Unheard);
    models.write("mid", "something else");
    models.write("zz/sub/new", "the only copy");
    // The safety snapshot has an empty directory in the place of what is there now.
    models.exchange();
    fs::rename(models.path("aa"), models.folder.path().join("hidden")).expect("his");
    models.write("aa/own", "his");
    let safety = models.save_before_restore(&Unheard);
    fs::rename(models.path("aa"), models.folder.path().join("own")).expect("his");
    fs::rename(models.folder.path().join("hidden"), models.path("aa")).expect("his");
    let result = models.restore(&before, safety);
    assert!(models.has("aa/sub/new", "the only copy") && models.has("aa/sub/file", "old"), "{result:?}");
    assert!(says(&result.notes.messages, "was moved after it was saved stays"), "{result:?}");
    assert!(models.has("aa/own", "his") && models.has("zz/sub/file", "old") && models.has("mid", "in between"));
}

/// A file that was away while the safety snapshot was made was overwritten.
#[test]
fn what_was_away_while_it_was_saved_is_not_replaced() {
    let models = Models::new();
    symlink("old", models.path("zz/sub/link")).expect("ours");
    let before = models.save(&Unheard);
    models.write("zz/sub/file", "the newest version");
    fs::remove_file(models.path("zz/sub/link")).expect("ours");
    symlink("newest", models.path("zz/sub/link")).expect("ours");
    fs::rename(models.path("zz"), models.folder.path().join("hidden")).expect("his");
    let safety = models.save_before_restore(&Unheard);
    fs::rename(models.folder.path().join("hidden"), models.path("zz")).expect("his");
    // What is written to it now is the least of it.
    let log = fs::OpenOptions::new().append(true).open(models.path("zz/sub/file"));
    log.and_then(|mut log| log.write_all(b", and a line")).expect("ours");
    let result = models.restore(&before, safety);
    assert!(models.has("zz/sub/file", "the newest version, and a line"), "{result:?}");
    assert_eq!(fs::read_link(models.path("zz/sub/link")).expect("there"), Path::new("newest"));
    let why: Vec<String> = result.failed.into_iter().map(|(_, why)| why).collect();
    assert!(why.len() == 2 && says(&why, "the safety snapshot does not have it"), "{why:?}");
    // Once it is saved it is replaced.
    let result = models.restore(&before, models.save_before_restore(&Unheard));
    assert!(result.failed.is_empty() && models.has("zz/sub/file", "old"), "{result:?}");
}

/// Where a directory was made anew what was in it was moved, and counted as changed since for that.
#[test]
fn what_was_away_is_not_replaced_in_a_directory_that_is_made_anew() {
    if !is_root() {
        return;
    }
    let models = Models::new();
    models.write("zz/other", "old");
    let before = models.save(&Unheard);
    models.write("zz/sub/file", "the only copy");
    models.write("zz/other", "the only copy");
    chown(models.path("zz"), Some(61_999), None).expect("root");
    fs::rename(models.path("zz"), models.folder.path().join("hidden")).expect("his");
    let safety = models.save_before_restore(&Unheard);
    fs::rename(models.folder.path().join("hidden"), models.path("zz")).expect("his");
    let result = models.restore(&before, safety);
    assert!(models.has("zz/sub/file", "the only copy") && models.has("zz/other", "the only copy"), "{result:?}");
    // What is saved goes from such a directory, too.
    chown(models.path("zz"), Some(61_999), None).expect("root");
    models.write("zz/extra", "x");
    let result = models.restore(&before, models.save_before_restore(&Unheard));
    assert!(models.has("zz/sub/file", "old") && !models.path("zz/extra").exists(), "{result:?}");
}

/// A directory that stood where a file was to be was taken away with everything in it.
#[test]
fn a_directory_in_the_way_goes_only_when_it_is_saved() {
    let models = Models::new();
    let before = models.save(&Unheard);
    fs::remove_file(models.path("mid")).expect("ours");
    models.write("mid/saved", "a copy");
    let safety = models.save_before_restore(&Unheard);
    models.write("mid/new", "the only copy");
    let result = models.restore(&before, safety);
    assert!(models.has("mid/new", "the only copy") && models.has("mid/saved", "a copy"), "{result:?}");
    assert!(result.failed.iter().any(|(_, why)| why.contains("something that no snapshot has")), "{result:?}");
    let result = models.restore(&before, models.save_before_restore(&Unheard));
    assert!(result.failed.is_empty() && models.has("mid", "in between"), "{result:?}");
}

/// What a program writes while a restore goes on is replaced: it would never end otherwise.
#[test]
fn what_was_written_to_since_is_replaced() {
    let models = Models::new();
    let before = models.save(&Unheard);
    models.write("mid", "a new text");
    let safety = models.save_before_restore(&Unheard);
    make_since(&safety, &models.path("aa/own"));
    models.write("mid", "another text");
    let result = models.restore(&before, safety);
    assert!(models.has("mid", "in between") && models.has("aa/own", "his"), "{result:?}");
    assert!(result.failed.is_empty(), "{result:?}");
}

/// A file that a program of root makes anew again and again counted as one that it had made there: it had come with its directory, and
/// nobody had it.
#[test]
fn what_was_made_since_in_a_directory_that_is_another_one_is_not_replaced() {
    let models = Models::new();
    let before = models.save(&Unheard);
    let hidden = models.folder.path().join("hidden");
    fs::rename(models.path("zz"), &hidden).expect("his");
    let safety = models.save_before_restore(&Unheard);
    make_since(&safety, &hidden.join("sub/file"));
    fs::rename(&hidden, models.path("zz")).expect("his");
    let result = models.restore(&before, safety);
    assert!(models.has("zz/sub/file", "made since"), "{result:?}");
    assert!(result.failed.iter().any(|(_, why)| why.contains("the safety snapshot does not have it")), "{result:?}");
}

/// What was made since, and moved there, had the number of a file that had been removed: it counted as that one, and was written over.
#[test]
fn what_has_the_number_of_another_one_is_not_replaced() {
    let models = Models::new();
    let before = models.save(&Unheard);
    models.write("mid", "a new text");
    let mut safety = models.save_before_restore(&Unheard);
    // Everything has the number that it was saved with, and was made since.
    safety.began = Some((0, 0));
    models.write("mid", "the only copy");
    let result = models.restore(&before, safety);
    assert!(models.has("mid", "the only copy"), "{result:?}");
    assert!(result.failed.iter().any(|(_, why)| why.contains("the safety snapshot does not have it")), "{result:?}");
}

/// Puts a file in the place of another one that was made after the safety snapshot was begun.
fn make_since(safety: &Safety, path: &Path) {
    let began = safety.began.expect("it was wanted");
    let made = path.with_extension("new");
    let changed = || fs::metadata(&made).map(|metadata| (metadata.ctime(), metadata.ctime_nsec()));
    // Times of files go on in steps.
    while changed().map_or(true, |time| time <= (began.0, began.1.into())) {
        let _ = fs::remove_file(&made);
        fs::write(&made, "made since").expect("ours");
    }
    fs::rename(&made, path).expect("ours");
}

/// The second of two names of a file stayed: the first had been removed, and its inode counted as changed since.
#[test]
fn all_names_of_a_file_are_removed() {
    let system = System::with_model("mine");
    let name = system.create();
    system.write("models/extra", "x");
    fs::hard_link(system.path("models/extra"), system.path("models/second")).expect("ours");
    system.run(&["restore", &name, "--force"]).ended(0);
    assert!(!system.exists("models/extra") && !system.exists("models/second"));
}

/// A file that backups leave out now was written over, and nobody had its old text.
#[test]
fn what_backups_leave_out_is_not_written_over() {
    let system = System::with_model("mine");
    system.write("models/state.log", "old");
    system.write("models/logs/one", "old");
    system.write("models/logs/two", "old");
    let name = system.create();
    system.write("larder.toml", "[directories]\nmodels = { path = \"models\", exclude = [\"*.log\", \"/logs\"] }\n");
    system.write("models/state.log", "in no backup");
    system.write("models/logs/one", "in no backup");
    fs::remove_file(system.path("models/logs/two")).expect("ours");
    let run = system.run(&["restore", &name, "--force"]);
    run.ended(0).says("models/state.log: backups leave it out now").says("logs: backups leave it out now");
    assert_eq!(system.read("models/state.log"), b"in no backup");
    assert_eq!(system.read("models/logs/one"), b"in no backup");
    assert_eq!(system.read("models/logs/two"), b"old", "what is not there is made");
}

/// Two directories that changed places while they were read: the one was read twice, and the other never, in a complete snapshot.
#[test]
fn a_directory_that_is_read_twice_is_told() {
    let models = Models::new();
    assert_eq!(models.save(&Unheard).status, Status::Complete);
    models.write("mid", "something else");
    let snapshot = models.save(&WhileReading::of(|| models.exchange()));
    let errors: Vec<String> = snapshot.errors().collect();
    assert!(says(&errors, "zz was read before by another name"), "{errors:?}");
}

/// A directory that was moved to where its turn had passed was missing from a complete snapshot.
#[test]
fn a_directory_that_vanishes_is_told() {
    let models = Models::new();
    models.write("mid", "one");
    models.save(&Unheard);
    let to = models.path("ab");
    models.write("mid", "another");
    models.write("zy/new", "of no snapshot yet");
    let act = || {
        fs::rename(models.path("zz"), &to).expect("his");
        fs::remove_dir_all(models.path("zy")).expect("ours");
    };
    let snapshot = models.save(&WhileReading::of(act));
    let errors: Vec<String> = snapshot.errors().collect();
    assert!(errors.len() == 1 && says(&errors, "zz vanished before it was read: if it was moved"), "{errors:?}");
    let notes = &snapshot.component("models").expect("saved").notes;
    assert!(says(&notes.messages, "zy vanished before it was read"), "{notes:?}");
    // It is no more what the last snapshot has: nothing is missing.
    assert_eq!(models.save(&Unheard).status, Status::Complete);
}

/// What the owner of a directory around them may exchange: directories of root's and of his own, each with an attribute and a file.
const PAIRS: u32 = 12;
/// So often are they saved meanwhile.
const RUNS: u32 = 12;
const MARK: &str = "user.whose";

fn mark(path: &Path) -> String {
    let mut value = [0; 16];
    let len = rustix::fs::getxattr(path, MARK, &mut value).unwrap_or(0);
    String::from_utf8_lossy(&value[..len]).into_owned()
}

/// The owner was that of one directory, the access control list that of another, and the entries were those of either: restored, root's
/// closed directory was open to whoever had exchanged them.
#[test]
fn what_is_said_of_a_directory_is_said_of_the_one_whose_entries_are_saved() {
    if !is_root() {
        return;
    }
    let system = System::new();
    for number in 0..PAIRS {
        for (whose, uid) in [("root", 0), ("his", 61_998)] {
            let path = system.path(format!("models/{whose}{number}"));
            system.write(format!("models/{whose}{number}/file"), whose);
            rustix::fs::setxattr(&path, MARK, whose.as_bytes(), rustix::fs::XattrFlags::empty()).expect("a mark");
            chown(&path, Some(uid), Some(uid)).expect("root");
        }
    }
    let is_going = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let mixed = scope.spawn(|| {
            let mixed = (0..RUNS).find_map(|_| mixed_directory(&system));
            is_going.store(false, std::sync::atomic::Ordering::Relaxed);
            mixed
        });
        while is_going.load(std::sync::atomic::Ordering::Relaxed) {
            for number in 0..PAIRS {
                let [one, other] = ["root", "his"].map(|whose| system.path(format!("models/{whose}{number}")));
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).expect("both are there");
            }
        }
        assert_eq!(mixed.join().expect("no panic"), None);
    });
}

/// Saves the directories, and finds one that is not of one piece: its owner, its mark and its file.
fn mixed_directory(system: &System) -> Option<(u32, String, String)> {
    // Some were moved, and that is told.
    let saved = system.run(&["create", "--json"]).stdout;
    let name = serde_json::from_str::<serde_json::Value>(&saved).ok()?["name"].as_str()?.to_owned();
    let target = system.path("target");
    system.run(&["restore", &name, "--target", &target.to_string_lossy()]);
    let directories = fs::read_dir(target.join("models")).ok()?.flatten().map(|entry| entry.path());
    let found = directories.map(|path| {
        let file = fs::read_to_string(path.join("file")).unwrap_or_default();
        (fs::metadata(&path).map_or(0, |metadata| metadata.uid()), mark(&path), file)
    });
    let found: Vec<_> = found.collect();
    fs::remove_dir_all(target).ok()?;
    found.into_iter().find(|(uid, mark, file)| mark != file || (mark == "root") != (*uid == 0))
}
