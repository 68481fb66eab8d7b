//! Copies of one earlier backup, damaged and good, what is told apart within it, and what Larder has exported itself.

use std::fs;

use serde_json::{Value, json};

use super::import::{END, NAME, Old, STAMP, dump, statuses, tar};
use super::support::{PARTIAL, System};

/// A copy that was damaged, and taken all the same, does not stand in the way of one that is as it should be.
#[test]
fn a_good_copy_is_imported_after_a_damaged_one() {
    let system = System::new();
    let old = Old::new(&system, STAMP, &[1, 2, 3]);
    let path = old.path.to_string_lossy().into_owned();
    let archive = old.file(&format!("redis_data_{STAMP}.tar.gz"));
    let good = fs::read(&archive).expect("the archive");
    let mut bytes = good.clone();
    bytes[4] ^= 1;
    fs::write(&archive, bytes).expect("write");
    let forced = |expected: &str| {
        let run = system.run(&["import", "--json", "--force", &path]);
        assert_eq!(statuses(&run.json()), [expected], "{run:?}");
    };
    forced("partial");
    forced("known");
    fs::write(&archive, good).expect("write");
    assert_eq!(statuses(&system.json(&["import", &path])), ["imported"]);
    assert_eq!(statuses(&system.json(&["import", &path])), ["known"]);
}

/// What the server keeps in a volume is never restored beside the dump of it, so it has to be known.
#[test]
fn the_data_of_a_server_is_known_in_a_volume_and_the_main_dump_among_others() {
    let system = System::new();
    let mut old = Old::new(&system, STAMP, &[1]);
    fs::write(system.path("files/PG_VERSION"), "15\n").expect("write");
    tar(&old.file("pg_20250901_020000.tar.gz"), &system.path("files"), &["./b", "./PG_VERSION"]);
    old.metadata["components"]["docker_volume_pg"] = json!({"filename": "pg_20250901_020000.tar.gz"});
    old.write();
    fs::write(old.file("database_users.sql"), dump(&(0..900).collect::<Vec<_>>(), END)).expect("write");
    system.ok(&["import", &old.path.to_string_lossy()]);
    let show = system.json(&["show", NAME]);
    let component =
        |name: &str| show["components"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name).cloned());
    assert_eq!(component("docker_volume_pg").expect("it is there")["volume"]["server_data"], "");
    assert_eq!(component("docker_volume_redis_data").expect("it is there")["volume"]["server_data"], json!(null));
    // Without metadata the dumps are told apart by their names, not by their lengths.
    fs::remove_file(old.file("metadata.json")).expect("it is there");
    fs::create_dir(old.file("extra")).expect("create");
    fs::write(old.file("extra/x"), "x").expect("write");
    fs::write(old.file("notes.txt"), "what is this?").expect("write");
    let other = System::new();
    other.run(&["import", "--force", &old.path.to_string_lossy()]).ended(PARTIAL);
    assert_eq!(other.ok(&["cat", &format!("{NAME}:extra/x")]).stdout, "x");
    other.ok(&["show", NAME]).shows("'notes.txt' of the folder was not imported");
    for (path, rows) in [("database", 1), ("database_users", 900)] {
        let dump = other.ok(&["cat", &format!("{NAME}:{path}/database.sql")]).stdout;
        assert_eq!(
            dump.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count(),
            rows,
            "{path}"
        );
    }
}

/// Kind, words, pin and the time of day were lost on the way through a folder.
#[test]
fn what_was_exported_is_the_same_snapshot_when_it_is_imported() {
    let system = System::with_model("one");
    let mut names = Vec::new();
    for arguments in
        [&["create", "--tag", "release"][..], &["create", "--type", "files"], &["create", "--components", "models"]]
    {
        names.push(system.json(arguments)["name"].as_str().expect("a name").to_owned());
    }
    system.ok(&["pin", &names[1]]);
    let exported = |system: &System, to: &str| -> Vec<Value> {
        let to = system.path(to).to_string_lossy().into_owned();
        system.ok(&["export", "--all", "--to", &to]);
        let metadata = |name| fs::read(format!("{to}/{name}/metadata.json")).expect("it was written");
        names.iter().map(|name| serde_json::from_slice(&metadata(name)).expect("JSON")).collect()
    };
    let before = exported(&system, "out");
    let told: Vec<_> = before.iter().map(|one| (&one["larder"]["kind"], &one["larder"]["pinned"])).collect();
    assert_eq!(
        told,
        [(&json!("full"), &json!(false)), (&json!("files"), &json!(true)), (&json!("selected"), &json!(false))]
    );

    let other = System::new();
    let report = other.json(&["import", &system.path("out").to_string_lossy()]);
    assert_eq!(statuses(&report), ["imported"; 3]);
    for (before, after) in before.iter().zip(exported(&other, "again")) {
        assert_eq!(before["timestamp"], after["timestamp"]);
        let (before, mut after) = (before["larder"].clone(), after["larder"].clone());
        let tags = after["tags"].as_array_mut().expect("a list");
        assert_eq!(tags.pop(), Some(json!("imported")));
        assert_eq!(before, after);
    }

    // A time that is not the one of the name is not believed; what is not understood takes nothing else with it.
    let path = system.path("out").join(&names[0]);
    let mut metadata = before[0].clone();
    metadata["larder"]["time"]["unix_micros"] = json!(0);
    fs::write(path.join("metadata.json"), metadata.to_string()).expect("write");
    metadata["larder"]["kind"] = json!("of a newer program");
    metadata["larder"]["pinned"] = json!("yes");
    fs::write(path.join("metadata.json"), metadata.to_string()).expect("write");
    let third = System::new();
    let run = third.run(&["import", "--json", &path.to_string_lossy()]);
    assert_eq!(statuses(&run.json()), ["refused"]);
    for said in ["kind is not understood", "pinned is not understood", "not what its name says"] {
        assert!(run.json().to_string().contains(said), "{run:?}");
    }
    let run = third.run(&["import", "--force", &path.to_string_lossy()]);
    assert!(matches!(run.code, 0 | PARTIAL), "{run:?}");
    let shown = &third.json(&["list"])[0];
    assert!(shown["time"].as_str().expect("a time").starts_with("20"));
    assert_eq!((&shown["type"], &shown["pinned"]), (&json!("full"), &json!(true)));
    assert_eq!(shown["tags"], json!(["release", "imported"]));
}

/// Of a component that had failed the imported snapshot knew nothing, and another one had its error: a restore of it ended well.
#[test]
fn a_component_that_had_failed_has_failed_in_the_copy() {
    let system = System::with_model("mine");
    system.write("larder.toml", "[directories]\nmodels = \"models\"\nconfig = \"config\"\n");
    system.run(&["create"]).ended(PARTIAL);
    system.run(&["export", "latest", "--to", &system.path("folder").to_string_lossy()]).ended(PARTIAL);
    let other = System::with_model("others");
    other.run(&["import", &system.path("folder").to_string_lossy()]).ended(PARTIAL);
    let shown = other.json(&["show", "latest"]);
    let components = shown["components"].as_array().expect("a list");
    let of = |name: &str| components.iter().find(|one| one["name"] == name).map(|one| one["status"].clone());
    assert_eq!((of("config"), of("models")), (Some("failed".into()), Some("complete".into())), "{shown}");
    let target = other.path("out").to_string_lossy().into_owned();
    other.run(&["restore", "latest", "--target", &target]).ended(PARTIAL).says("config");
}
