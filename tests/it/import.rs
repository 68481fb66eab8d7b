//! Earlier backups as snapshots: what the old tool left in all its states, what Larder exported, and what somebody made up to
//! do harm.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{DAMAGE, PARTIAL, System, noise};

pub(crate) const STAMP: &str = "20250901_020000";
pub(crate) const NAME: &str = "system_backup_20250901_020000";

/// A row of text that does not repeat.
fn row(id: u64) -> String {
    let words: Vec<String> = noise(1_200, id).chunks(4).map(|word| format!("{:x}", u32::from(word[0]) * 77)).collect();
    format!("{id}\t{}\n", words.join(" "))
}

pub(crate) fn dump(rows: &[u64], end: &str) -> Vec<u8> {
    let rows: String = rows.iter().map(|id| row(*id)).collect();
    format!(
        "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.4\n\nSET client_encoding = 'UTF8';\n\n\
         CREATE TABLE public.a (id bigint, t text);\n\n--\n-- Data for Name: a; Type: TABLE DATA; Schema: public; Owner: -\n\
         --\n\nCOPY public.a (id, t) FROM stdin;\n{rows}\\.\n\n\n{end}"
    )
    .into_bytes()
}

pub(crate) const END: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    larder::id::hex(&Sha256::digest(bytes))
}

/// A folder as the old tool leaves it: a dump, two directories, an archive whose entries are in no order.
pub(crate) struct Old {
    pub(crate) path: PathBuf,
    pub(crate) metadata: Value,
}

impl Old {
    pub(crate) fn new(system: &System, stamp: &str, rows: &[u64]) -> Self {
        let name = format!("system_backup_{stamp}");
        let path = system.path("old").join(&name);
        fs::create_dir_all(path.join("models")).expect("create");
        fs::create_dir_all(path.join("logs")).expect("create");
        let (dump_name, bytes) = (format!("cti_scraper_backup_{stamp}.sql.gz"), gzip(&dump(rows, END)));
        fs::write(path.join(&dump_name), &bytes).expect("write");
        fs::write(path.join("models/filter.pkl"), noise(20_000, 5)).expect("write");
        let files = system.path("files");
        fs::create_dir_all(files.join("sub")).expect("create");
        for (file, seed) in [("sub/z", 1), ("b", 2), ("a", 3)] {
            fs::write(files.join(file), noise(9_000, seed)).expect("write");
        }
        let archive = format!("redis_data_{stamp}.tar.gz");
        tar(&path.join(&archive), &files, &["./b", "./sub", "./a"]);
        let archive_sum = sha256(&fs::read(path.join(&archive)).expect("the archive"));
        let metadata = json!({
            "timestamp": "2025-09-01T02:00:00.1", "version": "2.0", "backup_name": name, "backup_path": "backups/x",
            "components": {
                "database": {
                    "filename": dump_name, "filepath": "/elsewhere", "size_mb": 0.1, "checksum": sha256(&bytes),
                    "database_size": "3 articles", "compressed": true,
                },
                "models": {"component": "models", "backup_dir": "backups/x/models", "files": 1, "size_mb": 0.1, "errors": []},
                "logs": {"component": "logs", "backup_dir": "backups/x/logs", "files": 0, "size_mb": 0.0, "errors": []},
                "docker_volume_redis_data": {
                    "volume": "redis_data", "filename": archive, "size_mb": 0.1, "checksum": archive_sum, "errors": [],
                },
            },
        });
        let old = Self { path, metadata };
        old.write();
        old
    }

    pub(crate) fn write(&self) {
        fs::write(self.path.join("metadata.json"), self.metadata.to_string()).expect("write");
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

pub(crate) fn tar(target: &Path, folder: &Path, entries: &[&str]) {
    let mut command = Command::new("tar");
    command.args(["--create", "--gzip", "--file"]).arg(target).arg("--directory").arg(folder).args(entries);
    assert!(command.status().expect("tar runs").success());
}

/// The outcome of each backup of an import, in order.
pub(crate) fn statuses(report: &Value) -> Vec<&str> {
    report["backups"].as_array().expect("a list").iter().map(|one| one["status"].as_str().expect("a status")).collect()
}

pub(crate) fn names(system: &System) -> Vec<String> {
    let list = system.json(&["list"]);
    list.as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn nights_of_the_old_tool_become_differences_with_their_names_and_times() {
    let system = System::with_model("of today");
    let today = system.create();
    let mut rows: Vec<u64> = (0..3_000).collect();
    let mut folders = Vec::new();
    for night in 0..10_u64 {
        // Two of a hundred rows change, and move to the end.
        for number in 0..60 {
            let moved = rows.remove(((number * 49 + night * 31) % 3_000) as usize);
            rows.push(moved + 100_000 * (night + 1));
        }
        folders.push(Old::new(&system, &format!("202509{:02}_020000", night + 1), &rows));
    }
    let report = system.json(&["import", &system.path("old").to_string_lossy()]);
    assert_eq!(statuses(&report), ["imported"; 10]);
    let (before, stored) =
        (report["bytes_before"].as_u64().expect("bytes"), report["bytes_stored"].as_u64().expect("bytes"));
    let first = report["backups"][0]["bytes_stored"].as_u64().expect("bytes");
    let later = (stored - first) / 9;
    assert!(later * 10 < before / 10, "{later} bytes for a night of {}", before / 10);

    let mut expected: Vec<String> = (1..=10).map(|night| format!("system_backup_202509{night:02}_020000")).collect();
    expected.push(today);
    expected.reverse();
    assert_eq!(names(&system), expected);
    let second = system.json(&["show", "system_backup_20250902_020000"]);
    assert_eq!(second["parent"], "system_backup_20250901_020000", "{second}");
    assert!(second["time"].as_str().is_some_and(|time| time.starts_with("2025-09-02T02:00:00")), "{second}");

    let again = system.json(&["import", &system.path("old").to_string_lossy()]);
    assert_eq!(statuses(&again), ["known"; 10]);
    system.ok(&["verify", "--all", "--read-data"]);
    let out = system.path("out");
    system.ok(&["restore", &expected[1], "--target", &out.to_string_lossy()]);
    assert!(system.read("out/database/database.sql") == dump(&rows, END));
    assert_eq!(system.read("out/docker_volume_redis_data/sub/z"), noise(9_000, 1));
    assert_eq!(system.read("out/models/filter.pkl"), noise(20_000, 5));
}

/// What is wrong with a folder, whether it is imported without `--force`, and what it says.
struct Case {
    what: &'static str,
    harm: fn(&mut Old),
    status: &'static str,
    forced: &'static str,
    says: &'static str,
}

const CASES: &[Case] = &[
    Case {
        what: "interrupted",
        harm: |old| fs::remove_file(old.file("metadata.json")).expect("it is there"),
        status: "refused",
        forced: "partial",
        says: "did not reach its end",
    },
    Case {
        what: "the database failed",
        harm: |old| old.metadata["components"]["database"] = json!({"errors": ["pg_dump was not found"]}),
        status: "partial",
        forced: "partial",
        says: "pg_dump was not found",
    },
    Case {
        what: "the dump is gone",
        harm: |old| fs::remove_file(old.file(&format!("cti_scraper_backup_{STAMP}.sql.gz"))).expect("it is there"),
        status: "partial",
        forced: "partial",
        says: "its file is missing",
    },
    Case {
        what: "a null name",
        harm: |old| {
            old.metadata["components"]["docker_volume_redis_data"] =
                json!({"filename": null, "errors": ["docker failed"]});
            fs::remove_file(old.file(&format!("redis_data_{STAMP}.tar.gz"))).expect("it is there");
        },
        status: "partial",
        forced: "partial",
        says: "docker failed",
    },
    Case {
        what: "a directory is missing",
        harm: |old| fs::remove_dir_all(old.file("models")).expect("it is there"),
        status: "partial",
        forced: "partial",
        says: "its directory is missing",
    },
    Case {
        what: "another checksum",
        harm: |old| {
            let path = old.file(&format!("cti_scraper_backup_{STAMP}.sql.gz"));
            fs::write(path, gzip(&dump(&[9], END))).expect("write");
        },
        status: "refused",
        forced: "partial",
        says: "the SHA-256 of",
    },
    Case {
        what: "a dump without its end",
        harm: |old| old.metadata["components"]["database"] = dump_of(old, &gzip(&dump(&[1], ""))),
        status: "failed",
        forced: "partial",
        says: "the line that ends a dump is missing",
    },
    Case {
        what: "compressed data that is cut",
        harm: |old| {
            let bytes = gzip(&dump(&(0..2_000).collect::<Vec<_>>(), END));
            old.metadata["components"]["database"] = dump_of(old, &bytes[..bytes.len() / 2]);
        },
        status: "failed",
        forced: "failed",
        says: "cannot read from",
    },
    Case {
        what: "a dump that never ends",
        harm: |old| old.metadata["components"]["database"] = dump_of(old, &gzip(&vec![b'-'; 300 << 20])),
        status: "failed",
        forced: "failed",
        says: "400 times its own length",
    },
    Case {
        what: "an archive that is none",
        harm: |old| {
            let path = old.file(&format!("redis_data_{STAMP}.tar.gz"));
            fs::write(path, gzip(&noise(5_000, 3))).expect("write");
            old.metadata["components"]["docker_volume_redis_data"]["checksum"] = json!(null);
        },
        status: "failed",
        forced: "failed",
        says: "tar failed",
    },
    Case {
        what: "no JSON",
        harm: |old| fs::write(old.file("metadata.json"), "{\"components\": ").expect("write"),
        status: "refused",
        forced: "partial",
        says: "it is not JSON",
    },
    Case {
        what: "a version that is not known",
        harm: |old| old.metadata["version"] = json!("3.1"),
        status: "refused",
        forced: "imported",
        says: "version '3.1'",
    },
    Case {
        what: "what the old tool found",
        harm: |old| old.metadata["validation_errors"] = json!(["models: model is empty", "something"]),
        status: "partial",
        forced: "partial",
        says: "model is empty",
    },
];

/// The entry of a dump that was put into the folder.
fn dump_of(old: &Old, bytes: &[u8]) -> Value {
    fs::write(old.file("database.sql.gz"), bytes).expect("write");
    json!({"filename": "database.sql.gz", "checksum": sha256(bytes)})
}

#[test]
fn what_is_wrong_with_a_folder_is_said_and_taken_only_when_that_is_insisted_on() {
    for case in CASES {
        let system = System::new();
        let mut old = Old::new(&system, STAMP, &[1, 2, 3]);
        old.write();
        (case.harm)(&mut old);
        if old.file("metadata.json").exists() && !case.says.contains("JSON") {
            old.write();
        }
        let path = old.path.to_string_lossy().into_owned();
        for (force, expected) in [(false, case.status), (true, case.forced)] {
            let arguments =
                if force { vec!["import", "--json", "--force", &path] } else { vec!["import", "--json", &path] };
            let run = system.run(&arguments);
            let report = run.json();
            let known = if force && matches!(case.status, "imported" | "partial") { "known" } else { expected };
            assert_eq!(statuses(&report), [known], "{} with force {force}: {report}", case.what);
            let code = match known {
                "imported" | "known" => 0,
                "partial" => PARTIAL,
                _ => 1,
            };
            assert_eq!(run.code, code, "{}: {run:?}", case.what);
            if !force {
                assert!(report["backups"][0]["errors"].to_string().contains(case.says), "{}: {report}", case.what);
            }
        }
        if case.forced == "failed" {
            assert!(names(&system).is_empty(), "{}", case.what);
        } else {
            system.ok(&["verify", "--all", "--read-data"]);
        }
    }
}

#[test]
fn no_path_and_no_link_leads_out_of_a_folder() {
    let system = System::new();
    system.write("secret", "a secret");
    let mut old = Old::new(&system, STAMP, &[1]);
    let secret = system.path("secret");
    let files = system.path("files");
    symlink(&secret, files.join("link")).expect("link");
    fs::write(files.join("line\nfeed"), "x").expect("write");
    let archive = old.file(&format!("redis_data_{STAMP}.tar.gz"));
    let evil = r"s,^\./b,../../evil,";
    let mut command = Command::new("tar");
    command.args(["-czf"]).arg(&archive).args(["-P", "--transform", evil, "-C"]).arg(&files);
    assert!(command.args(["./b", "./a", "./link", "./line\nfeed"]).status().expect("tar").success());
    old.metadata["components"]["docker_volume_redis_data"]["checksum"] =
        json!(sha256(&fs::read(&archive).expect("it")));
    old.metadata["components"]["database"] = json!({"filename": "../../secret"});
    old.metadata["components"]["stolen"] = json!({"filename": "../../secret", "backup_dir": "/etc"});
    fs::remove_dir_all(old.file("logs")).expect("it is there");
    symlink("/etc", old.file("logs")).expect("link");
    old.write();
    let run = system.run(&["import", "--json", "--force", &old.path.to_string_lossy()]);
    let report = run.json();
    // GNU tar takes the dots away, and says so by its status or not at all.
    assert!(["partial", "failed"].contains(&statuses(&report)[0]), "{report}");
    assert!(!system.exists("evil") && !Path::new("/tmp/evil").exists());
    if statuses(&report) == ["partial"] {
        let list = system.ok(&["ls", "-R", NAME]);
        assert!(!list.stdout.contains("passwd"), "{list:?}");
        let out = system.path("out").to_string_lossy().into_owned();
        system.run(&["restore", NAME, "--target", &out, "--force"]);
        assert_eq!(fs::read_link(system.path("out/docker_volume_redis_data/link")).expect("a link"), secret);
        assert!(system.exists("out/docker_volume_redis_data/line\nfeed"));
    }
    // A folder that is itself a link is what it leads to, or nothing.
    symlink(&old.path, system.path("system_backup_20250101_000000")).expect("link");
    let run = system.run(&["import", "--json", &system.path("system_backup_20250101_000000").to_string_lossy()]);
    assert_ne!(statuses(&run.json()), ["imported"], "{run:?}");
}

#[test]
fn dumps_that_lie_alone_and_backups_of_the_same_second() {
    let system = System::new();
    Old::new(&system, STAMP, &[1]);
    let other = System::new();
    let twin = Old::new(&other, STAMP, &[1, 2]);
    system.write("old/cti_scraper_backup_20250820_010203.sql.gz", gzip(&dump(&[4], END)));
    system.write("old/cti_scraper_backup_20250820_010203.json", json!({"database": "articles"}).to_string());
    system.write(format!("old/cti_scraper_backup_{STAMP}.sql"), dump(&[5], END));
    system.write("old/pre_restore_snapshot_20250821_000000.sql", dump(&[6], END));
    system.write("old/notes.txt", "no backup");
    system.write("old/models/x", "no backup either");
    let both = [system.path("old").to_string_lossy().into_owned(), twin.path.to_string_lossy().into_owned()];
    let dry = system.json(&["import", "--dry-run", &both[0], &both[1]]);
    assert_eq!(statuses(&dry), ["to do"; 5], "{dry}");
    assert!(!system.exists("backups"), "nothing was made");
    let report = system.json(&["import", &both[0], &both[1]]);
    assert_eq!(statuses(&report), ["imported"; 5], "{report}");
    let expected: Vec<String> =
        ["20250901_020002", "20250901_020001", "20250901_020000", "20250821_000000", "20250820_010203"]
            .iter()
            .map(|stamp| format!("system_backup_{stamp}"))
            .collect();
    assert_eq!(names(&system), expected);
    let lone = system.json(&["show", "system_backup_20250820"]);
    assert_eq!(
        (&lone["type"], &lone["components"][0]["database"]["name"]),
        (&json!("database"), &json!("articles")),
        "{lone}"
    );
    assert_eq!(system.json(&["show", "system_backup_20250821"])["type"], "safety");
    assert_eq!(statuses(&system.json(&["import", &both[0], &both[1]])), ["known"; 5]);

    for (path, why) in
        [("nowhere", "No such file"), ("old/models", "it is no folder"), ("old/notes.txt", "it is no folder")]
    {
        let run = system.run(&["import", &system.path(path).to_string_lossy()]);
        assert!(run.code == 1 || run.code == 2, "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
    }
}

/// Such folders were taken for one, and the second was left out, when the second of their name did not count.
#[test]
fn folders_that_differ_in_nothing_but_their_second_are_two() {
    let system = System::new();
    for (stamp, bytes) in [("20250901_020000", "one"), ("20250902_020000", "two")] {
        system.write(format!("old/system_backup_{stamp}/models/x"), bytes);
        system.write(format!("old/system_backup_{stamp}/metadata.json"), r#"{"components": {"models": {"files": 1}}}"#);
    }
    for name in ["app", "users"] {
        system.write(format!("old/{name}_backup_20250903_020000.sql"), dump(&[1], END));
    }
    let report = system.json(&["import", &system.path("old").to_string_lossy()]);
    assert_eq!(statuses(&report), ["imported"; 4], "{report}");
}

#[test]
fn a_folder_is_verified_and_restored_as_it_lies_there() {
    let system = System::new();
    let old = Old::new(&system, STAMP, &[1, 2, 3]);
    let path = old.path.to_string_lossy().into_owned();
    let run = system.ok(&["verify", &path]);
    assert!(run.stdout.contains("OK") && run.stdout.contains(NAME), "{run:?}");
    let out = system.path("out").to_string_lossy().into_owned();
    system.ok(&["restore", &path, "--target", &out]);
    assert_eq!(system.read("out/models/filter.pkl"), noise(20_000, 5));
    assert!(!system.exists("backups"), "no repository was needed");
    fs::create_dir(system.path("models")).expect("create");
    system.ok(&["restore", &path, "--components", "models", "--force"]);
    assert_eq!(system.read("models/filter.pkl"), noise(20_000, 5));
    assert!(names(&system).contains(&NAME.to_owned()), "it was imported for that");

    // The old tool called a folder valid whose dump was gone.
    let dump = old.file(&format!("cti_scraper_backup_{STAMP}.sql.gz"));
    let kept = fs::read(&dump).expect("the dump");
    fs::remove_file(&dump).expect("it is there");
    system.run(&["verify", &path]).ended(PARTIAL).shows("LACKING database: its file is missing");
    fs::write(&dump, kept).expect("write");

    let archive = old.file(&format!("redis_data_{STAMP}.tar.gz"));
    let mut bytes = fs::read(&archive).expect("the archive");
    bytes[100] ^= 1;
    File::create(&archive).and_then(|mut file| file.write_all(&bytes)).expect("write");
    let run = system.run(&["verify", &path]);
    run.ended(DAMAGE).shows("the SHA-256 of");
    system.run(&["restore", &path, "--target", &out]).ended(2).says("nothing was restored");
    system.run(&["verify", &system.path("old").join("none").to_string_lossy()]).ended(1);
}

#[test]
fn what_was_exported_comes_back() {
    let system = System::with_model(noise(50_000, 3));
    system.write("config/deep/er/file", "x");
    symlink("file", system.path("config/deep/er/link")).expect("link");
    let name = system.create();
    let exports = system.path("exports").to_string_lossy().into_owned();
    system.ok(&["export", &name, "--to", &exports]);
    let other = System::new();
    let report = other.json(&["import", &exports]);
    assert_eq!(statuses(&report), ["imported"], "{report}");
    assert_eq!(names(&other), [name.as_str()]);
    let [mine, theirs] = [(&system, "mine"), (&other, "theirs")].map(|(from, folder)| {
        let out = system.path(folder);
        from.ok(&["restore", &name, "--target", &out.to_string_lossy()]);
        out
    });
    let differs = Command::new("diff").arg("-r").arg(mine).arg(theirs).output().expect("diff runs");
    assert!(differs.status.success(), "{differs:?}");
}
