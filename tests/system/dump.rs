//! What the dump itself has to keep: consistency, sameness from night to night, and the password a secret.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::{System, component, roles_stay, run, text};

#[test]
fn a_night_without_changes_stores_nearly_nothing() {
    let system = System::documented();
    let first = system.create();
    assert!(component(&first, "database")["bytes_new"].as_u64() > Some(5_000_000), "{first}");
    let second = system.create();
    let database = component(&second, "database");
    // The roles are those of the whole server, where other tests come and go.
    let of_roles = ["globals.sql", "roles.json"]
        .map(|file| system.larder(&["cat", &format!("latest:database/{file}")]).exits(0).stdout.len());
    let of_roles: usize = of_roles.iter().sum();
    assert!(database["bytes_new"].as_u64() < Some(10_000 + of_roles as u64), "{database}");
    assert!(second["bytes_added"].as_u64() < Some(50_000), "{second}");
    let diff = system.larder(&["diff", &text(&first["name"]), &text(&second["name"])]).exits(0).stdout;
    let mut changed = diff.lines().filter(|line| {
        line.starts_with(['+', '-', 'M', 'R']) && !line.contains("/globals.sql") && !line.contains("/roles.json")
    });
    assert_eq!(changed.next(), None);
    assert_counted_as_the_server_counts(&system, database);
}

fn assert_counted_as_the_server_counts(system: &System, database: &Value) {
    let tables = database["database"]["tables"].as_array().expect("tables");
    let mut counted: Vec<String> =
        tables.iter().map(|table| format!("{}|{}", text(&table["table"]), table["rows"])).collect();
    counted.sort_unstable();
    let counts = system.sql(
        "SELECT format('SELECT %L, count(*) FROM ONLY %I.%I', format('%I.%I', nspname, relname), nspname, relname)
            FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') \\gexec",
    );
    let mut expected: Vec<&str> = counts.lines().collect();
    expected.sort_unstable();
    assert!(expected.len() > 10, "{expected:?}");
    assert_eq!(counted, expected);
}

/// The cause: a function's body that holds a piece of a dump, comment and all, was taken for the data of a table, which
/// no restore could find then.
#[test]
fn a_function_that_looks_like_the_data_of_a_table_is_none() {
    let system = System::with_numbers(20);
    system.sql(
        "CREATE FUNCTION fake() RETURNS text LANGUAGE sql AS $body$ SELECT '
--
-- Data for Name: fake; Type: TABLE DATA; Schema: public; Owner: o
--

COPY public.fake (a) FROM stdin;
1
\\.
' $body$",
    );
    let created = system.create();
    let tables = &component(&created, "database")["database"]["tables"];
    assert_eq!(*tables, serde_json::json!([{ "table": "public.numbers", "rows": 20 }]));
    system.larder(&["verify", "latest", "--test-restore"]).exits(0);
    system.larder(&["restore", "latest", "--force"]).exits(0);
}

#[test]
fn a_dump_beside_a_busy_writer_is_of_one_moment() {
    let system = System::with_numbers(8000);
    system.sql("CREATE TABLE a_side (id serial); CREATE TABLE z_side (id serial)");
    let stop = AtomicBool::new(false);
    let written = AtomicU32::new(0);
    let (created, during) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_on_both_sides(&system, &stop, &written));
        while written.load(Ordering::Acquire) < 10 && !writer.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = written.load(Ordering::Acquire);
        let created = system.larder(&["create", "--json", "--type", "database"]);
        let during = written.load(Ordering::Acquire) - before;
        stop.store(true, Ordering::Release);
        (created, during)
    });
    let created = created.exits(0).json();
    assert!(during > 10, "the writer wrote {during} times while the dump was made");
    let tables = component(&created, "database")["database"]["tables"].as_array().expect("tables").clone();
    let rows = |name: &str| tables.iter().find(|table| table["table"] == name).and_then(|table| table["rows"].as_u64());
    assert!(rows("public.a_side") >= Some(10) && rows("public.a_side") == rows("public.z_side"), "{tables:?}");
    system.larder(&["restore", "latest", "--force", "--no-snapshot"]).exits(0);
    let restored = system.sql("SELECT (SELECT count(*) FROM a_side), (SELECT count(*) FROM z_side)");
    let count = rows("public.a_side").expect("counted");
    assert_eq!(restored, format!("{count}|{count}"));
}

fn write_on_both_sides(system: &System, stop: &AtomicBool, written: &AtomicU32) {
    let mut psql = system.server.psql(&system.database);
    let mut session = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql starts");
    let mut input = session.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(session.stdout.take().expect("a pipe")).lines();
    while !stop.load(Ordering::Acquire) {
        let sql = "BEGIN; INSERT INTO z_side DEFAULT VALUES; INSERT INTO a_side DEFAULT VALUES; COMMIT; SELECT 1;";
        writeln!(input, "{sql}").expect("the session is open");
        answers.next().expect("an answer").expect("UTF-8");
        written.fetch_add(1, Ordering::Release);
    }
    drop(input);
    session.wait().expect("psql ends");
}

#[test]
fn no_password_is_among_the_arguments_of_any_program() {
    let system = System::with_numbers(5000);
    let done = AtomicBool::new(false);
    let password = system.server.password.as_bytes();
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = [false; 3];
            while !done.load(Ordering::Acquire) {
                for command_line in command_lines() {
                    let has = |word: &[u8]| command_line.windows(word.len()).any(|window| window == word);
                    assert!(!has(password), "{}", String::from_utf8_lossy(&command_line));
                    let programs: [&[u8]; 3] = [b"pg_dump\0", b"psql\0", b"larder\0-C"];
                    programs.iter().zip(&mut seen).for_each(|(program, seen)| *seen |= has(program));
                }
            }
            seen
        });
        let ended = [["create", "--json"], ["restore", "latest"]].map(|words| {
            let force: &[&str] = if words[0] == "restore" { &["--force"] } else { &[] };
            system.larder(&[&words, force].concat())
        });
        done.store(true, Ordering::Release);
        for run in ended {
            run.exits(0);
        }
        watcher.join().expect("no password was seen")
    });
    assert_eq!(seen, [true; 3], "pg_dump, psql and larder were watched");
}

fn command_lines() -> impl Iterator<Item = Vec<u8>> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok())
}

#[test]
fn every_way_to_name_the_database_works() {
    let mut system = System::with_numbers(50);
    let role = system.new_role("LOGIN SUPERUSER PASSWORD 'p@ss w:/%?#ü'");
    let server = system.server.clone();
    let arguments = ["create", "--type", "database", "--json"];
    let assert_saved = |created: &Value| {
        assert_eq!(component(created, "database")["database"]["tables"][0]["rows"], 50, "{created}");
    };
    let mut by_url = system.command_without_database(&arguments);
    let login = format!("{role}:p%40ss%20w%3A%2F%25%3F%23%C3%BC");
    by_url.env("DATABASE_URL", format!("postgresql://{login}@{}:{}/{}", server.host, server.port, system.database));
    assert_saved(&run(&mut by_url).exits(0).json());

    let mut by_variables = system.command_without_database(&arguments);
    by_variables
        .env("POSTGRES_HOST", &server.host)
        .env("POSTGRES_PORT", &server.port)
        .env("POSTGRES_DB", &system.database);
    by_variables.env("POSTGRES_USER", &role).env("POSTGRES_PASSWORD", "p@ss w:/%?#ü");
    assert_saved(&run(&mut by_variables).exits(0).json());

    system.write("secret/password", "p@ss w:/%?#ü\n".as_bytes());
    let settings = format!(
        "[database]\nhost = \"{}\"\nport = {}\nname = \"{}\"\nuser = \"{role}\"\npassword_file = \"secret/password\"\n",
        server.host, server.port, system.database
    );
    system.write("larder.toml", settings.as_bytes());
    assert_saved(&run(&mut system.command_without_database(&arguments)).exits(0).json());
    system.sql("DELETE FROM numbers");
    let _roles = roles_stay();
    let words = ["restore", "latest", "--force", "--components", "database"];
    run(&mut system.command_without_database(&words)).exits(0);
    assert_eq!(system.sql("SELECT count(*) FROM numbers"), "50");
}

#[test]
fn a_test_restore_without_a_server_starts_one_and_leaves_nothing() {
    let system = System::documented();
    system.create();
    let folder = system.beside("tmp");
    fs::create_dir(&folder).expect("the folder is ours");
    let mut verify = system.command_without_database(&["verify", "latest", "--test-restore", "--json"]);
    let mut verify = verify.env("TMPDIR", &folder).stdout(Stdio::piped()).spawn().expect("larder starts");
    let mut was_there = false;
    while verify.try_wait().expect("the child is ours").is_none() {
        was_there |= processes_below(&folder) > 0;
    }
    let output = verify.wait_with_output().expect("larder ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{report}");
    let tests = report["test_restore"].as_array().expect("a list");
    let database = tests.iter().find(|test| test["name"] == "database").expect("the database was tested");
    assert!(database["rows"].as_u64() > Some(100_000), "{database}");
    assert!(was_there, "a server ran in {}", folder.display());
    assert_eq!(processes_below(&folder), 0);
    assert_eq!(fs::read_dir(&folder).expect("the folder is there").count(), 0);
}

/// Processes that are told of something below a folder.
fn processes_below(folder: &Path) -> usize {
    let folder = format!("{}/", folder.display());
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&folder)).count()
}
