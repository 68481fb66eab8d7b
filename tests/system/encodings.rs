//! Databases whose encoding is not UTF-8, with names and rows outside of ASCII: whole, in part, and where that cannot be.

use std::fs;

use crate::support::{Run, System, component, feed, roles_go, run, text, unique};

/// The sums of the bytes of the rows, as the server has them.
const SUMS: &str = "SELECT md5(string_agg(encode(convert_to(t::text, getdatabaseencoding()), 'hex'), ',' ORDER BY id))";

/// A system whose database has this encoding and was told this script, which is in it.
fn system_in(encoding: &str, script: &[u8]) -> System {
    let system = System::bare();
    system.drop_database();
    let create = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'",
        system.database
    );
    system.server.sql("postgres", &create);
    tell(&system, encoding, script);
    system
}

/// Tells the database a script of this encoding.
fn tell(system: &System, encoding: &str, script: &[u8]) {
    feed(system.server.psql(&system.database).env("PGCLIENTENCODING", encoding), script).exits(0);
}

/// What the database says to a question, both in UTF-8.
fn ask(system: &System, sql: &str) -> String {
    let mut psql = system.server.psql(&system.database);
    let asked = feed(psql.env("PGCLIENTENCODING", "UTF8"), sql.as_bytes());
    assert_eq!(asked.code, 0, "{sql:.300}\n{}", asked.stderr);
    asked.stdout.trim_end().to_owned()
}

/// A text in LATIN1, and in all that are like it above the controls.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(u32::from(char)).expect("a character of LATIN1")).collect()
}

fn restore(system: &System, more: &[&str]) -> Run {
    system.larder(&[&["restore", "latest", "--components", "database", "--force", "--no-snapshot"], more].concat())
}

fn encoding_of(system: &System) -> String {
    ask(system, "SELECT getdatabaseencoding()")
}

/// A schema, a table, a column, a sequence and a function outside of ASCII, with and without a key.
const NAMES: &str = "CREATE SCHEMA \"schéma\"; CREATE SEQUENCE \"schéma\".\"numéro\" START 7;
    CREATE TABLE \"schéma\".\"tablé\" (id integer PRIMARY KEY DEFAULT nextval('\"schéma\".\"numéro\"'), \"clé\" text, plain text);
    CREATE TABLE \"tée\" (\"é\" text PRIMARY KEY, id integer); CREATE TABLE \"sans clé\" (id integer, \"clé\" text);
    CREATE FUNCTION \"fonctioné\"() RETURNS text LANGUAGE sql AS $$ SELECT 'é' $$;
    CREATE VIEW \"vué\" AS SELECT \"clé\" FROM \"schéma\".\"tablé\";
    INSERT INTO \"schéma\".\"tablé\" SELECT n, 'é' || n, E'\\\\ÿ\\t' || n FROM generate_series(1, 300) AS n;
    INSERT INTO \"tée\" SELECT 'é' || n, n FROM generate_series(1, 300) AS n;
    INSERT INTO \"sans clé\" SELECT n, 'à' || n FROM generate_series(1, 300) AS n;";

fn sums_of_names(system: &System) -> String {
    let tables = ["\"schéma\".\"tablé\"", "\"tée\"", "\"sans clé\""];
    tables.map(|table| ask(system, &format!("{SUMS} FROM {table} AS t"))).join("|")
}

/// Names of questions were UTF-8 and those of scripts in the encoding of the database: a backup said that a table "was replaced
/// while it was to be read", and no restore could load it.
#[test]
fn names_outside_of_ascii_come_back_in_a_database_that_is_not_utf_8() {
    for encoding in ["LATIN1", "WIN1252"] {
        let system = system_in(encoding, &latin(NAMES));
        let before = sums_of_names(&system);
        for (method, tables_json) in [("tables", 0), ("pg_dump", 1)] {
            system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
            let created = system.create();
            let database = component(&created, "database");
            assert_eq!(database["status"], "complete", "{created}");
            assert!(!database["notes"].to_string().contains("replaced"), "{database}");
            let facts = &database["database"];
            assert_eq!((&facts["encoding"], &facts["dump_encoding"]), (&encoding.into(), &"UTF8".into()), "{facts}");
            assert_eq!(system.larder(&["cat", "latest:database/tables.json"]).code, tables_json, "{method}");
            ask(&system, "DROP SCHEMA \"schéma\" CASCADE; DELETE FROM \"tée\"; DROP TABLE \"sans clé\"");
            restore(&system, &[]).exits(0);
            assert_eq!(
                (sums_of_names(&system), encoding_of(&system)),
                (before.clone(), encoding.to_owned()),
                "{method}"
            );
            assert_eq!(ask(&system, "SELECT \"fonctioné\"(), last_value FROM \"schéma\".\"numéro\""), "é|7");
            system.larder(&["verify", "latest", "--test-restore"]).exits(0);
        }
    }
}

#[test]
fn tables_outside_of_ascii_are_replaced_and_compared_one_by_one() {
    let system = system_in("LATIN1", &latin(NAMES));
    let before = sums_of_names(&system);
    let first = text(&system.create()["name"]);
    ask(
        &system,
        "DELETE FROM \"tée\" WHERE id <= 10; UPDATE \"tée\" SET id = -id WHERE id > 290; INSERT INTO \"tée\" VALUES ('ÿ', 1)",
    );
    ask(&system, "UPDATE \"sans clé\" SET \"clé\" = 'autre'");
    system.create();
    let changes = system.larder(&["diff", &first, "latest", "--json"]).exits(0).json();
    let row = serde_json::json!({"component": "database", "table": "public.\"tée\"", "added": 1, "removed": 10, "changed": 10});
    assert_eq!(changes["rows"], serde_json::json!([row]), "{changes}");
    let tables = "public.tée,public.sans clé";
    system.larder(&["restore", &first, "--tables", tables, "--force", "--no-snapshot"]).exits(0);
    assert_eq!(sums_of_names(&system), before);
}

/// The key of a table has an order that is that of its text in the dump, whatever the bytes of the database say.
#[test]
fn rows_are_compared_in_the_order_of_the_text_of_the_dump() {
    let script = b"CREATE TABLE \"t\xe9\" (id text PRIMARY KEY, v integer); INSERT INTO \"t\xe9\" VALUES ('\x80', 1), ('\xe9', 2), ('a', 3), ('\x9c', 4);";
    let system = system_in("WIN1252", script);
    let first = text(&system.create()["name"]);
    ask(&system, "UPDATE \"té\" SET v = 5 WHERE id = '€'");
    system.create();
    let changes = system.larder(&["diff", &first, "latest", "--json"]).exits(0).json();
    let row =
        serde_json::json!({"component": "database", "table": "public.\"té\"", "added": 0, "removed": 0, "changed": 1});
    assert_eq!(changes["rows"], serde_json::json!([row]), "{changes}");
}

/// What has no character in UTF-8 comes back, as long as no name needs it to be written in that.
#[test]
fn bytes_without_a_meaning_come_back_where_all_names_are_ascii() {
    let script = b"CREATE TABLE keyed (id integer PRIMARY KEY, v text); CREATE TABLE loose (id integer, v text);
        INSERT INTO keyed VALUES (1, E'\x81\x8d\xe9'), (2, 'a'); INSERT INTO loose SELECT * FROM keyed;
        CREATE TABLE words (id text PRIMARY KEY); INSERT INTO words VALUES ('\x81'), ('\xe9');";
    let mut system = system_in("WIN1252", script);
    // Tables of others with expressions are counted in another way.
    let role = system.new_role("NOLOGIN");
    ask(&system, &format!("ALTER TABLE loose OWNER TO {role}; CREATE INDEX ON loose (lower(v))"));
    let sums = ["keyed", "loose"].map(|table| format!("{SUMS} FROM {table} AS t"));
    let before = sums.each_ref().map(|sql| ask(&system, sql));
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        let created = system.create();
        let facts = &component(&created, "database")["database"];
        assert_eq!((&facts["encoding"], &facts["dump_encoding"]), (&"WIN1252".into(), &"WIN1252".into()), "{facts}");
        ask(&system, "DELETE FROM keyed; DROP TABLE loose");
        restore(&system, &[]).exits(0);
        assert_eq!(sums.each_ref().map(|sql| ask(&system, sql)), before, "{method}");
        assert_eq!(encoding_of(&system), "WIN1252");
    }
    ask(&system, "DELETE FROM loose");
    system.write("larder.toml", b"[database]\nmethod = \"tables\"\n");
    system.create();
    tell(&system, "WIN1252", b"UPDATE keyed SET v = '\xe0'");
    restore(&system, &["--tables", "public.keyed"]).exits(0);
    assert_eq!(ask(&system, &sums[0]), before[0]);
}

#[test]
fn a_database_of_several_bytes_comes_back() {
    let script = b"CREATE TABLE \"\xc6\xfc\xcb\xdc\" (id integer PRIMARY KEY, \"\xcc\xbe\" text); INSERT INTO \"\xc6\xfc\xcb\xdc\" VALUES (1, '\xb4\xc1\xbb\xfa');";
    let system = system_in("EUC_JP", script);
    let sums = format!("{SUMS} FROM \"日本\" AS t");
    let before = ask(&system, &sums);
    system.create();
    ask(&system, "DELETE FROM \"日本\"");
    restore(&system, &[]).exits(0);
    assert_eq!((ask(&system, &sums), encoding_of(&system)), (before, "EUC_JP".to_owned()));
}

/// It failed with a half message of `psql`.
#[test]
fn a_name_of_no_known_encoding_fails_the_component_and_is_named() {
    let system = system_in("SQL_ASCII", b"CREATE TABLE \"t\xe9\" (id integer PRIMARY KEY)");
    let failed = system.larder(&["create", "--json"]).exits(3).json();
    let database = component(&failed, "database");
    assert_eq!(database["status"], "failed", "{database}");
    let why = database["errors"].to_string();
    for part in ["index has the name t\\\\xe9", "SQL_ASCII", "rename it"] {
        assert!(why.contains(part), "{why}");
    }
    tell(
        &system,
        "SQL_ASCII",
        b"ALTER TABLE \"t\xe9\" RENAME TO t; ALTER INDEX \"t\xe9_pkey\" RENAME TO t_pkey; INSERT INTO t VALUES (1)",
    );
    system.create();
    restore(&system, &[]).exits(0);
    assert_eq!(ask(&system, "SELECT count(*) FROM t"), "1");
}

/// Text of such a database that is UTF-8 is read as that.
#[test]
fn names_that_are_utf_8_come_back_in_a_database_without_an_encoding() {
    let system = system_in(
        "SQL_ASCII",
        "CREATE TABLE \"té\" (id integer PRIMARY KEY, \"clé\" text); INSERT INTO \"té\" VALUES (1, E'\\xe9')"
            .as_bytes(),
    );
    let sums = "SELECT encode(convert_to(\"clé\", 'SQL_ASCII'), 'hex') FROM \"té\"";
    assert_eq!(ask(&system, sums), "e9");
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        system.create();
        ask(&system, "DELETE FROM \"té\"");
        restore(&system, &[]).exits(0);
        assert_eq!(ask(&system, sums), "e9", "{method}");
    }
}

/// The restore of such a dump said that a table "would run code of roles".
#[test]
fn an_imported_dump_with_names_that_cannot_be_told_is_refused_with_what_to_do() {
    let system = System::bare();
    let dump = |name: &[u8], rows: &str| {
        let copy = [b"COPY public.\"".as_slice(), name, b"\" (id) FROM stdin;\n1\n\\.\n"].concat();
        let insert = [b"INSERT INTO public.\"".as_slice(), name, b"\" VALUES (1);\n"].concat();
        let head: &[u8] =
            b"--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'LATIN1';\n\nCREATE TABLE public.\"";
        let end: &[u8] = b"\n--\n-- PostgreSQL database dump complete\n--\n";
        [head, name, b"\" (id integer);\n\n", if rows == "copy" { &copy } else { &insert }, end].concat()
    };
    // The second is UTF-8 by chance.
    for (number, (name, rows)) in
        [(&b"t\xe9"[..], "copy"), (b"t\xc3\xa9", "copy"), (b"t\xe9", "insert"), (b"t\xc3\xa9", "insert")]
            .iter()
            .enumerate()
    {
        let path = system.beside(&format!("{}_backup_2025010{}_020000.sql", system.database, number + 1));
        fs::write(&path, dump(name, rows)).expect("the folder is ours");
        system.larder(&["import", &path.to_string_lossy()]).exits(0);
        let shown = system.larder(&["show", "latest"]).exits(0).stdout;
        for more in [&[][..], &["--run-code-as-superuser"]] {
            let refused = restore(&system, more).exits(1);
            assert!(
                refused.stderr.contains("pg_dump --encoding=UTF8") && !refused.stderr.contains("would run"),
                "{}",
                refused.stderr
            );
        }
        assert_eq!(shown.contains("pg_dump --encoding=UTF8"), *rows == "copy", "{shown}");
    }
    let path = system.beside(&format!("{}_backup_20250109_020000.sql", system.database));
    fs::write(&path, dump(b"plain", "copy")).expect("the folder is ours");
    system.larder(&["import", &path.to_string_lossy()]).exits(0);
    restore(&system, &[]).exits(0);
    assert_eq!(
        (ask(&system, "SELECT count(*) FROM plain"), encoding_of(&system)),
        ("1".to_owned(), "LATIN1".to_owned())
    );
}

/// What the databases of a server share is bytes, which each takes for text of its own encoding. Names of roles became others, which
/// got what was theirs.
#[test]
fn a_database_stays_that_of_roles_with_names_outside_of_ascii() {
    let system = system_in("LATIN1", b"");
    let (database, server) = (&system.database, &system.server);
    // Databases of other encodings cannot be dumped beside such a role.
    let _alone = roles_go();
    let larder = |arguments: &[&str]| run(&mut system.command(arguments)).exits(0);
    let restore = |more: &[&str]| {
        larder(&[&["restore", "latest", "--components", "database", "--force", "--no-snapshot"], more].concat())
    };
    let name = unique("rôle");
    // What LATIN1 takes the same bytes for.
    let other: String = name.bytes().map(char::from).collect();
    server.sql(
        "postgres",
        &format!(
            "CREATE ROLE \"{name}\" LOGIN VALID UNTIL '2031-02-03 12:00+00'; CREATE ROLE \"{other}\" LOGIN; ALTER DATABASE {database} OWNER TO \"{name}\";
             GRANT CREATE ON DATABASE {database} TO \"{other}\"; ALTER ROLE \"{name}\" IN DATABASE {database} SET work_mem = '9MB'"
        ),
    );
    let own = format!(
        "CREATE SCHEMA m AUTHORIZATION \"{name}\"; CREATE FUNCTION m.f(integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         ALTER FUNCTION m.f OWNER TO \"{name}\"; CREATE TABLE m.t (id integer PRIMARY KEY, CHECK (m.f(id))); ALTER TABLE m.t OWNER TO \"{name}\"; INSERT INTO m.t VALUES (1);"
    );
    tell(&system, "LATIN1", own.as_bytes());
    let state = || {
        let shared = format!(
            "SELECT pg_get_userbyid(datdba), has_database_privilege('{other}', oid, 'CREATE'), (SELECT string_agg(setrole::regrole || ':' || setconfig::text, ',') FROM pg_db_role_setting WHERE setdatabase = d.oid),
                (SELECT count(*) FROM pg_roles WHERE rolname LIKE '%{}%') FROM pg_database d WHERE datname = '{database}'",
            name.trim_start_matches("rôle")
        );
        (server.sql("postgres", &shared), ask(&system, "SELECT relowner FROM pg_class WHERE oid = 'm.t'::regclass"))
    };
    let before = state();
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        larder(&["create"]);
        restore(&[]);
        assert_eq!(state(), before, "{method}");
        if method == "tables" {
            restore(&["--tables", "m.t"]);
        }
    }
    let globals = larder(&["cat", "latest:database/globals.sql"]).stdout;
    assert!(globals.contains(&format!("\"{name}\"")) && globals.contains("2031-02-03 12:00:00+00"), "{globals}");
    system.drop_database();
    server.sql("postgres", &format!("DROP ROLE \"{name}\"; DROP ROLE \"{other}\""));
}

/// A name, or a setting, that another database of the server has made and that is no text in UTF-8 kept every database from being saved with its
/// roles, or at all, and every snapshot from being restored. Whoever may log in can make such a setting.
#[test]
fn what_databases_of_other_encodings_have_made_keeps_nothing_else_from_being_saved() {
    let latin1 = system_in("LATIN1", b"");
    let mut system = System::with_numbers(10);
    let [owner, user] = ["NOLOGIN", "NOLOGIN CONNECTION LIMIT 3"].map(|options| system.new_role(options));
    // Others would find these roles.
    let _alone = roles_go();
    let name = system.database.clone();
    system.server.sql(
        "postgres",
        &format!("ALTER DATABASE {name} OWNER TO {owner}; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; ALTER ROLE {user} IN DATABASE {name} SET work_mem = '7MB'; GRANT {user} TO {owner}"),
    );
    let other = unique("larder_r");
    let tell_latin = |sql: &str| tell(&latin1, "LATIN1", &latin(sql));
    tell_latin(&format!(
        "CREATE ROLE \"{other}\u{e9}\"; ALTER ROLE {user} IN DATABASE {name} SET search_path = '\u{e9}'; ALTER ROLE {user} SET my.own = '\u{e9}';
         COMMENT ON ROLE {owner} IS '\u{e9}'; COMMENT ON DATABASE {name} IS '\u{e9}'; GRANT \"{other}\u{e9}\" TO {user}"
    ));
    let kept = || {
        let sql = format!(
            "SELECT pg_get_userbyid(datdba), has_database_privilege('public', oid, 'CONNECT'), (SELECT rolconnlimit FROM pg_roles WHERE rolname = '{user}'),
                (SELECT count(*) FROM pg_auth_members WHERE roleid = '{user}'::regrole), (SELECT string_agg(c, ',') FROM pg_db_role_setting s, unnest(setconfig) AS c
                WHERE setdatabase = d.oid AND octet_length(c) = 12) FROM pg_database d WHERE datname = '{name}'"
        );
        system.server.sql("postgres", &sql)
    };
    let before = kept();
    assert!(before.ends_with("|f|3|1|work_mem=7MB"), "{before}");
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        let said = run(&mut system.command(&["create"])).exits(3).stderr;
        for what in [
            "a role is not saved",
            "search_path of the role",
            "my.own of the role",
            "comment of the role",
            "comment of the database",
        ] {
            assert!(said.contains(what), "{method}: {what}: {said}");
        }
        let restore = ["restore", "latest", "--components", "database", "--force", "--no-snapshot"];
        run(&mut system.command(&restore)).exits(0);
        assert_eq!(kept(), before, "{method}");
        system.drop_database();
        system.server.sql("postgres", &format!("DROP OWNED BY {owner}, {user}; DROP ROLE {owner}, {user}"));
        run(&mut system.command(&restore)).exits(0);
        assert_eq!(kept(), before, "{method}");
        tell_latin(&format!(
            "ALTER ROLE {user} IN DATABASE {name} SET search_path = '\u{e9}'; ALTER ROLE {user} SET my.own = '\u{e9}'; COMMENT ON ROLE {owner} IS '\u{e9}'; COMMENT ON DATABASE {name} IS '\u{e9}'"
        ));
    }
    tell_latin(&format!("DROP ROLE \"{other}\u{e9}\""));
}

/// A setting that is no text for others cost a database all its other settings, its owner and its privileges.
#[test]
fn a_setting_that_only_its_database_can_read_costs_no_other() {
    let system = system_in("LATIN1", b"");
    let name = system.database.clone();
    tell(
        &system,
        "LATIN1",
        &latin(&format!(
            "ALTER DATABASE {name} SET my.x = '\u{fc}'; ALTER DATABASE {name} SET work_mem = '7MB'; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; ALTER DATABASE {name} CONNECTION LIMIT 7"
        )),
    );
    let said = system.larder(&["create"]).exits(3).stderr;
    assert!(said.contains("the setting my.x is not saved: it is no text in UTF-8"), "{said}");
    system.drop_database();
    restore(&system, &[]).exits(0);
    let sql = format!(
        "SELECT datconnlimit, has_database_privilege('public', oid, 'CONNECT'), setconfig FROM pg_database d JOIN pg_db_role_setting s ON setdatabase = d.oid WHERE datname = '{name}'"
    );
    assert_eq!(system.server.sql("postgres", &sql), "7|f|{work_mem=7MB}");
}

/// How dates are said is up to the owner of a database: a role was made again with another day to be valid until.
#[test]
fn what_a_role_is_valid_until_is_the_same_however_dates_are_said() {
    let mut system = System::with_numbers(5);
    let role = system.new_role("LOGIN VALID UNTIL '2031-02-03 12:00+00'");
    for style in ["SQL, DMY", "German", "Postgres, MDY"] {
        system.sql(&format!(
            "ALTER DATABASE {0} SET datestyle = '{style}'; ALTER DATABASE {0} SET timezone = 'Asia/Kathmandu'",
            system.database
        ));
        system.larder(&["create"]).exits(0);
        let roles = system.larder(&["cat", "latest:database/roles.json"]).exits(0).stdout;
        let roles: serde_json::Value = serde_json::from_str(&roles).expect("JSON");
        let all = roles["roles"].as_array().expect("roles");
        let found = all.iter().find(|found| found["name"] == role.as_str()).expect("it is there");
        assert_eq!(found["valid_until"], "2031-02-03 12:00:00+00", "{style}");
    }
}

/// A database became one of another encoding by a dump that was written in that, and nobody said so.
#[test]
fn a_database_that_changes_its_encoding_is_named() {
    let system = system_in("LATIN1", b"CREATE TABLE t (id integer)");
    system.larder(&["create"]).exits(0);
    assert!(!restore(&system, &[]).exits(0).all().contains("is in the encoding"));
    system.drop_database();
    system.server.sql("postgres", &format!("CREATE DATABASE {}", system.database));
    for more in [&["--dry-run"][..], &[]] {
        let restored = restore(&system, more).exits(0);
        assert!(restored.all().contains("is in the encoding UTF8, and comes back in LATIN1"), "{restored:?}");
    }
}
