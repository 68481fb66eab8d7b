//! What can be wrong with an engine, a container or a volume, and that nothing is lost for it.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Disk, Stack, component, files_in, noise, run, text};

/// Less than what is restored into it.
const SMALL: &str = "size=24m";

#[test]
fn an_engine_that_is_down_is_named_and_the_rest_is_saved() {
    let stack = Stack::bare();
    stack.configure("[volumes.redis_data]\n[database]\ncontainer = \"cti_postgres\"\n");
    let failed = run(stack.command(&["create", "--json"]).env("DOCKER_HOST", "unix:///nonexistent/socket")).exits(3);
    assert!(failed.stderr.contains("/nonexistent/socket"), "{}", failed.stderr);
    let night = failed.json();
    for name in ["database", "docker_volume_redis_data"] {
        let part = component(&night, name);
        assert_eq!(part["status"], "failed", "{part}");
        assert!(part["errors"][0].as_str().is_some_and(|error| error.contains("no Docker Engine")), "{part}");
    }
    assert_eq!(component(&night, "config")["status"], "complete");
    let refused = run(stack.command(&["plan"]).env("DOCKER_HOST", "ssh://somewhere")).exits(2);
    assert!(refused.stderr.contains("ssh://somewhere"), "{}", refused.stderr);
}

/// What an engine had is missed on every night on which it does not answer, although nothing names it. What is gone from one that answers
/// was missed once, and the next night was complete.
#[test]
fn volumes_that_vanish_with_their_engine_are_missed_until_they_are_dropped() {
    let stack = Stack::full();
    stack.create();
    let names = ["database", "docker_volume_redis_data", "docker_volume_ollama_data"];
    for _ in 0..2 {
        let mut command = stack.command(&["create", "--json"]);
        let night = run(command.env("DOCKER_HOST", "unix:///nonexistent/socket")).exits(3).json();
        for name in names {
            let part = component(&night, name);
            assert!(part["errors"].to_string().contains("no Docker Engine answers"), "{part}");
        }
    }
    stack.docker(&["rm", "--force", &stack.container("cti_redis")]).exits(0);
    stack.docker(&["volume", "rm", &stack.volume("redis_data")]).exits(0);
    for _ in 0..2 {
        let night = stack.larder(&["create", "--json"]).exits(3).json();
        let error = component(&night, "docker_volume_redis_data")["errors"].to_string();
        assert!(error.contains("that is gone") && error.contains("--drop docker_volume_redis_data"), "{error}");
    }
    stack.larder(&["create", "--drop", "docker_volume_redis_data"]).exits(0);
    stack.create();
}

#[test]
fn a_first_backup_beside_a_compose_file_needs_the_engine() {
    let stack = Stack::bare();
    std::fs::write(stack.path("compose.yaml"), "services: {}\n").expect("the folder is ours");
    for arguments in [&["create"][..], &["create", "--dry-run"], &["plan"]] {
        let night = run(stack.command(arguments).env("DOCKER_HOST", "unix:///nonexistent/socket")).exits(3);
        assert!(night.stderr.contains("out of reach") && night.stderr.contains("hint"), "{}", night.stderr);
    }
    stack.configure("[docker]\nenabled = false\n");
    run(stack.command(&["create"]).env("DOCKER_HOST", "unix:///nonexistent/socket")).exits(0);
}

#[test]
fn a_socket_that_may_not_be_used_is_no_missing_engine() {
    let stack = Stack::bare();
    stack.configure("[volumes.redis_data]\n");
    let folder =
        tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).expect("the socket is ours");
    let public = folder.path().join("larder");
    // A process that another test starts would have it open for writing if this one copied it.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_larder")).arg(&public).status();
    assert!(copied.expect("cp runs").success());
    let system = folder.path().join("app");
    std::fs::create_dir(&system).expect("the folder is ours");
    std::fs::write(system.join("larder.toml"), "[volumes.redis_data]\n").expect("the folder is ours");
    // It has a place for a repository.
    std::os::unix::fs::chown(&system, Some(65_534), Some(65_534)).expect("root");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&public);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).arg("-C").arg(&system).arg("plan");
    let refused = run(&mut command).exits(3);
    assert!(refused.stderr.contains("may not be used by this user"), "{}", refused.stderr);
}

#[test]
fn a_database_that_cannot_be_dumped_fails_alone() {
    let stack = Stack::full();
    stack.configure("[database]\ncontainer = \"cti_postgres\"\nname = \"cti\"\nuser = \"nobody_such\"\n");
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    assert!(component(&night, "database")["errors"][0].as_str().is_some_and(|error| error.contains("nobody_such")));
    assert_eq!(component(&night, "docker_volume_redis_data")["status"], "complete");

    stack.configure("[database]\ncontainer = \"cti_redis\"\nname = \"cti\"\n");
    stack.docker(&["stop", "--time", "1", &stack.container("cti_redis")]).exits(0);
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    let error = component(&night, "database")["errors"][0].to_string();
    assert!(error.contains("not running") && error.contains(&stack.container("cti_redis")), "{error}");
    let redis = component(&night, "docker_volume_redis_data");
    assert_eq!((&redis["status"], &redis["consistency"]), (&"complete".into(), &"stopped".into()), "{redis}");
    assert_eq!(stack.state("cti_redis"), "exited", "it is not started by a backup");
}

#[test]
fn a_container_without_the_programs_is_named() {
    let stack = Stack::bare();
    stack.create_volume("x", &[]);
    let volume = stack.volume("x");
    let path = ["--env", "PATH=/nowhere", "--env", "PGDATA=/nowhere", "--env", "POSTGRES_USER=cti"];
    stack.start("bare", (&volume, "/x"), &path, &["/bin/sleep", "600"]);
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    let error = component(&night, "database")["errors"][0].to_string();
    assert!(error.contains("psql") && error.contains(&stack.container("bare")), "{error}");
    stack.docker(&["kill", &stack.container("bare")]).exits(0);
}

/// A restore that fills its volume fails, puts back what was there although the disk is full, and starts the container.
#[test]
fn a_restore_that_fails_puts_back_what_was_there() {
    let stack = Stack::bare();
    stack.start_models();
    stack.write("ollama_data", "a-kept", &noise(6 << 20, 2));
    stack.write("ollama_data", "m-new", &noise(10 << 20, 3));
    // What comes before many files is in its place before what comes after them.
    for number in 0..600 {
        for folder in ["b", "n"] {
            stack.write("ollama_data", &format!("{folder}/{number}"), b"x");
        }
    }
    stack.write("ollama_data", "z-large", &noise(40 << 20, 1));
    let name = text(&stack.create()["name"]);
    stack.docker(&["rm", "--force", &stack.container("ollama")]).exits(0);
    let volume = stack.volume("small");
    let disk = Disk::mount(&stack.create_volume("small", &[]), SMALL);
    stack.start("holder", (&volume, "/models"), &["--user", "0:0", "--stop-signal", "KILL"], &["/bin/sleep", "600"]);
    std::fs::write(disk.path.join("a-kept"), noise(6 << 20, 4)).expect("there is room");
    std::fs::write(disk.path.join("other"), "other").expect("there is room");
    run(Command::new("sh").arg("-c").arg("touch -d @1700000000 \"$0\"/*  \"$0\"").arg(&disk.path)).exits(0);
    let before = files_in(&disk.path);
    let mapping = format!("ollama_data={volume}");
    let command =
        ["restore", &name, "--components", "docker_volume_ollama_data", "--volume", &mapping, "--force", "--json"];
    for method in ["mountpoint", "engine"] {
        stack.configure(&format!("[volumes.ollama_data]\nmethod = \"{method}\"\n"));
        let failed = stack.larder(&command);
        assert!(failed.code == 1 || failed.code == 3, "{failed:?}");
        assert!(failed.all().contains("space") && failed.all().contains("was put back"), "{failed:?}");
        stack.assert_runs(&["holder"]);
        assert_eq!(files_in(&disk.path), before, "{method}: {failed:?}");
    }
    stack.docker(&["rm", "--force", &stack.container("holder")]).exits(0);
}

/// A volume in which only an owner was changed was changed: it is put back with the others.
#[test]
fn an_owner_that_a_failed_restore_has_set_is_put_back() {
    let stack = Stack::bare();
    let user = ["--user", "0:0", "--stop-signal", "KILL"];
    let first = stack.create_volume("a_data", &[]);
    std::fs::write(first.join("one"), "1").expect("written");
    stack.start("first", (&stack.volume("a_data"), "/data"), &user, &["/bin/sleep", "600"]);
    stack.create_volume("z_data", &[]);
    stack.write("z_data", "large", &noise(40 << 20, 1));
    stack.start("second", (&stack.volume("z_data"), "/data"), &user, &["/bin/sleep", "600"]);
    let name = text(&stack.create()["name"]);
    std::os::unix::fs::chown(first.join("one"), Some(1234), None).expect("the tests run as root");
    let before = stack.files(&stack.volume("a_data"));
    let _disk = Disk::mount(&stack.create_volume("small", &[]), SMALL);
    let mapping = format!("z_data={}", stack.volume("small"));
    let failed = stack.larder(&["restore", &name, "--force", "--volume", &mapping]);
    assert!(failed.code == 3 && failed.all().contains("space"), "{failed:?}");
    assert_eq!(stack.files(&stack.volume("a_data")), before, "{failed:?}");
    stack.assert_runs(&["first"]);
}

/// A restore that could not begin leaves nothing to mend, so the container runs on.
#[test]
fn a_restore_that_touched_nothing_starts_the_containers() {
    let stack = Stack::bare();
    stack.start_models();
    stack.write("ollama_data", "one", b"1");
    let name = text(&stack.create()["name"]);
    stack.write("ollama_data", "two", b"2");
    stack.configure("[volumes.ollama_data]\nmethod = \"engine\"\n");
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    std::fs::write(models.join(std::ffi::OsStr::from_bytes(b"n\xff")), "x").expect("written");
    let command = ["restore", &name, "--components", "docker_volume_ollama_data", "--force", "--no-snapshot"];
    let failed = stack.larder(&command).exits(1);
    assert!(failed.stderr.contains("UTF-8"), "{failed:?}");
    stack.assert_runs(&["ollama"]);
    assert!(models.join("two").exists(), "nothing was removed");
}

/// What a driver mounts from elsewhere is there again when the volume is made anew.
#[test]
fn a_volume_that_keeps_its_content_is_not_taken_for_empty() {
    let stack = Stack::bare();
    stack.start_models();
    let name = text(&stack.create()["name"]);
    let place = stack.path("../place");
    std::fs::create_dir(&place).expect("the folder is ours");
    let _disk = Disk::mount(&place, "size=1m");
    for folder in ["lower", "upper", "work"] {
        std::fs::create_dir(place.join(folder)).expect("the folder is ours");
    }
    std::fs::write(place.join("lower/old"), "x").expect("the folder is ours");
    let folders =
        ["lower", "upper", "work"].map(|folder| format!("{folder}dir={}/{folder}", place.display())).join(",");
    let o = format!("o={folders}");
    stack.create_volume("laid", &["--opt", "type=overlay", "--opt", "device=overlay", "--opt", &o]);
    let mapping = format!("ollama_data={}", stack.volume("laid"));
    let command = ["restore", &name, "--components", "docker_volume_ollama_data", "--volume", &mapping, "--force"];
    let failed = stack.larder(&command);
    assert!(failed.code != 0 && failed.stderr.contains("old is in the volume after"), "{failed:?}");
    assert_eq!(std::fs::read(place.join("lower/old")).expect("it is as it was"), b"x");
}

/// What would be replaced and cannot be read ends the restore before anything is touched.
#[test]
fn a_volume_that_cannot_be_saved_first_is_not_restored() {
    let stack = Stack::bare();
    stack.start_models();
    let name = text(&stack.create()["name"]);
    stack.create_volume("memory", &["--opt", "type=tmpfs", "--opt", "device=tmpfs"]);
    stack.configure("[volumes.ollama_data]\nmethod = \"mountpoint\"\n");
    let mapping = format!("ollama_data={}", stack.volume("memory"));
    let command = ["restore", &name, "--components", "docker_volume_ollama_data", "--volume", &mapping, "--force"];
    let failed = stack.larder(&command).exits(1);
    assert!(failed.stderr.contains("cannot be saved first"), "{failed:?}");
}

#[test]
fn databases_with_names_that_become_alike_are_both_saved() {
    let stack = Stack::bare();
    stack.start_postgres();
    for (database, row) in [("a b", 1), ("a-b", 2)] {
        stack.sql(&format!("CREATE DATABASE \"{database}\""));
        stack.sql_in(database, &format!("CREATE TABLE t AS SELECT {row} AS n"));
    }
    let night = stack.create();
    for (name, database) in [("database_a-b", "a b"), ("database_a-b_2", "a-b")] {
        assert_eq!(component(&night, name)["database"]["name"], database, "{night}");
    }
}

/// A server that cannot be asked for its databases is not taken for one that has no others.
#[test]
fn a_server_that_cannot_be_asked_for_its_databases_is_named() {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.docker(&["pause", &stack.container("cti_postgres")]).exits(0);
    let plan = stack.larder(&["plan", "--json"]).exits(3).json();
    let problem = text(&component(&plan, "database")["problem"]);
    assert!(problem.contains("which other databases") && problem.contains("paused"), "{problem}");
    stack.docker(&["unpause", &stack.container("cti_postgres")]).exits(0);
    stack.larder(&["plan"]).exits(0);
}

/// `rm` says by its status that something stays; a restore that did not look at it would tell that the volume is as it was.
#[test]
fn what_the_engine_cannot_remove_is_told() {
    let stack = Stack::bare();
    stack.start_models();
    stack.write("ollama_data", "one", b"1");
    let name = text(&stack.create()["name"]);
    stack.write("ollama_data", "two", b"2");
    stack.configure("[volumes.ollama_data]\nmethod = \"engine\"\n");
    let two = stack.mountpoint(&stack.volume("ollama_data")).join("two");
    run(Command::new("chattr").arg("+i").arg(&two)).exits(0);
    let command = ["restore", &name, "--components", "docker_volume_ollama_data", "--force", "--no-snapshot"];
    let failed = stack.larder(&command);
    run(Command::new("chattr").arg("-i").arg(&two)).exits(0);
    assert!(failed.exits(1).stderr.contains("`rm` ended with status 1"));
    stack.larder(&command).exits(0);
    assert!(!two.exists());
}

/// Photos and uploads that containers write to the host were left out without a word.
#[test]
fn what_containers_write_to_the_host_is_named() {
    let stack = Stack::bare();
    stack.create_volume("ollama_data", &[]);
    for folder in ["library", "config/app", "read"] {
        std::fs::create_dir_all(stack.path(folder)).expect("the folder is ours");
    }
    let bind = |folder: &str, place: &str| format!("{}:{place}", stack.path(folder).display());
    let binds = [
        bind("library", "/library"),
        bind("config/app", "/config"),
        bind("read", "/read:ro"),
        "/dev/shm:/shm".to_owned(),
    ];
    let options: Vec<&str> = binds.iter().flat_map(|bind| ["--volume", bind]).collect();
    stack.start("ollama", (&stack.volume("ollama_data"), "/data"), &options, &["sleep", "1000"]);
    let plan = stack.larder(&["plan", "--json"]).exits(0).json();
    assert_eq!(plan["uncovered"], serde_json::json!([stack.path("library")]));
    let line =
        format!("{} is not saved, where {} may write", stack.path("library").display(), stack.container("ollama"));
    assert!(stack.larder(&["plan"]).exits(0).stdout.contains(&line));
    assert!(stack.larder(&["create"]).exits(0).stderr.contains(&format!("note: {line}")));
    stack.configure("[directories]\nconfig = \"config\"\nlibrary = \"library\"\n");
    assert!(!stack.larder(&["create"]).exits(0).all().contains("is not saved"));
}
