//! What the last complete backup had, and the next one does not.

use std::fs;

use super::support::{DONE, Database, PARTIAL, Run, USAGE, World, name_of};

/// One forgotten variable, and the run without its database was complete; the next prune deleted those that had it.
#[test]
fn a_forgotten_variable_makes_no_complete_backup() {
    let (world, database) = (World::with_app(), Database::with_rows(500));
    let url = database.url();
    let with_database = |arguments: &[&str]| Run::of(world.command("app", arguments).env("DATABASE_URL", &url));
    let whole = name_of(&with_database(&["create", "--json"]).ended(DONE).json());
    let planned = world.run("app", &["plan"]);
    planned.ended(PARTIAL).says_all(&["is DATABASE_URL set?", "--drop database"]);
    let without = world.run("app", &["create", "--json"]);
    without.ended(PARTIAL).says_all(&["error: database", &whole, "is DATABASE_URL set?"]);
    assert_eq!(without.json()["status"], "partial");
    // And again, until somebody decides.
    world.run("app", &["create"]).ended(PARTIAL).says_all(&[&whole]);
    world.run("app", &["create", "--type", "database"]).ended(1).says_all(&["is DATABASE_URL set?"]);
    world.ok("app", &["prune", "--force", "--daily", "1", "--weekly", "0", "--monthly", "0"]);
    assert!(world.names("app").contains(&whole), "the only one with the database stays");
    with_database(&["create"]).ended(DONE);
    // What is left out on purpose is.
    world
        .run("app", &["create", "--drop", "config"])
        .ended(USAGE)
        .says_all(&["--drop config: it is configured, or found"]);
    world.run("app", &["create", "--drop", "database", "--type", "database"]).ended(USAGE).says_all(&["--type"]);
    world.run("app", &["create", "--drop", "nothing"]).ended(USAGE);
    let dropped = world.json("app", &["create", "--drop", "database"]);
    assert_eq!((&dropped["status"], &dropped["dropped"]), (&"complete".into(), &serde_json::json!(["database"])));
    let after = world.json("app", &["create"]);
    assert_eq!((&after["status"], &after["dropped"]), (&"complete".into(), &serde_json::json!([])));
    // The last good copy of it is not deleted for that.
    world.ok("app", &["prune", "--force", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0"]);
    let kept = world.json("app", &["list"]);
    let with_it = kept.as_array().expect("a list").iter().filter(|one| one["components"][0]["name"] == "database");
    assert_eq!(with_it.filter(|one| one["components"][0]["status"] == "complete").count(), 1, "{kept}");
}

/// Quotes, blanks and capitals, and nothing was saved of the database without a word.
#[test]
fn a_url_is_understood_as_it_stands_in_files_or_is_told() {
    let (world, database) = (World::with_app(), Database::with_rows(5));
    let url = database.url();
    let with = |url: &str, command: &str| Run::of(world.command("app", &[command]).env("DATABASE_URL", url));
    for url in [format!("\"{url}\""), format!("  {url}\n"), url.replace("postgres://", "Postgres://")] {
        let run = with(&url, "create");
        run.ended(DONE);
        assert!(run.stdout.contains("Counted 5 rows"), "{run:?}");
    }
    for (url, what) in [
        (format!("{url}?schema=public"), "a parameter of the URL is none of"),
        ("mysql://root@localhost/shop".to_owned(), "its scheme is not that of PostgreSQL"),
        ("prisma+postgres://accelerate".to_owned(), "its scheme is not that of PostgreSQL"),
        ("host=localhost dbname=shop".to_owned(), "its scheme is not that of PostgreSQL"),
    ] {
        with(&url, "plan").ended(PARTIAL).says_all(&["warning: database", what]);
        let run = with(&url, "create");
        run.ended(PARTIAL).says_all(&["error: database", what]);
        assert!(run.stdout.contains("config") && run.stdout.contains("PARTIAL"), "the folders are saved: {run:?}");
    }
}

/// The variable of another application was in the shell, and 341,598 rows became one.
#[test]
fn another_database_under_the_same_name_is_no_complete_backup() {
    let (world, shop, crm) = (World::new(), Database::with_rows(500), Database::with_rows(400));
    world.write("app/config/settings", "one");
    let with = |database: &Database, arguments: &[&str]| {
        Run::of(world.command("app", arguments).env("DATABASE_URL", database.url()))
    };
    with(&shop, &["create"]).ended(DONE);
    with(&crm, &["create"]).ended(PARTIAL).says_all(&[shop.name(), crm.name(), "--accept database"]);
    with(&shop, &["create"]).ended(DONE);
    // The file wins over what is in the shell, which is told.
    world.write("app/larder.toml", format!("[database]\nurl = \"{}\"\n", shop.url()));
    let run = with(&crm, &["create"]);
    run.ended(DONE).says_all(&["warning: DATABASE_URL names another database than larder.toml"]);
    assert!(run.stdout.contains("Counted 500 rows") && run.stdout.contains(shop.name()), "{run:?}");
    with(&shop, &["create"]).ended(DONE).says_not("DATABASE_URL");
    // Rows that are gone, and are meant to be.
    shop.sql("DELETE FROM t WHERE n > 3");
    world.run("app", &["create"]).ended(PARTIAL).says_all(&["500 rows", "it has 3", "--accept database"]);
    world.run("app", &["create", "--accept", "nothing"]).ended(USAGE);
    world.ok("app", &["create", "--accept", "database"]);
    world.ok("app", &["create"]);
}

/// The database of another application was replaced without a word.
#[test]
fn a_database_of_another_name_is_told_before_it_is_replaced() {
    let (world, shop, crm) = (World::with_app(), Database::with_rows(500), Database::with_rows(3));
    let with = |database: &Database, arguments: &[&str]| {
        Run::of(world.command("app", arguments).env("DATABASE_URL", database.url()))
    };
    with(&shop, &["create"]).ended(DONE);
    let restore = ["restore", "latest", "--components", "database"];
    with(&crm, &restore).ended(USAGE).says_all(&["warning", shop.name(), crm.name()]);
    assert_eq!(crm.sql("SELECT count(*) FROM t"), "3");
    with(&crm, &[&restore[..], &["--force"]].concat()).ended(DONE).says_all(&["warning", shop.name(), crm.name()]);
    assert_eq!(crm.sql("SELECT count(*) FROM t"), "500");
    with(&shop, &[&restore[..], &["--force"]].concat()).ended(DONE).says_not("was saved from");
}

/// A disk below a directory was not mounted, and the empty place was a complete backup.
#[test]
fn a_directory_that_is_empty_or_gone_is_no_complete_backup() {
    let world = World::with_app();
    for number in 0..200 {
        world.write(&format!("app/models/{number}"), "x");
    }
    let whole = world.create("app");
    world.remove("app/models");
    world.run("app", &["create"]).ended(PARTIAL).says_all(&["models", &whole, "--drop models"]);
    std::fs::create_dir(world.path("app/models")).expect("ours");
    let run = world.run("app", &["create"]);
    run.ended(PARTIAL).says_all(&["200 files", "it has none", "--accept models"]);
    world.write("app/models/left", "x");
    world.run("app", &["create"]).ended(PARTIAL).says_all(&["200 files", "it has 1"]);
    world.ok("app", &["prune", "--force", "--keep-last", "1"]);
    assert!(world.names("app").contains(&whole));
    world.ok("app", &["create", "--accept", "models"]);
    world.ok("app", &["create"]);
    // What larder.toml does not name any more.
    world.write("app/larder.toml", "[directories]\nconfig = \"config\"\n");
    world.run("app", &["create"]).ended(PARTIAL).says_all(&["models", "not configured any more"]);
    world.ok("app", &["create", "--drop", "models"]);
    world.ok("app", &["create"]);
}

/// A program that failed without saying so left an empty stream, which took the place of the good ones.
#[test]
fn a_stream_that_is_nearly_empty_is_no_complete_backup() {
    let world = World::with_app();
    let stream = |script: &str| world.run("app", &["create", "--command", "crm", "--", "sh", "-c", script]);
    stream("head -c 3000000 /dev/urandom").ended(DONE);
    stream("echo nothing").ended(PARTIAL).says_all(&["crm", "bytes", "--accept crm"]);
    stream("head -c 3000000 /dev/urandom").ended(DONE);
    let accepted = ["create", "--accept", "crm", "--command", "crm", "--", "echo", "nothing"];
    world.ok("app", &accepted);
    stream("echo nothing").ended(DONE);
}

/// The database of another server took the place of the one that was saved, because it had the same name.
#[test]
fn a_database_of_another_server_is_told() {
    let (world, database) = (World::with_app(), Database::with_rows(5));
    let with = |url: &str, words: &[&str]| Run::of(world.command("app", words).env("DATABASE_URL", url));
    let (url, other) = (database.url(), database.url().replace("127.0.0.1", "localhost"));
    with(&url, &["create"]).ended(DONE);
    with(&other, &["create"]).ended(PARTIAL).says_all(&["127.0.0.1", "localhost", "--accept database"]);
    with(&other, &["create", "--accept", "database"]).ended(DONE);
    with(&other, &["create"]).ended(DONE);
}

/// A component that was never complete was measured against the last run of it, however empty that was.
#[test]
fn what_was_never_whole_is_measured_against_the_most_of_it() {
    if !super::support::is_root() {
        return;
    }
    let world = World::with_app();
    for number in 0..120 {
        world.write(&format!("app/models/{number}"), "x");
    }
    std::fs::create_dir(world.path("app/models/sub")).expect("ours");
    let mounted = || {
        let mount = "mount -t tmpfs none app/models/sub; echo 1 >app/models/sub/file";
        world.shell(&format!("{mount}; \"$LARDER_TEST_PROGRAM\" -C app create"))
    };
    mounted().ended(PARTIAL).says_not("120 files");
    for number in 0..120 {
        std::fs::remove_file(world.path(format!("app/models/{number}"))).expect("it is there");
    }
    for _ in 0..2 {
        mounted().ended(PARTIAL).says_all(&["120 files"]);
    }
    world.run("app", &["create", "--dry-run"]).ended(PARTIAL).says_all(&["120 files"]);
    world.run("app", &["create"]).ended(PARTIAL).says_all(&["120 files", "--accept models"]);
    world.ok("app", &["create", "--components", "models", "--accept", "models"]);
    world.ok("app", &["create"]);
    world.ok("app", &["create", "--dry-run"]);
}

/// Rows and files that were given up by one word were deleted by the next prune.
#[test]
fn what_was_there_before_it_was_taken_as_it_is_stays() {
    let world = World::with_app();
    for number in 0..120 {
        world.write(&format!("app/models/{number}"), "x");
    }
    let whole = world.create("app");
    world.remove("app/models");
    world.write("app/models/left", "x");
    world.ok("app", &["create", "--accept", "models"]);
    world.create("app");
    world.ok("app", &["prune", "--force", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0"]);
    assert!(world.names("app").contains(&whole));
    assert!(world.ok("app", &["show", "latest"]).stdout.contains("models"));
    world.run("app", &["forget", &whole]).ended(USAGE).says_all(&["newest copy of models"]);
}

/// A stream that was called like a component was a copy of it, and the last good one went.
#[test]
fn a_stream_is_no_copy_of_a_component() {
    let world = World::with_app();
    world.write("app/models/one", "x");
    let whole = world.create("app");
    world.remove("app/models");
    world.ok("app", &["create", "--drop", "models"]);
    world.ok("app", &["create", "--command", "models", "--", "echo", "a list"]);
    world.ok("app", &["prune", "--force", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0"]);
    assert!(world.names("app").contains(&whole));
    for name in ["docker_volume_x", "everything", "files", "safety"] {
        let run = world.run("app", &["create", "--command", name, "--", "echo", "x"]);
        run.ended(USAGE).says_all(&["a stream cannot be called"]);
    }
}

/// What came back from another server or place under the same name was a copy of what had been there, and the last good one went.
#[test]
fn what_is_of_another_place_is_no_copy() {
    let (world, prod, url) = (World::with_app(), Database::with_rows(5), "localhost");
    let with = |url: &str, words: &[&str]| Run::of(world.command("app", words).env("DATABASE_URL", url));
    let staging = prod.url().replace("127.0.0.1", url);
    let whole = name_of(&with(&prod.url(), &["create", "--json"]).ended(DONE).json());
    world.ok("app", &["create", "--drop", "database"]);
    with(&staging, &["create", "--accept", "database"]).ended(DONE);
    world.ok("app", &["prune", "--force", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0"]);
    assert!(world.names("app").contains(&whole));
    let restore = ["restore", "latest", "--components", "database", "--force", "--dry-run"];
    with(&prod.url(), &restore).ended(DONE).says_all(&["on localhost", "on 127.0.0.1"]);
    with(&staging, &restore).ended(DONE).says_not("was saved from");
}

/// Runs of some components were measured against nothing where there was none of everything.
#[test]
fn selections_are_measured_too() {
    let world = World::with_app();
    world.ok("app", &["create", "--components", "config"]);
    std::fs::remove_file(world.path("app/config/settings")).expect("it is there");
    world.run("app", &["create", "--components", "config"]).ended(PARTIAL).says_all(&["1 file,", "--accept config"]);
    world.run("app", &["create"]).ended(PARTIAL).says_all(&["--accept config"]);
    world.ok("app", &["restore", "latest", "--force"]).says_all(&["config is not whole in the snapshot"]);
}

/// After the backups of the old tool were imported, every directory was at another place.
#[test]
fn what_was_imported_says_nothing_of_places() {
    let world = World::with_app();
    world.create("app");
    world.ok("app", &["export", "--all", "--to", world.path("old").to_str().expect("text")]);
    world.write("new/config/settings", "one");
    let system = world.json("app", &["show", "latest"])["system"].as_str().expect("a name").to_owned();
    world.write("new/larder.toml", format!("[system]\nname = \"{system}\"\n"));
    world.ok("new", &["import", world.path("old").to_str().expect("text")]);
    world.ok("new", &["create"]);
}

/// A folder of the old tool that was newer, and had no database, hid that the system has one.
#[test]
fn what_is_imported_does_not_hide_what_is_missing() {
    let (world, database) = (World::with_app(), Database::with_rows(500));
    Run::of(world.command("app", &["create"]).env("DATABASE_URL", database.url())).ended(DONE);
    let stamp = "system_backup_20991231_000000";
    world.write(&format!("old/{stamp}/config/settings"), "one");
    let listed = r#"{"version": "2.0", "components": {"config": {"backup_dir": "config", "files": 1}}}"#;
    world.write(&format!("old/{stamp}/metadata.json"), listed);
    world.ok("app", &["import", world.path("old").to_str().expect("text")]);
    world.run("app", &["create"]).ended(PARTIAL).says_all(&["error: database", "is DATABASE_URL set?"]);
}

/// What came back after it had been left out on purpose was measured against nothing.
#[test]
fn what_comes_back_is_measured_against_what_it_was() {
    let (world, database) = (World::with_app(), Database::with_rows(500));
    let with = |arguments: &[&str]| Run::of(world.command("app", arguments).env("DATABASE_URL", database.url()));
    with(&["create"]).ended(DONE);
    world.ok("app", &["create", "--drop", "database"]);
    world.ok("app", &["create"]);
    database.sql("DELETE FROM t");
    with(&["create"]).ended(PARTIAL).says_all(&["it was 500 rows, and now it has none", "--accept database"]);
    with(&["create", "--accept", "database"]).ended(DONE);
    with(&["create"]).ended(DONE);
}

/// `plan` found nothing wrong with a folder that was empty.
#[test]
fn a_plan_tells_of_a_folder_that_is_empty_or_another_one() {
    let world = World::with_app();
    world.create("app");
    world.run("app", &["plan"]).ended(DONE);
    fs::rename(world.path("app/config"), world.path("app/elsewhere")).expect("ours");
    fs::create_dir(world.path("app/config")).expect("ours");
    world.run("app", &["plan"]).ended(PARTIAL).says_all(&["warning: config", "and now it has none"]);
    world.write("app/larder.toml", "[directories.config]\npath = \"elsewhere\"\n");
    world.run("app", &["plan"]).ended(PARTIAL).says_all(&["warning: config", "app/elsewhere"]);
}

/// A folder lost half of its files, and a small table beside a large one all of its rows, without a word.
#[test]
fn what_is_less_than_half_is_noted() {
    let (world, database) = (World::with_app(), Database::with_rows(500));
    let with = |arguments: &[&str]| Run::of(world.command("app", arguments).env("DATABASE_URL", database.url()));
    database.sql("CREATE TABLE people AS SELECT n FROM generate_series(1, 30) n");
    for number in 0..60 {
        world.write(&format!("app/logs/{number}"), "x");
    }
    with(&["create"]).ended(DONE).says_not("note: logs");
    database.sql("DELETE FROM people");
    let remove = |number| fs::remove_file(world.path(format!("app/logs/{number}"))).expect("ours");
    (0..40).for_each(remove);
    with(&["create"]).ended(DONE).says_all(&[
        "note: logs",
        "it was 60 files, and now it has 20",
        "note: database",
        "public.people",
    ]);
    (40..59).for_each(remove);
    with(&["create"]).ended(PARTIAL).says_all(&["it was 20 files, and now it has 1", "--accept logs"]);
}

/// A misspelt variable of the first run, and no database was saved from the beginning.
#[test]
fn that_no_database_is_saved_is_said_until_there_is_none() {
    let world = World::with_app();
    for command in ["plan", "create", "create"] {
        world.ok("app", &[command]).says_all(&["note: no database is saved"]);
    }
    world.write("app/larder.toml", "[database]\nskip = true\n");
    world.ok("app", &["create"]).says_not("no database");
}

/// A misspelt `backup_dir`, and backups went on in another place.
#[test]
fn another_place_for_the_backups_is_told() {
    let world = World::with_app();
    world.create("app");
    let backups = world.path("app/backups").display().to_string();
    world.write("app/larder.toml", "backup_dir = \"bakups\"\n");
    world.ok("app", &["create"]).says_all(&["a new repository was made", &backups]);
    world.ok("app", &["create"]).says_not(&backups);
}
