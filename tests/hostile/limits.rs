//! What is too much, and what never comes.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;

use crate::attacker::Attacked;
use crate::support::{System, component};

/// A setting of any role made every later manifest unreadable, and the backup said that it was complete.
#[test]
fn a_setting_that_is_too_long_is_told_and_the_rest_is_saved() {
    let attacked = Attacked::new();
    let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
    attacked.as_mallory_in(
        "postgres",
        &format!(
            "DO $$ BEGIN EXECUTE format('ALTER ROLE {mallory} IN DATABASE {database} SET temp_tablespaces = %L', repeat('x', 70000000)); END $$;
             ALTER ROLE {mallory} SET work_mem = '5MB'"
        ),
    );
    let created = attacked.system.larder(&["create", "--json"]).exits(3).json();
    assert_eq!(component(&created, "database")["status"], "partial");
    let said = attacked.system.larder(&["show", "latest"]).exits(0).stdout;
    assert!(said.contains("the setting temp_tablespaces of the role") && said.contains("is not saved"), "{said}");
    for arguments in [&["list"][..], &["verify"], &["prune", "--dry-run", "--daily", "3"]] {
        attacked.system.larder(arguments).exits(0);
    }
    attacked.restore(&[]).exits(0);
    // Roles are of the whole server, and other tests save them too.
    attacked.system.server.sql("postgres", &format!("ALTER ROLE {mallory} IN DATABASE {database} RESET ALL"));
}

/// A backup with a function that no restore takes was said to be complete.
#[test]
fn what_is_too_long_to_be_restored_is_not_said_to_be_saved() {
    let named = "64 MiB: Name: a big one(); Type: FUNCTION; Schema: m;";
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let make = |len: u32| {
            attacked.as_mallory(&format!(
                "DO $$ BEGIN EXECUTE format('CREATE OR REPLACE FUNCTION m.\"a big one\"() RETURNS text LANGUAGE sql AS %L',
                    'SELECT ''' || repeat('x', {len}) || ''''); END $$"
            ));
        };
        make(70_000_000);
        let created = attacked.system.larder(&["create", "--json"]).exits(3).json();
        assert_eq!(component(&created, "database")["status"], "failed", "{method}");
        let said = attacked.system.larder(&["show", "latest"]).exits(0).stdout;
        assert!(said.contains(named), "{method}: {said}");
        make(60_000_000);
        attacked.system.create();
        if method == "pg_dump" {
            continue; // the same script
        }
        attacked.restore(&[]).exits(0);
        assert_eq!(attacked.system.sql("SELECT length(m.\"a big one\"())"), "60000000", "{method}");
    }
}

/// A server that let Larder in and was silent was waited for until somebody killed it.
#[test]
fn a_silent_server_is_left_when_that_is_asked_for() {
    let system = System::bare();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = system.command_without_database(&["create", "--components", "database"]);
    command.env("DATABASE_URL", format!("postgres://u:p@127.0.0.1:{port}/x?connect_timeout=600"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (mut connection, _) = listener.accept().expect("it connects");
    // Its first message says what it wants: it is waiting for an answer from then on.
    connection.read_exact(&mut [0; 8]).expect("a message");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a number")).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    let status = child.wait().expect("it is waited for");
    assert_eq!(status.code(), Some(130));
}
