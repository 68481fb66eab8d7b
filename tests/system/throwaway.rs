//! Test restores: what the code of a database can do on the server that is started for one, and when there is none.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{System, component, run, text};

/// The result of the database in a report.
fn tested(report: &Value) -> &Value {
    let tests = report["test_restore"].as_array().expect("a list");
    tests.iter().find(|test| test["name"] == "database").unwrap_or_else(|| panic!("no database in {report}"))
}

/// A system with a table whose owner has this program run when a test restore loads its rows; what it says becomes the
/// error of the load.
fn with_program(script: &str, says: bool) -> System {
    let system = System::bare();
    let says = if says { "RAISE EXCEPTION 'said: %', (SELECT string_agg(line, '|') FROM said);" } else { "" };
    system.sql(&format!(
        "CREATE FUNCTION check_it(number integer) RETURNS boolean LANGUAGE plpgsql AS $check$ BEGIN
            IF current_database() LIKE '%\\_larder\\_test\\_%' THEN
                CREATE TEMPORARY TABLE IF NOT EXISTS said (line text);
                EXECUTE $copy$ COPY said FROM PROGRAM $program${script}$program$ $copy$;
                {says}
            END IF;
            RETURN true;
         END $check$;
         CREATE TABLE checked (number integer CHECK (check_it(number)));
         INSERT INTO checked VALUES (1);"
    ));
    system.create();
    system
}

fn is_running(words: &[&str]) -> bool {
    let line: Vec<u8> = words.iter().flat_map(|word| word.bytes().chain([0])).collect();
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()).any(|found| found == line)
}

#[test]
fn the_code_of_a_database_owns_nothing_in_a_test_restore() {
    let (mark, folder) = (format!("98{}", std::process::id()), tempfile::tempdir().expect("a folder"));
    let readable = folder.path().join("readable");
    fs::write(&readable, "of root").expect("the folder is ours");
    let script = format!(
        "setsid sleep {mark} >/dev/null 2>&1 & id -u; id -G | wc -w; ls -A /tmp | wc -l; grep -c : /proc/net/dev; \
         grep -c ^Cap.*0000000000000000 /proc/self/status; test -e {readable} || test -e /root || test -e /run || echo hidden; \
         touch /usr/larder /etc/larder /var/tmp/../larder 2>&1 | grep -c Read-only; \
         for file in /proc/[0-9]*/fd/*; do readlink $file; done 2>/dev/null | \
            grep -v -e ^pipe: -e ^socket: -e ^/dev/null -e ^/server/data -e ^/proc -e ^anon_inode: -e ^/dev/shm -e deleted \
                -e ^/dev/zero; true",
        readable = readable.display()
    );
    let system = with_program(&script, true);
    let report = system.larder(&["verify", "latest", "--test-restore", "--json"]).exits(1).json();
    let errors = tested(&report)["errors"].to_string();
    let said = errors.split("said: ").nth(1).unwrap_or_else(|| panic!("{errors}"));
    let said: Vec<&str> = said.split([';', '\\', '"', ' ']).next().unwrap_or_default().trim().split('|').collect();
    let user: u32 = said[0].parse().unwrap_or_else(|_| panic!("{errors}"));
    assert!((61_184..=65_519).contains(&user), "{errors}");
    // One group, an empty /tmp, a loopback device alone, five empty sets of capabilities, and no descriptor of a file.
    assert_eq!(said[1..], ["1", "0", "1", "5", "hidden", "3"], "{errors}");
    assert!(!is_running(&["sleep", &mark]), "what it started ends with it");
    let accounts = fs::read_to_string("/etc/passwd").expect("it is there");
    assert!(!accounts.contains(&format!(":{user}:")));
}

/// The cause: root wrote what the programs of a test server said into files in a folder of the server's user, who could make
/// links of them, to any file of root.
#[test]
fn no_link_of_a_test_server_leads_root_to_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("of root");
    fs::write(&kept, "of root").expect("the folder is ours");
    let kept = kept.display().to_string();
    let script = format!(
        "for place in /server /server/data /server/data/.. /server/socket /server/settings /; do \
            for name in pg_ctl.out initdb.out log hba ident pid root password; do ln -sf '{kept}' $place/$name; done; \
         done 2>/dev/null; ln -sf '{kept}' /server/socket/.s.PGSQL.5432; ln -sf '{kept}' /server/data/postmaster.pid; true"
    );
    let system = with_program(&script, false);
    let report = system.larder(&["verify", "latest", "--test-restore", "--json"]).exits(0).json();
    assert_eq!(tested(&report)["rows"], 1, "{report}");
    assert_eq!(fs::read_to_string(&kept).expect("it is there"), "of root");
}

#[test]
fn the_live_server_is_touched_when_that_is_asked_for_and_only_then() {
    let system = System::with_numbers(100);
    system.create();
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let verify = |url: &str, flags: &[&str]| {
        let words = [&["verify", "latest", "--json"], flags].concat();
        run(system.command(&words).env("DATABASE_URL", url))
    };
    let report = verify(nowhere, &["--test-restore"]).exits(0).json();
    assert_eq!(tested(&report)["rows"], 100, "{report}");
    verify(nowhere, &["--test-restore", "--on-live-server"]).exits(1);
    let _roles = crate::support::roles_stay();
    let url = system.server.url(&system.database);
    let report = verify(&url, &["--test-restore", "--on-live-server"]).exits(0).json();
    assert_eq!(tested(&report)["rows"], 100, "{report}");
    assert_eq!(system.scratch_databases(), "");
    verify(&url, &["--on-live-server"]).exits(2);
}

#[test]
fn a_test_that_lacks_something_here_is_not_done() {
    let system = System::with_numbers(10);
    let name = text(&system.create()["name"]);
    let dump = system.larder(&["cat", &format!("{name}:database")]).exits(0).stdout;
    let (end, version) = ("--\n-- PostgreSQL database dump complete", "-- Dumped from database version ");
    let begin = dump.find(version).expect("it says its version");
    let line = dump[begin..].lines().next().expect("a line");
    let cases = [
        (dump.replace(line, &format!("{version}9.6.24")), "PostgreSQL 9.6 is not installed here"),
        (dump.replace(end, &format!("CREATE EXTENSION nonesuch;\n\n{end}")), "nonesuch"),
        (
            dump.replace(end, &format!("CREATE TABLE public.texts (a text COLLATE \"xx_XX.utf8\");\n\n{end}")),
            "xx_XX.utf8",
        ),
        (
            dump.replace(
                end,
                &format!("SET default_tablespace = no_space;\n\nCREATE TABLE public.spaced (a integer);\n\n{end}"),
            ),
            "no_space",
        ),
    ];
    for (number, (dump, lacking)) in cases.iter().enumerate() {
        let path = system.beside(&format!("cti_scraper_backup_2025090{}_020000.sql", number + 1));
        fs::write(&path, dump).expect("the folder is ours");
        let path = path.display().to_string();
        let report = system.larder(&["verify", &path, "--test-restore", "--json"]).exits(3).json();
        let test = tested(&report);
        assert!(test["not_done"].to_string().contains(lacking), "{report}");
        assert!(test["not_done"].to_string().contains("--on-live-server"), "{report}");
        assert_eq!((&test["rows"], &test["errors"]), (&Value::Null, &Value::from(Vec::<Value>::new())), "{report}");
        let said = system.larder(&["verify", &path, "--test-restore"]).exits(3);
        assert!(said.stdout.contains("NOT DONE: test restore of database: "), "{}", said.all());
    }
}

/// Who is not root has no user for the code of others but his own.
#[test]
fn without_root_a_test_restore_is_not_done() {
    let system = System::with_numbers(10);
    system.create();
    // Nobody reads a repository that others may write to.
    run(std::process::Command::new("chown").args(["-R", "61000:61000"]).arg(system.beside(""))).exits(0);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=61000", "--regid=61000", "--clear-groups", "--"]).arg(env!("CARGO_BIN_EXE_larder"));
    command.arg("-C").arg(system.path("")).arg("--backup-dir").arg(system.beside("backups"));
    let can_run = run(std::process::Command::new("setpriv").args([
        "--reuid=61000",
        "--regid=61000",
        "--clear-groups",
        "--",
        env!("CARGO_BIN_EXE_larder"),
        "--version",
    ]));
    if can_run.code != 0 || !Path::new("/tmp").exists() {
        return;
    }
    let report = run(command.args(["verify", "latest", "--test-restore", "--json"])).exits(3).json();
    assert!(tested(&report)["not_done"].to_string().contains("only root"), "{report}");
}

/// A dump of the old tool names its owner and has no roles.
#[test]
fn a_dump_without_its_roles_can_be_tested() {
    let system = System::documented();
    let name = text(&system.create()["name"]);
    let dump = system.larder(&["cat", &format!("{name}:database")]).exits(0).stdout;
    let path = system.beside("cti_scraper_backup_20250901_020000.sql");
    fs::write(&path, dump).expect("the folder is ours");
    let path = path.display().to_string();
    let report = system.larder(&["verify", &path, "--test-restore", "--json"]).exits(0).json();
    let test = tested(&report);
    assert!(test["rows"].as_u64() > Some(100_000), "{report}");
    assert!(system.roles().iter().all(|role| test["notes"].to_string().contains(role)), "{report}");
}

/// A test restore is a restore: what the settings of a database would break is found.
#[test]
fn the_settings_of_a_database_are_tested_too() {
    let system = System::with_numbers(10);
    system.sql(&format!("ALTER DATABASE {} SET work_mem = '8MB'", system.database));
    system.sql(&format!("COMMENT ON DATABASE {} IS 'of numbers'", system.database));
    let created = system.create();
    assert!(component(&created, "database")["database"].is_object(), "{created}");
    let report = system.larder(&["verify", "latest", "--test-restore", "--json"]).exits(0).json();
    assert_eq!(tested(&report)["rows"], 10, "{report}");
}

/// The server could not read what was written for it where the umask of root lets nobody else read, as in a unit or a line of cron.
#[test]
fn a_strict_umask_keeps_nothing_from_the_server() {
    let system = System::with_numbers(3);
    system.create();
    let larder = system.command(&["verify", "latest", "--test-restore"]);
    let mut strict = Command::new("sh");
    strict.args(["-c", r#"umask 077; exec "$0" "$@""#]).arg(larder.get_program()).args(larder.get_args());
    for (name, value) in larder.get_envs() {
        match value {
            Some(value) => strict.env(name, value),
            None => strict.env_remove(name),
        };
    }
    run(&mut strict).exits(0);
}
