//! Which copy of a database is restored, where a snapshot has several.

use serde_json::Value;

use crate::support::{Stack, run, text};

fn names(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|entry| text(&entry["name"])).collect()
}

/// The dump of a server that is reached by an address does not say in which volume its data is.
#[test]
fn the_data_of_a_server_is_not_overwritten_beside_a_dump_from_an_address() {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.start_redis("redis_data");
    let server = std::env::var("LARDER_TEST_DATABASE_URL").expect("run tests/run");
    // Other tests look whether a password is among the arguments of any program.
    let (login, place) = server.split_once('@').expect("a login");
    let (login, password) = login.rsplit_once(':').expect("a password");
    let psql = |sql: &str| {
        let mut psql = std::process::Command::new("psql");
        psql.env("PGPASSWORD", password).args(["-X", "-q", "-d", &format!("{login}@{place}"), "-c", sql]);
        run(&mut psql).exits(0)
    };
    let database = stack.project.clone();
    psql(&format!("CREATE DATABASE {database}"));
    let address = server.replace("/postgres", &format!("/{database}"));
    let larder = |arguments: &[&str]| run(stack.command(arguments).env("DATABASE_URL", &address)).exits(0).json();
    let name = text(&larder(&["create", "--json"])["name"]);
    stack.sql("CREATE TABLE later AS SELECT 1 AS id");
    let restored = larder(&["restore", &name, "--force", "--json"]);
    assert_eq!(names(&restored["skipped"]), ["docker_volume_postgres_data"], "{restored}");
    assert_eq!(stack.sql("SELECT count(*) FROM later"), "1", "it has what came after the backup");
    psql(&format!("DROP DATABASE {database} WITH (FORCE)"));
}

#[test]
fn a_mapping_to_the_same_volume_restores_no_database_twice() {
    let stack = Stack::full();
    let name = text(&stack.create()["name"]);
    let mapping = format!("postgres_data={}", stack.volume("postgres_data"));
    let restored = stack.larder(&["restore", &name, "--force", "--json", "--volume", &mapping]).exits(0).json();
    assert_eq!(names(&restored["skipped"]), ["docker_volume_postgres_data"], "{restored}");
}

#[test]
fn two_volumes_never_go_into_one() {
    let stack = Stack::bare();
    stack.start_redis("redis_data");
    stack.start_models();
    let name = text(&stack.create()["name"]);
    let mapping = format!("redis_data={}", stack.volume("ollama_data"));
    let refused = stack.larder(&["restore", &name, "--force", "--volume", &mapping]).exits(2);
    assert!(refused.stderr.contains("docker_volume_ollama_data") && refused.stderr.contains("--volume"), "{refused:?}");
}

#[test]
fn a_live_copy_of_a_data_directory_does_not_win_over_a_dump() {
    let stack = Stack::full();
    stack.configure("[volumes.postgres_data]\nquiesce = \"none\"\n");
    let name = text(&stack.create()["name"]);
    let keys = stack.keys("cti_redis");
    for (service, volume) in [("cti_postgres", "postgres_data"), ("cti_redis", "redis_data")] {
        stack.docker(&["rm", "--force", &stack.container(service)]).exits(0);
        stack.docker(&["volume", "rm", &stack.volume(volume)]).exits(0);
    }
    let restored = stack.larder(&["restore", &name, "--force", "--json"]).exits(3);
    assert!(restored.stderr.contains("empty server"), "{}", restored.stderr);
    assert_eq!(names(&restored.json()["refused"]), ["database", "docker_volume_postgres_data"]);
    stack.docker(&["volume", "inspect", &stack.volume("postgres_data")]).exits(1);
    stack.start_redis_on("cti_redis", &stack.volume("redis_data"));
    assert_eq!(stack.keys("cti_redis"), keys, "the rest is restored");
    stack.start_postgres();
    stack.larder(&["restore", &name, "--components", "database", "--force"]).exits(0);
    assert_eq!(stack.sql("SELECT count(*) FROM articles"), "20000");
}

/// A server that says much while a dump is loaded does not keep it from being loaded.
#[test]
fn a_dump_that_makes_many_warnings_is_loaded() {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.sql(
        "SET client_min_messages = error;
        CREATE FUNCTION says(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
            $$ BEGIN RAISE WARNING '%', repeat('x', 2000); RETURN true; END $$;
        CREATE TABLE noisy (id int CHECK (public.says(id)), filler text);
        INSERT INTO noisy SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 20000) AS n;",
    );
    let name = text(&stack.create()["name"]);
    stack.sql("DELETE FROM noisy");
    stack.larder(&["restore", &name, "--components", "database", "--force", "--no-snapshot"]).exits(0);
    assert_eq!(stack.sql("SELECT count(*) FROM noisy"), "20000");
}
