//! Commands of `psql` in names, values and scripts: none is run, whatever lexer it is made for.

use std::fs;

use crate::attacker::Attacked;

/// Any role could have a shell of root, by a setting of its own that cut a statement in two.
#[test]
fn a_setting_of_a_role_is_a_value_and_no_command() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let mark = attacked.mark("made");
        let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
        attacked.as_mallory_in(
            "postgres",
            &format!(
                "ALTER ROLE {mallory} IN DATABASE {database} SET application_name = E'a\\x1e';
                 ALTER ROLE {mallory} IN DATABASE {database} SET search_path = E' \\' \\\\! touch {} #';
                 ALTER ROLE {mallory} IN DATABASE {database} SET temp_tablespaces = E'\\x1f\\x1e\\n\\\\! touch {}\\n'",
                mark.display(),
                mark.display()
            ),
        );
        let before = attacked.system.fingerprint();
        attacked.system.create();
        attacked.restore(&[]).exits(0);
        assert!(!mark.exists(), "{method}: a command was run");
        assert_eq!(attacked.system.fingerprint(), before, "{method}: the settings are what they were");
        attacked.assert_harmless(method);
    }
}

/// A check turned the meaning of backslashes over, and a name that was harmless before became a command.
#[test]
fn what_the_session_thinks_of_backslashes_makes_no_command() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let mark = attacked.mark("made");
        attacked.as_mallory(&format!(
            "CREATE SEQUENCE m.\"\\' \\! touch {} #\"; CREATE TABLE m.b (id integer); COMMENT ON TABLE m.b IS '\\'' \\! touch {} #'",
            mark.display(),
            mark.display()
        ));
        // By itself, because it turns them over for who makes it, too.
        attacked.as_mallory(
            "CREATE FUNCTION m.turn() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
                PERFORM set_config('standard_conforming_strings', 'off', false); RETURN true; END $f$;
             CREATE TABLE m.a (id integer CHECK (m.turn())); INSERT INTO m.a VALUES (1)",
        );
        attacked.system.create();
        // That it is restored is not asked for: the value of a sequence whose name is turned over is not found.
        let restored = attacked.restore(&[]);
        assert!(!mark.exists(), "{method}: a command was run");
        assert!(matches!(restored.code, 0 | 1), "{restored:?}");
        attacked.assert_harmless(method);
    }
}

/// What Larder took for the beginning of a string, and `psql` did not.
#[test]
fn a_dump_that_hides_a_command_from_one_lexer_runs_none() {
    let attacked = Attacked::new();
    let database = attacked.system.database.clone();
    let mut before = attacked.system.fingerprint();
    let mark = attacked.mark("made");
    let touch = format!("\\! touch {}", mark.display());
    let hidden = [
        format!("SELECT $1$\n{touch}\n$1$;"),
        format!("SELECT 1 AS a$$$\n{touch}\n$$;"),
        format!("SELECT 1E'\\''\n{touch}\n';"),
        format!("SELECT '\\'\n{touch}\n' ';"),
        format!("SELECT 1$a$\n{touch}\n$a$;"),
        format!("/* /* */\n{touch}\n*/"),
        format!("/* */*\n{touch}\n*/"),
        format!("SELECT 1 {touch}"),
        format!("SELECT U&'\\' UESCAPE '!'\n{touch}\n';"),
        format!("COPY public.numbers FROM stdin;\n\\.\n{touch}"),
        format!("COPY (SELECT 1) TO STDOUT;\n{touch}"),
        format!("\\restrict a\n\\unrestrict a\n{touch}"),
        format!("SELECT 1;\u{feff}{touch}"),
        format!("BEGIN;\n{touch}"),
        format!("\0{touch}"),
    ];
    for (number, text) in hidden.iter().enumerate() {
        let dump =
            format!("--\n-- PostgreSQL database dump\n--\n\n{text}\n\n--\n-- PostgreSQL database dump complete\n--\n");
        let path = attacked.system.beside(&format!("{database}_backup_202509{:02}_020000.sql", number + 1));
        fs::write(&path, dump).expect("the folder is ours");
        let path = path.to_string_lossy().into_owned();
        if number % 5 == 0 {
            attacked.system.larder(&["verify", &path, "--test-restore"]);
            assert!(!mark.exists(), "{text}: a command was run by a test restore");
            attacked.system.larder(&["import", &path, "--force"]);
        }
        // Without the word, most of them would not come to `psql` at all.
        let arguments = ["--components", "database", "--force", "--no-snapshot", "--run-code-as-superuser"];
        let restored = attacked.system.larder(&[&["restore", path.as_str()][..], &arguments].concat());
        assert!(!mark.exists(), "{text}: a command was run by a restore");
        if restored.code == 0 {
            // It was harmless, and is the database now.
            before = attacked.system.fingerprint();
        }
        assert_eq!(attacked.system.fingerprint(), before, "{text}");
        assert_eq!(attacked.system.scratch_databases(), "", "{text}");
    }
}

/// A function that is called `begin` kept `psql` from seeing where statements end, so that rows were run by a superuser.
#[test]
fn rows_are_no_statements_whatever_a_function_is_called() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        let mallory = &attacked.mallory;
        attacked.as_mallory(&format!(
            "CREATE TABLE m.aa (t text); INSERT INTO m.aa VALUES ('end;ALTER ROLE {mallory} SUPERUSER;');
             CREATE FUNCTION m.begin(m.aa) RETURNS integer LANGUAGE sql AS 'SELECT 1'"
        ));
        attacked.system.create();
        let before = attacked.system.fingerprint();
        attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]);
        attacked.assert_harmless(method);
        let restored = attacked.restore(&[]);
        attacked.assert_harmless(method);
        restored.exits(0);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
    }
}

/// An encoding that a check had set made `psql` take the end of a string for a part of a character, and wait without an end.
#[test]
fn an_encoding_that_code_sets_hides_no_end_of_a_string() {
    for method in ["tables", "pg_dump"] {
        let attacked = Attacked::new();
        attacked.by_method(method);
        attacked.as_mallory(
            "CREATE FUNCTION m.turn() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
                PERFORM set_config('client_encoding', 'SJIS', false); RETURN true; END $f$;
             CREATE TABLE m.aa (id integer PRIMARY KEY, t text, CHECK (m.turn()));
             CREATE FUNCTION m.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER a BEFORE UPDATE ON m.aa FOR EACH ROW WHEN (old.t <> 'Ã') EXECUTE FUNCTION m.fired();
             CREATE TABLE m.\"bÃ\" (id integer, \"Ã\" text, CHECK (m.turn()))",
        );
        attacked.as_mallory("INSERT INTO m.aa VALUES (1, 'a')");
        attacked.as_mallory("INSERT INTO m.\"bÃ\" VALUES (1, 'Ã')");
        attacked.system.create();
        let before = attacked.system.fingerprint();
        attacked.system.larder(&["verify", "latest", "--test-restore"]).exits(0);
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(method);
        assert_eq!(attacked.system.fingerprint(), before, "{method}");
    }
}

/// Statements that reach other databases, roles or files are no part of a dump of one database, whatever is allowed.
#[test]
fn a_dump_that_reaches_beyond_its_database_is_not_loaded() {
    let attacked = Attacked::new();
    let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
    let before = attacked.system.fingerprint();
    let mark = attacked.mark("made");
    let statements = [
        format!("ALTER ROLE {mallory} SUPERUSER;"),
        format!("SELECT 1; alter  /* x */ user\n{mallory} SUPERUSER;"),
        "CREATE ROLE evil_one SUPERUSER;".to_owned(),
        format!("GRANT {} TO {mallory};", attacked.system.server.user),
        format!("COPY (SELECT 1) TO PROGRAM 'touch {}';", mark.display()),
        "ALTER SYSTEM SET archive_command = 'x';".to_owned(),
        format!("DROP DATABASE {database};"),
        format!("GRANT SET ON PARAMETER session_preload_libraries TO {mallory};"),
        "COPY public.numbers FROM E'/etc/passwd';".to_owned(),
    ];
    for (number, text) in statements.iter().enumerate() {
        let dump =
            format!("--\n-- PostgreSQL database dump\n--\n\n{text}\n\n--\n-- PostgreSQL database dump complete\n--\n");
        let path = attacked.system.beside(&format!("{database}_backup_202509{:02}_020000.sql", number + 1));
        fs::write(&path, dump).expect("the folder is ours");
        let path = path.to_string_lossy().into_owned();
        let word = if number % 2 == 0 { "--keep-extra" } else { "--run-code-as-superuser" };
        let arguments = ["restore", &path, "--components", "database", "--force", "--no-snapshot", word];
        let run = attacked.system.larder(&arguments);
        // One is taken for a dump that is cut off, before.
        let is_cut = run.code == 2 && text.starts_with("COPY");
        assert!(is_cut || (run.code == 1 && run.stderr.contains("reaches beyond the database")), "{text}: {run:?}");
        assert_eq!(attacked.system.fingerprint(), before, "{text}");
        attacked.assert_harmless(text);
    }
    assert!(!mark.exists());
}
