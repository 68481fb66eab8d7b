//! The command lines of the old tool, as its document and cron lines have them, run by the scripts that `larder shim` writes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::import::{NAME, Old, STAMP, names};
use super::support::{Run, System, noise};

/// A system with the scripts in `scripts`.
fn system() -> System {
    let system = System::with_model(noise(100_000, 1));
    system.ok(&["shim", "--into", &system.path("scripts").to_string_lossy()]);
    system
}

/// A line for a shell, in the directory of the system, where `larder` is on the path.
fn shell(system: &System, line: &str) -> Run {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_larder"));
    let folder = program.parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = system.command::<&str>(&[]);
    let variables: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    command = Command::new("bash");
    for name in variables {
        command.env_remove(name);
    }
    Run::of(
        command.args(["-c", line]).current_dir(system.path("")).env("PATH", path).stdin(std::process::Stdio::null()),
    )
}

fn ok(system: &System, line: &str) -> Run {
    let run = shell(system, line);
    assert_eq!(run.code, 0, "{line}: {run:?}");
    run
}

#[test]
fn the_documented_commands_do_what_they_say() {
    let system = system();
    let created = ok(&system, "./scripts/backup_restore.sh create");
    let title = created.stdout.lines().next().expect("a line");
    let name = title.strip_prefix("Creating comprehensive system backup: ").expect("the name").to_owned();
    ok(&system, "./scripts/backup_restore.sh create --type files");
    ok(&system, "./scripts/backup_restore.sh create --no-compress --no-verify");
    ok(&system, "./scripts/backup_restore.sh list").shows(&name);
    ok(&system, "./scripts/backup_restore.sh list --show-details").shows("models");
    ok(&system, &format!("./scripts/backup_restore.sh restore {name} --dry-run")).shows("nothing was touched");
    system.write("models/one", "damaged");
    ok(&system, &format!("./scripts/backup_restore.sh restore {name} --components models --force"));
    assert_eq!(system.read("models/one"), noise(100_000, 1));
    let latest = "LATEST_BACKUP=$(./scripts/backup_restore.sh list | grep \"system_backup_\" | head -1 | awk '{print $2}')\n\
        ./scripts/backup_restore.sh verify $LATEST_BACKUP && echo \"it was $LATEST_BACKUP\"";
    let newest = names(&system).remove(0);
    ok(&system, latest).shows(&format!("it was {newest}"));
    ok(&system, &format!("./scripts/backup_restore.sh verify {name} --test-restore")).shows("OK");
    ok(&system, "./scripts/backup_restore.sh prune --dry-run").shows("Dry run");
    ok(&system, "./scripts/backup_restore.sh prune --daily 5 --weekly 2 --monthly 1 --max-size-gb 30 --dry-run");
    system.write("echo", "#!/bin/sh\necho \"$@\"\n");
    ok(&system, "LARDER=./echo bash -c 'chmod +x echo; ./scripts/backup_restore.sh prune --max-size-gb 50'")
        .shows("prune --max-size-gb 53.687");
    ok(&system, "./scripts/backup_restore.sh prune --daily 7 --weekly 4 --monthly 3 --max-size-gb 50 --force");
    let stats = ok(&system, "./scripts/backup_restore.sh stats").stdout;
    for text in ["Total backups: ", "Total size: ", " GB)", "Recent Backups", " 1. system_backup_"] {
        assert!(stats.contains(text), "{text}: {stats}");
    }
    let after = stats.lines().skip_while(|line| !line.contains(" 1. ")).nth(1).expect("a line");
    let number = after.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(after.contains("MB") && number.is_some(), "{after}");
}

#[test]
fn the_other_scripts_and_places_work_as_they_did() {
    let system = system();
    ok(&system, "python3 scripts/backup_system.py --backup-dir elsewhere --no-compress --no-verify");
    assert!(system.exists("elsewhere/config") && !system.exists("backups"));
    ok(&system, "python3 scripts/prune_backups.py --stats --backup-dir=elsewhere").shows("Total backups: 1");
    ok(&system, "./scripts/backup_restore.sh db-list --backup-dir elsewhere").shows("system_backup_");
    let old = Old::new(&system, STAMP, &[1]);
    ok(&system, "mkdir -p test_restore && cp -r old/system_backup_* test_restore/");
    ok(&system, &format!("./scripts/restore_system.py test_restore/{NAME} --components models --dry-run"));
    ok(&system, &format!("python3 scripts/verify_backup.py test_restore/{NAME}")).shows(NAME);
    assert!(old.path.exists() && !system.exists("backups"));
    // Old folders and a repository may lie in one directory, as they do after the change.
    ok(&system, "mkdir backups && cp -r old/system_backup_* backups/ && ./scripts/backup_restore.sh create");
    system.ok(&["import", &system.path("backups").to_string_lossy()]);
    assert_eq!(names(&system).last().map(String::as_str), Some(NAME));
    ok(&system, "./scripts/backup_restore.sh verify system_backup_20250901");
}

#[test]
fn the_configuration_is_taken_over_and_then_obeyed() {
    let system = system();
    system.write("outputs/x", "x");
    let yaml = "backup: {directory: saved}\ncomponents: {database: false, outputs: false}\nretention: {daily: 2}\n\
        schedule: {backup_time: '01:00'}\nlogging: {level: INFO}\n\
        environments: {production: {security: {encrypt: true}}, development: {retention: {weekly: 1}}}\n";
    system.write("config/backup.yaml", yaml);
    let file = system.path("config/backup.yaml").to_string_lossy().into_owned();
    system.run(&["import-config", &file, "--environment", "production"]).ended(2).says("does not encrypt");
    system.ok(&["import-config", &file, "--dry-run"]).shows("backup_dir = \"saved\"");
    assert!(!system.exists("larder.toml"));
    let run = system.ok(&["import-config", &file]);
    run.says("logging.level means nothing here").says("larder schedule install --create 01:00").says("'development'");
    system.run(&["import-config", &file]).ended(2).says("--force");
    fs::create_dir(system.path("logs")).expect("create");
    // A database is there, and is not saved: the file says so.
    let mut command = system.command(&["create", "--json"]);
    let report = Run::of(command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")).json();
    let components = report["components"].as_array().expect("a list").iter();
    assert_eq!(
        components.map(|one| one["name"].as_str().expect("a name")).collect::<Vec<_>>(),
        ["config", "logs", "models"]
    );
    assert!(system.exists("saved/config"));
    system.run(&["import-config", "/nowhere.yaml"]).ended(2).says("cannot read");
}

#[test]
fn what_is_no_command_says_so() {
    let system = system();
    for line in ["./scripts/backup_restore.sh", "./scripts/backup_restore.sh frobnicate"] {
        shell(&system, line).ended(1).says("Usage: backup_restore.sh");
    }
    ok(&system, "./scripts/backup_restore.sh --help").shows("db-restore");
    ok(&system, "./scripts/backup_restore.sh create");
    shell(&system, "./scripts/backup_restore.sh restore latest --dryrun").ended(2);
    shell(&system, "./scripts/backup_restore.sh restore latest").ended(2).says("nobody is there to confirm");
    shell(&system, "./scripts/backup_restore.sh verify system_backup_19990101_000000").ended(6);
    system.run(&["shim", "install.sh"]).ended(2);
    let scripts = system.path("scripts").to_string_lossy().into_owned();
    system.run(&["shim", "--into", &scripts]).ended(2).says("exists already");
    system.ok(&["shim", "--into", &scripts, "--force"]);
    assert_eq!(system.ok(&["shim"]).stdout.as_bytes(), system.read("scripts/backup_restore.sh"));
}
