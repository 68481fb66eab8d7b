//! Exported folders: their layouts, that they are the same each time, and that one that is there is replaced whole or not at all.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use larder::model::{decode_snapshot, encode_snapshot};

use super::import::{NAME, Old, STAMP, names, sha256, statuses};
use super::support::System;

/// A repository with one snapshot that has a dump, directories and a volume.
fn system() -> System {
    let system = System::new();
    let old = Old::new(&system, STAMP, &[1, 2, 3]);
    system.ok(&["import", &old.path.to_string_lossy()]);
    system
}

/// The files of a folder, as they are found from it.
fn files(folder: &Path) -> Vec<String> {
    let output = Command::new("find").args([".", "-type", "f", "-printf", "%P\\n"]).current_dir(folder).output();
    let mut files: Vec<String> =
        String::from_utf8_lossy(&output.expect("find runs").stdout).lines().map(str::to_owned).collect();
    files.sort();
    files
}

fn export(system: &System, to: &str, arguments: &[&str]) -> PathBuf {
    let to = system.path(to);
    system.ok(&[&["export", NAME, "--to", &to.to_string_lossy()], arguments].concat());
    to.join(NAME)
}

#[test]
fn each_layout_has_its_files_and_comes_back_as_the_same_snapshot() {
    let system = system();
    let documented = vec!["database.sql.gz", "docker_volumes/redis_data.tar.gz", "metadata.json", "models/filter.pkl"];
    let upstream = vec![
        "cti_scraper_backup_20250901_020000.sql.gz",
        "metadata.json",
        "models/filter.pkl",
        "redis_data_20250901_020000.tar.gz",
    ];
    let mut both = [documented.clone(), vec![upstream[3]]].concat();
    both.sort_unstable();
    for (layout, expected) in [("documented", documented), ("upstream", upstream), ("both", both)] {
        let folder = export(&system, layout, &["--layout", layout]);
        assert_eq!(files(&folder), expected, "{layout}");
        assert!(folder.join("logs").is_dir(), "{layout}: a directory with nothing in it");
        let text = fs::read(folder.join("metadata.json")).expect("it is there");
        let metadata: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert!(metadata["total_size_mb"].is_f64() && metadata["validation_errors"].is_array(), "{metadata}");
        for component in ["database", "docker_volume_redis_data"] {
            let entry = &metadata["components"][component];
            let filename = entry["filename"].as_str().expect("a name");
            let bytes = fs::read(folder.join(filename)).expect("the file is there");
            assert_eq!(entry["checksum"], sha256(&bytes), "{layout}: {component}");
            assert!(layout == "documented" || !filename.contains('/'), "{layout}: {filename}");
        }
        system.ok(&["verify", &folder.to_string_lossy()]);
        let other = System::new();
        let report = other.json(&["import", &folder.to_string_lossy()]);
        assert_eq!(statuses(&report), ["imported"], "{layout}: {report}");
        for (from, out) in [(&system, "mine"), (&other, "theirs")] {
            let out = system.path(format!("{layout}-{out}"));
            from.ok(&["restore", NAME, "--target", &out.to_string_lossy()]);
        }
        let [mine, theirs] = ["mine", "theirs"].map(|out| system.path(format!("{layout}-{out}")));
        let differs = Command::new("diff").arg("-r").arg(mine).arg(theirs).output().expect("diff runs");
        assert!(differs.status.success(), "{layout}: {differs:?}");
    }
    let folder = system.path("both").join(NAME);
    let inode = |name: &str| folder.join(name).metadata().expect("a file").ino();
    assert_eq!(inode("docker_volumes/redis_data.tar.gz"), inode("redis_data_20250901_020000.tar.gz"), "one file");
}

#[test]
fn it_is_the_same_each_time_as_a_folder_and_as_an_archive() {
    let system = system();
    let [first, second] = ["first", "second"].map(|to| export(&system, to, &[]));
    for file in files(&first).iter().filter(|file| *file != "metadata.json") {
        let [a, b] = [&first, &second].map(|folder| folder.join(file));
        assert!(fs::read(&a).expect("a file") == fs::read(&b).expect("a file"), "{file}");
        assert_eq!(a.metadata().expect("a file").mtime(), b.metadata().expect("a file").mtime(), "{file}");
    }
    let archives = [0, 1].map(|_| {
        let output = system.command(&["export", NAME, "--tar", "-"]).output().expect("larder runs");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    });
    assert!(!archives[0].is_empty() && archives[0] == archives[1], "the same bytes");
    let file = system.path("export.tar").to_string_lossy().into_owned();
    system.ok(&["export", NAME, "--tar", &file]);
    assert!(fs::read(&file).expect("the archive") == archives[0]);
    system.run(&["export", NAME, "--tar", &file]).ended(2).says("exists already");
    system.ok(&["export", NAME, "--tar", &file, "--force", "--no-compress"]);
    system.run(&["export", NAME, "--tar", "-", "--json"]).ended(2);
    fs::create_dir(system.path("unpacked")).expect("create");
    let unpacked = Command::new("tar").args(["-xf", &file, "-C"]).arg(system.path("unpacked")).status();
    assert!(unpacked.expect("tar runs").success());
    system.ok(&["verify", &system.path("unpacked").join(NAME).to_string_lossy()]);
}

#[test]
fn what_is_there_stays_or_is_replaced_whole() {
    let system = system();
    let folder = export(&system, "out", &[]);
    let to = system.path("out").to_string_lossy().into_owned();
    fs::write(folder.join("mine"), "a note").expect("write");
    system.run(&["export", NAME, "--to", &to]).ended(1).says("--force");
    assert!(folder.join("mine").exists());
    system.ok(&["export", NAME, "--to", &to, "--force"]);
    assert!(!folder.join("mine").exists());
    // A pack that is damaged ends an export, and what was there stays.
    assert!(system.packs().len() > 1);
    for pack in system.packs() {
        let mut bytes = fs::read(&pack).expect("a pack");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&pack, bytes).expect("it is ours");
    }
    fs::write(folder.join("mine"), "a note").expect("write");
    let run = system.run(&["export", NAME, "--to", &to, "--force"]);
    assert_eq!(run.code, 4, "{run:?}");
    assert!(folder.join("mine").exists());
    let all = system.path("all").to_string_lossy().into_owned();
    system.run(&["export", "--all", "--to", &all]).ended(4).shows("0 snapshots exported, 0 there already, 1 failed");
    // Nobody can write here, not even root.
    let run = system.run(&["export", NAME, "--to", "/proc/larder"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("/proc/larder"), "{run:?}");
    let left: Vec<_> = fs::read_dir(&to).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [NAME], "nothing else is left");
}

#[test]
fn all_of_them_are_exported_once() {
    let system = system();
    for stamp in ["20250902_020000", "20250903_020000"] {
        let old = Old::new(&system, stamp, &[1, 2, 3, 4]);
        system.ok(&["import", &old.path.to_string_lossy()]);
    }
    let to = system.path("out").to_string_lossy().into_owned();
    export(&system, "out", &[]);
    let report = system.json(&["export", "--all", "--to", &to]);
    assert_eq!((report["exported"].as_array().map(Vec::len), &report["standing"]), (Some(2), &1.into()), "{report}");
    system.ok(&["export", "--all", "--to", &to]).shows("0 snapshots exported, 3 there already");
    let other = System::new();
    other.ok(&["import", &to]);
    assert_eq!(names(&other), names(&system));
    system.run(&["export"]).ended(2);
    system.run(&["export", NAME, "--all"]).ended(2);
}

/// The archive of a volume was written through a link that a directory of the snapshot had in its place, to any file of the host.
#[test]
fn an_export_writes_through_nothing_that_a_component_has() {
    let system = system();
    let manifest = |name: &str| system.path("backups/snapshots").join(name);
    let read = |name: &str| decode_snapshot(&fs::read(manifest(name)).expect("it is there")).expect("a manifest");
    let volume = read(NAME).components.into_iter().find(|component| component.volume.is_some()).expect("a volume");
    let short = volume.name.as_str().strip_prefix("docker_volume_").expect("a volume").to_owned();
    system.write("victim", "as it was");
    system.write("links/file", "x");
    for ending in ["tar", "tar.gz"] {
        symlink(system.path("victim"), system.path(format!("links/{short}.{ending}"))).expect("ours");
    }
    system.write("larder.toml", "[directories]\ndocker_volumes = \"links\"\n");
    // The volume is missed.
    let run = system.run(&["create", "--json"]);
    let name = run.json()["name"].as_str().expect("a name").to_owned();
    let mut snapshot = read(&name);
    snapshot.components.retain(|component| component.root.is_some());
    snapshot.components.push(volume);
    fs::write(manifest(&name), encode_snapshot(&snapshot)).expect("ours");
    for layout in ["both", "documented"] {
        let to = system.path("out").to_string_lossy().into_owned();
        let run = system.run(&["export", &name, "--to", &to, "--layout", layout]);
        run.ended(1).says("the component docker_volumes cannot be exported with volumes");
        assert_eq!(system.read("victim"), b"as it was", "{layout}");
    }
    let to = system.path("other").to_string_lossy().into_owned();
    system.ok(&["export", &name, "--to", &to, "--layout", "upstream"]);
    assert_eq!(system.read("victim"), b"as it was");
}
