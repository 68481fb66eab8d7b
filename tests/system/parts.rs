//! Parts of a database: some tables, into the live database or beside it, and rows that are masked.

use std::fs;

use crate::support::{Run, System, roles_go, run, text, unique};

/// A system with people, what they ordered, and a table without a key.
fn shop() -> System {
    let system = System::with_numbers(10);
    system.sql(
        "CREATE TABLE users (id integer PRIMARY KEY, email text NOT NULL UNIQUE, name text, born date, \"Private notes\" text);
         CREATE TABLE orders (id integer PRIMARY KEY, user_id integer NOT NULL REFERENCES users, email text, total numeric);
         CREATE INDEX ON orders (user_id);
         CREATE TABLE visits (email text, page text);
         CREATE TABLE changes (what text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO changes VALUES (TG_OP); RETURN NEW; END $$;
         INSERT INTO users SELECT n, 'ada' || n || '@bank.org', 'Ada ' || n, date '1990-01-01' + n, E'secret\\t' || n FROM generate_series(1, 500) AS n;
         INSERT INTO orders SELECT n * 10, n, 'ada' || n || '@bank.org', n FROM generate_series(1, 500) AS n;
         INSERT INTO visits SELECT 'ada' || n || '@bank.org', '/' || n FROM generate_series(1, 100) AS n;
         CREATE TRIGGER note AFTER INSERT OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION note()",
    );
    system
}

fn restore(system: &System, more: &[&str]) -> Run {
    system.larder(&[&["restore", "latest", "--force", "--no-snapshot"], more].concat())
}

/// A database beside the one of the system, which is gone when it is dropped.
struct Beside<'a> {
    system: &'a System,
    name: String,
}

impl<'a> Beside<'a> {
    fn new(system: &'a System) -> Self {
        Self { system, name: unique("larder_beside") }
    }

    fn sql(&self, sql: &str) -> String {
        self.system.server.sql(&self.name, sql)
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.system.server.sql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

#[test]
fn rows_of_some_tables_come_back_into_the_live_database() {
    let system = shop();
    system.create();
    let before = system.fingerprint();
    system.sql("UPDATE users SET name = 'wrong' WHERE id < 100; DELETE FROM visits; TRUNCATE orders; DELETE FROM users WHERE id > 400; TRUNCATE changes");
    system.sql("INSERT INTO numbers VALUES (11, 'later')");
    restore(&system, &["--tables", "public.users,public.visits", "--tables", "public.orders"]).exits(0);
    assert_eq!(system.sql("SELECT count(*) FROM changes"), "0", "triggers did not run");
    assert_eq!(system.sql("DELETE FROM numbers WHERE id = 11 RETURNING text"), "later", "other tables stay");
    assert_eq!(system.fingerprint(), before);
}

#[test]
fn references_hold_or_nothing_is_replaced() {
    let system = shop();
    system.sql("DELETE FROM orders WHERE id > 4000");
    system.create();
    system.sql("UPDATE users SET id = id + 1000 WHERE id > 450; DELETE FROM orders WHERE id <= 100; DELETE FROM users WHERE id <= 10");
    let before = system.fingerprint();
    // Its rows refer to users that are gone.
    let refused = restore(&system, &["--tables", "public.orders"]).exits(1);
    assert!(refused.stderr.contains("would refer to rows of public.users"), "{}", refused.stderr);
    assert_eq!(system.fingerprint(), before);
    system.sql("INSERT INTO orders VALUES (1, 1460)");
    let before = system.fingerprint();
    // An order that is newer refers to one that the snapshot does not have.
    let refused = restore(&system, &["--tables", "public.users"]).exits(1);
    assert!(refused.stderr.contains("rows of public.orders would refer"), "{}", refused.stderr);
    assert_eq!(system.fingerprint(), before);
    restore(&system, &["--tables", "public.users,public.orders"]).exits(0);
}

#[test]
fn what_cannot_be_restored_in_part_is_told_before_anything_happens() {
    let system = shop();
    system.create();
    let snapshots = system.snapshots();
    let refused = |arguments: &[&str], code: i32, why: &str| {
        let run = system.larder(&[&["restore", "latest", "--force"], arguments].concat()).exits(code);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    };
    refused(&["--tables", "public.nobody"], 1, "no table public.nobody");
    refused(&["--into", &system.database], 1, "there is a database");
    refused(&["--tables", "public.users", "--components", "models"], 2, "one database");
    refused(&["--tables", "public.users", "--target", "x"], 2, "cannot be used with");
    system.sql("ALTER TABLE visits RENAME COLUMN page TO place; ALTER TABLE orders RENAME TO bought; CREATE VIEW orders AS SELECT 1");
    refused(&["--tables", "public.visits"], 1, "other columns now: page");
    refused(&["--tables", "public.orders"], 1, "public.orders is no table in");
    system.write("larder.toml", b"[database]\nmethod = \"pg_dump\"\n");
    system.create();
    refused(&["--tables", "public.users"], 1, "one plain dump");
    assert_eq!(system.snapshots().len(), snapshots.len() + 1, "nothing was saved for what was refused");
}

#[test]
fn some_tables_become_a_database_of_their_own() {
    let system = shop();
    system.create();
    let beside = Beside::new(&system);
    restore(&system, &["--tables", "public.users,public.visits", "--into", &beside.name]).exits(0);
    assert_eq!(
        beside.sql("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM visits), (SELECT count(*) FROM orders)"),
        "500|100|0"
    );
    assert_eq!(
        beside.sql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
        "1",
        "an empty table refers to nothing"
    );
    let orders = Beside::new(&system);
    let restored = restore(&system, &["--tables", "public.orders", "--into", &orders.name]).exits(0);
    assert!(restored.stderr.contains("without 1 of its foreign keys"), "{}", restored.stderr);
    assert_eq!(orders.sql("SELECT count(*) FROM orders"), "500");
    assert_eq!(system.scratch_databases(), "");
}

const MASK: &str = r#"
key = "of this test"
[tables."public.users"]
id = "hash"
email = "keep-domain"
name = "name"
born = "shift-date"
"Private notes" = "text"
[tables."public.orders"]
user_id = "hash"
email = "keep-domain"
[tables."public.vis*"]
email = "email"
page = "null"
"#;

#[test]
fn masked_rows_keep_their_shape_and_name_nobody() {
    let system = shop();
    let mask = system.beside("mask.toml");
    fs::write(&mask, MASK).expect("the folder is ours");
    let mask = mask.to_string_lossy().into_owned();
    let by_tables = text(&system.create()["name"]);
    system.write("larder.toml", b"[database]\nmethod = \"pg_dump\"\n");
    let plain = text(&system.create()["name"]);
    let mut found = Vec::new();
    for name in [&by_tables, &plain] {
        let beside = Beside::new(&system);
        system.larder(&["restore", name, "--into", &beside.name, "--mask", &mask, "--force"]).exits(0);
        let joined = "SELECT count(*) FROM users JOIN orders ON user_id = users.id AND orders.email = users.email";
        assert_eq!(beside.sql(joined), "500");
        let known = "SELECT count(*) FROM users WHERE email LIKE 'ada%' OR name LIKE 'Ada _%' AND name ~ '[0-9]' OR \"Private notes\" LIKE 'secret%'";
        assert_eq!(beside.sql(known), "0");
        assert_eq!(
            beside.sql("SELECT count(*), max(born) - min(born) FROM users WHERE email LIKE '%@bank.org'"),
            "500|499"
        );
        assert_eq!(beside.sql("SELECT count(*), count(page) FROM visits WHERE email LIKE '%@example.com'"), "100|0");
        found.push(beside.sql("SELECT string_agg(u::text, ',' ORDER BY id) FROM users AS u"));
    }
    assert_eq!(found[0], found[1], "the key decides, not the way");
    assert_exported_masked(&system, &by_tables, &mask);
}

fn assert_exported_masked(system: &System, name: &str, mask: &str) {
    let to = system.beside("masked").to_string_lossy().into_owned();
    system.larder(&["export", name, "--to", &to, "--mask", mask, "--no-compress"]).exits(0);
    let dump = fs::read_to_string(system.beside(&format!("masked/{name}/database.sql"))).expect("the dump");
    assert!(!dump.contains("ada1@") && !dump.contains("secret") && dump.contains("@bank.org"));
    let metadata = fs::read_to_string(system.beside(&format!("masked/{name}/metadata.json"))).expect("the metadata");
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    assert_eq!(metadata["masked"]["public.vis*"], serde_json::json!(["email", "page"]));
}

#[test]
fn a_mask_that_would_miss_its_column_masks_nothing() {
    let system = shop();
    let by_tables = text(&system.create()["name"]);
    system.write("larder.toml", b"[database]\nmethod = \"pg_dump\"\n");
    let plain = text(&system.create()["name"]);
    let mask = system.beside("mask.toml");
    let cases = [
        ("[tables.\"public.users\"]\nmail = \"hash\"\n", 1, "'mail', which public.users does not have"),
        ("[tables.\"public.user\"]\nemail = \"hash\"\n", 1, "rules for public.user"),
        ("[tables.\"public.users\"]\nname = \"shift-date\"\n", 1, "'name' is no date"),
        ("[tables.\"public.users\"]\nname = \"hsh\"\n", 2, "unknown variant `hsh`"),
        ("[table.\"public.users\"]\nname = \"hash\"\n", 2, "unknown field `table`"),
        ("key = \"x\"\n", 2, "masks nothing"),
    ];
    for (rules, code, why) in cases {
        fs::write(&mask, rules).expect("the folder is ours");
        let mask = mask.to_string_lossy();
        for name in [&by_tables, &plain] {
            let beside = Beside::new(&system);
            let refused =
                system.larder(&["restore", name, "--into", &beside.name, "--mask", &mask, "--force"]).exits(code);
            assert!(refused.stderr.contains(why), "{}", refused.stderr);
            assert!(!system.server.has(&beside.name));
            let to = system.beside("masked").to_string_lossy().into_owned();
            let refused = system.larder(&["export", name, "--to", &to, "--mask", &mask]);
            assert!(refused.code != 0 && refused.stderr.contains(why), "{}", refused.stderr);
            assert!(!system.beside(&format!("masked/{name}")).exists());
        }
    }
}

#[test]
fn what_is_looked_at_only_at_the_end_of_a_transaction_is_looked_at() {
    let system = shop();
    system
        .sql("UPDATE visits SET email = 'twice' WHERE page IN ('/1', '/2'); ALTER TABLE visits ADD PRIMARY KEY (page)");
    system.create();
    system.sql("UPDATE visits SET email = page; ALTER TABLE visits ADD UNIQUE (email) DEFERRABLE");
    let refused = restore(&system, &["--tables", "public.visits"]).exits(1);
    assert!(refused.stderr.contains("visits_email_key is not sure"), "{}", refused.stderr);
    system.sql("DELETE FROM orders WHERE id > 4000; ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey; DELETE FROM users WHERE id < 5");
    system.sql(
        "DELETE FROM orders WHERE user_id < 5; ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID",
    );
    let refused = restore(&system, &["--tables", "public.orders"]).exits(1);
    assert!(refused.stderr.contains("would refer to rows of public.users"), "{}", refused.stderr);
}

#[test]
fn references_to_partitions_and_by_other_operators_hold() {
    let system = shop();
    system.sql(
        "CREATE EXTENSION citext; CREATE TABLE names (name citext PRIMARY KEY); CREATE TABLE uses (id integer PRIMARY KEY, name citext REFERENCES names);
         INSERT INTO names VALUES ('Foo'); INSERT INTO uses VALUES (1, 'foo');
         CREATE TABLE days (day integer PRIMARY KEY) PARTITION BY LIST (day); CREATE TABLE days_1 PARTITION OF days FOR VALUES IN (1);
         CREATE TABLE days_2 PARTITION OF days DEFAULT; CREATE TABLE events (id integer PRIMARY KEY, day integer REFERENCES days);
         INSERT INTO days VALUES (1), (2); INSERT INTO events VALUES (1, 1), (2, 2)",
    );
    system.create();
    let before = system.fingerprint();
    for tables in ["public.events", "public.days_1", "public.days_1,public.days_2", "public.uses,public.names"] {
        restore(&system, &["--tables", tables]).exits(0);
        assert_eq!(system.fingerprint(), before, "{tables}");
    }
    system.sql("DELETE FROM events WHERE day = 1; DELETE FROM days_1");
    let refused = restore(&system, &["--tables", "public.events"]).exits(1);
    assert!(refused.stderr.contains("would refer to rows of public.days"), "{}", refused.stderr);
}

/// The cause: its comment was no part of a foreign key, and was to be made where the key could not be.
#[test]
fn a_foreign_key_that_cannot_be_made_takes_its_comment_along() {
    let system = shop();
    system.sql("COMMENT ON CONSTRAINT orders_user_id_fkey ON orders IS 'who'");
    system.create();
    let beside = Beside::new(&system);
    restore(&system, &["--tables", "public.orders", "--into", &beside.name]).exits(0);
}

#[test]
fn rules_for_a_table_are_for_everything_that_is_part_of_it() {
    let system = shop();
    system.sql(
        "CREATE TABLE people (id integer PRIMARY KEY, email text); CREATE TABLE employees (pay integer, PRIMARY KEY (id)) INHERITS (people);
         INSERT INTO people VALUES (1, 'p@bank.org'); INSERT INTO employees VALUES (2, 'e@bank.org', 3);
         CREATE TYPE size AS ENUM ('s', 'm', 'l'); CREATE TABLE parts (size size, email text) PARTITION BY HASH (size);
         CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO parts SELECT unnest(enum_range(NULL::size)), 'x@bank.org'; CREATE TABLE parts_old (id integer PRIMARY KEY, email text)",
    );
    system.create();
    let mask = system.beside("mask.toml");
    fs::write(&mask, "[tables.\"public.people\"]\nemail = \"email\"\n[tables.\"public.parts_*\"]\nemail = \"email\"\n")
        .expect("ours");
    let beside = Beside::new(&system);
    restore(&system, &["--into", &beside.name, "--mask", &mask.to_string_lossy()]).exits(0);
    let clear = "SELECT (SELECT count(*) FROM people WHERE email LIKE '%bank%'), (SELECT count(*) FROM parts WHERE email LIKE '%bank%')";
    assert_eq!(beside.sql(clear), "0|0");
    assert_eq!(beside.sql("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM parts)"), "2|3");
}

#[test]
fn a_mask_is_for_all_databases_of_a_snapshot_and_each_rule_for_one_of_them() {
    let system = shop();
    let other = Beside::new(&system);
    system.server.sql("postgres", &format!("CREATE DATABASE {}", other.name));
    other.sql(
        "CREATE TABLE clients (id integer PRIMARY KEY, email text); INSERT INTO clients VALUES (1, 'ada@bank.org')",
    );
    let url = system.server.url(&system.database);
    system.write("larder.toml", format!("[database]\nurl = \"{url}\"\nothers = [\"{}\"]\n", other.name).as_bytes());
    let larder = |arguments: &[&str]| run(&mut system.command_without_database(arguments));
    larder(&["create"]).exits(0);
    let mask = system.beside("mask.toml");
    let to = system.beside("masked").to_string_lossy().into_owned();
    let export = |rules: &str| {
        fs::write(&mask, rules).expect("the folder is ours");
        larder(&["export", "latest", "--no-compress", "--to", &to, "--mask", &mask.to_string_lossy()])
    };
    let rules = "[tables.\"public.users\"]\nemail = \"email\"\n[tables.\"public.clients\"]\nemail = \"email\"\n";
    let refused = export(&format!("{rules}[tables.\"public.nobody\"]\nemail = \"email\"\n")).exits(1);
    assert!(refused.stderr.contains("rules for public.nobody"), "{}", refused.stderr);
    export(rules).exits(0);
    let folder = system.beside("masked").join(&system.snapshots()[0]);
    let dump = fs::read_to_string(folder.join(format!("database_{}.sql", other.name))).expect("the dump");
    assert!(dump.contains("@example.com") && !dump.contains("ada@"), "{dump}");
}

/// The cause: while one session loads what only one can load, the others wait, and a server may end who waits too long.
#[test]
fn sessions_that_wait_in_a_restore_are_not_ended_as_idle() {
    let system = shop();
    system.sql(
        "CREATE TABLE heap AS SELECT n AS id, repeat(md5(n::text), 30) AS text FROM generate_series(1, 60000) AS n",
    );
    system.create();
    let mut restore = system.command(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
    run(restore.env("PGOPTIONS", "-c idle_session_timeout=300ms")).exits(0);
    assert_eq!(system.sql("SELECT count(*) FROM heap"), "60000");
}

/// The cause: a rule that was for a table of one night counted as used on all others, whose rows it did not mask.
#[test]
fn a_rule_must_have_its_table_on_each_night_that_is_exported() {
    let system = shop();
    let first = text(&system.create()["name"]);
    system.sql("ALTER TABLE users RENAME TO clients");
    let second = text(&system.create()["name"]);
    let mask = system.beside("mask.toml");
    fs::write(&mask, "[tables.\"public.users\"]\nemail = \"email\"\n").expect("the folder is ours");
    let to = system.beside("masked").to_string_lossy().into_owned();
    let exported = system.larder(&["export", "--all", "--to", &to, "--mask", &mask.to_string_lossy()]).exits(3);
    assert!(exported.stderr.contains("rules for public.users"), "{}", exported.stderr);
    let folder = system.beside("masked");
    assert!(folder.join(first).exists() && !folder.join(second).exists());
}

/// The names of roles and tables were compared with their quotes: those that are there were made again, the owner was lost, and
/// the rows that were loaded through a partitioned table were looked for in it alone.
#[test]
fn it_does_not_matter_which_names_a_server_quotes() {
    let mut system = System::with_numbers(10);
    let owner = system.new_role("NOLOGIN");
    system.sql(
        "CREATE TYPE mood AS ENUM ('bad', 'good');
         CREATE TABLE moods (mood mood) PARTITION BY HASH (mood);
         CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         INSERT INTO moods VALUES ('bad'), ('good'); ALTER TABLE numbers ADD PRIMARY KEY (id)",
    );
    system.server.sql("postgres", &format!("ALTER DATABASE {} OWNER TO {owner}", system.database));
    let found = "SELECT pg_get_userbyid(datdba), (SELECT count(*) FROM moods_0), (SELECT count(*) FROM numbers)
        FROM pg_database WHERE datname = current_database()";
    let before = system.sql(found);
    assert_eq!(before, format!("{owner}|2|10"));
    for all_quoted in ["on", "off"] {
        let larder = |all_quoted: &str, words: &[&str]| {
            run(system.command(words).env("PGOPTIONS", format!("-c quote_all_identifiers={all_quoted}"))).exits(0)
        };
        let missing_roles = roles_go();
        larder(all_quoted, &["create"]);
        let tables = larder(all_quoted, &["cat", "latest:database/tables.json"]).stdout;
        assert!(tables.contains("public.numbers") && !tables.contains("\\\""), "no name needs quotes: {tables}");
        system.drop_database();
        system.drop_roles();
        let other = if all_quoted == "on" { "off" } else { "on" };
        let restored = larder(other, &["restore", "latest", "--force"]);
        drop(missing_roles);
        assert_eq!(system.sql(found), before, "{}", restored.all());
        system.sql("DELETE FROM numbers");
        larder(other, &["restore", "latest", "--tables", "public.numbers", "--force", "--no-snapshot"]);
        assert_eq!(system.sql(found), before);
    }
}

/// Columns that had come since the snapshot got their defaults, and nobody said so.
#[test]
fn columns_that_the_snapshot_does_not_have_are_named() {
    let system = System::with_numbers(0);
    system.sql("CREATE TABLE t (id integer PRIMARY KEY, double integer GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO t VALUES (1)");
    system.create();
    system.sql("ALTER TABLE t ADD COLUMN balance integer DEFAULT 0; UPDATE t SET balance = 100");
    for more in [&["--dry-run"][..], &[]] {
        let restored = restore(&system, &[&["--tables", "public.t"], more].concat()).exits(0);
        let note = "public.t: the snapshot does not have the columns balance, which get their defaults";
        assert!(restored.all().contains(note), "{restored:?}");
    }
}
