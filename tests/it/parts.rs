//! Restores of paths: what is named comes back as it was, and nothing else is touched.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

use super::strangers::{STRANGER, own};
use super::support::{Entry, PARTIAL, Run, System, is_root, picture};

/// A system with a snapshot of some folders, in which everything is changed afterwards.
fn changed_system() -> (System, String) {
    let system = System::new();
    for file in ["config/a.yaml", "config/b.yaml", "models/sub/one", "models/sub/deep/two", "models/other/three"] {
        system.write(file, file);
    }
    let name = system.create();
    for file in ["config/a.yaml", "config/b.yaml", "models/sub/one", "models/sub/deep/two", "models/other/three"] {
        system.write(file, "changed");
    }
    system.write("models/sub/new", "came later");
    system.write("models/sub/deep/new", "came later");
    (system, name)
}

#[test]
fn one_file_comes_back_and_what_is_beside_it_stays() {
    let (system, _) = changed_system();
    fs::set_permissions(system.path("config"), fs::Permissions::from_mode(0o700)).expect("ours");
    system
        .ok(&["restore", "--force", "latest:config/a.yaml"])
        .shows("One path of system_backup_")
        .shows("is restored.");
    assert_eq!(system.read("config/a.yaml"), b"config/a.yaml");
    assert_eq!(system.read("config/b.yaml"), b"changed");
    assert_eq!(system.read("models/sub/one"), b"changed");
    let mode = fs::metadata(system.path("config")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the directory around it keeps its own");
    // What was replaced can be had again.
    system.ok(&["cat", "latest:config/a.yaml", "--type", "safety"]).shows("changed");
}

#[test]
fn a_folder_is_made_equal_and_those_around_it_stay() {
    let (system, _) = changed_system();
    let report = system.json(&["restore", "--force", "latest:models/sub/deep"]);
    assert_eq!(report["paths"], serde_json::json!(["models/sub/deep"]));
    assert_eq!(system.read("models/sub/deep/two"), b"models/sub/deep/two");
    assert!(!system.exists("models/sub/deep/new"), "the snapshot does not have it");
    assert!(system.exists("models/sub/new"));
    assert_eq!(system.read("models/sub/one"), b"changed");
    system.write("models/sub/deep/new", "once more");
    system.ok(&["restore", "--force", "--keep-extra", "latest:models/sub"]);
    assert!(system.exists("models/sub/deep/new") && system.exists("models/sub/new"));
    assert_eq!(system.read("models/sub/one"), b"models/sub/one");
    assert_eq!(system.read("models/other/three"), b"changed");
}

#[test]
fn several_paths_and_patterns_come_back_at_once() {
    let (system, name) = changed_system();
    let of = |path: &str| format!("{name}:{path}");
    system.ok(&["restore", "--force", &of("config/b.yaml"), &of("models/**/t*")]).shows("3 paths of");
    for (file, is_back) in [
        ("config/a.yaml", false),
        ("config/b.yaml", true),
        ("models/sub/one", false),
        ("models/sub/deep/two", true),
        ("models/other/three", true),
    ] {
        assert_eq!(system.read(file) == file.as_bytes(), is_back, "{file}");
    }
    // A name without a slash is looked for everywhere.
    system.ok(&["restore", "--force", &of("*.yaml")]);
    assert_eq!(system.read("config/a.yaml"), b"config/a.yaml");
}

#[test]
fn a_component_by_its_path_is_the_whole_component() {
    let (system, _) = changed_system();
    system.ok(&["restore", "--force", "latest:models/"]);
    assert!(!system.exists("models/sub/new"));
    assert_eq!(system.read("models/other/three"), b"models/other/three");
    assert_eq!(system.read("config/a.yaml"), b"changed");
}

#[test]
fn what_is_gone_is_made_again_as_it_was_with_the_directories_around_it() {
    let system = System::new();
    system.write("models/sub/deep/two", "two");
    system.write("models/sub/deep/three", "three");
    fs::set_permissions(system.path("models/sub"), fs::Permissions::from_mode(0o750)).expect("ours");
    if is_root() {
        own(&system, "models/sub/deep");
        own(&system, "models/sub/deep/two");
    }
    symlink("two", system.path("models/sub/deep/link")).expect("ours");
    let before = picture(&system.path("models"));
    system.create();
    fs::remove_dir_all(system.path("models")).expect("ours");
    system.ok(&["restore", "--force", "--no-snapshot", "latest:models/sub/deep/two", "latest:models/sub/deep/link"]);
    assert!(!system.exists("models/sub/deep/three"));
    let after = picture(&system.path("models"));
    for (path, entry) in &after {
        assert_eq!(entry, &before[path], "{}", path.display());
    }
    assert_eq!(after.len(), before.len() - 1);
    let out = system.path("out");
    system.ok(&["restore", "latest:models/sub/deep/two", "--target", &out.to_string_lossy()]);
    assert_eq!(Entry::of(&out.join("models/sub/deep/two")), before[Path::new("sub/deep/two")]);
    assert_eq!(picture(&out).len(), 5, "the root, three directories and the file");
}

#[test]
fn a_dry_run_of_a_path_says_what_it_would_do_and_does_nothing() {
    let (system, _) = changed_system();
    let before = picture(&system.path("models"));
    system
        .ok(&["restore", "--dry-run", "latest:models/sub/deep"])
        .shows("1 entry (19 B) would be written, 0 left as they were, 1 would");
    assert_eq!(picture(&system.path("models")), before);
}

#[test]
fn a_path_that_means_nothing_or_too_much_is_refused() {
    let (system, _) = changed_system();
    let before = picture(&system.path("models"));
    let in_folder = format!("{}:sub/one", system.path("models").display());
    for (arguments, status, says) in [
        (&["latest:"][..], 2, "no path behind its colon"),
        (&["latest:/"], 2, "no path behind its colon"),
        (&["latest:models/none"], 1, "models/none"),
        (&["latest:models/*.none"], 1, "nothing in"),
        (&["latest:models/sub", "latest:models/none"], 1, "models/none"),
        (&["latest:models/[", "--dry-run"], 2, "pattern"),
        (&["latest:models/sub", "other:models/sub"], 2, "cannot be restored at once"),
        (&["latest:models/sub", "models/other"], 2, "latest:models/other"),
        (&["latest", "latest:models/sub"], 2, "cannot be restored at once"),
        (&["latest:models/sub", "--components", "models"], 2, "--components"),
        (&["latest:models/sub", "--into", "other"], 2, "--into"),
        (&[in_folder.as_str()], 2, "larder import"),
    ] {
        system.run(&[&["restore", "--force"][..], arguments].concat()).ended(status).says(says);
        assert_eq!(picture(&system.path("models")), before, "{arguments:?}");
    }
}

/// What stands in the place of a directory was not named, and may be somebody's.
#[test]
fn nothing_is_replaced_for_a_path_below_it() {
    let (system, _) = changed_system();
    fs::rename(system.path("models/sub"), system.path("moved")).expect("ours");
    symlink(system.path("moved"), system.path("models/sub")).expect("ours");
    let run = system.run(&["restore", "--force", "latest:models/sub/one", "latest:models/other/three"]);
    run.ended(PARTIAL).says("something else stands in the place of this directory");
    assert_eq!(system.read("moved/one"), b"changed");
    assert_eq!(system.read("models/other/three"), b"models/other/three");
}

/// Another name kept the old content without a word.
#[test]
fn a_file_with_other_names_is_said_to_be_one_of_its_own() {
    let system = System::new();
    system.write("models/one", "content");
    fs::hard_link(system.path("models/one"), system.path("models/two")).expect("ours");
    system.create();
    system.write("models/one", "changed");
    system.ok(&["restore", "--force", "latest:models/two"]).says("further names that are not restored with them: 1");
    assert_eq!((system.read("models/one"), system.read("models/two")), (b"changed".to_vec(), b"content".to_vec()));
    system.ok(&["restore", "--force", "latest:models/o*", "latest:models/t*"]);
    let inode = |name: &str| fs::metadata(system.path(name)).expect("there").ino();
    assert_eq!(inode("models/one"), inode("models/two"));
}

/// No safety snapshot would have had it.
#[test]
fn what_backups_leave_out_now_is_not_replaced() {
    let (system, _) = changed_system();
    system.write("larder.toml", "[directories.config]\npath = \"config\"\nexclude = [\"a.yaml\"]\n");
    system.run(&["restore", "--force", "latest:config/a.yaml"]).says("backups leave it out now").ended(1);
    assert_eq!(system.read("config/a.yaml"), b"changed");
}

/// A program of root that nobody got at lay where everybody did.
#[test]
fn nothing_is_restored_in_a_directory_that_more_users_get_into_than_then() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/closed/program", "of root");
    fs::set_permissions(system.path("models/closed"), fs::Permissions::from_mode(0o700)).expect("ours");
    fs::set_permissions(system.path("models/closed/program"), fs::Permissions::from_mode(0o4755)).expect("ours");
    system.create();
    let restore = ["restore", "--force", "--no-snapshot", "latest:models/closed/program"];
    let closed = system.path("models/closed");
    for (uid, mode) in [(0, 0o711), (0, 0o770), (STRANGER, 0o700)] {
        fs::remove_file(closed.join("program")).expect("ours");
        chown(&closed, Some(uid), Some(0)).expect("root");
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).expect("ours");
        for arguments in [&restore[..], &[&restore[..], &["--dry-run"]].concat()] {
            system.run(arguments).ended(1).says("others get at what would be restored in it");
        }
        assert!(!closed.join("program").exists());
        fs::write(closed.join("program"), "").expect("ours");
    }
    // As a whole it is closed again.
    system.ok(&["restore", "--force", "--no-snapshot", "latest:models/closed"]);
    let metadata = fs::metadata(&closed).expect("there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o700));
    lchown(closed.join("program"), Some(0), Some(0)).expect("root");
    system.ok(&restore);
}

/// The rest of what an interrupted restore had left counted as whole again.
#[test]
fn a_part_does_not_make_whole_what_a_killed_restore_has_left() {
    let (system, name) = changed_system();
    // A restore that could write only a part of it.
    fs::remove_file(system.path("models/sub/one")).expect("ours");
    system.write("models/sub/one/in/the/way", "kept");
    system.write("larder.toml", "[directories.config]\npath = \"config\"\n[directories.models]\npath = \"models\"\nexclude = [\"sub/one/in\"]\n");
    system.run(&["restore", "--force", &name, "--components", "models"]).ended(PARTIAL);
    system.run(&["create"]).ended(PARTIAL).says("has not ended well");
    system
        .run(&["restore", "--force", &format!("{name}:models/other/three")])
        .ended(PARTIAL)
        .says("has not ended well");
    system.run(&["create"]).ended(PARTIAL).says("has not ended well");
    fs::remove_dir_all(system.path("models/sub/one")).expect("ours");
    system.ok(&["restore", "--force", &name, "--components", "models"]);
    system.ok(&["create"]);
}

/// A directory of root that its owner had put in the place of his own was written into.
#[test]
fn a_directory_of_somebody_else_is_not_gone_into_for_a_part() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/his/file", "his");
    own(&system, "models/his");
    own(&system, "models/his/file");
    system.create();
    fs::rename(system.path("models/his"), system.path("models/away")).expect("ours");
    system.write("models/his/file/of/root", "kept");
    fs::set_permissions(system.path("models/his"), fs::Permissions::from_mode(0o700)).expect("ours");
    system.run(&["restore", "--force", "latest:models/his/file"]).ended(1).says("it may be another one");
    assert_eq!(system.read("models/his/file/of/root"), b"kept");
}

/// The note of a restore that was killed went with one that wrote nothing, or the same half-old files once more.
#[test]
fn only_what_writes_it_all_makes_it_whole() {
    let system = System::new();
    system.write("config/a", "good");
    system.write("config/d/b", "good");
    let name = system.create();
    // Something that no snapshot has keeps a file from being restored.
    fs::remove_file(system.path("config/a")).expect("ours");
    system.write("config/a/in/the/way", "kept");
    system.write("config/d/b", "bad");
    let excluded = "[directories.config]\npath = \"config\"\nexclude = [\"a/in\"]\n";
    system.write("larder.toml", excluded);
    system.run(&["restore", "--force", "--no-snapshot", &name]).ended(PARTIAL);
    system.write("config/d/b", "bad");
    let half = system.run(&["create", "--json"]).ended(PARTIAL).json()["name"].as_str().expect("a name").to_owned();
    fs::remove_dir_all(system.path("config/a")).expect("ours");
    // From what was half-restored nothing is made whole.
    system.run(&["restore", "--force", "--no-snapshot", "latest"]).ended(PARTIAL).says(&name);
    system.run(&["restore", "--force", "--no-snapshot", &half]).ended(PARTIAL);
    // Nor by a restore that writes nothing.
    fs::rename(system.path("config/d"), system.path("away")).expect("ours");
    system.write("config/d", "a file");
    system.run(&["restore", "--force", "--no-snapshot", &format!("{name}:config/d/b")]).ended(1);
    fs::remove_file(system.path("config/d")).expect("ours");
    fs::rename(system.path("away"), system.path("config/d")).expect("ours");
    system.run(&["plan"]).ended(PARTIAL).says(&name);
    // A part of it is not all of it.
    system.run(&["restore", "--force", "--no-snapshot", &format!("{name}:config/d")]).ended(PARTIAL);
    system.run(&["plan"]).ended(PARTIAL).says(&name);
    system.ok(&["restore", "--force", "--no-snapshot", &format!("{name}:config")]);
    system.run(&["plan"]).ended(0);
    assert_eq!((system.read("config/a"), system.read("config/d/b")), (b"good".to_vec(), b"good".to_vec()));
}

/// A folder went for a file, and `0 removed` was said of it, by a dry run and where everything else was to stay.
#[test]
fn a_folder_that_goes_for_a_file_is_counted_or_stays() {
    let system = System::new();
    system.write("config/notes", "a file");
    system.create();
    fs::remove_file(system.path("config/notes")).expect("ours");
    system.write("config/notes/2026/a", "precious");
    for arguments in [&["--keep-extra"][..], &["--keep-extra", "--dry-run"], &["--keep-extra", "--no-snapshot"]] {
        let run = system.run(&[&["restore", "latest:config/notes", "--force"], arguments].concat());
        run.ended(1).says("a directory with something in it stands in the place of it");
        assert_eq!(system.read("config/notes/2026/a"), b"precious");
    }
    let out = system.path("out");
    fs::create_dir(&out).expect("ours");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o700)).expect("ours");
    system.write("out/config/notes/mine", "precious");
    system.run(&["restore", "latest:config/notes", "--target", &out.to_string_lossy()]).ended(1);
    assert_eq!(system.read("out/config/notes/mine"), b"precious");
    system.ok(&["restore", "latest:config/notes", "--force", "--dry-run"]).shows("1 would be removed");
    assert_eq!(system.json(&["restore", "latest:config/notes", "--force"])["components"][0]["removed"], 1);
    assert_eq!(system.read("config/notes"), b"a file");
}

/// Entries that failed were counted as written, and the status was that of something that was done in part.
#[test]
fn what_cannot_be_written_is_not_counted() {
    let system = System::new();
    system.write("config/a", "before");
    system.create();
    system.write("config/a", "after");
    let command =
        format!("mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec \"$@\"", system.path("config").display());
    if !is_root() {
        return;
    }
    let inner = system.command(&["restore", "latest:config/a", "--force", "--no-snapshot", "--json"]);
    let mut unshared = Command::new("unshare");
    unshared.args(["--mount", "sh", "-c", &command, "sh"]).arg(inner.get_program()).args(inner.get_args());
    unshared.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = Run::of(&mut unshared);
    run.ended(1).says("Read-only file system");
    assert_eq!(run.json()["components"][0]["written"], 0);
}

/// The dry run looked at what lies behind a link that would be replaced.
#[test]
fn a_dry_run_does_not_look_behind_what_is_replaced() {
    let system = System::new();
    system.write("config/d/file", "x");
    system.create();
    fs::rename(system.path("config/d"), system.path("outside")).expect("ours");
    symlink(system.path("outside"), system.path("config/d")).expect("ours");
    system.ok(&["restore", "latest:config/d", "--dry-run"]).shows("2 entries");
    system.ok(&["restore", "latest:config/d", "--force"]).shows("2 entries");
    assert!(system.exists("outside/file"));
}

/// That the component had failed then was not said.
#[test]
fn a_path_of_a_component_that_failed_says_so() {
    let system = System::with_model("x");
    system.write("larder.toml", "[directories]\nmodels = \"models\"\nlogs = \"logs\"\n");
    system.run(&["create"]).ended(PARTIAL);
    system.run(&["restore", "latest:logs/l"]).ended(1).says("it could not be saved in");
}

/// A pattern that begins with a component went through all others, too.
#[test]
fn patterns_are_looked_for_where_they_can_match() {
    let system = System::new();
    for file in ["config/a/x", "config/a/y", "config/b/x", "models/a/x"] {
        system.write(file, file);
    }
    system.create();
    for (pattern, found) in [
        ("config/a/*", &["config/a/x", "config/a/y"][..]),
        ("config/*/x", &["config/a/x", "config/b/x"]),
        ("*/a/x", &["config/a/x", "models/a/x"]),
        ("config/a/x", &["config/a/x"]),
        ("{config,models}/b/*", &["config/b/x"]),
        ("config/**", &["config/a", "config/a/x", "config/a/y", "config/b", "config/b/x"]),
        ("none/*", &[]),
    ] {
        let entries = system.json(&["find", pattern]);
        let paths =
            entries.as_array().expect("a list").iter().map(|one| one["entry"]["path"].as_str().expect("a path"));
        let mut paths: Vec<&str> = paths.collect();
        paths.sort_unstable();
        assert_eq!(paths, found, "{pattern}");
    }
}

/// The folder was gone when the restore began, and lay behind a link: it had another name when the next backup looked.
#[test]
fn what_is_half_restored_behind_a_link_is_known() {
    let system = System::new();
    system.write("real/config/a", "good");
    system.write("real/config/b/c", "good");
    symlink(system.path("real"), system.path("link")).expect("ours");
    let toml = "[directories.config]\npath = \"link/config\"\n";
    system.write("larder.toml", toml);
    let name = system.create();
    fs::remove_dir_all(system.path("real/config")).expect("ours");
    let killed = system.command(&["restore", &name, "--force", "--no-snapshot"]);
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-o", "/dev/null", "-e", "inject=syncfs:signal=KILL"])
        .arg(killed.get_program())
        .args(killed.get_args());
    traced.envs(killed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Run::of(&mut traced);
    assert!(system.exists("real/config/a"), "it was killed at the end");
    let plan = system.run(&["plan"]);
    plan.ended(PARTIAL).says("has not ended well").says(&format!("restore {name} --force --no-snapshot"));
    system.run(&["create"]).ended(PARTIAL).says("has not ended well");
    system.ok(&["restore", &name, "--force", "--no-snapshot"]);
    system.ok(&["create"]);
}

/// A note with thousands of paths was too long to be read again.
#[test]
fn a_part_of_thousands_of_paths_is_noted() {
    let system = System::new();
    for number in 0..3_000 {
        system.write(format!("outputs/{}-{number}", "x".repeat(200)), "good");
    }
    system.write("outputs/last/in", "good");
    let name = system.create();
    for number in 0..3_000 {
        system.write(format!("outputs/{}-{number}", "x".repeat(200)), "bad");
    }
    fs::remove_dir_all(system.path("outputs/last")).expect("ours");
    system.write("outputs/last", "a file in the way");
    let paths = ["x*", "last/in"].map(|path| format!("{name}:outputs/{path}"));
    let restore = ["restore", &paths[0], &paths[1], "--force", "--no-snapshot"];
    system.run(&restore).ended(PARTIAL);
    system.run(&["plan"]).ended(PARTIAL).says("has not ended well");
    fs::remove_file(system.path("outputs/last")).expect("ours");
    // Another part is not all of it, and the command that is told is.
    system.run(&["restore", &paths[1], "--force", "--no-snapshot"]).ended(PARTIAL);
    system.ok(&restore);
    system.ok(&["plan"]);
}

/// Files of a folder in which nothing was written counted as half-restored.
#[test]
fn where_nothing_was_written_nothing_is_half_restored() {
    let system = System::new();
    system.write("config/d/a", "x");
    system.create();
    fs::remove_dir_all(system.path("config/d")).expect("ours");
    system.write("config/d", "a file");
    system.run(&["restore", "latest:config/d/a", "--force", "--no-snapshot"]).ended(1);
    system.run(&["plan"]).ended(0);
}
