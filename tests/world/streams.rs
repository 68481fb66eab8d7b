//! Streams and single components beside backups of everything.

use super::support::{NO_SUCH_SNAPSHOT, USAGE, World, name_of};

fn stream(world: &World, name: &str, text: &str) -> String {
    name_of(&world.ok("app", &["create", "--json", "--command", name, "--", "echo", text]).json())
}

/// `prune` deleted the stream of every day that had a full snapshot, and a stream was what `latest` meant.
#[test]
fn streams_have_a_series_of_their_own() {
    let world = World::with_app();
    let crm = [stream(&world, "crm", "1"), stream(&world, "crm", "2")];
    let wiki = stream(&world, "wiki", "1");
    let full = [world.create("app"), world.create("app")];
    let some = name_of(&world.json("app", &["create", "--components", "config", "--tag", "before"]));
    let last = stream(&world, "crm", "3");
    world.ok("app", &["prune", "--force"]);
    assert_eq!(world.names("app"), [&last, &some, &full[1], &wiki].map(String::clone));
    assert!(!world.names("app").contains(&crm[0]));
    let latest = |words: &[&str]| name_of(&world.json("app", &[&["show"], words].concat()));
    assert_eq!(latest(&["latest"]), full[1]);
    for (words, expected) in [
        (&["latest@crm"][..], &last),
        (&["latest@wiki"], &wiki),
        (&["latest@everything"], &full[1]),
        (&["latest@selection"], &some),
        (&["latest", "--type", "stream"], &last),
        (&["latest", "--tag", "before"], &some),
    ] {
        assert_eq!(latest(words), *expected, "{words:?}");
    }
    assert_eq!(world.ok("app", &["cat", "latest@wiki:wiki"]).stdout, "1\n");
    for wrong in [&["latest@nothing"][..], &["latest", "--type", "database"], &["latest", "--tag", "none"]] {
        world.run("app", &[&["show"], wrong].concat()).ended(NO_SUCH_SNAPSHOT);
    }
    let listed = world.json("app", &["list", "--type", "stream"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
}

/// Where there is none of the whole system, `latest` is the newest of all.
#[test]
fn without_a_full_one_latest_is_the_newest() {
    let world = World::with_app();
    stream(&world, "crm", "1");
    let newest = stream(&world, "wiki", "1");
    assert_eq!(name_of(&world.json("app", &["show", "latest"])), newest);
}

/// An empty variable of a script named every snapshot: everything was restored over what was there, the only snapshot deleted.
#[test]
fn an_empty_name_is_no_snapshot() {
    let world = World::with_app();
    let name = world.create("app");
    for words in [
        &["restore", "", "--force"][..],
        &["restore", "latest", "--components", "", "--force"],
        &["forget", "", "--force"],
        &["pin", ""],
        &["show", ""],
        &["ls", ""],
        &["cat", ":config/settings"],
        &["diff", "", "latest"],
        &["export", ""],
        &["verify", ""],
        &["undelete", ""],
        &["create", "--components", ""],
        &["create", "--tag", ""],
        &["create", "--tag", "a\u{1b}[31m"],
        &["create", "--stdin", ""],
        &["show", "latest", "--system", ""],
        &["list", "--tag", ""],
    ] {
        let run = world.run("app", words);
        assert_eq!(run.code, USAGE, "{words:?}: {run:?}");
    }
    assert_eq!(world.names("app"), [name]);
}
