//! Clocks that are wrong by years.

use super::support::{DONE, PARTIAL, Run, World, name_of};

/// A snapshot from the future was `latest` for ever, and `within` deleted everything else.
#[test]
fn a_snapshot_from_the_future_is_not_the_newest() {
    let world = World::with_app();
    let Some(future) = world.create_at("+4000d") else { return };
    let future = name_of(&future.ended(DONE).json());
    world.write("app/config/settings", "two");
    let today = world.ok("app", &["create", "--json"]);
    today.says_all(&[&future, "is later than the clock", "larder forget"]);
    let today = name_of(&today.json());
    let again = world.create("app");
    assert_eq!(name_of(&world.json("app", &["show", "latest"])), again);
    world.ok("app", &["list"]).says_all(&["is later than the clock"]);
    world.ok("app", &["restore", "latest", "--force"]).says_all(&["is later than the clock"]);
    assert_eq!(world.read("app/config/settings"), "two");
    let within = ["prune", "--force", "--keep-within", "30d", "--daily", "0", "--weekly", "0", "--monthly", "0"];
    world.ok("app", &within).says_all(&["is later than the clock"]);
    let names = world.names("app");
    assert!([&future, &today, &again].into_iter().all(|name| names.contains(name)), "{names:?}");
    world.ok("app", &["forget", &future, "--force"]);
    world.ok("app", &["create"]).says_not("clock");
}

/// What was missing was said once while the clock was wrong, and then everything was complete.
#[test]
fn what_is_expected_does_not_depend_on_the_clock() {
    for shift in ["-4000d", "+60d"] {
        let world = World::with_app();
        world.write("app/logs/one", "x");
        let Some(first) = world.create_at(if shift == "+60d" { shift } else { "+0d" }) else { return };
        first.ended(DONE);
        world.remove("app/logs");
        for _ in 0..3 {
            let run = world.create_at(if shift == "+60d" { "+0d" } else { shift }).expect("it was there");
            run.ended(PARTIAL).says_all(&["--drop logs"]);
        }
    }
}

/// One backup while the clock was years ahead, and a prune of the same night deleted everything older.
#[test]
fn a_prune_while_the_clock_is_ahead_deletes_nothing_for_it() {
    let world = World::with_app();
    let names = [world.create("app"), world.create("app")];
    world.write("app/config/settings", "broken");
    world.ok("app", &["restore", "latest", "--force"]);
    let count = world.names("app").len();
    world.write("app/larder.toml", "[retention]\ndaily = 0\nweekly = 0\nmonthly = 0\nwithin = \"30d\"\n");
    let Some(ahead) = world.create_at("+4000d") else { return };
    ahead.ended(DONE);
    let library = std::env::var_os("LARDER_TEST_FAKETIME").expect("it was there");
    let mut prune = world.command("app", &["prune", "--force"]);
    prune.env("LD_PRELOAD", library).env("FAKETIME", "+4000d").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Run::of(&mut prune).ended(DONE);
    assert_eq!(world.names("app").len(), count + 1, "{names:?}");
}

/// What was saved while the clock was years behind was the oldest, and the first to go.
#[test]
fn a_snapshot_that_was_made_while_the_clock_was_behind_stays() {
    let world = World::with_app();
    let first = world.create("app");
    world.write("app/config/settings", "two");
    let Some(behind) = world.create_at("-2000d") else { return };
    behind.ended(DONE).says_all(&["is later than the clock"]);
    let behind = name_of(&behind.json());
    let last = world.create("app");
    world.ok("app", &["prune", "--force", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0"]);
    assert_eq!(world.names("app"), [last, behind]);
    assert!(!world.names("app").contains(&first));
}

/// One was deleted that had been made while the clock was behind, because the one before it had been made while it was ahead.
#[test]
fn a_clock_that_is_wrong_both_ways_has_nothing_deleted() {
    let world = World::with_app();
    world.create("app");
    let Some(ahead) = world.create_at("+2000d") else { return };
    let ahead = name_of(&ahead.ended(DONE).json());
    let right = world.create("app");
    let behind = name_of(&world.create_at("-3000d").expect("it was there").ended(DONE).json());
    world.ok("app", &["prune", "--force", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0"]);
    assert_eq!(world.names("app"), [ahead, right, behind]);
}
