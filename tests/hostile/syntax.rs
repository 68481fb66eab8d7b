//! Names and values of others where SQL, connections and messages are made of them.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::attacker::Attacked;
use crate::support::{roles_go, run, unique};

/// A line of a setting was taken for a statement, and made a superuser that stayed.
#[test]
fn a_role_is_made_again_as_it_was_and_no_other() {
    let mut attacked = Attacked::new();
    let mallory = attacked.mallory.clone();
    let odd = unique("larder role\nCREATE ROLE evil_two SUPERUSER;\n\\! touch made\n\"'");
    let quoted = format!("\"{}\"", odd.replace('"', "\"\""));
    let reader = attacked.system.new_role("NOLOGIN");
    attacked.as_mallory_in(
        "postgres",
        &format!(
            "ALTER ROLE {mallory} SET search_path = E'a\\nCREATE ROLE evil SUPERUSER LOGIN;\\nALTER ROLE evil WITH SUPERUSER;\\nb';
             ALTER ROLE {mallory} SET temp_tablespaces = E'\\\\! touch made'"
        ),
    );
    attacked.system.server.sql(
        "postgres",
        &format!(
            "CREATE ROLE {quoted}; GRANT {reader} TO {quoted}; COMMENT ON ROLE {quoted} IS E'x\\n\\\\! touch made';
             ALTER ROLE {quoted} CONNECTION LIMIT 3 VALID UNTIL '2030-01-01'"
        ),
    );
    let state = format!(
        "SELECT r.rolname, rolsuper, rolconnlimit, rolvaliduntil, setconfig, shobj_description(r.oid, 'pg_authid'),
            (SELECT string_agg(roleid::regrole::text, ',') FROM pg_auth_members WHERE member = r.oid)
            FROM pg_roles r LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0
            WHERE rolname LIKE 'larder role%' OR rolname IN ('{mallory}', '{reader}') ORDER BY 1"
    );
    let before = attacked.system.server.sql("postgres", &state);
    attacked.system.create();
    let alone = roles_go();
    attacked.system.drop_database();
    attacked.system.server.sql("postgres", &format!("DROP ROLE {quoted}; DROP ROLE {mallory}; DROP ROLE {reader}"));
    let mut restore =
        attacked.system.command(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
    run(&mut restore).exits(0);
    assert_eq!(attacked.system.server.sql("postgres", &state), before);
    attacked.assert_harmless("restored");
    attacked.system.drop_database();
    attacked.system.server.sql("postgres", &format!("DROP ROLE {quoted}"));
    drop(alone);
    assert!(!attacked.system.path("made").exists() && !std::path::Path::new("made").exists());
    let globals = attacked.system.larder(&["cat", "latest:database/globals.sql"]).exits(0).stdout;
    assert!(globals.contains("never run") || globals.contains("does not run this"), "{globals}");
}

/// The name of a database was taken for a connection string, and the password went to a server of somebody else.
#[test]
fn the_name_of_a_database_is_no_connection_string() {
    let attacked = Attacked::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    listener.set_nonblocking(true).expect("a socket");
    let name = format!("host=127.0.0.1 port={port} user=x dbname=postgres");
    let server = &attacked.system.server;
    server.sql("postgres", &format!("CREATE DATABASE \"{name}\""));
    let url = server.url(&attacked.system.database);
    let others = format!("[database]\nurl = \"{url}\"\nothers = [\"{name}\"]\n");
    std::fs::write(attacked.system.path("larder.toml"), others).expect("the folder is ours");
    let reached = AtomicBool::new(false);
    let done = AtomicBool::new(false);
    let created = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if listener.accept().is_ok() {
                    reached.store(true, Ordering::Relaxed);
                }
                std::thread::yield_now();
            }
        });
        let larder = |arguments: &[&str]| run(&mut attacked.system.command_without_database(arguments));
        let created = larder(&["create"]);
        let _ = larder(&["restore", "latest", "--force", "--no-snapshot"]);
        done.store(true, Ordering::Relaxed);
        created
    });
    server.sql("postgres", &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
    assert!(!reached.load(Ordering::Relaxed), "a server was asked that the name of a database names");
    created.exits(0);
}

/// The name of a table forged lines of a log, and commanded the terminal.
#[test]
fn names_of_others_forge_no_lines() {
    let attacked = Attacked::new();
    attacked.as_mallory(
        "CREATE TABLE m.\"x\nSnapshot is complete \u{1b}]0;pwned\u{7}\u{9b}31m\" (id integer, \"c\u{1b}[2J\" integer);
         COMMENT ON SCHEMA m IS E'\\x1b[2J'",
    );
    attacked.as_mallory("CREATE TABLE m.\"\u{202e}gnorw\" (id integer PRIMARY KEY)");
    for arguments in [
        &["create"][..],
        &["create", "--json"],
        &["plan"],
        &["show", "latest"],
        &["show", "latest", "--json"],
        &["verify", "latest", "--test-restore"],
        &["ls", "latest:database/data"],
        &["restore", "latest", "--force", "--components", "database"],
        &["restore", "latest", "--force", "--tables", "m.none\u{1b}[2J"],
    ] {
        let said = attacked.system.larder(arguments).all();
        let raw = said.chars().find(|char| *char != '\n' && (char.is_control() || *char == '\u{202e}'));
        assert_eq!(raw, None, "{arguments:?}: {said:?}");
        assert!(!said.lines().any(|line| line.starts_with("Snapshot is complete")), "{arguments:?}: {said}");
    }
}

/// Characters that are not seen went to the terminal as they are: a table that was not restored had the name of one that was.
#[test]
fn what_is_not_seen_in_names_of_others_is_shown() {
    const HIDDEN: [char; 5] = ['\u{200b}', '\u{2064}', '\u{feff}', '\u{ad}', '\u{e0041}'];
    let attacked = Attacked::new();
    let name = format!("num{}bers", String::from_iter(HIDDEN));
    attacked.as_mallory(&format!(
        "CREATE TABLE m.\"{name}\" (id integer PRIMARY KEY); CREATE TABLE m.\"{name}_2\" (id integer)"
    ));
    fs::write(attacked.system.path(&format!("models/{name}")), "x").expect("the folder is ours");
    for arguments in [
        &["create"][..],
        &["plan"],
        &["show", "latest"],
        &["show", "latest", "--json"],
        &["ls", "-r", "latest"],
        &["restore", "latest", "--force", "--components", "database"],
    ] {
        let run = attacked.system.larder(arguments);
        assert_eq!(run.all().chars().find(|char| HIDDEN.contains(char)), None, "{arguments:?}: {}", run.all());
        if arguments.contains(&"--json") {
            assert!(run.json().to_string().contains(&name), "the text itself stays the same");
        }
    }
    let listed = attacked.system.larder(&["ls", "-r", "latest"]).stdout;
    assert!(listed.contains("models/num\\u{200b}\\u{2064}\\u{feff}\\u{ad}\\u{e0041}bers"), "{listed}");
}

/// The name of a column ended the statement before rows, as it has a line that ends like that: the dump was taken to have other tables and
/// other rows, and no restore took it.
#[test]
fn a_name_that_looks_like_the_beginning_of_rows_is_a_name() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        for name in ["c) FROM stdin;\n\\.\n d", "x FROM stdin;\ny", "\"\" FROM stdin;\n1"] {
            attacked.as_mallory(&format!("CREATE TABLE m.\"{name}\" (\"{name}\" text, b text); INSERT INTO m.\"{name}\" VALUES ('1', '2'), ('3', '4')"));
        }
        attacked.system.sql("CREATE TABLE public.victim AS SELECT 1 AS a");
        let before = attacked.system.fingerprint();
        let created = attacked.system.create();
        let rows: u64 = created["components"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|component| component["database"]["tables"].as_array())
            .flatten()
            .filter_map(|table| table["rows"].as_u64())
            .sum();
        assert_eq!(rows, 5 + 6 + 1, "{created}");
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
    }
}
