//! Several systems, hosts with other names, and snapshots that moved from one repository to another.

use std::fs;
use std::path::Path;

use super::support::{DONE, NO_SUCH_SNAPSHOT, PARTIAL, Run, USAGE, World, is_root, name_of};

/// Two hosts had one repository: `restore latest` put the files of the other over one's own, and `prune` deleted its snapshots.
#[test]
fn two_systems_can_share_a_repository() {
    let world = World::new();
    for (system, text) in [("a", "of a"), ("b", "of b")] {
        world.write(&format!("{system}/config/settings"), text);
        world.write(
            &format!("{system}/larder.toml"),
            format!("backup_dir = \"../shared\"\n[system]\nname = \"{system}\"\n"),
        );
    }
    let of_a = world.create("a");
    let first = world.run("b", &["create", "--json"]);
    first.ended(DONE).says_all(&["has no snapshot of the system 'b', only some of a"]);
    let of_b = name_of(&first.json());
    world.ok("b", &["create"]).says_not("has no snapshot of the system");
    world.ok("a", &["prune", "--force", "--daily", "1"]);
    assert!(world.names("a").contains(&of_a));
    assert_eq!(name_of(&world.json("a", &["show", "latest"])), of_a);
    assert_eq!(world.json("a", &["show", "latest", "--system", "b"])["system"], "b");
    assert_eq!(world.json("a", &["list", "--system", "a"]).as_array().map(Vec::len), Some(1));
    world.ok("a", &["restore", "latest", "--force"]);
    assert_eq!(world.read("a/config/settings"), "of a");
    // What is refused says how it is done.
    let newest = name_of(&world.json("b", &["show", "latest"]));
    let refused = world.run("a", &["restore", &newest, "--force"]);
    refused.ended(USAGE).says_all(&["is of the system 'b', and this is 'a'"]);
    let (_, command) = refused.stderr.split_once('`').expect("a command");
    let (command, _) = command.split_once('`').expect("its end");
    assert_eq!(world.read("a/config/settings"), "of a");
    world.ok("a", &["restore", &newest, "--target", world.path("look").to_str().expect("text")]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", command]).env("STATE_DIRECTORY", world.path("state"));
    Run::of(&mut shell).ended(DONE);
    assert_eq!(world.read("a/config/settings"), "of b");
    assert_ne!(of_b, newest);
    // Neither is here.
    world.write("c/larder.toml", "backup_dir = \"../shared\"\n");
    world.run("c", &["show", "latest"]).ended(NO_SUCH_SNAPSHOT).says_all(&["a, b", "--system"]);
}

/// Two directories of one host are two systems, also where nobody has given them names.
#[test]
fn two_directories_of_one_host_are_two_systems() {
    let world = World::new();
    for system in ["a", "b"] {
        world.write(&format!("{system}/config/settings"), system);
        world.write(&format!("{system}/larder.toml"), "backup_dir = \"../shared\"\n");
    }
    world.create("a");
    world.ok("b", &["create"]).says_all(&["has no snapshot of the system"]);
    let systems: Vec<String> = ["a", "b"]
        .map(|system| world.json(system, &["show", "latest"])["system"].as_str().expect("a name").to_owned())
        .to_vec();
    assert_eq!(systems[1], format!("{}-b", systems[0]));
    // One that was moved is the one that it was.
    std::fs::rename(world.path("a"), world.path("moved")).expect("ours");
    let moved = world.run("moved", &["create"]);
    moved.ended(PARTIAL).says_not("has no snapshot of the system").says_all(&[
        "/a/config",
        "/moved/config",
        "--accept config",
    ]);
    world.ok("moved", &["create", "--accept", "config"]);
    world.ok("moved", &["create"]);
    assert_eq!(world.json("moved", &["show", "latest"])["system"], systems[0].as_str());
}

/// A directory by another way was another system, of which nothing was expected.
#[test]
fn a_directory_is_one_system_by_whatever_way() {
    let world = World::with_app();
    world.write("app/logs/one", "x");
    world.create("app");
    world.remove("app/logs");
    std::os::unix::fs::symlink("app", world.path("link")).expect("ours");
    for way in ["link", "./link/../app"] {
        world.run(way, &["create"]).ended(PARTIAL).says_not("has no snapshot of the system").says_all(&["--drop logs"]);
    }
    // A name that was said for one run is not that of the next ones.
    let system = world.json("app", &["show", "latest"])["system"].clone();
    let mut once = world.command("app", &["create"]);
    Run::of(once.env("LARDER_SYSTEM_NAME", "shpo")).says_all(&["has no snapshot of the system 'shpo'"]);
    let run = world.run("app", &["create", "--json"]);
    assert_eq!(run.ended(PARTIAL).json()["system"], system);
}

/// What a restore had replaced was a system, and the next backup under its name was not warned of.
#[test]
fn a_safety_snapshot_makes_no_system() {
    if !is_root() {
        return;
    }
    let world = World::with_app();
    let at =
        |host: &str, command: &str| world.shell(&format!("hostname {host}; \"$LARDER_TEST_PROGRAM\" -C app {command}"));
    at("old", "create").ended(DONE);
    world.remove("state");
    at("new", "restore latest --system old --force")
        .ended(DONE)
        .says_all(&["was made on the host 'old', and this is 'new'"]);
    at("new", "create").says_all(&["has no snapshot of the system 'new', only some of old"]);
    at("new", "show latest --system olt").ended(NO_SUCH_SNAPSHOT).says_all(&["'olt'", "old"]);
    at("new", "export --all --system olt --to out").ended(NO_SUCH_SNAPSHOT).says_all(&["'olt'"]);
}

/// Two systems had a snapshot of the same second, and the folder of the one was taken for that of the other.
#[test]
fn a_folder_of_another_system_is_not_there_already() {
    let Some(library) = std::env::var_os("LARDER_TEST_FAKETIME") else { return };
    let world = World::new();
    let to = world.path("out");
    let to = to.to_str().expect("text");
    for (system, code) in [("a", DONE), ("b", PARTIAL)] {
        world.write(&format!("{system}/config/settings"), system);
        world.write(&format!("{system}/larder.toml"), format!("[system]\nname = \"{system}\"\n"));
        let mut create = world.command(system, &["create"]);
        create
            .env("LD_PRELOAD", &library)
            .env("FAKETIME", "2026-01-01 02:00:00")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Run::of(&mut create).ended(DONE);
        let run = world.run(system, &["export", "--all", "--to", to]);
        run.ended(code);
        if code == PARTIAL {
            run.says_all(&["is of the system 'a'"]);
        }
    }
}

/// A host with another name was another system, which nothing was expected of.
#[test]
fn a_host_with_another_name_has_the_same_system() {
    if !is_root() {
        return;
    }
    let world = World::with_app();
    let create = |host: &str| world.shell(&format!("hostname {host}; \"$LARDER_TEST_PROGRAM\" -C app create --json"));
    let first = create("first.example").ended(DONE).json();
    let renamed = create("second.example");
    renamed.ended(DONE).says_all(&["was made on the host 'first.example', and this is 'second.example'"]);
    create("second.example").ended(DONE).says_not("warning");
    assert_eq!(first["system"], "first.example");
    assert_eq!(renamed.json()["system"], "first.example");
    // What the host remembers is gone too: it is said.
    world.remove("state");
    let restored = create("third.example");
    restored.ended(DONE).says_all(&["has no snapshot of the system 'third.example', only some of first.example"]);
    world.write("app/larder.toml", "[system]\nname = \"first.example\"\n");
    let named = world.ok("app", &["create", "--json"]);
    named.says_not("has no snapshot of the system");
    assert_eq!(named.json()["system"], "first.example");
}

/// Safety snapshots came back as full ones, and `latest` was the broken state that a restore had replaced.
#[test]
fn exported_and_imported_snapshots_are_those_that_they_were() {
    let world = World::with_app();
    let good = name_of(&world.json("app", &["create", "--tag", "before upgrade"]));
    world.write("app/config/settings", "broken");
    world.ok("app", &["restore", "latest", "--force"]);
    world.ok("app", &["pin", "latest"]);
    let to = world.path("exported");
    let to = to.to_str().expect("text");
    world.ok("app", &["export", "--all", "--to", to]);
    // What was exported from here is here.
    world.ok("app", &["import", to]);
    assert_eq!(world.names("app").len(), 2);
    world.write("other/config/settings", "x");
    world.write("other/larder.toml", "[system]\nname = \"other\"\n");
    world.ok("other", &["import", to]);
    let system = world.json("app", &["show", "latest"])["system"].clone();
    let list = world.json("other", &["list"]);
    let told: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["type"].as_str().expect("text"), one["system"].clone(), one["pinned"].as_bool()))
        .collect();
    assert_eq!(told, [("safety", system.clone(), Some(false)), ("full", system, Some(true))]);
    assert!(list[1]["tags"].to_string().contains("before upgrade"));
    assert_eq!(name_of(&world.json("other", &["show", "latest"])), good);
}

/// A folder that the old tool had made on another machine was `latest` of this system.
#[test]
fn folders_of_another_machine_are_of_no_system_until_it_is_named() {
    let world = World::with_app();
    let folder = |name: &str, from: &Path| {
        world.write(&format!("old/{name}/config/settings"), "one");
        let from = from.display();
        let text = format!(
            r#"{{"version": "2.0", "components": {{"config": {{"source_dir": "{from}", "backup_dir": "config", "files": 1}}}}}}"#
        );
        world.write(&format!("old/{name}/metadata.json"), text);
    };
    folder("system_backup_20250101_000000", Path::new("/opt/shop/config"));
    let old = world.path("old").display().to_string();
    let old = old.as_str();
    for arguments in [&["import", old][..], &["restore", old, "--force", "--no-snapshot"]] {
        let run = world.run("app", arguments);
        run.ended(USAGE).says_all(&["was made of /opt/shop/config", "--system"]);
        assert!(!world.path("app/backups").exists(), "nothing was made");
    }
    world.ok("app", &["import", old, "--system", "shop"]);
    world.run("app", &["restore", "latest", "--force"]).ended(USAGE).says_all(&["--system=shop"]);
    // This system's are.
    fs::remove_dir_all(world.path("old")).expect("ours");
    folder("system_backup_20250102_000000", &world.path("app/config"));
    world.ok("app", &["import", old]);
    world.ok("app", &["restore", "latest", "--force"]);
}

/// Two machines that were called alike put their backups into one repository, and each was the last backup of the other.
#[test]
fn another_machine_of_the_same_name_is_told() {
    let (place, id) = (Path::new("/etc/machine-id"), "0123456789abcdef0123456789abcdef");
    if !is_root() || !place.exists() {
        return;
    }
    let world = World::with_app();
    world.write("machine-id", id);
    world.create("app");
    let other = format!("mount --bind machine-id {}; \"$LARDER_TEST_PROGRAM\" -C app create", place.display());
    world.shell(&other).ended(DONE).says_all(&["was made on another machine that is called"]);
    world.shell(&other).ended(DONE).says_not("another machine");
    world.ok("app", &["create"]).says_all(&["was made on another machine that is called"]);
    world.ok("app", &["create"]).says_not("another machine");
}
