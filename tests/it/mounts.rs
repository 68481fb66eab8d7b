//! What is mounted within a component: it is no part of it, neither in a backup nor in a restore.
//!
//! Each test mounts in a mount namespace of its own, which goes with the command.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::support::{PARTIAL, Run, System, is_root};

/// Runs a program where something is mounted.
fn mounted(system: &System, mount: &str, (source, place): (&str, &str), program: &Command) -> Run {
    let script = format!("mount {mount} \"$1\" \"$2\" && shift 2 && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    command.arg(system.path(source)).arg(system.path(place));
    Run::of(command.arg(program.get_program()).args(program.get_args()))
}

/// Runs the binary where a folder is mounted at another one.
fn with_mount(system: &System, source: &str, place: &str, arguments: &[&str]) -> Run {
    mounted(system, "--bind", (source, place), &system.command(arguments))
}

/// A system with a folder `photos` beside, and an empty folder where it is to be mounted.
fn system() -> System {
    let system = System::new();
    system.write("config/a", "a");
    system.write("photos/one.jpg", "a photo");
    fs::create_dir(system.path("config/shared")).expect("create");
    system
}

/// A bind mount of one file system has its device number, so a restore emptied what lay behind it.
#[test]
fn a_live_restore_leaves_what_is_mounted_alone() {
    if !is_root() {
        return;
    }
    let system = system();
    system.create();
    system.write("config/new/extra", "goes");
    for place in ["config/shared", "config/new/deep"] {
        fs::create_dir_all(system.path(place)).expect("create");
        let run = with_mount(&system, "photos", place, &["restore", "latest", "--force", "--no-snapshot"]);
        assert_eq!(system.read("photos/one.jpg"), b"a photo", "{run:?}");
        run.ended(0);
    }
    assert!(!system.exists("config/new/extra") && system.exists("config/new/deep"));
}

/// What the snapshot has where something is mounted today would be written into it, whatever it is.
#[test]
fn nothing_is_restored_into_a_mount() {
    if !is_root() {
        return;
    }
    let system = system();
    system.write("config/shared/one.jpg", "another");
    system.write("config/b", "b");
    system.create();
    system.write("config/b", "changed");
    let run = with_mount(&system, "photos", "config/shared", &["restore", "latest", "--force", "--no-snapshot"]);
    run.ended(PARTIAL).says("config/shared").says("something is mounted there");
    assert_eq!((system.read("photos/one.jpg"), system.read("config/b")), (b"a photo".to_vec(), b"b".to_vec()));
    let run = with_mount(&system, "photos/one.jpg", "config/b", &["restore", "latest", "--force", "--no-snapshot"]);
    run.ended(PARTIAL).says("something is mounted there");
    assert_eq!(system.read("photos/one.jpg"), b"a photo");
}

/// A directory that the snapshot has a file in the place of was taken away with what was mounted in it.
#[test]
fn a_directory_with_a_mount_in_it_is_not_replaced() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("config/name", "a file");
    system.write("photos/one.jpg", "a photo");
    system.create();
    fs::remove_file(system.path("config/name")).expect("remove");
    fs::create_dir_all(system.path("config/name/sub")).expect("create");
    let run = with_mount(&system, "photos", "config/name/sub", &["restore", "latest", "--force", "--no-snapshot"]);
    run.ended(1).says("config/name").says("stays");
    assert_eq!(system.read("photos/one.jpg"), b"a photo");
}

/// It was saved as if it were a part of the directory, or left out with a note among others.
#[test]
fn a_mount_is_an_error_until_somebody_decides() {
    if !is_root() {
        return;
    }
    let system = system();
    let create = |mount: &str| with_mount(&system, mount, "config/shared", &["create", "--json"]);
    let plan = |mount: &str| with_mount(&system, mount, "config/shared", &["plan"]);
    let (run, planned) = (create("photos"), plan("photos"));
    for said in ["config/shared is not saved", "larder.toml", "exclude = [\"/shared\"]"] {
        run.ended(PARTIAL).says(said);
        planned.ended(PARTIAL).says(said);
    }
    assert!(!system.ok(&["ls", "--recursive", "latest"]).stdout.contains("one.jpg"));
    // As it was told.
    system.write("larder.toml", "directories = { config = { path = \"config\", exclude = [\"/shared\"] } }\n");
    create("photos").ended(0);
    plan("photos").ended(0);
    system.write("larder.toml", "directories = { config = \"config\", photos = \"photos\" }\n");
    create("photos").ended(0).says("the component photos is mounted there");
    plan("photos").ended(0);
    system.write("larder.toml", "");
    fs::create_dir(system.path("empty")).expect("create");
    with_mount(&system, "empty", "config/shared", &["create", "--drop", "photos"]).ended(0);
    plan("empty").ended(0);
    // A file, too.
    let run = with_mount(&system, "photos/one.jpg", "config/a", &["create"]);
    run.ended(PARTIAL).says("config/a is not saved");
}

/// A name with a quotation mark made a line that left out another file; those of two directories were the same key twice, and
/// none of them could stand below a table.
#[test]
fn what_an_error_says_of_a_mount_works_as_it_is() {
    if !is_root() {
        return;
    }
    let system = System::new();
    let names = ["models/m\", \"important.db", "models/[b]\\{c}\u{202e}`", "config/c\nd"];
    for name in names {
        fs::create_dir_all(system.path(name)).expect("create");
    }
    system.write("photos/one.jpg", "a photo");
    system.write("models/important.db", "all");
    system.write("config/a", "a");
    let with_mounts = |arguments: &[&str]| {
        let binds = names.map(|name| format!("mount --bind \"$photos\" '{}'", system.path(name).display()));
        let script = format!("{} && mount --bind \"$photos/one.jpg\" \"$file\" && exec \"$@\"", binds.join(" && "));
        let (mut command, program) = (Command::new("unshare"), system.command(arguments));
        command.env("photos", system.path("photos")).env("file", system.path("config/a"));
        command.args(["--mount", "sh", "-c", &script, "sh"]).arg(program.get_program());
        Run::of(command.args(program.get_args()))
    };
    let rest = "[docker]\nenabled = false\n";
    // Neither is there a table for the directories, nor is one of them in one.
    for (table, entries) in [("", ""), ("[directories]\n", "config = \"config\"\nmodels = \"models\"\n")] {
        system.write("larder.toml", [table, entries, rest].concat());
        let run = with_mounts(&["plan"]);
        let said: Vec<&str> = run.ended(PARTIAL).stderr.split(" is not saved, because it is mounted there: ").collect();
        assert_eq!(said.len(), 5, "{run:?}");
        let lines: BTreeSet<&str> = said[1..].iter().filter_map(|text| text.split('`').nth(1)).collect();
        let lines: Vec<&str> = lines.into_iter().collect();
        system.write("larder.toml", format!("{table}{}\n{rest}", lines.join("\n")));
        with_mounts(&["plan"]).ended(0);
        // A file is no component.
        let of_file = said.iter().position(|text| text.ends_with("config/a")).expect("it is named") + 1;
        assert!(!said[of_file].lines().next().is_some_and(|line| line.contains("component of its own")), "{run:?}");
    }
    with_mounts(&["create"]).ended(0);
    assert_eq!(system.ok(&["cat", "latest:models/important.db"]).stdout, "all");
}

/// It has a device number of its own, and was left out like another file system, though nothing is mounted there.
#[test]
fn a_subvolume_is_a_part_of_the_directory_around_it() {
    if !is_root() {
        return;
    }
    let system = System::new();
    fs::create_dir(system.path("config")).expect("create");
    let image = fs::File::create(system.path("image")).expect("create");
    image.set_len(128 << 20).expect("grow");
    let made = Command::new("mkfs.btrfs").arg("-q").arg(system.path("image")).output().expect("tests/run installs it");
    assert!(made.status.success(), "{made:?}");
    let on_it = |program: &Command| mounted(&system, "-o loop", ("image", "config"), program);
    let larder = |arguments: &[&str]| on_it(&system.command(arguments));
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", script]).arg(system.path("config/data"));
        let run = on_it(&shell);
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout
    };
    shell("btrfs -q subvolume create \"$0\" >/dev/null; echo saved > \"$0/file\"");
    larder(&["create"]).ended(0);
    assert_eq!(system.ok(&["cat", "latest:config/data/file"]).stdout, "saved\n");
    shell("echo changed > \"$0/file\"; echo new > \"$0/extra\"");
    larder(&["restore", "latest", "--force", "--no-snapshot"]).ended(0);
    assert_eq!(shell("cat \"$0/file\"; ls \"$0\""), "saved\nfile\n");
}

/// A repository on a disk of its own, or in a service that may write nothing else, was a part of the directory around it that
/// is missing.
#[test]
fn a_repository_that_is_mounted_is_the_repository() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("larder.toml", "directories = { all = \".\" }\n");
    system.create();
    let run = with_mount(&system, "backups", "backups", &["create"]);
    run.ended(0).says("backups: it is the repository");
    with_mount(&system, "backups", "backups", &["plan"]).ended(0);
    assert!(!system.ok(&["ls", "--recursive", "latest"]).stdout.contains("backups"));
}
