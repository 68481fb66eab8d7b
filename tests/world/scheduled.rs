//! Runs that nobody looks at: from a schedule, from cron, from scripts.

use std::fs;
use std::process::Command;

use super::support::{DONE, Run, USAGE, World};

fn install(world: &World, system: &str) -> Command {
    let root = world.path("root");
    world.command(system, &["schedule", "install", "--with", "cron", "--root", root.to_str().expect("text"), "--json"])
}

/// A schedule of a system whose database only the shell of the operator named backed up everything but the database.
#[test]
fn a_schedule_that_would_save_too_little_is_refused() {
    let world = World::with_app();
    for (name, value) in [("DATABASE_URL", "postgres://h/d"), ("POSTGRES_DB", "d"), ("DATABASE_URL", "mysql://h/d")] {
        Run::of(install(&world, "app").env(name, value))
            .ended(USAGE)
            .says_all(&["the environment alone", "[database]"]);
    }
    for (name, value) in [("LARDER_DATABASE_URL", "postgres://h/d"), ("LARDER_RETENTION_DAILY", "9")] {
        Run::of(install(&world, "app").env(name, value)).ended(USAGE).says_all(&[name, "larder.toml"]);
    }
    assert!(!world.path("root").exists(), "nothing is written");
    world.write("app/larder.toml", "[database]\nskip = true\n");
    Run::of(install(&world, "app").env("DATABASE_URL", "postgres://h/d")).ended(DONE);
    fs::create_dir(world.path("bare")).expect("ours");
    Run::of(&mut install(&world, "bare")).ended(USAGE).says_all(&["there is nothing to back up here"]);
}

/// A run at night took the empty folder, or the other disk, for its repository.
#[test]
fn a_scheduled_backup_uses_the_repository_that_there_was() {
    let world = World::with_app();
    world.ok("app", &["create"]);
    let report = Run::of(&mut install(&world, "app")).ended(DONE).json();
    let text = fs::read_to_string(report["files"][0].as_str().expect("a file")).expect("written");
    let (_, rest) = text.split_once("'--repository-id' '").expect("it has the id");
    let (id, _) = rest.split_once('\'').expect("its end");
    let create = ["create", "--repository-id", id];
    world.ok("app", &create);
    let prune = text.lines().find(|line| line.contains("'prune'")).expect("it prunes");
    assert!(prune.contains(id), "{prune}");
    world.write("other/config/settings", "x");
    world.ok("other", &["create"]);
    fs::rename(world.path("app/backups"), world.path("away")).expect("ours");
    // Whatever the host remembers.
    world.remove("state");
    world.run("app", &create).ended(USAGE).says_all(&["there is no repository in", id]);
    fs::rename(world.path("other/backups"), world.path("app/backups")).expect("ours");
    world.run("app", &create).ended(USAGE).says_all(&["the repository in", "has the id", id]);
    world.run("app", &["create", "--repository-id", "xyz"]).ended(USAGE);
}

/// Cron has a short PATH, on which the program was not.
#[test]
fn the_scripts_of_the_old_tool_know_the_program_that_wrote_them() {
    let world = World::with_app();
    world.ok("app", &["create"]);
    let scripts = world.path("app/scripts");
    world.ok("app", &["shim", "--into", scripts.to_str().expect("text")]);
    let mut cron = Command::new("/usr/bin/env");
    cron.args(["-i", "PATH=/usr/bin:/bin", "bash", "scripts/backup_restore.sh", "list"]).current_dir(world.path("app"));
    let run = Run::of(cron.env("STATE_DIRECTORY", world.path("state")));
    run.ended(DONE);
    assert!(run.stdout.contains("system_backup_"), "{run:?}");
}

/// One forgotten `--into` replaced the live database by the masked one.
#[test]
fn a_mask_replaces_no_live_database() {
    let world = World::with_app();
    world.ok("app", &["create"]);
    world.write("mask.toml", "[tables.\"public.t\"]\nn = \"hash\"\n");
    let mask = world.path("mask.toml");
    world
        .run("app", &["restore", "latest", "--force", "--mask", mask.to_str().expect("text")])
        .ended(USAGE)
        .says_all(&["--into"]);
}
