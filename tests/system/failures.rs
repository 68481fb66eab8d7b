//! What fails is said, leaves the rest of the night whole, and never takes the database that serves.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{FOLDERS, Run, System, component, feed, roles_stay, run, text};

const SECRET: &str = "wr0ng-and-secret";

/// A port that nobody listens on.
fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the listener has an address").port()
}

/// What a create must say when the database failed and the folders did not.
fn assert_partial(created: &Run, cause: &str) {
    assert_eq!(created.code, 3, "{}", created.all());
    let document = created.json();
    assert_eq!(document["status"], "partial");
    let database = component(&document, "database");
    assert_eq!(database["status"], "failed");
    let errors = database["errors"].to_string();
    assert!(errors.contains(cause), "{errors}");
    assert!(created.stderr.contains(cause), "{}", created.stderr);
    for folder in FOLDERS {
        assert_eq!(component(&document, folder)["status"], "complete", "{folder}");
    }
}

/// What other commands say of such a night, and that its folders can be restored.
fn assert_folders_saved(system: &System, secret: &str) {
    let kept = system.keep_folders("kept");
    let shown =
        [&["list", "--show-details"][..], &["list", "--json"], &["show", "latest"], &["show", "latest", "--json"]];
    let texts: String = shown.iter().map(|arguments| system.larder(arguments).exits(0).all()).collect();
    assert!(!texts.contains(secret), "{texts}");
    assert!(texts.contains("partial") && texts.contains("failed"), "{texts}");
    system.delete_folders();
    let rows = system.fingerprint();
    let restored = system.larder(&["restore", "latest", "--force"]).exits(3);
    assert!(restored.stderr.contains("has no database"), "{}", restored.all());
    system.assert_folders_equal(&kept);
    assert_eq!(system.fingerprint(), rows);
}

/// Runs a create that fails to reach the database, as part of a night and alone.
fn assert_unreachable(system: &System, url: &str, cause: &str) {
    for json in [&["create"][..], &["create", "--json"]] {
        let created = run(system.command(json).env("DATABASE_URL", url));
        assert_eq!(created.code, 3, "{}", created.all());
        assert!(!created.all().contains(SECRET), "{}", created.all());
        if json.len() > 1 {
            assert_partial(&created, cause);
        }
    }
    assert_folders_saved(system, SECRET);
    let before = system.snapshots();
    let alone = run(system.command(&["create", "--type", "database"]).env("DATABASE_URL", url)).exits(1);
    assert!(alone.stderr.contains(cause) && !alone.all().contains(SECRET), "{}", alone.all());
    assert_eq!(system.snapshots(), before);
    let restored = run(system.command(&["restore", &before[0], "--force"]).env("DATABASE_URL", url));
    assert!(!restored.all().contains(SECRET), "{}", restored.all());
}

#[test]
fn a_wrong_password_fails_the_database_alone() {
    let system = System::with_numbers(20);
    let server = &system.server;
    let url = format!("postgres://{}:{SECRET}@{}:{}/{}", server.user, server.host, server.port, system.database);
    assert_unreachable(&system, &url, "password authentication failed");
}

#[test]
fn a_server_that_is_down_fails_the_database_alone() {
    let system = System::with_numbers(20);
    let url = format!("postgres://somebody:{SECRET}@127.0.0.1:{}/{}", unused_port(), system.database);
    assert_unreachable(&system, &url, "refused");
}

#[test]
fn a_database_that_is_not_there_fails_alone_and_saves_nothing() {
    let system = System::bare();
    let url = system.server.url("larder_no_such_database");
    let created = run(system.command(&["create", "--components", "database"]).env("DATABASE_URL", url)).exits(1);
    assert!(created.stderr.contains("\"larder_no_such_database\" does not exist"), "{}", created.stderr);
    assert_eq!(system.snapshots(), [""; 0]);
}

#[test]
fn a_restore_while_the_server_is_down_touches_nothing() {
    let system = System::with_numbers(20);
    let name = text(&system.create()["name"]);
    let saved = system.keep_folders("saved");
    system.write("logs/app.log", b"changed");
    let kept = system.keep_folders("kept");
    let url = format!("postgres://somebody:{SECRET}@127.0.0.1:{}/{}", unused_port(), system.database);
    let restore =
        |more: &[&str]| run(system.command(&[&["restore", &name, "--force"], more].concat()).env("DATABASE_URL", &url));
    let refused = restore(&[]).exits(1);
    assert!(refused.stderr.contains("refused") && !refused.all().contains(SECRET), "{}", refused.all());
    system.assert_folders_equal(&kept);
    assert_eq!(system.snapshots(), [name.as_str()]);
    let alone = restore(&["--no-snapshot"]).exits(3);
    assert!(alone.stderr.contains("error: database: ") && !alone.all().contains(SECRET), "{}", alone.all());
    system.assert_folders_equal(&saved);
}

/// Starts larder, waits until a server process of a database like `database` copies rows, and runs SQL on its `pid`.
fn while_rows_are_copied(system: &System, arguments: &[&str], database: &str, action: &str) -> Run {
    let mut command = system.command(arguments);
    let larder =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("larder starts");
    let id = larder.id();
    let wait = format!(
        "DO $$ DECLARE process integer; BEGIN LOOP
            PERFORM pg_stat_clear_snapshot();
            SELECT pid INTO process FROM pg_stat_activity
                WHERE datname LIKE '{database}' AND query ~ '^COPY \"?public\"?.\"?numbers\"? ' AND state = 'active' LIMIT 1;
            IF process IS NOT NULL THEN {action}; EXIT; END IF;
            IF clock_timestamp() > now() + interval '30 seconds' THEN RAISE 'nothing was copied'; END IF;
        END LOOP; END $$"
    );
    let waited = feed(&mut system.server.psql("postgres"), wait.as_bytes());
    if action == "NULL" {
        run(Command::new("kill").arg("-TERM").arg(id.to_string())).exits(0);
    }
    let output = larder.wait_with_output().expect("larder ends");
    waited.exits(0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn a_dump_that_is_cut_off_is_no_backup() {
    let system = System::with_numbers(12_000);
    let terminate = "PERFORM pg_terminate_backend(process)";
    let alone = while_rows_are_copied(&system, &["create", "--type", "database"], &system.database, terminate).exits(1);
    assert!(alone.stderr.contains("pg_dump failed"), "{}", alone.stderr);
    assert_eq!(system.snapshots(), [""; 0]);

    let created = while_rows_are_copied(&system, &["create", "--json"], &system.database, terminate);
    assert_partial(&created, "pg_dump failed");
    assert_folders_saved(&system, &system.server.password);
    let again = system.create();
    assert_eq!(component(&again, "database")["database"]["tables"][0]["rows"], 12_000);
    system.larder(&["verify", "--all", "--read-data"]).exits(0);
}

#[test]
fn a_restore_that_is_interrupted_leaves_the_old_database() {
    let system = System::with_numbers(12_000);
    let name = text(&system.create()["name"]);
    system.sql("DELETE FROM numbers WHERE id > 30");
    let rows = system.fingerprint();
    let scratch = format!("{}\\_larder\\_new%", system.database);
    let words = ["restore", &name, "--force", "--components", "database", "--no-snapshot"];
    let stopped = {
        let _roles = roles_stay();
        while_rows_are_copied(&system, &words, &scratch, "NULL")
    };
    assert_eq!(stopped.code, 130, "{}", stopped.all());
    assert_eq!(system.fingerprint(), rows);
    assert_eq!(system.scratch_databases(), "");
}

#[test]
fn a_server_process_that_dies_in_a_restore_leaves_the_old_database() {
    let system = System::with_numbers(12_000);
    let name = text(&system.create()["name"]);
    system.sql("DELETE FROM numbers WHERE id > 30");
    let rows = system.fingerprint();
    let scratch = format!("{}\\_larder\\_new%", system.database);
    let words = ["restore", &name, "--force", "--components", "database", "--json"];
    let terminated = {
        let _roles = roles_stay();
        while_rows_are_copied(&system, &words, &scratch, "PERFORM pg_terminate_backend(process)")
    };
    let restored = terminated.exits(1).json();
    assert_eq!(component(&restored, "database")["status"], "failed", "{restored}");
    assert_eq!(system.fingerprint(), rows);
    assert_eq!(system.scratch_databases(), "");
}

#[test]
fn a_dump_that_cannot_be_loaded_leaves_the_old_database() {
    let system = System::with_numbers(100);
    // A constraint that looks at a table whose rows come later in the dump: it fails half-way.
    system.sql(
        "CREATE TABLE a_first (id integer); CREATE TABLE z_later (id integer);
         CREATE FUNCTION some_later() RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN RETURN EXISTS (SELECT FROM public.z_later); END $$;
         INSERT INTO z_later VALUES (1);
         ALTER TABLE a_first ADD CHECK (some_later()); INSERT INTO a_first VALUES (1);",
    );
    let name = text(&system.create()["name"]);
    let kept = system.keep_folders("kept");
    system.sql("DELETE FROM numbers WHERE id > 30");
    let rows = system.fingerprint();
    let tested = system.larder(&["verify", &name, "--test-restore"]).exits(1);
    assert!(
        tested.stdout.contains("FAILED: test restore of database") && tested.stdout.contains("a_first_check"),
        "{}",
        tested.all()
    );
    assert_eq!(system.fingerprint(), rows);
    system.write("logs/app.log", b"changed");
    let restored = system.larder(&["restore", &name, "--force"]).exits(3);
    assert!(restored.stderr.contains("violates check constraint"), "{}", restored.all());
    assert!(restored.stdout.contains("NOT fully restored"), "{}", restored.all());
    assert_eq!(system.fingerprint(), rows);
    system.assert_folders_equal(&kept);
    let restored = system.larder(&["restore", &name, "--force", "--json", "--components", "database"]).exits(1).json();
    assert_eq!(component(&restored, "database")["status"], "failed");
    assert_eq!(restored["safety_snapshot"], Value::from(system.snapshots()[0].as_str()));
    assert_eq!(system.fingerprint(), rows);
    assert_eq!(system.scratch_databases(), "");
}

#[test]
fn a_role_that_may_not_make_databases_restores_nothing_and_breaks_nothing() {
    let mut system = System::with_numbers(100);
    let role = system.new_role("LOGIN PASSWORD 'weak' IN ROLE pg_read_all_data");
    let server = &system.server;
    let url = format!("postgres://{role}:weak@{}:{}/{}", server.host, server.port, system.database);
    let created = run(system.command(&["create", "--json"]).env("DATABASE_URL", &url)).exits(0).json();
    let rows = system.fingerprint();
    let words = ["restore", &text(&created["name"]), "--force", "--components", "database"];
    let _roles = roles_stay();
    let restored = run(system.command(&words).env("DATABASE_URL", &url)).exits(1);
    assert!(restored.stderr.contains("permission denied"), "{}", restored.all());
    assert_eq!(system.fingerprint(), rows);
    assert_eq!(system.scratch_databases(), "");
    assert!(system.server.has(&system.database));
}

#[test]
fn a_snapshot_that_cannot_be_made_first_stops_the_restore() {
    let mut system = System::with_numbers(100);
    let name = text(&system.create()["name"]);
    let role = system.new_role("LOGIN CREATEDB PASSWORD 'weak'");
    system.write("logs/app.log", b"changed");
    let (rows, kept) = (system.fingerprint(), system.keep_folders("kept"));
    let server = &system.server;
    let url = format!("postgres://{role}:weak@{}:{}/{}", server.host, server.port, system.database);
    let _roles = roles_stay();
    let restored = run(system.command(&["restore", &name, "--force"]).env("DATABASE_URL", &url)).exits(1);
    assert!(restored.stderr.contains("could not be saved first"), "{}", restored.all());
    assert_eq!(system.fingerprint(), rows);
    system.assert_folders_equal(&kept);
}

#[test]
fn a_damaged_dump_is_told_as_damage_and_leaves_the_old_database() {
    let system = System::with_numbers(3000);
    let name = text(&system.create()["name"]);
    system.sql("DELETE FROM numbers WHERE id > 30");
    let rows = system.fingerprint();
    let find = "find \"$0\" -type f -size +100k";
    let packs = run(Command::new("sh").arg("-c").arg(find).arg(system.beside("backups"))).exits(0).stdout;
    for pack in packs.lines() {
        let mut bytes = fs::read(pack).expect("the pack is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::set_permissions(pack, fs::Permissions::from_mode(0o644)).expect("the pack is ours");
        fs::write(pack, bytes).expect("the pack is ours");
    }
    let restored = system.larder(&["restore", &name, "--force", "--no-snapshot", "--components", "database"]).exits(4);
    assert!(!packs.is_empty() && restored.stderr.contains("error: database"), "{}", restored.all());
    assert_eq!(system.fingerprint(), rows);
    assert_eq!(system.scratch_databases(), "");
}

/// A backup stood still: `pg_dump` waited for who had dropped a view and waited for a table that the backup had locked.
#[test]
fn nobody_is_waited_for_who_waits_for_the_backup() {
    let system = System::with_numbers(10);
    system.sql("ALTER TABLE numbers ADD PRIMARY KEY (id); CREATE VIEW seen AS SELECT id FROM numbers");
    let mut dropping = system.server.psql(&system.database);
    let mut dropping = dropping.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql starts");
    let mut input = dropping.stdin.take().expect("its input");
    // It does not end itself for a deadlock.
    writeln!(input, "SET deadlock_timeout = '1h'; BEGIN; DROP VIEW seen;\n\\echo dropped").expect("it listens");
    let mut said = String::new();
    BufReader::new(dropping.stdout.take().expect("its output")).read_line(&mut said).expect("it answers");
    assert_eq!(said, "dropped\n");
    let mut create = system.command(&["create", "--json", "--components", "database"]);
    let creating = create.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'seen'::regclass";
    while system.sql(waits) != "t" {}
    writeln!(input, "ALTER TABLE numbers ADD COLUMN more integer; COMMIT;").expect("it listens");
    drop(input);
    let created = creating.wait_with_output().expect("it is ours");
    assert!(dropping.wait().expect("it is ours").success());
    let created: serde_json::Value = serde_json::from_slice(&created.stdout).expect("JSON");
    let database = component(&created, "database");
    assert_eq!(database["status"], "complete", "{created}");
    assert_eq!(database["database"]["tables"][0]["rows"], 10, "{created}");
    assert!(!database.to_string().contains("as pg_dump gives it"), "{created}");
}

/// The error named a line of no file that anybody has, and no way out.
#[test]
fn what_a_server_refuses_is_named_with_a_way_out() {
    let system = System::with_numbers(1);
    system.sql(
        "CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
         CREATE FUNCTION outer_plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT plain($1)';
         CREATE TABLE t (id int PRIMARY KEY, a text);
         INSERT INTO t VALUES (1, 'secret');
         CREATE INDEX t_plain ON t (outer_plain(a))",
    );
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        system.create();
        let refused =
            system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(1);
        for said in ["the INDEX public.t_plain: ERROR:  function plain(text) does not exist", "larder cat"] {
            assert!(refused.stderr.contains(said), "{method}: {said}: {}", refused.stderr);
        }
        assert!(!refused.stderr.contains("<stdin>"), "{refused:?}");
        assert_eq!(system.sql("SELECT a FROM t"), "secret");
    }
}
