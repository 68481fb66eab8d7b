//! Snapshots that are deleted by name, brought back, and pinned.

use super::support::System;

fn three_nights() -> (System, Vec<String>) {
    let system = System::new();
    let night = |number: u8| {
        system.write("models/one", [number; 1_000]);
        system.create()
    };
    let names = (1..4).map(night).collect();
    (system, names)
}

fn listed(system: &System) -> usize {
    system.json(&["list"]).as_array().expect("a list").len()
}

#[test]
fn a_deleted_snapshot_comes_back_as_it_was() {
    let (system, names) = three_nights();
    let before = system.json(&["show", &names[0]]);
    system.ok(&["forget", "--force", &names[0], &names[1]]).shows("is deleted");
    assert_eq!(listed(&system), 1);
    system.run(&["show", &names[0]]).ended(6);
    system.ok(&["list"]).says("2 deleted snapshots can still be brought back");
    system.run(&["undelete", "nothing"]).ended(6).says(&names[1]);
    system.ok(&["undelete", &names[0]]).shows("is back");
    assert_eq!(system.json(&["show", &names[0]]), before);
    system.run(&["undelete", &names[0]]).ended(6);
    system.ok(&["restore", &names[0], "--target", &system.path("out").to_string_lossy()]);
    assert_eq!(system.read("out/models/one"), [1; 1_000]);
    system.ok(&["verify", "--all", "--read-data"]);
}

/// Killed between the two steps, a snapshot is in both places.
#[test]
fn one_that_was_deleted_by_half_is_there() {
    let (system, names) = three_nights();
    let manifest = system.read(format!("backups/snapshots/{}", names[0]));
    system.write(format!("backups/forgotten/{}", names[0]), manifest);
    assert_eq!(listed(&system), 3);
    system.ok(&["undelete", &names[0]]);
    assert!(!system.exists(format!("backups/forgotten/{}", names[0])));
    assert_eq!(listed(&system), 3);
    system.write(format!("backups/forgotten/{}", names[0]), "another one");
    system.run(&["undelete", &names[0]]).ended(1).says("exists already");
    assert_eq!(listed(&system), 3);
}

/// Two snapshots would have one name if the first one came back.
#[test]
fn the_name_of_a_deleted_snapshot_is_not_given_again() {
    let (system, names) = three_nights();
    system.ok(&["forget", "--force", &names[2]]);
    assert!(!names.contains(&system.create()));
    system.ok(&["undelete", &names[2]]);
    assert_eq!(listed(&system), 4);
}

#[test]
fn what_is_pinned_or_newest_or_unconfirmed_is_not_deleted() {
    let (system, names) = three_nights();
    system.ok(&["pin", &names[0]]).shows("is pinned");
    assert_eq!(system.json(&["show", &names[0]])["pinned"], true);
    system.ok(&["list"]).shows("(pinned)");
    system.run(&["forget", "--force", &names[1], &names[0]]).ended(1).says("is pinned");
    system.run(&["forget", &names[2]]).ended(2).says("newest complete");
    system.run(&["forget", &names[1]]).ended(2).says("nobody is there to confirm");
    system.run(&["forget"]).ended(2);
    assert_eq!(listed(&system), 3);
    system.ok(&["unpin", &names[0]]).shows("not pinned");
    assert_eq!(system.json(&["list"])[2]["pinned"], false);
    system.ok(&["forget", "--force", &names[0]]);
    system.run(&["pin", &names[0]]).ended(6);
    assert_eq!(listed(&system), 2);
}
