//! What a server keeps of a database itself: where the order of its texts comes from, whether it is a template, who may do what with it.

use crate::support::System;

/// Restores the database over the live one, and where there is none.
fn restored(system: &System, check: impl Fn(&str)) {
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        system.create();
        system.larder(&["verify", "latest", "--test-restore"]).exits(0);
        let restore = ["restore", "latest", "--components", "database", "--force", "--no-snapshot"];
        assert!(!system.larder(&restore).exits(0).all().contains("order of texts"));
        check(&format!("{method}, live"));
        let name = &system.database;
        system.server.sql("postgres", &format!("ALTER DATABASE {name} IS_TEMPLATE false"));
        system.drop_database();
        system.larder(&restore).exits(0);
        check(&format!("{method}, gone"));
    }
}

/// Texts were in another order, without a word.
#[test]
fn the_order_of_texts_comes_from_where_it_came_from() {
    let system = System::with_numbers(1);
    let name = &system.database;
    system.drop_database();
    let options = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn-true' LC_COLLATE 'C' LC_CTYPE 'C.utf8'";
    system.server.sql("postgres", &format!("CREATE DATABASE {name} {options}"));
    system.sql(
        "CREATE TABLE names (name text PRIMARY KEY) PARTITION BY RANGE (name);
         CREATE TABLE low PARTITION OF names FOR VALUES FROM ('a9') TO ('a10');
         INSERT INTO names VALUES ('a9'), ('a09b')",
    );
    let found = || {
        let order = system.sql("SELECT string_agg(n, ' ' ORDER BY n) FROM unnest(ARRAY['a10', 'a9', 'B', '_']) AS n");
        let of = "SELECT datlocprovider, coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), datcollate, datctype FROM pg_database d WHERE datname = current_database()";
        format!("{order} {}", system.sql(of))
    };
    let before = found();
    assert!(before.contains("a9 a10") && before.contains("i|de-u-kn-true"), "{before}");
    restored(&system, |how| assert_eq!(found(), before, "{how}"));
}

/// What its owner had taken from himself came back, and that others may make databases of it was lost.
#[test]
fn whose_it_is_who_may_what_and_whether_it_is_a_template_comes_back() {
    let mut system = System::with_numbers(1);
    let [owner, user, other] = ["NOLOGIN"; 3].map(|options| system.new_role(options));
    let name = &system.database;
    system.server.sql(
        "postgres",
        &format!(
            "ALTER DATABASE {name} OWNER TO {owner}; REVOKE TEMPORARY ON DATABASE {name} FROM {owner};
             REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {user} WITH GRANT OPTION;
             SET ROLE {user}; GRANT CONNECT ON DATABASE {name} TO {other}; RESET ROLE;
             COMMENT ON DATABASE {name} IS 'it''s $$ a \\ :DBNAME'; ALTER DATABASE {name} CONNECTION LIMIT 7;
             ALTER DATABASE {name} SET search_path = ''; ALTER DATABASE {name} IS_TEMPLATE true"
        ),
    );
    let found = || {
        system.server.sql(
            "postgres",
            &format!(
                "SELECT pg_get_userbyid(datdba), datacl, datistemplate, datconnlimit, shobj_description(d.oid, 'pg_database'), setconfig
                    FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase = d.oid WHERE datname = '{name}'"
            ),
        )
    };
    let before = found();
    assert!(
        before.contains(&format!("{other}=c/{user}")) && before.contains(":DBNAME|{\"search_path=\\\"\\\"\"}"),
        "{before}"
    );
    restored(&system, |how| assert_eq!(found(), before, "{how}"));
    system.server.sql("postgres", &format!("ALTER DATABASE {name} IS_TEMPLATE false"));
}

/// A comment that is not ASCII was read through a database of another encoding, and nothing that the server keeps of this one was saved.
#[test]
fn a_comment_is_text_of_its_database() {
    let system = System::with_numbers(1);
    let name = &system.database;
    system.drop_database();
    system.server.sql(
        "postgres",
        &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"),
    );
    let latin = "SET client_encoding = 'UTF8'";
    system.sql(&format!("{latin}; CREATE TABLE t (id int PRIMARY KEY); COMMENT ON DATABASE {name} IS 'café'"));
    let found = || {
        let of = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
        system.sql(&format!("{latin}; {of}"))
    };
    assert_eq!(found(), "café");
    restored(&system, |how| assert_eq!(found(), "café", "{how}"));
}
