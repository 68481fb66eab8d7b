//! Whole nights: everything is saved, changed, saved again, lost, and given back as it was on each night.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{
    FOLDERS, Run, System, assert_text, component, feed, noise, roles_go, roles_stay, run, text, unique,
};

/// Rows and files as they are the next day.
fn change(system: &System) {
    system.sql(
        "UPDATE articles SET body = 'changed ' || id WHERE id % 100 = 0;
         DELETE FROM articles WHERE id % 1000 = 7;
         INSERT INTO articles (source_id, title) SELECT 1, 'new ' || n FROM generate_series(1, 1500) AS n;
         UPDATE texts SET body = body || E'\\t\\\\N\\r' WHERE id < 9;
         UPDATE sources SET mood = 'it''s odd' WHERE id = 3;
         DROP TABLE empty;
         CREATE TABLE later (id integer PRIMARY KEY); INSERT INTO later SELECT generate_series(1, 25);
         REFRESH MATERIALIZED VIEW per_source;
         SELECT nextval('tickets');
         SELECT lo_put(424242, 10, 'changed');",
    );
    system.sql(&format!("ALTER DATABASE {} SET work_mem = '9MB'", system.database));
    system.write("models/new.bin", &noise(50_000, 3));
    system.write("config/settings.yaml", b"a: 2\n");
    system.write("logs/app.log", b"another line\n".repeat(4000).as_slice());
    fs::remove_file(system.path("outputs/empty")).expect("the file is there");
    fs::remove_dir_all(system.path("models/sub folder")).expect("the folder is there");
}

#[test]
fn each_night_comes_back_byte_for_byte() {
    let system = System::documented();
    let first = system.create();
    let (first_rows, first_files) = (system.fingerprint(), system.keep_folders("first"));
    change(&system);
    let second = system.create();
    let (second_rows, second_files) = (system.fingerprint(), system.keep_folders("second"));
    assert_ne!(first_rows, second_rows);
    assert_eq!(system.memberships(), "1", "one of the roles is a member of the other");
    let (first, second) = (text(&first["name"]), text(&second["name"]));
    assert_listed_and_compared(&system, &first, &second);
    let verified = system.larder(&["verify", "latest", "--read-data", "--test-restore"]).exits(0);
    assert!(verified.stdout.contains("OK: test restore of database:"), "{}", verified.stdout);

    system.delete_folders();
    let missing_roles = roles_go();
    system.drop_database();
    system.drop_roles();
    let restored = run(&mut system.command(&["restore", &first, "--force", "--json"])).exits(0).json();
    drop(missing_roles);
    assert_eq!(restored["safety_snapshot"], Value::Null, "there was nothing to save");
    let roles: Vec<Value> = system.roles().iter().map(|role| Value::from(role.as_str())).collect();
    let created = component(&restored, "database")["roles_created"].as_array().expect("a list").clone();
    assert!(roles.iter().all(|role| created.contains(role)), "{created:?}");
    assert_eq!(system.memberships(), "1", "and is so again");
    assert_is(&system, &first_rows, &first_files);

    for (name, rows, files) in [(&second, &second_rows, &second_files), (&first, &first_rows, &first_files)] {
        let restored = system.larder(&["restore", name, "--force", "--json"]).exits(0).json();
        assert_eq!(restored["safety_snapshot"], system.snapshots()[0].as_str(), "{restored}");
        assert_is(&system, rows, files);
    }
    assert_eq!(system.scratch_databases(), "");
}

fn assert_is(system: &System, rows: &str, files: &Path) {
    assert_text(&system.fingerprint(), rows);
    system.assert_folders_equal(files);
}

fn assert_listed_and_compared(system: &System, first: &str, second: &str) {
    let list = system.larder(&["list"]).exits(0).stdout;
    let names: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, [second, first], "{list}");
    let diff = system.larder(&["diff", first, second]).exits(0).stdout;
    for line in [
        "R database table public.articles: 60000 -> 61440 rows",
        "R database table public.later: none -> 25 rows",
        "R database table public.empty: 0 -> none rows",
        "+ models/new.bin",
        "- outputs/empty",
        "- models/sub folder/weights.bin",
        "M config/settings.yaml",
        "M logs/app.log",
        "M database/data/public.articles",
    ] {
        assert!(diff.lines().any(|found| found.starts_with(line)), "{line}\n{diff}");
    }
    for unchanged in ["table public.texts", "public.fake", "models/model.bin", "config/run.sh"] {
        assert!(!diff.contains(unchanged), "{unchanged}\n{diff}");
    }
}

#[test]
fn an_exported_folder_is_unpacked_by_hand() {
    let system = System::documented();
    let name = text(&system.create()["name"]);
    let to = system.beside("exported");
    system.larder(&["export", &name, "--to", to.to_str().expect("UTF-8")]).exits(0);
    let exported = to.join(&name);
    let dump = system.beside("database.sql");
    run(Command::new("sh").arg("-c").arg("gunzip -c \"$0\" > \"$1\"").arg(exported.join("database.sql.gz")).arg(&dump))
        .exits(0);
    let saved = system.command(&["cat", &format!("{name}:database")]).output().expect("larder starts");
    let dump = fs::read(dump).expect("the dump is there");
    assert!(saved.status.success() && saved.stdout == dump, "the exported dump is not the saved one");

    let fresh = unique("larder_by_hand");
    system.server.sql("postgres", &format!("CREATE DATABASE {fresh}"));
    let loaded = feed(&mut system.server.psql(&fresh), &dump);
    let found = (loaded.code == 0).then(|| system.fingerprint_of(&fresh));
    system.server.sql("postgres", &format!("DROP DATABASE {fresh} WITH (FORCE)"));
    assert_text(&found.expect(&loaded.stderr), &system.fingerprint_of(&system.database));
    system.assert_folders_equal(&exported);
    assert_metadata(&exported, &name);
}

fn assert_metadata(exported: &Path, name: &str) {
    let metadata = fs::read_to_string(exported.join("metadata.json")).expect("the file is there");
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    assert_eq!(metadata["version"], "2.0");
    assert_eq!(metadata["backup_name"], name);
    assert_eq!(metadata["validation_errors"], serde_json::json!([]));
    let database = &metadata["components"]["database"];
    assert_eq!(database["filename"], "database.sql.gz");
    let stored = fs::read(exported.join("database.sql.gz")).expect("the file is there");
    let sha256sum = run(Command::new("sha256sum").arg(exported.join("database.sql.gz"))).exits(0).stdout;
    assert_eq!(text(&database["checksum"]), sha256sum.split_whitespace().next().expect("a checksum"));
    let mut total = number(&database["size_mb"]);
    assert!((total - stored.len() as f64 / 1_048_576.0).abs() < 1e-9, "{total}");
    for folder in FOLDERS {
        let found = &metadata["components"][folder];
        let listed = run(Command::new("find").arg(exported.join(folder)).args(["-type", "f", "-printf", "%s\\n"]))
            .exits(0)
            .stdout;
        let bytes: u64 = listed.lines().map(|line| line.parse::<u64>().expect("a size")).sum();
        assert_eq!(found["files"], listed.lines().count(), "{folder}");
        assert!((number(&found["size_mb"]) - bytes as f64 / 1_048_576.0).abs() < 1e-9, "{found}");
        total += number(&found["size_mb"]);
    }
    assert!((number(&metadata["total_size_mb"]) - total).abs() < 1e-9, "{metadata}");
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A system that has gone on since its snapshot: the snapshot, rows and files of then, rows and files of now.
fn moved_on() -> (System, String, [String; 2], [std::path::PathBuf; 2]) {
    let system = System::with_numbers(500);
    let name = text(&system.create()["name"]);
    let (then_rows, then_files) = (system.fingerprint(), system.keep_folders("then"));
    system.sql("UPDATE numbers SET text = 'now' WHERE id < 100; CREATE TABLE fresh (id integer)");
    system.write("models/model.bin", b"now");
    system.write("logs/new.log", b"now");
    let (now_rows, now_files) = (system.fingerprint(), system.keep_folders("now"));
    (system, name, [then_rows, now_rows], [then_files, now_files])
}

#[test]
fn a_restore_of_one_side_leaves_the_other_alone() {
    let (system, name, [then_rows, now_rows], [then_files, now_files]) = moved_on();
    system.larder(&["restore", &name, "--force", "--components", "database"]).exits(0);
    assert_is(&system, &then_rows, &now_files);
    system.larder(&["restore", &system.snapshots()[0], "--force"]).exits(0);
    assert_is(&system, &now_rows, &now_files);
    system.larder(&["restore", &name, "--force", "--components", "models,config,outputs,logs"]).exits(0);
    assert_is(&system, &now_rows, &then_files);
}

#[test]
fn a_dry_run_touches_nothing_and_a_restore_without_a_question_is_refused() {
    let (system, name, [_, now_rows], [_, now_files]) = moved_on();
    let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE current_database() || '%'";
    let plan = system.larder(&["restore", &name, "--dry-run", "--json"]).exits(0).json();
    assert_eq!((&plan["dry_run"], &plan["safety_snapshot"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(component(&plan, "database")["rows"], 500);
    assert_eq!((&component(&plan, "logs")["removed"], &component(&plan, "models")["written"]), (&1.into(), &1.into()));
    let refused = system.larder(&["restore", &name]).exits(2);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_is(&system, &now_rows, &now_files);
    assert_eq!(system.snapshots(), [name]);
    assert_eq!(system.sql(databases), "1");
}

#[test]
fn what_a_restore_replaced_can_be_restored_itself() {
    let (system, name, [then_rows, now_rows], [then_files, now_files]) = moved_on();
    let restored = system.larder(&["restore", &name, "--force", "--json"]).exits(0).json();
    assert_is(&system, &then_rows, &then_files);
    let safety = text(&restored["safety_snapshot"]);
    assert_eq!(system.snapshots(), [safety.clone(), name.clone()]);
    assert_eq!(system.larder(&["show", &safety, "--json"]).exits(0).json()["type"], "safety");
    system.larder(&["restore", &safety, "--force", "--no-snapshot"]).exits(0);
    assert_is(&system, &now_rows, &now_files);
    assert_eq!(system.snapshots(), [safety, name], "--no-snapshot makes none");
}

#[test]
fn a_restore_ends_the_sessions_that_use_the_database() {
    use std::io::{BufRead, BufReader, Write};
    let system = System::with_numbers(50);
    let name = text(&system.create()["name"]);
    let rows = system.fingerprint();
    system.sql("DELETE FROM numbers");
    let mut psql = system.server.psql(&system.database);
    let pipe = std::process::Stdio::piped;
    let mut session = psql.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().expect("psql starts");
    let mut input = session.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(session.stdout.take().expect("a pipe")).lines();
    writeln!(input, "BEGIN; LOCK TABLE numbers IN ROW EXCLUSIVE MODE; SELECT 'here';").expect("the session is open");
    assert_eq!(answers.next().expect("an answer").expect("UTF-8"), "here");
    system.larder(&["restore", &name, "--force"]).exits(0);
    assert_text(&system.fingerprint(), &rows);
    // The session either notices here or when it reads its input's end.
    let _ = writeln!(input, "SELECT 'still here';");
    drop(input);
    assert!(answers.next().is_none(), "the old session still has an answer");
    let ended = session.wait_with_output().expect("psql ends");
    assert!(!ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(system.scratch_databases(), "");
}

#[test]
fn settings_of_the_database_itself_come_back() {
    let system = System::with_numbers(10);
    let name = &system.database;
    system.server.sql(
        "postgres",
        &format!(
            "ALTER DATABASE {name} SET search_path = 'Odd one', public; ALTER DATABASE {name} SET application_name = 'it''s \\';
             ALTER DATABASE {name} CONNECTION LIMIT 77; COMMENT ON DATABASE {name} IS 'the comment'"
        ),
    );
    let settings = "SELECT unnest(setconfig) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
            WHERE datname = current_database() ORDER BY 1;
        SELECT datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
    let before = system.sql(settings);
    system.create();
    system.drop_database();
    let restored: Run = system.larder(&["restore", "latest", "--force"]).exits(0);
    assert_eq!(system.sql(settings), before, "{}", restored.all());
}

#[test]
fn a_database_comes_back_under_the_name_that_is_configured_now() {
    let system = System::documented();
    system.create();
    let rows = system.fingerprint();
    let other = unique("larder_moved");
    let roles = roles_stay();
    let words = ["restore", "latest", "--force", "--json", "--components", "database"];
    let restored = run(system.command(&words).env("DATABASE_URL", system.server.url(&other)));
    drop(roles);
    let found = system.server.has(&other).then(|| system.fingerprint_in(&other));
    system.server.sql("postgres", &format!("DROP DATABASE IF EXISTS {other} WITH (FORCE)"));
    let restored = restored.exits(0).json();
    assert_eq!(restored["safety_snapshot"], Value::Null);
    assert_text(&found.expect("the database is there"), &rows);
    assert_text(&system.fingerprint(), &rows);
}
