//! What is said where, and wrong.

use super::support::{DONE, Run, USAGE, World};

/// `create` said nothing for a week, and the prune of Sunday failed.
#[test]
fn a_value_that_means_nothing_is_refused_by_every_command() {
    let world = World::with_app();
    world.create("app");
    for (text, what) in [
        ("[retention]\nwithin = \"3 weeks\"\n", "within"),
        ("[retention]\ndaily = 0\nweekly = 0\nmonthly = 0\n", "retention"),
        ("[retention]\nmax_size_gb = -1\n", "GB"),
        ("[directories]\nconfig = \"\"\n", "the path is empty"),
        ("backup_dir = \"\"\n", "empty"),
        ("[system]\nname = \" \"\n", "[system] name"),
        ("[databse]\nname = \"x\"\n", "databse"),
    ] {
        world.write("app/larder.toml", text);
        for words in [&["create"][..], &["list"], &["config"], &["prune", "--force"], &["plan"]] {
            world.run("app", words).ended(USAGE).says_all(&[what]);
        }
    }
}

/// The variables that other programs read too come after the file, and those of Larder before it; each says where it comes from.
#[test]
fn each_setting_comes_from_where_it_is_said_first() {
    let world = World::with_app();
    world.write(
        "app/larder.toml",
        "[retention]\ndaily = 5\n[docker]\nproject = \"shop\"\n[database]\nurl = \"postgres://u:secret@h/d\"\n",
    );
    let mut command = world.command("app", &["config", "--json"]);
    let environment = [
        ("BACKUP_RETENTION_DAILY", "9"),
        ("BACKUP_RETENTION_WEEKLY", "8"),
        ("LARDER_RETENTION_MONTHLY", "2"),
        ("LARDER_SYSTEM_NAME", "mine"),
        ("COMPOSE_PROJECT_NAME", "other"),
        ("DOCKER_HOST", "unix:///nowhere"),
        ("LARDER_RETENTON_YEARLY", "1"),
        // It begins like one that there is, and backups went on in the usual place.
        ("LARDER_BACKUP_DIRR", "elsewhere"),
    ];
    let run = Run::of(command.envs(environment));
    run.ended(DONE).says_all(&[
        "no setting is called like the variable",
        "LARDER_RETENTON_YEARLY",
        "LARDER_BACKUP_DIRR",
    ]);
    assert!(!run.stdout.contains("secret"), "{run:?}");
    let document = run.json();
    let of = |key: &str| {
        let found = document.as_array().expect("a list").iter().find(|one| one["key"] == key);
        let text = |field: &str| found.map(|one| one[field].as_str().expect("text").to_owned()).unwrap_or_default();
        (text("value"), text("origin").rsplit('/').next().expect("a part").to_owned())
    };
    for (key, value, origin) in [
        ("retention.daily", "5", "larder.toml"),
        ("retention.weekly", "8", "BACKUP_RETENTION_WEEKLY"),
        ("retention.monthly", "2", "LARDER_RETENTION_MONTHLY"),
        ("retention.yearly", "0", "default"),
        ("system.name", "mine", "LARDER_SYSTEM_NAME"),
        ("docker.project", "shop", "larder.toml"),
        ("docker.host", "unix:///nowhere", "DOCKER_HOST"),
        ("database.url", "postgres://u@h/d", "larder.toml"),
    ] {
        assert_eq!(of(key), (value.to_owned(), origin.to_owned()), "{key}");
    }
    let mut wrong = world.command("app", &["list"]);
    Run::of(wrong.env("LARDER_DATABASE_PORT", "many")).ended(USAGE).says_all(&["LARDER_DATABASE_PORT"]);
}
