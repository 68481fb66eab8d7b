//! The edges of the program: exit statuses, what is said to people, and what scripts rely on.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use super::strangers::as_stranger;
use super::support::{DAMAGE, Run, System, files_below, is_root};

#[test]
fn names_of_snapshots() {
    let system = System::with_model("one");
    let first = system.create();
    let second = system.create();
    assert_eq!(system.json(&["show", "latest"])["name"], second.as_str());
    assert_eq!(system.json(&["show", &first])["name"], first.as_str());
    system.run(&["show", "system_backup_1999"]).ended(6).says("system_backup_1999").says("larder list");
    system.run(&["show", "system_backup_"]).ended(6).says(&first).says(&second);
    for command in ["show", "ls", "restore", "verify", "export", "stats"] {
        system.run(&[command, "nothing-like-it"]).ended(6).says("nothing-like-it");
    }
    system.run(&["cat", "nothing:models/one"]).ended(6);
    system.run(&["diff", &first, "nothing"]).ended(6);
    system.run(&["find", "*", "--snapshot", "nothing"]).ended(6);
}

#[test]
fn components_paths_and_flags_that_are_not_there() {
    let system = System::with_model("one");
    system.create();
    let target = system.path("out").to_string_lossy().into_owned();
    system
        .run(&["restore", "latest", "--components", "modles", "--target", &target])
        .ended(2)
        .says("modles")
        .says("models");
    assert!(!system.exists("out"), "nothing is touched");
    system.run(&["create", "--components", "modles"]).ended(2).says("modles").says("models");
    // An empty variable of a script meant everything.
    for arguments in [
        &["create", "--components", ""][..],
        &["restore", "latest", "--components", " , ", "--force"],
        &["restore", "latest", "--tables", "", "--force"],
        &["restore", "latest", "--tables", ",", "--force"],
    ] {
        system.run(arguments).ended(2).says("it has no name");
    }
    system.run(&["restore", "latest", "--into", "", "--force"]).ended(2).says("a database has a name");
    system.run(&["restore", "latest", "--into", &"n".repeat(64), "--force"]).ended(2).says("it has 64 bytes");
    system.run(&["create", "--type", "database"]).ended(2).says("no database is configured");
    system.run(&["create", "--no-such-flag"]).ended(2).says("--no-such-flag");
    system.run(&["no-such-command"]).ended(2).says("no-such-command");
    system.run(&["verify", "latest", "--subset", "10%"]).ended(2);
    system.run(&["verify", "latest", "--read-data", "--subset", "0%"]).ended(2);
    system.run(&["cat", "latest:models/none"]).ended(1).says("models/none");
    system.run(&["ls", "latest:models/none"]).ended(1).says("models/none");
    let empty: [&str; 0] = [];
    system.run(&empty).ended(2);
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_larder"));
    Run::of(elsewhere.args(["-C", "/no/such/folder", "list"])).ended(2).says("/no/such/folder");
}

#[test]
fn the_configuration_is_checked() {
    let system = System::with_model("one");
    for (text, words) in [
        (
            "backup_dir = \"b\"\n\n[directories.models]\npath = \"models\"\nexlude = []\n",
            &["larder.toml", "line 5", "exlude"][..],
        ),
        ("backupdir = \"b\"\n", &["larder.toml", "line 1", "backupdir"]),
        ("[directories]\nmodels = 3\n", &["line 2"]),
        ("[directories\n", &["line 1"]),
        ("[directories]\n\"a/b\" = \"models\"\n", &["a/b"]),
        ("[directories]\ndatabase = \"models\"\n", &["database"]),
        ("[directories.models]\npath = \"models\"\nexclude = [\"[\"]\n", &["models", "["]),
    ] {
        system.write("larder.toml", text);
        let run = system.run(&["create"]);
        words.iter().fold(run.ended(2), |run, word| run.says(word));
    }
    assert!(!system.exists("backups") && !system.exists("b"), "nothing was made");
    fs::remove_file(system.path("larder.toml")).expect("remove");
    system.run(&["create", "--config", "/no/such.toml"]).ended(2).says("/no/such.toml");
}

#[test]
fn where_there_is_no_repository() {
    let system = System::with_model("one");
    for arguments in [&["list"][..], &["show", "latest"], &["verify"], &["stats"], &["restore", "latest", "--force"]] {
        system.run(arguments).ended(1).says("no repository").says("larder create");
    }
    assert!(!system.exists("backups"), "looking makes nothing");
    System::new().run(&["create"]).ended(2).says("nothing to back up");
    // A dry run makes nothing either.
    system.ok(&["create", "--dry-run"]);
    assert!(!system.exists("backups"));
}

#[test]
fn a_repository_of_another_time_or_program() {
    let system = System::with_model("one");
    system.create();
    let config = String::from_utf8(system.read("backups/config")).expect("text");
    let flipped = config.replace("\"version\":2", "\"version\":99");
    assert_ne!(config, flipped);
    system.write("backups/config", &flipped);
    for command in ["list", "create", "verify"] {
        system.run(&[command]).ended(DAMAGE).says("does not match its checksum");
    }
    assert_eq!(system.read("backups/config"), flipped.as_bytes());

    let system = System::with_model("one");
    for foreign in ["[core]\n\trepositoryformatversion = 0\n", "{\"magic\":\"other\"}", ""] {
        system.write("backups/config", foreign);
        let run = system.run(&["create"]);
        assert!(matches!(run.code, 2 | DAMAGE), "{run:?}");
        run.says("config");
        assert_eq!(system.read("backups/config"), foreign.as_bytes());
        assert_eq!(fs::read_dir(system.path("backups")).expect("list").count(), 1, "nothing is added");
    }
}

#[test]
fn a_restore_that_nobody_confirms() {
    let system = System::with_model("then");
    system.create();
    system.write("models/one", "now");
    system.write("models/two", "new");
    for arguments in [&["restore", "latest"][..], &["restore", "latest", "--no-snapshot", "--json"]] {
        system.run(arguments).ended(2).says("--force");
        assert_eq!((system.read("models/one"), system.read("models/two")), (b"now".to_vec(), b"new".to_vec()));
    }
    let run = system.run(&["restore", "latest", "--dry-run"]);
    run.ended(0).shows("nothing was touched");
    assert_eq!((system.read("models/one"), system.read("models/two")), (b"now".to_vec(), b"new".to_vec()));
    assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(1), "no safety snapshot either");
}

#[test]
fn a_reader_who_leaves_early_is_no_error() {
    let system = System::new();
    for number in 0..2_000 {
        system.write(format!("models/{number:0200}"), "");
    }
    system.create();
    for arguments in [&["list"][..], &["ls", "-r", "latest"], &["show", "latest", "--json"], &["cat", "latest:models"]]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = system.command(arguments).stdout(writer).stderr(Stdio::piped()).spawn().expect("start");
        let run = Run::from_output(&child.wait_with_output().expect("wait"));
        run.ended(0);
        assert_eq!(run.stderr, "", "{arguments:?}");
    }
}

#[test]
fn the_name_is_found_by_the_scripts_there_are() {
    let system = System::with_model("one");
    let title = system.ok(&["create"]).stdout;
    let title = title.lines().next().expect("a line");
    let name = title.strip_prefix("Creating comprehensive system backup: ").expect("the name in the first line");
    let newest = system.ok(&["create", "--tag", "a b"]).stdout;
    assert!(newest.lines().next().is_some_and(|line| line > title), "names are in the order of time");
    let script = "\"$0\" -C \"$1\" list | grep system_backup_ | head -1 | awk '{print $2}'";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_larder")]).arg(system.path(""));
    let run = Run::of(&mut shell);
    run.ended(0);
    let found = run.stdout.trim();
    assert!(found > name && newest.contains(found), "{run:?}");
    assert_eq!(run.stdout.lines().count(), 1);
}

#[test]
fn with_json_there_is_one_document_and_nothing_else() {
    let system = System::with_model("one");
    let report = system.json(&["create", "--tag", "night"]);
    assert_eq!((&report["status"], &report["tags"][0]), (&"complete".into(), &"night".into()));
    let first = report["name"].as_str().expect("a name").to_owned();
    system.write("models/two", "two");
    let second = system.create();
    let out = system.path("out").to_string_lossy().into_owned();
    let is_list = |value: &Value, len: usize| assert_eq!(value.as_array().map(Vec::len), Some(len), "{value}");
    is_list(&system.json(&["list"]), 2);
    is_list(&system.json(&["list", "--show-details"]), 2);
    assert_eq!(system.json(&["show", &second])["parent"], first.as_str());
    is_list(&system.json(&["ls", "latest"]), 1);
    is_list(&system.json(&["ls", "latest:models"]), 2);
    is_list(&system.json(&["find", "tw?"]), 1);
    let difference = system.json(&["diff", &first, &second]);
    assert_eq!(difference["added"], 1, "{difference}");
    assert_eq!(system.json(&["verify", "--all", "--read-data"])["ok"], true);
    assert_eq!(system.json(&["verify", "latest", "--test-restore"])["ok"], true);
    assert_eq!(system.json(&["stats"])["snapshots"], 2);
    assert_eq!(system.json(&["stats", "latest"])["name"], second.as_str());
    assert_eq!(system.json(&["export", "latest", "--to", &out])["name"], second.as_str());
    assert!(system.exists(format!("out/{second}/metadata.json")));
    let restored = system.path("restored").to_string_lossy().into_owned();
    assert_eq!(system.json(&["restore", "latest", "--target", &restored])["name"], second.as_str());
    let live = system.json(&["restore", &first, "--force"]);
    assert!(live["safety_snapshot"].is_string(), "{live}");
    assert!(!system.exists("models/two"));
    assert_eq!(system.json(&["create", "--dry-run"])["dry_run"], true);
    assert_eq!(system.json(&["restore", "latest", "--dry-run"])["dry_run"], true);
    let error = system.run(&["show", "nothing", "--json"]).ended(6).json();
    assert_eq!((&error["error"], &error["status"]), (&"there is no snapshot 'nothing'".into(), &6.into()));
    assert!(error["advice"].as_str().is_some_and(|advice| advice.contains("larder list")), "{error}");
}

/// `create` said that `create` makes the repository, and `import` that `ls` shows what can be imported.
#[test]
fn hints_are_of_use() {
    let system = System::with_model("one");
    let run = system.run(&["create", "--backup-dir", "/proc/larder"]);
    assert!(!run.ended(1).says("cannot make a repository in /proc/larder").stderr.contains("larder create"), "{run:?}");
    for path in ["/nowhere", "/proc/self/status"] {
        let run = system.run(&["import", path]);
        assert!(!run.ended(1).says("directory that has some").stderr.contains("larder ls"), "{run:?}");
    }
}

/// A manifest that could not be read could not be read, whatever the reason.
#[test]
fn a_manifest_that_cannot_be_read_has_a_reason() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.create();
    let owned = Command::new("chown").args(["-R", "61999:61999"]).arg(system.path("")).status();
    assert!(owned.is_ok_and(|status| status.success()));
    let manifest = system.objects("snapshots").pop().expect("one");
    std::os::unix::fs::chown(manifest, Some(0), Some(0)).expect("root");
    as_stranger(&system, &["list"]).says("Permission denied");
}

/// Every file vanished before it was read, and a backup of nothing was complete.
#[test]
fn without_proc_nothing_is_done() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    for arguments in [&["create"][..], &["plan"], &["list"]] {
        let program = system.command(arguments);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh"]);
        let run = Run::of(command.arg(program.get_program()).args(program.get_args()));
        run.ended(1).says("`mount -t proc proc /proc`");
    }
    assert!(!system.exists("backups"));
}

#[test]
fn verbose_and_quiet_keep_results_on_standard_output() {
    let system = System::with_model("one");
    system.ok(&["create", "-q"]).says("a new repository was made");
    let quiet = system.ok(&["create", "-q"]);
    assert_eq!(quiet.stderr, "");
    let verbose = system.ok(&["verify", "latest", "-v"]);
    verbose.says("reading the index").shows("OK");
    assert_eq!(verbose.stdout.lines().count(), 1);
    system.run(&["list", "-q", "-v"]).ended(2);
}

/// A folder with files of somebody's became a repository: what was in `locks`, and what was called like something unfinished, was removed.
#[test]
fn no_repository_is_made_where_something_lies() {
    let system = System::with_model("one");
    for file in ["docs/locks/door.json", "docs/.tmp-thesis", "docs/index/.tmp-1"] {
        system.write(file, "mine");
    }
    let docs = system.path("docs").to_string_lossy().into_owned();
    for command in ["create", "plan"] {
        system.run(&["--backup-dir", &docs, command]).ended(2).says("a new one would lie between what is there");
    }
    assert_eq!(files_below(&system.path("docs")).len(), 3, "nothing was made or removed");
    system.write("other/.tmp-12-0", "what a killed run has left");
    system.write("other/.tmp-thesis", "mine");
    let other = system.path("other").to_string_lossy().into_owned();
    system.run(&["--backup-dir", &other, "create"]).ended(2).says(".tmp-thesis");
    fs::rename(system.path("other/.tmp-thesis"), system.path("thesis")).expect("ours");
    system.write("other/system_backup_20250101_020000/metadata.json", "a folder of the old tool");
    system.run(&["--backup-dir", &other, "create"]).ended(0);
    assert!(!system.exists("other/.tmp-12-0"));
    // Where the config is lost the rest is not taken for something else.
    fs::remove_file(system.path("other/config")).expect("it is there");
    system.run(&["--backup-dir", &other, "create"]).ended(2).says("larder repair");
}

/// What was written took the place of a device, or of a link to one: `/dev/stdout` was a file until the next start of the host.
#[test]
fn nothing_takes_the_place_of_what_is_no_file() {
    let system = System::with_model("one");
    system.create();
    std::os::unix::fs::symlink("/dev/null", system.path("link")).expect("ours");
    let link = system.path("link").to_string_lossy().into_owned();
    system.run(&["export", "latest", "--tar", &link, "--force"]).ended(2).says("is no regular file");
    system.run(&["savings", "--svg", &link]).ended(2).says("it is no regular file");
    assert!(system.path("link").is_symlink());
}

/// What was remembered of an engine that did not answer counted without a word.
#[test]
fn an_engine_that_cannot_be_asked_is_told() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.create();
    system.write("larder.toml", "[docker]\nhost = \"unix:///nowhere/socket\"\n");
    let target = system.path("out").to_string_lossy().into_owned();
    let restored = system.run(&["restore", "latest", "--target", &target]);
    restored.ended(0).says("where containers may write now is not known");
}

/// The repository of a URL was made in a folder of that name, beside what it was to save.
#[test]
fn a_scheme_that_is_not_known_is_no_folder() {
    let system = System::with_model("one");
    for place in ["s3://bucket/prefix", "sftp:host:/path", "s3:bucket"] {
        for arguments in [&["create"][..], &["list"], &["plan"], &["verify", "--all"]] {
            let run = system.run(&[&["--backup-dir", place], arguments].concat());
            run.ended(2).says("is not known").says("name a folder");
        }
        system.write("larder.toml", format!("backup_dir = \"{place}\"\n"));
        system.run(&["create"]).ended(2).says("is not known");
        fs::remove_file(system.path("larder.toml")).expect("ours");
    }
    assert_eq!(fs::read_dir(system.path("")).expect("ours").count(), 1, "nothing was made");
    system.ok(&["--backup-dir", "./a:b", "create"]);
    assert!(system.exists("a:b/config"));
}

/// `list` and `create` were silent for half a minute, and then the repository was locked.
#[test]
fn that_another_command_is_waited_for_is_said() {
    let system = System::with_model("one");
    system.create();
    let lock = File::open(system.path("backups/locks/repository")).expect("it is there");
    flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("nobody else has it");
    let mut child = system.command(&["list"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let line = stderr.lines().next().expect("it says something").expect("text");
    assert!(line.starts_with("note: another command has the repository to itself"), "{line}");
    drop(lock);
    assert!(child.wait().expect("it is ours").success());
}
