//! Files that change a little each night: almost nothing is stored for them, every night comes back, and what a night needs
//! of earlier ones is known.

use std::fs;

use super::support::{DAMAGE, Numbers, System, noise, scatter};

const FILE: &str = "models/data";
/// More than any block may need to be decoded before it.
const NIGHTS: usize = 12;

/// The file as the night has it.
fn saved(system: &System, night: &str) -> Vec<u8> {
    let out = system.path("saved");
    let _ = fs::remove_dir_all(&out);
    system.ok(&["restore", night, "--target", &out.to_string_lossy()]);
    system.read(format!("saved/{FILE}"))
}

#[test]
fn a_night_of_small_changes_costs_almost_nothing_and_comes_back() {
    let system = System::new();
    let mut bytes = noise(2 << 20, 1);
    let mut nights = Vec::new();
    for night in 0..NIGHTS {
        system.write(FILE, &bytes);
        let before = system.packs_bytes();
        nights.push((system.create(), bytes.clone()));
        let stored = system.packs_bytes() - before;
        assert!(night == 0 || stored < 60_000, "{stored} bytes of night {night}");
        scatter(&mut bytes, night as u64);
    }
    for (name, bytes) in &nights {
        assert!(saved(&system, name) == *bytes, "{name}");
    }
    system.ok(&["verify", "--all", "--read-data"]);

    system.write(FILE, &bytes);
    let before = system.packs_bytes();
    system.ok(&["create", "--no-delta"]);
    assert!(system.packs_bytes() - before > 1 << 20, "without deltas most of it is stored again");
}

/// Chains end where they are as deep as they may be. They were not begun anew then: each later night was encoded against the
/// same old one, from which it differed more and more.
#[test]
fn nights_after_the_deepest_one_cost_little_too() {
    let system = System::new();
    let mut rows: Vec<Vec<u8>> = (0..8_000).map(row).collect();
    let mut numbers = Numbers(7);
    let mut stored = Vec::new();
    for night in 0..28_u64 {
        system.write(FILE, rows.concat());
        let before = system.packs_bytes();
        system.ok(&["create"]);
        stored.push(system.packs_bytes() - before);
        for changed in 0..160 {
            let at = numbers.below(rows.len());
            rows[at] = row(1_000_000 * (night + 1) + changed);
        }
    }
    let mean = |nights: &[u64]| nights.iter().sum::<u64>() / nights.len() as u64;
    let (early, late) = (mean(&stored[1..8]), mean(&stored[12..]));
    assert!(late < 4 * early, "{late} bytes a night after {early}: {stored:?}");
    assert!(saved(&system, "latest") == system.read(FILE));
    system.ok(&["verify", "--all", "--read-data"]);
}

/// A row of a table, with a text of its own.
fn row(number: u64) -> Vec<u8> {
    let text = noise(190, number).into_iter().map(|byte| b'a' + byte % 16);
    number.to_string().into_bytes().into_iter().chain(text).chain(*b"\n").collect()
}

#[test]
fn any_sequence_of_edits_comes_back() {
    for seed in 0..4 {
        let system = System::new();
        let mut numbers = Numbers(seed);
        let mut bytes = [noise(400_000, seed), b"a line of text\n".repeat(20_000)].concat();
        let mut nights = Vec::new();
        for _ in 0..NIGHTS {
            for _ in 0..numbers.below(8) {
                edit(&mut bytes, &mut numbers);
            }
            system.write(FILE, &bytes);
            system.write("config/small", &bytes[..numbers.below(3_000).min(bytes.len())]);
            nights.push((system.create(), bytes.clone()));
        }
        for (name, bytes) in &nights {
            assert!(saved(&system, name) == *bytes, "{name} with seed {seed}");
        }
        system.ok(&["verify", "--all", "--read-data"]);
    }
}

/// Inserts, deletes, overwrites or moves a run of bytes.
fn edit(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let (start, len) = (numbers.below(bytes.len()), numbers.below(60_000));
    let end = (start + len).min(bytes.len());
    match numbers.below(4) {
        0 => drop(bytes.splice(start..start, noise(len, start as u64))),
        1 => drop(bytes.drain(start..end)),
        2 => bytes[start..end].copy_from_slice(&noise(end - start, len as u64)),
        _ => {
            let run: Vec<u8> = bytes.drain(start..end).collect();
            let to = numbers.below(bytes.len());
            bytes.splice(to..to, run);
        }
    }
}

/// Three nights, of which the later ones are encoded against the first, and a file that has nothing to do with them.
fn three_nights() -> (System, Vec<(String, Vec<u8>)>) {
    let system = System::new();
    let mut bytes = noise(1 << 20, 3);
    let mut nights = Vec::new();
    for night in 0..3 {
        system.write(FILE, &bytes);
        if night == 1 {
            system.write("models/other", noise(300_000, 9));
        }
        nights.push((system.create(), bytes.clone()));
        scatter(&mut bytes, night);
    }
    system.write(FILE, &nights[2].1);
    (system, nights)
}

#[test]
fn what_depends_on_a_lost_base_is_named_and_stored_anew() {
    let (system, nights) = three_nights();
    let largest = system.packs().into_iter().max_by_key(|pack| pack.metadata().expect("a pack").len());
    let base = largest.expect("a pack");
    let kept = system.path("kept");
    fs::rename(&base, &kept).expect("the pack is ours");
    let found = system.run(&["verify", "--all"]);
    found.ended(DAMAGE);
    for (name, _) in &nights {
        assert!(found.stdout.contains(&format!("LOST {name}:{FILE}")), "{name} is lost: {found:?}");
    }
    assert!(!found.stdout.contains("models/other"), "{found:?}");

    // Unchanged, and yet stored again: what the index has of it cannot be decoded.
    let again = system.create();
    assert!(saved(&system, &again) == nights[2].1);
    system.ok(&["verify", &again, "--read-data"]);
    // With the lost pack back, everything is whole.
    fs::rename(&kept, &base).expect("the pack is ours");
    system.ok(&["verify", "--all", "--read-data"]);
    for (name, bytes) in &nights {
        assert!(saved(&system, name) == *bytes, "{name}");
    }
}

#[test]
fn what_depends_on_a_damaged_base_is_named_and_nothing_new_depends_on_it() {
    let (system, nights) = three_nights();
    let largest = system.packs().into_iter().max_by_key(|pack| pack.metadata().expect("a pack").len());
    let base = largest.expect("a pack");
    let mut bytes = fs::read(&base).expect("the pack");
    bytes.iter_mut().skip(200_000).step_by(50_000).for_each(|byte| *byte ^= 1);
    fs::write(&base, bytes).expect("the pack is ours");
    let found = system.run(&["verify", "--all", "--read-data"]);
    found.ended(DAMAGE);
    for (name, _) in &nights {
        assert!(found.stdout.contains(&format!("LOST {name}:{FILE}")), "{name} is lost: {found:?}");
    }
    assert!(!found.stdout.contains("models/other"), "{found:?}");
    let damaged = found.stdout.lines().filter(|line| line.starts_with("DAMAGED packs/")).count();
    assert_eq!(damaged, 1, "packs that only need it are whole: {found:?}");

    let mut changed = nights[2].1.clone();
    changed.chunks_mut(4_000).for_each(|part| part[0] ^= 0x33);
    system.write(FILE, &changed);
    let again = system.create();
    assert!(saved(&system, &again) == changed, "every chunk of it is new, and none needs what is damaged");
}

/// A lost index is made again from packs of which some need others.
#[test]
fn packs_that_need_others_are_adopted_after_them() {
    let (system, nights) = three_nights();
    for segment in system.objects("index/") {
        fs::remove_file(segment).expect("the segment is ours");
    }
    system.create();
    system.ok(&["verify", "--all", "--read-data"]);
    for (name, bytes) in &nights {
        assert!(saved(&system, name) == *bytes, "{name}");
    }
}

/// What a file was before may have been something else, or nothing.
#[test]
fn a_name_that_changes_what_it_is_comes_back() {
    let system = System::new();
    system.write(FILE, noise(300_000, 1));
    system.create();
    fs::remove_file(system.path(FILE)).expect("the file is ours");
    system.write(format!("{FILE}/inner"), noise(300_000, 1));
    let folder = system.create();
    fs::remove_dir_all(system.path(FILE)).expect("the folder is ours");
    system.write(FILE, b"");
    let empty = system.create();
    system.write(FILE, noise(300_000, 2));
    let full = system.create();
    assert!(saved(&system, &empty).is_empty());
    assert!(saved(&system, &full) == noise(300_000, 2));
    system.ok(&["restore", &folder, "--target", &system.path("saved").to_string_lossy()]);
    assert!(system.read(format!("saved/{FILE}/inner")) == noise(300_000, 1));
}

/// The same data under another name has no older state to compare with, and is stored already.
#[test]
fn a_component_that_is_renamed_or_changes_its_kind_comes_back() {
    let system = System::new();
    let bytes = noise(1 << 20, 5);
    system.write(FILE, &bytes);
    let first = system.create();
    fs::rename(system.path("models"), system.path("networks")).expect("the folder is ours");
    system.write("larder.toml", "[directories]\nnetworks = \"networks\"\n");
    let before = system.packs_bytes();
    let renamed = system.json(&["create", "--drop", "models"])["name"].as_str().expect("a name").to_owned();
    assert!(system.packs_bytes() - before < 10_000, "only a tree is new");
    // What was a directory is the output of a command, and a directory again.
    system.ok(&["create", "--command", "networks", "--", "cat", &system.path("networks/data").to_string_lossy()]);
    let again = system.create();
    for (night, file) in [(&first, FILE), (&renamed, "networks/data"), (&again, "networks/data")] {
        let out = system.path("saved");
        let _ = fs::remove_dir_all(&out);
        system.ok(&["restore", night, "--target", &out.to_string_lossy()]);
        assert!(system.read(format!("saved/{file}")) == bytes, "{night}");
    }
    system.ok(&["verify", "--all", "--read-data"]);
}
