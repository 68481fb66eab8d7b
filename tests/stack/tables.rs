//! A database in a container, table by table, through the programs of the container itself.

use crate::support::{Stack, component, text};

fn stack_with_keys() -> Stack {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.sql(
        "CREATE TABLE users (id integer PRIMARY KEY, name text);
         CREATE TABLE orders (id bigint PRIMARY KEY, user_id integer REFERENCES users, text text);
         CREATE INDEX ON orders (user_id);
         INSERT INTO users SELECT n, E'user\\t\\\\' || n FROM generate_series(1, 500) AS n;
         INSERT INTO orders SELECT n, 1 + n % 500, repeat(md5(n::text), 20) FROM generate_series(1, 30000) AS n;
         CREATE TABLE loose AS SELECT generate_series(1, 100) AS id; ANALYZE",
    );
    stack
}

#[test]
fn tables_are_saved_compared_and_restored_in_a_container() {
    let stack = stack_with_keys();
    let first = stack.create();
    let rows = stack.fingerprint("cti_postgres");
    let notes = component(&first, "database")["notes"].to_string();
    assert!(notes.contains("public.loose (it has no primary key)"), "{notes}");
    let first = text(&first["name"]);
    let listed = stack.larder(&["ls", &format!("{first}:database/data")]).exits(0).stdout;
    assert!(
        listed.contains("database/data/public.orders") && listed.contains("database/data/public.users"),
        "{listed}"
    );

    stack.sql("UPDATE orders SET text = 'other' WHERE id <= 10; DELETE FROM orders WHERE id > 29990");
    stack.create();
    let diff = stack.larder(&["diff", &first, "latest"]).exits(0).stdout;
    assert!(diff.contains("R database rows of public.orders: 0 added, 10 removed, 10 changed"), "{diff}");
    stack.larder(&["restore", &first, "--components", "database", "--force", "--no-snapshot"]).exits(0);
    assert_eq!(stack.fingerprint("cti_postgres"), rows);

    stack.sql("DELETE FROM orders WHERE id % 2 = 0; DELETE FROM loose");
    stack.larder(&["restore", &first, "--tables", "public.orders,public.loose", "--force", "--no-snapshot"]).exits(0);
    assert_eq!(stack.fingerprint("cti_postgres"), rows);
    stack.larder(&["restore", &first, "--tables", "public.users", "--into", "looked_at", "--force"]).exits(0);
    assert_eq!(
        stack.sql_in("looked_at", "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM orders)"),
        "500|0"
    );
    stack.larder(&["verify", &first, "--test-restore"]).exits(0);
}
