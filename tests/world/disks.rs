//! Repositories on disks that are not mounted, or are others.

use std::fs;
use std::process::Command;

use super::support::{DONE, PARTIAL, Run, USAGE, World, is_root, name_of};

/// The disk of the repository was not mounted, and every night made a new one in the empty folder.
#[test]
fn a_repository_that_is_gone_is_not_made_anew() {
    let world = World::with_app();
    world.ok("app", &["create"]).says_all(&["a new repository was made in"]);
    world.ok("app", &["create"]).says_not("new repository");
    let (place, away) = (world.path("app/backups"), world.path("away"));
    fs::rename(&place, &away).expect("ours");
    for is_folder in [false, true] {
        if is_folder {
            fs::create_dir(&place).expect("ours");
        }
        for words in [&["create"][..], &["create", "--dry-run"], &["plan"], &["import", "../away"]] {
            let refused = world.run("app", words);
            assert!(matches!(refused.code, 1 | USAGE), "{words:?}: {refused:?}");
            if words[0] != "import" {
                refused.says_all(&["there was a repository in", "mount its disk", "--new-repository"]);
            }
        }
        assert_eq!(place.exists(), is_folder, "nothing was made");
    }
    assert!(fs::read_dir(&place).expect("ours").next().is_none(), "nothing was made");
    // Another one in its place.
    world.ok("app", &["create", "--new-repository"]).says_all(&["a new repository was made in"]);
    let other = world.path("other");
    fs::rename(&place, &other).expect("ours");
    fs::rename(&away, &place).expect("ours");
    // Each was allowed once, and they take turns.
    world.ok("app", &["create"]);
    fs::rename(&place, &away).expect("ours");
    fs::rename(&other, &place).expect("ours");
    world.ok("app", &["create"]);
    // One that was never here.
    world.write("stranger/config/settings", "x");
    world.ok("stranger", &["create"]);
    fs::rename(&place, &other).expect("ours");
    fs::rename(world.path("stranger/backups"), &place).expect("ours");
    world
        .run("app", &["create"])
        .ended(USAGE)
        .says_all(&["is another one than was used there before", "the right disk"]);
    world.ok("app", &["list"]).says_all(&["warning", "is another one than was used there before"]);
    world.ok("app", &["create", "--new-repository"]).says_not("a new repository was made");
    world.ok("app", &["create"]);
}

/// The same with a real mount.
#[test]
fn a_disk_that_is_not_mounted_is_noticed() {
    if !is_root() {
        return;
    }
    let world = World::with_app();
    world.write("app/larder.toml", "backup_dir = \"../mnt\"\n");
    for folder in ["mnt", "disk"] {
        fs::create_dir(world.path(folder)).expect("ours");
    }
    let mounted =
        |command: &str| world.shell(&format!("mount --bind disk mnt; \"$LARDER_TEST_PROGRAM\" -C app {command}"));
    mounted("create").ended(DONE);
    mounted("create").ended(DONE);
    world.run("app", &["create"]).ended(USAGE).says_all(&["there was a repository in"]);
    assert!(fs::read_dir(world.path("mnt")).expect("ours").next().is_none(), "nothing was made");
    mounted("create").ended(DONE).says_not("new repository");
}

/// A folder with other files became a repository, with its parts between them.
#[test]
fn a_folder_of_others_becomes_no_repository() {
    let world = World::with_app();
    for name in ["invoice.pdf", ".hidden", "data/x"] {
        world.write(&format!("foreign/{name}"), "x");
        let foreign = world.path("foreign");
        let words = ["--backup-dir", foreign.to_str().expect("text"), "create"];
        world.run("app", &words).ended(USAGE).says_all(&["foreign", name.split('/').next().expect("a name")]);
        assert_eq!(fs::read_dir(&foreign).expect("ours").count(), 1, "nothing was made");
        world.remove("foreign");
    }
    for name in [
        "lost+found/.keep",
        ".gitignore",
        ".gitkeep",
        "system_backup_20250101_020000/x",
        "pre_restore_1.sql",
        "a.sql.gz",
    ] {
        world.write(&format!("app/backups/{name}"), "");
    }
    world.create("app");
}

/// A prune of Sunday applied the retention of this system to the disk of another one.
#[test]
fn nothing_is_pruned_on_another_disk() {
    let world = World::with_app();
    world.create("app");
    world.write("other/config/settings", "x");
    world.create("other");
    let (place, away) = (world.path("app/backups"), world.path("away"));
    fs::rename(&place, &away).expect("ours");
    fs::rename(world.path("other/backups"), &place).expect("ours");
    world.run("app", &["prune", "--force"]).ended(USAGE).says_all(&["is another one than was used there before"]);
    world.run("app", &["prune", "--force", "--dry-run"]).ended(USAGE);
    world.run("app", &["prune", "--force", "--repository-id", "12345678"]).ended(USAGE);
    // By another spelling it is the same place.
    fs::remove_dir_all(&place).expect("ours");
    std::os::unix::fs::symlink(world.path("app"), world.path("link")).expect("ours");
    for spelling in ["link/backups", "app/../app/backups", "app/./backups/"] {
        let spelled = world.path(spelling);
        let words = ["--backup-dir", spelled.to_str().expect("text"), "create"];
        world.run("app", &words).ended(USAGE).says_all(&["there was a repository in"]);
    }
    world.run("app", &["restore", away.to_str().expect("text"), "--force"]);
    assert!(!place.exists(), "no repository is made by a restore either");
}

/// A file of what is remembered that was cut short let a new repository be made where the disk was not mounted.
#[test]
fn what_is_remembered_can_be_damaged() {
    let world = World::with_app();
    world.create("app");
    for text in ["", "{\"places\":"] {
        world.write("state/repositories.json", text);
        let (place, away) = (world.path("app/backups"), world.path("away"));
        fs::rename(&place, &away).expect("ours");
        world.run("app", &["create"]).ended(USAGE).says_all(&["repositories.json", "--new-repository"]);
        assert!(!place.exists(), "nothing is made");
        fs::rename(&away, &place).expect("ours");
        let run = world.ok("app", &["create"]);
        assert_eq!(run.says_all(&["the next backup begins it anew"]).stderr.matches("warning").count(), 1, "{run:?}");
        world.ok("app", &["create"]).says_not("warning");
    }
    assert!(world.path("state/repositories.json.damaged").exists());
}

/// The folder of the manifests was lost as a whole: everything was said to be well, and a prune deleted the data.
#[test]
fn without_its_manifests_no_data_is_garbage() {
    let world = World::with_app();
    let name = world.create("app");
    fs::rename(world.path("app/backups/snapshots"), world.path("away")).expect("ours");
    // Whatever the host remembers.
    world.remove("state");
    for is_folder in [false, true] {
        if is_folder {
            fs::create_dir(world.path("app/backups/snapshots")).expect("ours");
        }
        let what = "there is no snapshot, but data of some";
        world.run("app", &["prune", "--force"]).ended(1).says_all(&[what, "nothing is deleted"]);
        world.run("app", &["verify", "--all"]).ended(PARTIAL).says_all(&[what]);
        world.ok("app", &["list"]).says_all(&[what]);
    }
    fs::remove_dir(world.path("app/backups/snapshots")).expect("nothing is in it");
    fs::rename(world.path("away"), world.path("app/backups/snapshots")).expect("ours");
    assert_eq!(world.names("app"), std::slice::from_ref(&name));
    world.ok("app", &["verify", "--all", "--read-data"]).says_not("no snapshot");
    // What was deleted on purpose is garbage.
    world.ok("app", &["forget", &name, "--force"]);
    world.ok("app", &["prune", "--force"]);
}

/// After the next backup there was a snapshot again, and a prune deleted the data of all that were lost.
#[test]
fn a_backup_after_a_loss_has_nothing_deleted() {
    let world = World::with_app();
    // Names are not given again within the second.
    let Some(first) = world.create_at("-1h") else { return };
    first.ended(DONE);
    let name = name_of(&world.create_at("-1h").expect("it was there").ended(DONE).json());
    let (place, away) = (world.path("app/backups/snapshots"), world.path("away"));
    fs::rename(&place, &away).expect("ours");
    for _ in 0..2 {
        world.run("app", &["create"]).ended(PARTIAL).says_all(&[&name, "may be lost", "--new-repository"]);
        world.run("app", &["prune", "--force"]).ended(USAGE).says_all(&[&name, "nothing is deleted"]);
    }
    for entry in fs::read_dir(&away).expect("ours") {
        let entry = entry.expect("an entry");
        fs::rename(entry.path(), place.join(entry.file_name())).expect("ours");
    }
    world.create("app");
    world.ok("app", &["prune", "--force"]);
    world.ok("app", &["verify", "--all", "--read-data"]);
    // What goes on with what is there.
    world.create_at("+1h").expect("it was there").ended(DONE);
    for entry in fs::read_dir(&place).expect("ours") {
        fs::remove_file(entry.expect("an entry").path()).expect("ours");
    }
    world.run("app", &["create"]).ended(PARTIAL);
    world.ok("app", &["create", "--new-repository"]);
    world.create("app");
    world.ok("app", &["prune", "--force"]);
    // What was deleted on purpose is not missed.
    world.ok("app", &["forget", "latest", "--force"]);
    world.ok("app", &["prune", "--force"]);
    world.create("app");
}

/// The newest manifest of everything was lost, and a later one of a stream hid that from all commands; so did one that lay among the deleted
/// ones.
#[test]
fn a_newer_snapshot_of_something_else_does_not_hide_a_loss() {
    let world = World::with_app();
    let forgotten = world.path("app/backups/forgotten");
    for is_forgotten in [false, true] {
        let name = world.create("app");
        world.ok("app", &["create", "--command", "crm", "--", "echo", "x"]);
        fs::create_dir_all(&forgotten).expect("ours");
        let place = world.path("app/backups/snapshots").join(&name);
        let lost = if is_forgotten { forgotten.join(&name) } else { world.path("away") };
        fs::rename(&place, &lost).expect("ours");
        world.run("app", &["verify", "--all"]).ended(PARTIAL).says_all(&[&name, "may be lost"]);
        world.run("app", &["prune", "--force"]).ended(USAGE).says_all(&[&name, "nothing is deleted"]);
        world.run("app", &["create"]).ended(PARTIAL).says_all(&[&name, "may be lost"]);
        fs::rename(&lost, &place).expect("ours");
        world.ok("app", &["verify", "--all"]).says_not("may be lost");
    }
    // What is deleted on purpose is not.
    world.ok("app", &["forget", "latest@crm", "--force"]);
    world.ok("app", &["verify", "--all"]);
    world.ok("app", &["prune", "--force"]);
    world.create("app");
}

/// What was expected was not known, and everything that was there was complete.
#[test]
fn a_manifest_that_cannot_be_read_makes_no_backup_well() {
    let world = World::with_app();
    let name = world.create("app");
    fs::write(world.path("app/backups/snapshots").join(&name), "").expect("ours");
    world.run("app", &["create"]).ended(PARTIAL).says_all(&[&name]);
    world.run("app", &["create"]).ended(PARTIAL).says_all(&[&name]);
}

/// Two copies of one repository, and two hosts in one, each missed what the other had, night by night.
#[test]
fn what_is_of_another_copy_or_host_is_not_missed() {
    let world = World::with_app();
    world.create("app");
    let copy = world.path("copy").display().to_string();
    Run::of(Command::new("cp").arg("-a").arg(world.path("app/backups")).arg(&copy)).ended(DONE);
    world.create("app");
    for _ in 0..2 {
        world.ok("app", &["create", "--backup-dir", &copy]).says_not("gone");
        world.ok("app", &["create"]).says_not("gone");
    }
    world.ok("app", &["verify", "--all"]);
    world.ok("app", &["verify", "--all", "--backup-dir", &copy]);
    // Of the other system, whose host deletes it.
    let other = |words: &[&str]| {
        let mut command = world.command("app", words);
        Run::of(command.env("STATE_DIRECTORY", world.path("other")).env("LARDER_SYSTEM_NAME", "other"))
    };
    let name = name_of(&other(&["create", "--json"]).ended(DONE).json());
    world.create("app");
    other(&["forget", &name, "--force"]).ended(DONE);
    world.ok("app", &["create"]).says_not("gone");
    world.ok("app", &["prune", "--force"]).says_not("gone");
}

/// What was brought back was not known again, and nobody missed it.
#[test]
fn what_is_brought_back_is_missed_again() {
    let world = World::with_app();
    let last = world.create("app");
    world.ok("app", &["forget", &last, "--force"]);
    world.ok("app", &["undelete", &last]);
    fs::rename(world.path("app/backups/snapshots").join(&last), world.path("away")).expect("ours");
    world.run("app", &["verify", "--all"]).ended(PARTIAL).says_all(&[&last, "may be lost"]);
}

/// What was deleted by another path to the same repository was missed for ever.
#[test]
fn what_is_deleted_by_another_path_is_not_missed() {
    let world = World::with_app();
    let name = world.create("app");
    fs::create_dir(world.path("other")).expect("ours");
    let mounted = "mount --bind app/backups other";
    let forget = "\"$LARDER_TEST_PROGRAM\" -C app --backup-dir \"$PWD/other\" forget";
    world.shell(&format!("{mounted}; {forget} {name} --force")).ended(DONE);
    world.ok("app", &["create"]).says_not("gone");
    world.ok("app", &["prune", "--force"]).says_not("gone");
}
