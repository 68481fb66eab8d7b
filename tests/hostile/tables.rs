//! Code of a table's owner in the session that replaces the table's rows, which runs no triggers; and in the roles that are made
//! for loading.

use std::process::Stdio;

use crate::attacker::Attacked;
use crate::support::{Server, run};

/// Code in the session of a role that was made for loading gave that role another password, by which somebody else could log in
/// as it: into the database that was closed to others, and with the settings that only a superuser may give.
#[test]
fn nobody_else_logs_in_as_a_role_that_is_made_for_loading() {
    let attacked = Attacked::new();
    let (database, mallory) = (attacked.system.database.clone(), attacked.mallory.clone());
    attacked.as_mallory(&format!(
        "CREATE FUNCTION m.open(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            IF SESSION_USER LIKE 'larder_load_%' THEN
                EXECUTE 'RESET ROLE'; EXECUTE format('ALTER ROLE %I PASSWORD %L', SESSION_USER, 'known');
                EXECUTE format('ALTER ROLE %I SET application_name = changed', SESSION_USER); EXECUTE 'SET ROLE {mallory}';
            END IF; RETURN true; END $f$;
         CREATE FUNCTION m.wait(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            WHILE SESSION_USER LIKE 'larder_load_%' AND clock_timestamp() < now() + interval '1 minute'
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{mallory}_go') LOOP
                PERFORM pg_catalog.pg_sleep(0.01); END LOOP; RETURN true; END $f$;
         CREATE TABLE m.a (id integer PRIMARY KEY CHECK (m.open(id))); INSERT INTO m.a VALUES (1);
         CREATE TABLE m.z (id integer PRIMARY KEY CHECK (m.wait(id))); INSERT INTO m.z VALUES (1)"
    ));
    attacked.system.create();
    let mut restore =
        attacked.system.command(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
    let mut restoring = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let changed = format!(
        "SELECT rolname, datname, rolcanlogin, rolconnlimit FROM pg_roles JOIN pg_stat_activity ON usename = rolname
            WHERE datname LIKE '{database}_larder_new_%' AND 'application_name=changed' = ANY (rolconfig) LIMIT 1"
    );
    let found = loop {
        let found = attacked.system.server.sql("postgres", &changed);
        if !found.is_empty() {
            break found;
        }
        assert!(restoring.try_wait().expect("it is ours").is_none(), "it has ended before it was seen");
    };
    let fields: Vec<&str> = found.split('|').collect();
    let [role, fresh, ..] = fields.as_slice() else { panic!("{found}") };
    let server = Server { user: (*role).to_owned(), password: "known".to_owned(), ..attacked.system.server.clone() };
    let tried = ["postgres", fresh].map(|database| run(server.psql(database).args(["-c", "SELECT 1"])));
    attacked.system.server.sql("postgres", &format!("CREATE ROLE {mallory}_go"));
    let restored = restoring.wait().expect("it is ours");
    attacked.system.server.sql("postgres", &format!("DROP ROLE {mallory}_go"));
    for tried in tried {
        assert!(tried.code != 0 && tried.stderr.contains("not permitted to log in"), "{tried:?}");
    }
    assert_eq!(fields.get(2..), Some(["f", "0"].as_slice()), "it cannot log in");
    assert!(restored.success());
    attacked.assert_harmless("restored");
}
