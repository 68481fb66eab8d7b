//! Databases that are saved table by table: every kind of table, both ways, and what happens to them meanwhile.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::{Run, System, assert_text, component, feed, run, text, unique};

/// A system with tables of every kind.
fn system_with_all_kinds() -> System {
    let system = System::with_numbers(10);
    system.sql(include_str!("kinds.sql"));
    system
}

/// All rows and columns, but not to which of its partitions an enum hashes, which differs from database to database, nor the
/// numbers of columns, of which one that was dropped leaves no trace.
fn rows(system: &System, database: &str) -> String {
    let whole = system.fingerprint_of(database);
    let lines = whole.lines().filter(|line| {
        !line.starts_with("rows public.by_enum_")
            && !line.starts_with("rows public.by_domain_")
            && !line.starts_with("column|")
    });
    let by_enum = system.server.sql(database, "SELECT md5(string_agg(e::text, ',' ORDER BY size)) FROM by_enum e");
    lines.chain([by_enum.as_str()]).collect::<Vec<_>>().join("\n")
}

/// What `pg_dump` says of everything but the rows.
fn shape(system: &System) -> String {
    let mut dump = Command::new("pg_dump");
    dump.args(["--schema-only", "--dbname", &system.server.url(&system.database)]);
    let dump = run(&mut dump).exits(0).stdout;
    let is_random = |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
    dump.lines().filter(is_random).collect::<Vec<_>>().join("\n")
}

fn index(system: &System, name: &str) -> Value {
    system.larder(&["cat", &format!("{name}:database/tables.json")]).exits(0).json()
}

fn files_of(index: &Value) -> Vec<String> {
    let tables = index["tables"].as_array().expect("tables");
    tables.iter().map(|table| text(&table["file"])).collect()
}

fn restore(system: &System, name: &str) -> Run {
    system.larder(&["restore", name, "--components", "database", "--force", "--no-snapshot"])
}

#[test]
fn every_kind_of_table_comes_back_both_ways() {
    let system = system_with_all_kinds();
    let (rows_before, shape_before) = (rows(&system, &system.database), shape(&system));
    let keyed = text(&system.create()["name"]);
    system.write("larder.toml", b"[database]\nmethod = \"pg_dump\"\n");
    let plain = text(&system.create()["name"]);
    let files = files_of(&index(&system, &keyed));
    for file in [
        "public.numbered",
        "public.by_date_old_rest",
        "public.derived",
        "a%2Eb.c%2Fd",
        "a.b%2Ec%2Fd",
        "public.keys_only",
    ] {
        assert!(files.iter().any(|found| found == file), "{file}: {files:?}");
    }
    for file in ["public.no_key", "public.by_date", "public.by_enum_0"] {
        assert!(!files.iter().any(|found| found == file), "{file}: {files:?}");
    }
    for name in [&keyed, &plain] {
        system.sql("DROP TABLE base CASCADE; DELETE FROM numbered; SELECT lo_unlink(4242) \\g /dev/null");
        restore(&system, name).exits(0);
        assert_text(&rows(&system, &system.database), &rows_before);
        assert_text(&shape(&system), &shape_before);
        system.larder(&["verify", name, "--test-restore"]).exits(0);
    }
    assert_loaded_by_hand(&system, &keyed);
}

/// The files together are one plain dump, which `psql` loads.
fn assert_loaded_by_hand(system: &System, name: &str) {
    let dump = system.command(&["cat", &format!("{name}:database")]).output().expect("larder starts").stdout;
    let fresh = unique("larder_by_hand");
    system.server.sql("postgres", &format!("CREATE DATABASE {fresh}"));
    let loaded = feed(&mut system.server.psql(&fresh), &dump);
    let found = (loaded.code == 0).then(|| rows(system, &fresh));
    system.server.sql("postgres", &format!("DROP DATABASE {fresh} WITH (FORCE)"));
    assert_text(&found.expect(&loaded.stderr), &rows(system, &system.database));
}

#[test]
fn rows_stay_where_they_are_from_night_to_night() {
    let system = system_with_all_kinds();
    let first = text(&system.create()["name"]);
    // The heap is another one now, and the rows are the same.
    system.sql("UPDATE numbered SET net = net; UPDATE \"Ünïcode \"\"table\"\"; DROP\" SET \"select\" = \"select\"; UPDATE odd_keys SET b = b");
    system.sql("VACUUM FULL");
    let second = system.create();
    let changes = system.larder(&["diff", &first, "latest", "--json"]).exits(0).json();
    let changed: Vec<&str> =
        changes["changes"].as_array().expect("changes").iter().filter_map(|c| c["path"].as_str()).collect();
    let data =
        |path: &&&str| path.starts_with("database/") && !path.ends_with("globals.sql") && !path.ends_with("roles.json");
    assert_eq!(changed.iter().filter(data).count(), 0, "{changed:?}");
    assert!(component(&second, "database")["bytes_new"].as_u64() < Some(10_000), "{second}");
}

#[test]
fn changes_of_rows_are_told_table_by_table() {
    let system = system_with_all_kinds();
    let first = text(&system.create()["name"]);
    let gone = system.sql("SELECT count(*) FROM by_date_new WHERE n % 100 = 0");
    system.sql(
        "DELETE FROM by_date_new WHERE n % 100 = 0; UPDATE by_date_new SET size = 'huge' WHERE n % 100 = 1;
         INSERT INTO by_date VALUES ('infinity', 2, 'huge'), ('2026-01-01', 0, 'huge'), ('2027-01-01', 7, NULL);
         DELETE FROM odd_keys WHERE p = 3; UPDATE numbered SET json = '{}' WHERE id IN (1, 250, 500)",
    );
    system.create();
    let changes = system.larder(&["diff", &first, "latest", "--json"]).exits(0).json();
    let expected = system.sql("SELECT count(*) FROM by_date_new WHERE n % 100 = 1");
    let row = |table: &str| changes["rows"].as_array().expect("rows").iter().find(|row| row["table"] == table).cloned();
    let counts = |table: &str| {
        let row = row(table).unwrap_or_else(|| panic!("{table}: {changes}"));
        [&row["added"], &row["removed"], &row["changed"]].map(|count| count.as_u64().expect("a count"))
    };
    let [added, removed, changed] = counts("public.by_date_new");
    assert_eq!((added, removed.to_string(), changed.to_string()), (3, gone, expected));
    assert_eq!(counts("public.odd_keys"), [0, 5, 0]);
    assert_eq!(counts("public.numbered"), [0, 0, 3]);
    assert_eq!(changes["rows"].as_array().map(Vec::len), Some(3), "{changes}");
}

#[test]
fn a_table_that_is_read_in_pieces_is_whole() {
    let system = System::with_numbers(10);
    system.sql(
        "CREATE TABLE large (id bigint PRIMARY KEY, text text);
         INSERT INTO large SELECT n * 3 - 200000, repeat(md5(n::text), 8) FROM generate_series(1, 120000) AS n;
         CREATE TABLE scattered (id uuid PRIMARY KEY, text text);
         INSERT INTO scattered SELECT md5(n::text)::uuid, repeat(md5(n::text), 8) FROM generate_series(1, 30000) AS n; ANALYZE",
    );
    // Beyond what the statistics know of.
    system.sql("INSERT INTO large VALUES (-9e18, 'low'), (9e18, 'high')");
    let rows = system.fingerprint();
    let created = system.create();
    assert_eq!(files_of(&index(&system, "latest")), ["public.large", "public.scattered"], "{created}");

    system.write("larder.toml", b"[database]\nkey_order_max = \"1MB\"\njobs = 3\n");
    let limited = system.create();
    let notes = component(&limited, "database")["notes"].to_string();
    assert!(notes.contains("public.scattered (it is large"), "{notes}");
    assert_eq!(files_of(&index(&system, "latest")), ["public.large"]);
    for name in [&limited["name"], &created["name"]] {
        system.sql("DELETE FROM large; DELETE FROM scattered");
        restore(&system, &text(name)).exits(0);
        assert_eq!(system.fingerprint(), rows);
    }
}

#[test]
fn a_row_of_many_megabytes_comes_back() {
    let system = System::with_numbers(10);
    system.sql("CREATE TABLE wide (id integer PRIMARY KEY, text text);
        INSERT INTO wide SELECT n, repeat(md5(n::text), CASE n WHEN 2 THEN 6500000 ELSE 1 END) FROM generate_series(1, 3) AS n");
    let sum = "SELECT string_agg(id || md5(text), ',' ORDER BY id) FROM wide";
    let before = system.sql(sum);
    system.create();
    system.sql("DELETE FROM wide");
    restore(&system, "latest").exits(0);
    assert_eq!(system.sql(sum), before);
}

#[test]
fn where_tables_cannot_be_locked_pg_dump_says_why() {
    let system = system_with_all_kinds();
    let role = unique("larder_reader");
    system.server.sql("postgres", &format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"));
    system.sql(&format!("GRANT USAGE ON SCHEMA public TO {role}"));
    let url = system
        .server
        .url(&system.database)
        .replace(&format!("{}:{}@", system.server.user, system.server.password), &format!("{role}:x@"));
    let created = run(system.command(&["create", "--json"]).env("DATABASE_URL", url));
    system.sql(&format!("DROP OWNED BY {role}"));
    system.server.sql("postgres", &format!("DROP ROLE {role}"));
    let created = created.exits(3).json();
    let database = component(&created, "database");
    assert_eq!(database["status"], "failed", "{database}");
    assert!(database["errors"].to_string().contains("permission denied"), "{database}");
}

/// A table that takes a while to be read, and one without a key.
pub(crate) fn slow_system() -> System {
    let system = System::with_numbers(10);
    system.sql(
        "CREATE TABLE large (id bigint PRIMARY KEY, text text); ALTER TABLE large ALTER text SET STORAGE external;
         INSERT INTO large SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 120000) AS n;
         CREATE TABLE heap AS SELECT id, text FROM large; ANALYZE",
    );
    system
}

/// Ends the first session of Larder in which this is so, however long it takes to appear.
fn cut(system: &System, what: &str) {
    system.sql(&format!(
        "SET statement_timeout = '60s';
         DO $$ DECLARE ended bigint := 0; BEGIN
            WHILE ended = 0 LOOP
                PERFORM pg_stat_clear_snapshot(), pg_sleep(0.002);
                SELECT count(pg_terminate_backend(pid)) INTO ended FROM (SELECT pid FROM pg_stat_activity
                    WHERE datname = '{}' AND application_name LIKE 'larder-%' AND {what} LIMIT 1) AS one;
            END LOOP; END $$",
        system.database
    ));
}

#[test]
fn a_session_that_is_cut_in_any_phase_fails_the_database_and_leaves_no_half_of_it() {
    let system = slow_system();
    let reading = "EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT id, text FROM ONLY public.large%' AND state = 'active')";
    let phases = [
        // The rows of a table in the order of its key.
        "query LIKE 'COPY (SELECT id, text FROM ONLY public.large%' AND state = 'active'".to_owned(),
        // Everything else, by pg_dump.
        "query LIKE 'COPY public.heap%' AND state = 'active'".to_owned(),
        // The one that holds the locks.
        format!(
            "state = 'idle in transaction' AND query LIKE 'SET LOCAL client_encoding%' AND {reading}
                AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'heap'::regclass)"
        ),
    ];
    for phase in phases {
        let created = std::thread::scope(|scope| {
            let cutting = scope.spawn(|| cut(&system, &phase));
            let created = system.larder(&["create", "--json"]);
            cutting.join().expect("a session appears");
            created
        });
        let created = created.exits(3).json();
        let database = component(&created, "database");
        assert_eq!(database["status"], "failed", "{phase}: {database}");
        assert!(system.larder(&["ls", "latest:database"]).code != 0);
    }
    system.create();
    system.larder(&["verify", "latest", "--test-restore"]).exits(0);
}

#[test]
fn tables_that_are_rewritten_and_altered_meanwhile_are_saved_as_they_were() {
    let system = slow_system();
    let done = AtomicBool::new(false);
    let (created, times) = std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut times = 0;
            while !done.load(Ordering::Acquire) {
                system.sql("ALTER TABLE large ADD COLUMN more integer DEFAULT 7; UPDATE large SET text = text WHERE id % 1000 = 0");
                system.sql("VACUUM FULL heap; ALTER TABLE large DROP COLUMN more; CREATE TABLE new (id integer PRIMARY KEY); DROP TABLE new");
                times += 1;
                // pg_dump cannot bear that all the time. This takes longer where all else does.
                (0..20).for_each(|_| drop(system.sql("SELECT 1")));
            }
            times
        });
        let created: Vec<Run> = (0..2).map(|_| system.larder(&["create", "--json", "--type", "database"])).collect();
        done.store(true, Ordering::Release);
        (created, changing.join().expect("the changes are made"))
    });
    assert!(times > 1, "{times}");
    for created in created {
        let created = created.exits(0).json();
        let tables = component(&created, "database")["database"]["tables"].clone();
        for table in ["public.large", "public.heap"] {
            assert!(
                tables.as_array().expect("tables").contains(&serde_json::json!({"table": table, "rows": 120_000})),
                "{tables}"
            );
        }
        system.larder(&["verify", &text(&created["name"]), "--test-restore"]).exits(0);
    }
}

#[test]
fn a_plan_names_the_tables_that_have_no_order() {
    let system = System::with_numbers(10);
    let plan = system.larder(&["plan", "--json"]).exits(0).json();
    let why = serde_json::json!([{ "table": "public.numbers", "why": "it has no primary key" }]);
    assert_eq!(plan["components"][0]["unordered_tables"], why, "{plan}");
    assert!(system.larder(&["plan"]).exits(0).stdout.contains("public.numbers of database"));
    system.write("larder.toml", b"[database]\nmethod = \"pg_dump\"\n");
    assert!(system.larder(&["plan", "--json"]).exits(0).json()["components"][0]["unordered_tables"].is_null());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let system = System::with_numbers(10);
    for (settings, why) in [
        ("jobs = 0", "jobs: 0"),
        ("key_order_max = \"many\"", "key_order_max"),
        ("method = \"heap\"", "unknown variant `heap`"),
    ] {
        system.write("larder.toml", format!("[database]\n{settings}\n").as_bytes());
        let refused = system.larder(&["create"]).exits(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
}

/// An extension with a table of settings, which has rows of its own. Its files are gone when it is dropped.
struct Extension {
    name: String,
    files: Vec<PathBuf>,
}

impl Extension {
    /// `None` where who runs the tests may not write where the server looks for extensions.
    fn install(system: &System) -> Option<Self> {
        let folder = PathBuf::from(system.sql("SELECT setting || '/extension' FROM pg_config WHERE name = 'SHAREDIR'"));
        let name = unique("larder_extension");
        let script = "CREATE TABLE settings (id integer PRIMARY KEY, text text); INSERT INTO settings VALUES (1, 'shipped');
            CREATE TABLE internals (id integer PRIMARY KEY); SELECT pg_catalog.pg_extension_config_dump('settings', 'WHERE id > 1');";
        let mut extension = Self { name: name.clone(), files: Vec::new() };
        for (ending, content) in [(".control", "default_version = '1.0'\nrelocatable = true\n"), ("--1.0.sql", script)]
        {
            let file = folder.join(format!("{name}{ending}"));
            fs::write(&file, content).ok()?;
            extension.files.push(file);
        }
        Some(extension)
    }
}

impl Drop for Extension {
    fn drop(&mut self) {
        for file in &self.files {
            fs::remove_file(file).expect("it is ours");
        }
    }
}

/// The cause: rows that the extension itself brings along were counted with those of the snapshot, and the restore refused.
#[test]
fn settings_of_an_extension_come_back_beside_those_that_it_brings() {
    let system = System::with_numbers(10);
    let Some(extension) = Extension::install(&system) else { return };
    system.sql(&format!(
        "CREATE EXTENSION {}; INSERT INTO settings VALUES (2, 'ours'); INSERT INTO internals VALUES (5)",
        extension.name
    ));
    system.sql("CREATE TABLE own (id integer PRIMARY KEY); INSERT INTO own VALUES (7)");
    system.create();
    assert_eq!(files_of(&index(&system, "latest")), ["public.own"]);
    system.sql("DELETE FROM settings; DELETE FROM own");
    restore(&system, "latest").exits(0);
    assert_eq!(system.sql("SELECT string_agg(text, ',' ORDER BY id) FROM settings"), "shipped,ours");
    assert_eq!(system.sql("SELECT (SELECT count(*) FROM own), (SELECT count(*) FROM internals)"), "1|0");
}

/// The cause: `pg_dump` said its parts in the encoding that the database asks its clients for, the rows were in the database's own,
/// and one session of the restore took them for the other.
#[test]
fn all_parts_of_a_dump_are_in_one_encoding() {
    let system = System::with_numbers(10);
    system.sql("CREATE TABLE words (id integer PRIMARY KEY, \"wörd\" text); INSERT INTO words VALUES (1, 'grün'); CREATE TABLE loose AS SELECT * FROM words");
    system.sql(&format!("ALTER DATABASE {} SET client_encoding = 'LATIN1'", system.database));
    system.create();
    let sums = "SELECT md5(convert_to(string_agg(t::text, ','), 'UTF8')) FROM (TABLE words UNION ALL TABLE loose) AS t";
    let before = system.sql(sums);
    restore(&system, "latest").exits(0);
    assert_eq!(system.sql(sums), before);
    let dump = system.larder(&["cat", "latest:database"]).exits(0).stdout;
    assert!(dump.contains("grün") && !dump.contains("LATIN1"), "{dump}");
}

/// The cause: what a server says of its own views goes into the dump, and a line of it can be a command of `psql`.
#[test]
fn a_command_in_what_the_server_says_of_itself_is_not_run() {
    let system = System::with_numbers(10);
    let file = system.beside("made");
    system.sql(&format!(
        "CREATE TABLE keyed (id integer PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS one;
         CREATE OR REPLACE FUNCTION pg_catalog.pg_get_viewdef(oid) RETURNS text LANGUAGE sql AS $$ SELECT E'SELECT 1 AS one;\\n\\\\! touch {}\\n' $$",
        file.display()
    ));
    system.create();
    assert!(
        system.larder(&["cat", "latest:database/pre-data.sql"]).exits(0).stdout.contains("\\! touch"),
        "it is in the dump"
    );
    let refused = restore(&system, "latest").exits(1);
    assert!(refused.stderr.contains("which would leave the database"), "{}", refused.stderr);
    assert!(!file.exists());
}

/// A database of many tables took all the locks that the server has, and was not saved; sequences, which are locked too, were not counted.
#[test]
fn a_database_that_takes_too_many_locks_is_read_as_pg_dump_reads_it() {
    for (count, id) in [(1_700, "int"), (900, "serial")] {
        let system = System::bare();
        system.sql(&format!(
            "DO $$ BEGIN FOR n IN 1..{count} LOOP EXECUTE format('CREATE TABLE t%s (id {id} PRIMARY KEY)', n); END LOOP; END $$;
            INSERT INTO t600 VALUES (1)"
        ));
        let before = system.fingerprint();
        let created = system.larder(&["create"]).exits(0).all();
        assert!(
            created.contains(&format!("{count} tables")) && created.contains("max_locks_per_transaction"),
            "{created}"
        );
        system.drop_database();
        system.larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]).exits(0);
        assert_eq!(system.fingerprint(), before);
    }
}
