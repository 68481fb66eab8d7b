//! What the configuration says of volumes, what `plan` says of them, and volumes that are restored elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::Value;

use crate::support::{Disk, Stack, component, noise, run, text};

#[test]
fn a_plan_names_everything_and_makes_nothing() {
    let stack = Stack::full();
    let plan = stack.larder(&["plan", "--json"]).exits(0).json();
    assert_eq!(plan["project"], stack.project.as_str());
    let database = component(&plan, "database");
    assert_eq!((&database["kind"], &database["method"]), (&"database".into(), &"exec".into()), "{database}");
    assert_eq!(database["containers"], Value::from(vec![stack.container("cti_postgres")]));
    let redis = component(&plan, "docker_volume_redis_data");
    assert_eq!((&redis["source"], &redis["quiesce"]), (&stack.volume("redis_data").into(), &"pause".into()));
    assert_eq!(redis["held"], Value::from(vec![stack.container("cti_redis")]));
    assert_eq!(component(&plan, "config")["kind"], "directory");
    assert!(!stack.path("../backups").exists(), "no repository was made");
}

#[test]
fn a_volume_is_treated_as_the_configuration_says() {
    let stack = Stack::bare();
    stack.start_redis("redis_data");
    stack.redis("set a 1");
    stack.write("redis_data", "left-out.tmp", b"x");
    for (quiesce, consistency, held) in [("pause", "paused", 1), ("stop", "stopped", 1), ("none", "live", 0)] {
        stack.configure(&format!("[volumes.redis_data]\nquiesce = \"{quiesce}\"\nexclude = [\"*.tmp\"]\n"));
        let night = stack.create();
        let redis = component(&night, "docker_volume_redis_data");
        assert_eq!(redis["consistency"], consistency, "{redis}");
        assert_eq!(redis["volume"]["held"].as_array().map(Vec::len), Some(held), "{redis}");
        stack.assert_runs(&["cti_redis"]);
    }
    let listed = stack.larder(&["ls", "latest:docker_volume_redis_data"]).exits(0).stdout;
    assert!(listed.contains("dump.rdb") && !listed.contains("left-out"), "{listed}");

    stack.configure("[volumes.redis_data]\nskip = true\n");
    let night = stack.create();
    assert_eq!(night["components"].as_array().map(Vec::len), Some(1), "only the folder: {night}");
    stack.configure("[docker]\nenabled = false\n");
    assert_eq!(stack.create()["components"].as_array().map(Vec::len), Some(1));
    stack.configure("[volumes.redis_data]\nquiesce = \"sometimes\"\n");
    let refused = stack.larder(&["create"]).exits(2);
    assert!(refused.stderr.contains("sometimes") && refused.stderr.contains("line 2"), "{}", refused.stderr);
}

#[test]
fn a_volume_that_the_project_does_not_have_is_missed() {
    let stack = Stack::bare();
    stack.configure("[volumes.cache]\n");
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    let cache = component(&night, "docker_volume_cache");
    assert!(cache["errors"][0].as_str().is_some_and(|error| error.contains("cache")), "{cache}");
    assert_eq!(component(&night, "config")["status"], "complete");
}

#[test]
fn a_volume_is_restored_into_another_one() {
    let stack = Stack::bare();
    stack.start_redis("redis_data");
    stack.redis("mset a 1 b 2");
    let keys = stack.keys("cti_redis");
    let name = text(&stack.create()["name"]);
    let before = stack.files(&stack.volume("redis_data"));
    let other = format!("{}_elsewhere", stack.project);
    let mapping = format!("redis_data={other}");
    let command = ["restore", &name, "--components", "docker_volume_redis_data", "--volume", &mapping, "--force"];
    stack.larder(&command).exits(0);
    assert_eq!(stack.files(&stack.volume("redis_data")), before, "the original is as it was");
    let labels = stack.docker(&["volume", "inspect", "-f", "{{json .Labels}}", &other]).text();
    assert!(!labels.contains("compose"), "it is no part of the project: {labels}");
    stack.start_redis_on("test_redis", &other);
    assert_eq!(stack.keys("test_redis"), keys);
    let unknown = ["restore", &name, "--volume", "nothing=x", "--force"];
    let refused = stack.larder(&unknown).exits(2);
    assert!(refused.stderr.contains("'nothing'"), "{}", refused.stderr);
}

#[test]
fn an_odd_volume_comes_back_as_it_was() {
    let stack = Stack::bare();
    // So many files take a minute on a disk without a journal, on which many others have just been removed.
    let _disk = Disk::mount(&stack.create_volume("ollama_data", &[]), "size=1g");
    stack.start_models();
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    let script = "cd \"$0\" && mkdir -p a/b many && mkfifo pipe && mknod null c 1 3 && truncate -s 10G sparse && \
        printf x | dd of=sparse bs=1 seek=5000000000 conv=notrunc status=none && ln -s nowhere link && \
        chown 3000000:4000000 a && chmod 2751 a && seq 100000 | split -l 1 -a 5 - many/";
    run(std::process::Command::new("sh").arg("-c").arg(script).arg(&models)).exits(0);
    fs::write(models.join("a/first"), noise(100_000, 3)).expect("written");
    fs::hard_link(models.join("a/first"), models.join("a/b/second")).expect("linked");
    let _socket = std::os::unix::net::UnixListener::bind(models.join("socket")).expect("bound");
    let name = text(&stack.create()["name"]);
    let before = stack.files(&stack.volume("ollama_data"));
    run(std::process::Command::new("sh").arg("-c").arg("cd \"$0\" && rm -rf a many pipe link sparse").arg(&models))
        .exits(0);
    stack.larder(&["restore", &name, "--components", "docker_volume_ollama_data", "--force"]).exits(0);
    assert_eq!(stack.files(&stack.volume("ollama_data")), before);
    let mut byte = [0];
    let sparse = fs::File::open(models.join("sparse")).expect("it is there");
    std::os::unix::fs::FileExt::read_exact_at(&sparse, &mut byte, 5_000_000_000).expect("it is as long as it was");
    assert_eq!(byte, *b"x");
    let blocks = std::os::unix::fs::MetadataExt::blocks(&models.join("sparse").metadata().expect("it is there"));
    assert!(blocks < 1000, "{blocks} blocks of a sparse file");
}

/// Containers of several volumes stop and start in one order, whatever the volumes are called.
#[test]
fn dependents_stop_first_and_start_last() {
    let stack = Stack::bare();
    let user = ["--user", "0:0", "--stop-signal", "KILL"];
    for (service, volume) in [("web", "a_data"), ("store", "z_data")] {
        stack.create_volume(volume, &[]);
        let depends = "com.docker.compose.depends_on=store:service_started:false";
        let options = if service == "web" { [&user[..], &["--label", depends]].concat() } else { user.to_vec() };
        stack.start(service, (&stack.volume(volume), "/data"), &options, &["/bin/sleep", "600"]);
    }
    let name = text(&stack.create()["name"]);
    stack.larder(&["restore", &name, "--force"]).exits(0);
    let time = |service: &str, what: &str| {
        stack.docker(&["inspect", "-f", &format!("{{{{.State.{what}}}}}"), &stack.container(service)]).exits(0).text()
    };
    assert!(time("web", "FinishedAt") < time("store", "FinishedAt"));
    assert!(time("store", "StartedAt") < time("web", "StartedAt"));
}

/// A server that is stopped for one of its volumes runs again when its database is loaded.
#[test]
fn a_database_is_restored_beside_another_volume_of_its_server() {
    let stack = Stack::bare();
    stack.create_volume("archive", &[]);
    let place = format!("type=volume,src={},dst=/archive,volume-nocopy", stack.volume("archive"));
    let mountpoint = stack.create_volume("postgres_data", &[]);
    stack.start_postgres_with("cti_postgres", &stack.volume("postgres_data"), &mountpoint, &["--mount", &place]);
    stack.sql("CREATE TABLE a AS SELECT 1 AS id");
    stack.write("archive", "one", b"1");
    let name = text(&stack.create()["name"]);
    stack.sql("UPDATE a SET id = 2");
    stack.write("archive", "one", b"2");
    let restored = stack.larder(&["restore", &name, "--force", "--json"]).exits(0).json();
    let archive = component(&restored, "docker_volume_archive");
    assert_eq!(archive["restarted"], Value::from(vec![stack.container("cti_postgres")]), "{restored}");
    assert_eq!(stack.sql("SELECT id FROM a"), "1");
    assert_eq!(fs::read(stack.mountpoint(&stack.volume("archive")).join("one")).expect("it is there"), b"1");
}

/// What a file system cannot keep of a file is told, and no reason to take the restore back.
#[test]
fn an_attribute_that_cannot_be_set_does_not_roll_back() {
    let stack = Stack::bare();
    stack.start_models();
    stack.write("ollama_data", "one", b"1");
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    run(std::process::Command::new("setfattr").args(["-n", "user.x", "-v", "1"]).arg(models.join("one"))).exits(0);
    let name = text(&stack.create()["name"]);
    let plain = stack.create_volume("plain", &[]);
    // A file system without attributes.
    run(std::process::Command::new("mount").args(["-t", "ramfs", "ramfs"]).arg(&plain)).exits(0);
    fs::write(plain.join("goes"), "x").expect("the tests run as root");
    let mapping = format!("ollama_data={}", stack.volume("plain"));
    let command = ["restore", &name, "--components", "docker_volume_ollama_data", "--volume", &mapping, "--force"];
    let restored = stack.larder(&command);
    let found = fs::read(plain.join("one"));
    let gone = !plain.join("goes").exists();
    run(std::process::Command::new("umount").arg(&plain)).exits(0);
    let restored = restored.exits(3);
    assert!(restored.stderr.contains("attribute user.x could not be set"), "{}", restored.stderr);
    assert_eq!(found.expect("it was restored"), b"1");
    assert!(gone, "the rest is as in the snapshot");
}

/// What could not be saved completely is not taken for everything that there was.
#[test]
fn a_partial_volume_takes_nothing_away_and_says_so() {
    let stack = Stack::bare();
    stack.start_models();
    stack.start_postgres();
    stack.write("ollama_data", "one", b"1");
    stack.configure("[docker]\nhold_secs = 0\n");
    let name = text(&stack.larder(&["create", "--json"]).exits(3).json()["name"]);
    stack.write("ollama_data", "two", b"2");
    let restored = stack.larder(&["restore", &name, "--components", "docker_volume_ollama_data", "--force"]).exits(0);
    assert!(restored.stderr.contains("docker_volume_ollama_data: nothing was removed"), "{}", restored.stderr);
    assert!(stack.mountpoint(&stack.volume("ollama_data")).join("two").exists());

    // A data directory that is not complete is no database.
    stack.docker(&["rm", "--force", &stack.container("cti_postgres")]).exits(0);
    stack.docker(&["volume", "rm", &stack.volume("postgres_data")]).exits(0);
    let refused = stack.larder(&["restore", &name, "--force", "--json"]).exits(3).json();
    assert!(refused["refused"].to_string().contains("docker_volume_postgres_data"), "{refused}");
}

#[test]
fn a_repository_in_a_volume_is_left_out_of_it() {
    let stack = Stack::bare();
    stack.start_models();
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    let create = |inside: &str| {
        let mut command = stack.command(&["create", "--json", "--new-repository"]);
        run(command.arg("--backup-dir").arg(models.join(inside)))
    };
    for method in ["mountpoint", "engine"] {
        stack.configure(&format!("[volumes.ollama_data]\nmethod = \"{method}\"\n"));
        stack.write("ollama_data", "model.bin", b"model");
        for _ in 0..2 {
            let night = create("sub/backups").exits(0).json();
            let part = component(&night, "docker_volume_ollama_data");
            assert_eq!(part["files"], 1, "{part}");
            assert!(part["notes"].to_string().contains("it is the repository"), "{part}");
        }
        // None is made between other files.
        create("").exits(2);
        fs::remove_file(models.join("model.bin")).expect("root");
        fs::remove_dir_all(models.join("sub")).expect("root");
        let refused = create("").exits(3).json();
        let part = component(&refused, "docker_volume_ollama_data");
        assert!(part["errors"].to_string().contains("skip = true"), "{part}");
        for entry in ["config", "packs", "trees", "index", "snapshots", "locks"] {
            let path = models.join(entry);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            assert!(removed.is_ok(), "{entry}");
        }
    }
}

#[test]
fn a_label_says_how_writers_are_held_where_the_file_does_not() {
    let stack = Stack::bare();
    stack.create_volume("x", &[]);
    let volume = stack.volume("x");
    let command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"];
    stack.start("one", (&volume, "/x"), &["--label", "larder.quiesce=none"], &command);
    let quiesce = || {
        let plan = stack.larder(&["plan", "--json"]).exits(0).json();
        text(&component(&plan, "docker_volume_x")["quiesce"])
    };
    assert_eq!(quiesce(), "none");
    assert_eq!(component(&stack.create(), "docker_volume_x")["consistency"], "live");
    stack.start("two", (&volume, "/x"), &["--label", "larder.quiesce=stop"], &command);
    assert_eq!(quiesce(), "stop", "of several the most careful one");
    assert_eq!(component(&stack.create(), "docker_volume_x")["consistency"], "stopped");
    stack.assert_runs(&["one", "two"]);
    stack.configure("[volumes.x]\nquiesce = \"pause\"\n");
    assert_eq!(quiesce(), "pause", "the file wins");
    stack.configure("");
    stack.start("three", (&volume, "/x"), &["--label", "larder.quiesce=sometimes"], &command);
    let refused = stack.larder(&["plan"]).exits(3);
    assert!(refused.stderr.contains("larder.quiesce=sometimes") && refused.stderr.contains("pause, stop or none"));
}

/// Bits that make a program run as its owner are set only where the owner was, and root can set every owner.
#[test]
fn owners_and_set_user_id_bits_of_a_volume_come_back() {
    let stack = Stack::bare();
    stack.start_models();
    let root = stack.mountpoint(&stack.volume("ollama_data"));
    let of = |path: &std::path::Path| {
        let metadata = path.metadata().expect("it is there");
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    let set = |path: &std::path::Path, owner: u32, mode: u32| {
        chown(path, Some(owner), Some(owner)).expect("root");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root");
    };
    for method in ["mountpoint", "engine"] {
        stack.configure(&format!("[volumes.ollama_data]\nmethod = \"{method}\"\n"));
        stack.write("ollama_data", "program", b"runs as its owner");
        set(&root, 999, 0o750);
        set(&root.join("program"), 999, 0o6755);
        let name = stack.create()["name"].as_str().expect("a name").to_owned();
        fs::remove_file(root.join("program")).expect("it is there");
        set(&root, 0, 0o755);
        let components = ["--components", "docker_volume_ollama_data", "--force", "--no-snapshot"];
        stack.larder(&[&["restore", &name], &components[..]].concat()).exits(0);
        assert_eq!((of(&root), of(&root.join("program"))), ((999, 999, 0o750), (999, 999, 0o6755)), "{method}");
    }
}
