//! Pruning from outside: what is kept comes back byte for byte, what goes frees its space, and what is not understood stops it.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::support::{DAMAGE, Numbers, PARTIAL, Run, System, is_temporary, noise, scatter, watch};

const FILE: &str = "models/data";
/// More than any block may need to be decoded before it.
const NIGHTS: usize = 12;
/// What keeps the last one alone.
const LAST: [&str; 9] = ["prune", "--force", "--daily", "0", "--weekly", "0", "--monthly", "0", "--keep-last=1"];

fn names(system: &System) -> Vec<String> {
    let list = system.json(&["list"]);
    let names = list.as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name").to_owned());
    names.collect()
}

/// A prune that keeps the last so many.
fn keep_last(system: &System, count: usize) -> Run {
    let mut arguments = LAST.map(str::to_owned).to_vec();
    arguments.pop();
    arguments.push(format!("--keep-last={count}"));
    system.run(&arguments)
}

/// A night: the name of the snapshot, and what it has of each file.
struct Night {
    name: String,
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Night {
    fn take(system: &System, files: &[&'static str]) -> Self {
        let files = files.iter().filter(|file| system.exists(file)).map(|file| (*file, system.read(file))).collect();
        Self { name: system.create(), files }
    }

    fn assert_whole(&self, system: &System, what: &str) {
        let out = system.path("saved");
        let _ = fs::remove_dir_all(&out);
        system.ok(&["restore", &self.name, "--target", &out.to_string_lossy()]);
        for (file, bytes) in &self.files {
            assert!(system.read(format!("saved/{file}")) == *bytes, "{what}: {file} of {}", self.name);
        }
    }
}

/// Every night comes back, and nothing in the repository is missing or wrong.
fn assert_whole<'a>(system: &System, nights: impl IntoIterator<Item = &'a Night>, what: &str) {
    let run = system.run(&["verify", "--all", "--read-data"]);
    assert_eq!(run.code, 0, "{what}: {run:?}");
    let left: Vec<_> = system.objects("").into_iter().filter(|path| is_temporary(path)).collect();
    assert!(left.is_empty(), "{what}: {left:?}");
    nights.into_iter().for_each(|night| night.assert_whole(system, what));
}

#[test]
fn what_is_kept_of_a_chain_at_the_bound_comes_back_and_the_rest_is_freed() {
    let system = System::new();
    let (mut bytes, mut nights) = (noise(1 << 20, 1), Vec::new());
    for night in 0..NIGHTS {
        system.write(FILE, &bytes);
        system.write("outputs/one", noise(400_000, 100 + night as u64));
        nights.push(Night::take(&system, &[FILE, "outputs/one"]));
        scatter(&mut bytes, night as u64);
    }
    let before = system.packs_bytes();
    for keep in [NIGHTS - 1, 5, 2, 1] {
        keep_last(&system, keep).ended(0);
        nights.drain(..nights.len() - keep);
        assert_eq!(names(&system).len(), keep);
        assert_whole(&system, &nights, &format!("{keep} kept"));
    }
    // The last night needs the first one's file, and what changed in it since.
    let after = system.packs_bytes();
    assert!(after < before - 10 * 400_000, "{after} of {before} bytes are left");

    // And the chain goes on.
    system.write(FILE, &bytes);
    nights.push(Night::take(&system, &[FILE]));
    assert!(system.packs_bytes() - after < 100_000, "{} bytes of another night", system.packs_bytes() - after);
    assert_whole(&system, &nights, "a night more");
}

/// Blocks that nothing uses stay in packs that are mostly used. Before bases of such blocks were kept too, a file that came
/// back was found in them, and could not be read.
#[test]
fn what_comes_back_after_its_snapshot_was_deleted_is_whole() {
    let system = System::new();
    let mut bytes = noise(2 << 20, 1);
    system.write(FILE, &bytes);
    system.create();
    scatter(&mut bytes, 1);
    system.write(FILE, &bytes);
    system.write("models/large", noise(4 << 20, 2));
    system.create();
    fs::remove_file(system.path(FILE)).expect("the file is ours");
    let third = Night::take(&system, &["models/large"]);
    system.ok(&LAST);
    system.write(FILE, &bytes);
    let fourth = Night::take(&system, &[FILE, "models/large"]);
    assert_whole(&system, [&third, &fourth], "a file that came back");
}

/// Each night changes every chunk, so that the last night's deltas need all nights before. Kept alone it takes no more than
/// it would have taken as the first one.
#[test]
fn deltas_whose_bases_only_they_need_are_stored_without_them() {
    let (system, fresh) = (System::new(), System::new());
    let mut lines: Vec<u64> = (0..80_000).collect();
    let text = |lines: &[u64]| {
        let line = |number: &u64| format!("{:016x} a line of a text\n", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        lines.iter().map(line).collect::<String>()
    };
    let mut nights = Vec::new();
    for night in 0..8_usize {
        for number in (night..lines.len()).step_by(16) {
            lines[number] = lines[number].wrapping_mul(7).wrapping_add(1 << 20);
        }
        system.write(FILE, text(&lines));
        nights.push(Night::take(&system, &[FILE]));
    }
    fresh.write(FILE, text(&lines));
    fresh.create();
    let before = system.packs_bytes();
    let planned = system.json(&[&LAST[..], &["--dry-run"]].concat());
    let report = system.json(&LAST);
    let (after, least) = (system.packs_bytes(), fresh.packs_bytes());
    assert!(after < least * 21 / 20, "{before} bytes became {after}, where {least} would do");
    let planned = planned["bytes_after"].as_u64().expect("bytes");
    let reached = report["bytes_after"].as_u64().expect("bytes");
    assert!(planned.abs_diff(reached) < least / 6, "{planned} were planned, {reached} are there");
    assert_whole(&system, &nights[7..], "the last night alone");
    let again = system.json(&LAST);
    assert_eq!((&again["packs_deleted"], &again["bytes_written"]), (&0.into(), &0.into()), "{again}");
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
            let at = numbers.below(bytes.len());
            bytes.splice(at..at, run);
        }
    }
}

#[test]
fn any_history_of_edits_and_prunes_keeps_what_it_keeps() {
    const FILES: [&str; 4] = ["models/data", "models/other", "config/small", "outputs/late"];
    for seed in 0..6 {
        let (system, mut numbers) = (System::new(), Numbers(seed + 40));
        let mut states: Vec<Vec<u8>> = (0..4).map(|file| noise(150_000 + 50_000 * file, seed + file as u64)).collect();
        let (mut nights, mut kept_aside) = (Vec::<Night>::new(), states.clone());
        for step in 0..14 {
            let what = format!("seed {seed}, step {step}");
            for (file, bytes) in FILES.iter().zip(&mut states) {
                match numbers.below(6) {
                    // What was there earlier comes back.
                    0 => std::mem::swap(bytes, &mut kept_aside[numbers.below(4)]),
                    1 => kept_aside[numbers.below(4)].clone_from(bytes),
                    _ => (0..numbers.below(5)).for_each(|_| edit(bytes, &mut numbers)),
                }
                system.write(file, &*bytes);
            }
            if numbers.below(4) == 0 {
                // A component that has nothing any more is an error.
                fs::remove_file(system.path(FILES[numbers.below(2)])).expect("the file is ours");
            }
            nights.push(Night::take(&system, &FILES));
            // The names of collected snapshots are given again.
            nights.sort_by(|a, b| a.name.cmp(&b.name));
            match numbers.below(4) {
                0 => {
                    let keep = 1 + numbers.below(nights.len());
                    keep_last(&system, keep).ended(0);
                    nights.drain(..nights.len() - keep);
                    assert_whole(&system, &nights, &what);
                }
                1 => {
                    let gone = nights.remove(numbers.below(nights.len()));
                    system.ok(&["forget", "--force", &gone.name]);
                    match numbers.below(3) {
                        0 => {
                            system.ok(&["undelete", &gone.name]);
                            nights.push(gone);
                            nights.sort_by(|a, b| a.name.cmp(&b.name));
                        }
                        1 => {
                            keep_last(&system, 100).ended(0);
                            assert_whole(&system, &nights, &what);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        assert_whole(&system, &nights, &format!("seed {seed}, the end"));
        let again = system.json(&["prune", "--force", "--keep-last", "100"]);
        assert_eq!(again["deleted"].as_array().map(Vec::len), Some(0), "{again}");
        // What one has written anew may show the next one what is cheaper; that comes to an end.
        let is_done = |_| {
            let again = system.json(&["prune", "--force", "--keep-last", "100"]);
            (&again["packs_deleted"], &again["bytes_written"]) == (&0.into(), &0.into())
        };
        assert!((0..3).any(is_done), "seed {seed}");
    }
}

#[test]
fn a_dry_run_says_what_a_prune_does_and_changes_nothing() {
    let system = System::new();
    for night in 0..4 {
        system.write(FILE, noise(300_000, night));
        system.create();
    }
    let before = system.objects("");
    let mut arguments = LAST.to_vec();
    arguments.push("--dry-run");
    let planned = system.json(&arguments);
    assert_eq!(system.objects(""), before);
    system.ok(&arguments).shows("no rule keeps it").shows("newest complete").shows("Dry run");
    let done = system.json(&LAST);
    assert_eq!(planned["snapshots"], done["snapshots"]);
    assert_eq!(done["deleted"].as_array().map(Vec::len), Some(3));
    let bytes = |document: &serde_json::Value, field: &str| document[field].as_u64().expect("bytes");
    assert_eq!(bytes(&planned, "bytes_before"), bytes(&done, "bytes_before"));
    let (planned, done) = (bytes(&planned, "bytes_after"), bytes(&done, "bytes_after"));
    assert!(planned.abs_diff(done) < 20_000, "{planned} bytes were planned, {done} are there");
    assert!(done < 340_000, "{done} bytes for one night of 300,000");
}

#[test]
fn pinned_and_tagged_ones_stay_and_others_come_back_until_they_are_collected() {
    let system = System::new();
    let mut nights = Vec::new();
    for night in 0..5 {
        system.write(FILE, noise(200_000, night));
        if night == 2 {
            let report = system.json(&["create", "--tag", "upgrade"]);
            let name = report["name"].as_str().expect("a name").to_owned();
            nights.push(Night { name, files: vec![(FILE, system.read(FILE))] });
        } else {
            nights.push(Night::take(&system, &[FILE]));
        }
    }
    system.ok(&["pin", &nights[0].name]).shows("is pinned");
    system.ok(&["list"]).shows("(pinned)");
    system.run(&["forget", "--force", &nights[0].name]).ended(1).says("is pinned");
    system.ok(&[&LAST[..], &["--keep-tag", "upgrade"]].concat());
    assert_eq!(names(&system), [&nights[4].name, &nights[2].name, &nights[0].name].map(Clone::clone));
    assert_whole(&system, [&nights[0], &nights[2], &nights[4]], "pinned and tagged");
    system.run(&["undelete", &nights[1].name]).ended(6);

    system.ok(&["unpin", &nights[0].name]);
    assert_eq!(system.json(&["show", &nights[0].name])["pinned"], false);
    system.ok(&["forget", "--force", &nights[0].name]);
    system.ok(&["list"]).says("1 deleted snapshot can still be brought back");
    system.ok(&["undelete", &nights[0].name]).shows("is back");
    assert_whole(&system, [&nights[0]], "brought back");
    system.ok(&["forget", "--force", &nights[0].name]);
    keep_last(&system, 9).ended(0);
    system.run(&["undelete", &nights[0].name]).ended(6);
    assert_whole(&system, [&nights[2], &nights[4]], "collected");
}

#[test]
fn the_oldest_go_until_the_repository_fits_and_the_newest_never() {
    let system = System::new();
    let mut nights = Vec::new();
    for night in 0..5 {
        system.write(FILE, noise(1_000_000, night));
        nights.push(Night::take(&system, &[FILE]));
    }
    system.ok(&["pin", &nights[1].name]);
    let size = |gb: &str| system.run(&["prune", "--force", "--keep-last", "9", "--max-size-gb", gb]);
    size("0.0042")
        .ended(PARTIAL)
        .shows("the repository is too large, though last")
        .says("1 snapshot that rules keep goes");
    assert_eq!(names(&system).len(), 4, "one of the five is too much");
    assert!(!names(&system).contains(&nights[0].name));
    size("0.0021").ended(PARTIAL);
    assert_eq!(names(&system), [&nights[4].name, &nights[1].name].map(Clone::clone));
    assert!(system.packs_bytes() < 2_100_000);
    size("0.0000001").ended(PARTIAL).says("stays larger than it may be");
    assert_eq!(names(&system).len(), 2);
    assert_whole(&system, [&nights[1], &nights[4]], "what fits");
}

/// A pack that is mostly in use stays as it is, unless the repository is too large with it.
#[test]
fn what_is_not_in_use_goes_before_a_snapshot_does() {
    let system = System::new();
    system.write("models/a", noise(250_000, 1));
    system.write("models/b", noise(750_000, 2));
    system.create();
    fs::remove_file(system.path("models/a")).expect("it is ours");
    let nights = [Night::take(&system, &["models/b"]), Night::take(&system, &["models/b"])];
    let prune = |gb: &str| system.json(&["prune", "--force", "--keep-last", "2", "--daily", "0", "--max-size-gb", gb]);
    let large = prune("0.00102");
    assert_eq!((&large["fits"], &large["bytes_written"]), (&true.into(), &0.into()), "{large}");
    let small = prune("0.0009");
    assert_eq!(small["fits"], true, "{small}");
    assert!(small["bytes_after"].as_u64().is_some_and(|bytes| bytes < 900_000), "{small}");
    assert_eq!(names(&system).len(), 2);
    assert_whole(&system, &nights, "what fits");
}

#[test]
fn what_nobody_confirms_and_what_makes_no_sense_is_refused() {
    let system = System::new();
    for night in 0..3 {
        system.write(FILE, noise(1_000, night));
        system.create();
    }
    let three = names(&system);
    let without_force: Vec<&str> = LAST.into_iter().filter(|word| *word != "--force").collect();
    system.run(&without_force).ended(2).says("nobody is there to confirm");
    system.run(&["forget", &three[2]]).ended(2).says("nobody is there to confirm");
    system.run(&["forget", &three[0]]).ended(2).says("newest complete");
    let nothing = ["prune", "--force", "--daily", "0", "--weekly", "0", "--monthly", "0"];
    system.run(&nothing).ended(2).says("keeps nothing");
    for wrong in [&["--daily=-1"][..], &["--keep-within", "5"], &["--max-repack-size", "much"], &["--max-size-gb=-1"]] {
        let run = system.run(&[&["prune", "--force"], wrong].concat());
        assert_eq!(run.code, 2, "{wrong:?}: {run:?}");
    }
    let run = Run::of(system.command(&["prune", "--force"]).env("BACKUP_RETENTION_DAILY", "many"));
    run.ended(2).says("BACKUP_RETENTION_DAILY");
    system.run(&["forget", "--force", "nothing"]).ended(6);
    system.write("larder.toml", "[retention]\ndaily = 0\nweekly = 0\nmonthly = 0\n");
    system.run(&["prune", "--force"]).ended(2).says("keeps nothing");
    fs::remove_file(system.path("larder.toml")).expect("ours");
    assert_eq!(names(&system), three, "nothing was deleted");
    // What has nothing to delete needs no question.
    system.ok(&["prune", "--keep-last", "9"]);
    let run = Run::of(system.command(&["prune", "--force"]).env("BACKUP_RETENTION_DAILY", "1"));
    run.ended(0);
    assert_eq!(names(&system), three[..1]);
}

#[test]
fn what_is_not_understood_stops_it() {
    let system = System::new();
    for night in 0..3 {
        system.write(FILE, noise(300_000, night));
        system.create();
    }
    let all = names(&system);
    let manifest = system.path("backups/snapshots").join(&all[1]);
    let packs = system.packs();
    let newest_pack = packs.iter().max_by_key(|pack| pack.metadata().expect("a pack").modified().expect("a time"));
    let segment = system.objects("index/").into_iter().next().expect("a segment");
    for harmed in [&manifest, newest_pack.expect("a pack"), &segment] {
        let bytes = fs::read(harmed).expect("read");
        fs::write(harmed, &bytes[..bytes.len() / 2]).expect("it is ours");
        let objects = system.objects("");
        let run = system.run(&LAST);
        assert_eq!(run.code, DAMAGE, "{}: {run:?}", harmed.display());
        assert_eq!(system.objects(""), objects, "{}: nothing is deleted", harmed.display());
        fs::write(harmed, bytes).expect("it is ours");
    }
    // A snapshot that cannot be read can be given up by name.
    fs::write(&manifest, "no manifest").expect("it is ours");
    system.run(&LAST).ended(DAMAGE).says(&all[1]);
    system.ok(&["forget", "--force", &all[1]]);
    system.ok(&LAST);
    assert_eq!(names(&system), all[..1]);
    system.ok(&["verify", "--all", "--read-data"]);
}

/// A pack that something is wrong in stays, and is named; what else goes is deleted all the same.
#[test]
fn a_damaged_chunk_is_never_copied() {
    let system = System::new();
    system.write("models/a", noise(600_000, 1));
    system.write("models/b", noise(200_000, 2));
    system.create();
    let pack = system.packs().into_iter().max_by_key(|pack| pack.metadata().expect("a pack").len()).expect("a pack");
    fs::remove_file(system.path("models/a")).expect("it is ours");
    system.create();
    let mut bytes = fs::read(&pack).expect("the pack");
    // All chunks of `a` come first, and then those of `b`.
    bytes[700_000] ^= 1;
    fs::write(&pack, &bytes).expect("the pack is ours");
    let run = system.run(&LAST);
    run.ended(DAMAGE).says("stays as it is, because it is damaged");
    assert!(fs::read(&pack).expect("it is still there") == bytes);
    bytes[700_000] ^= 1;
    fs::write(&pack, &bytes).expect("the pack is ours");
    system.ok(&LAST);
    assert!(!pack.exists());
    assert!(system.packs_bytes() < 220_000);
    system.ok(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]);
    assert!(system.read("out/models/b") == noise(200_000, 2));
    system.ok(&["verify", "--all", "--read-data"]);
}

#[test]
fn small_packs_are_merged_and_writing_is_bounded() {
    let system = System::new();
    let mut nights = Vec::new();
    for night in 0..NIGHTS {
        system.write(format!("models/{night}"), noise(100_000, night as u64));
        nights.push(Night::take(&system, &["models/0", "models/5"]));
    }
    assert!(system.packs().len() >= 2 * NIGHTS);
    let report = system.json(&["prune", "--force", "--keep-last", "99", "--max-repack-size", "0"]);
    assert_eq!(report["bytes_written"], 0, "{report}");
    system.ok(&["prune", "--force", "--keep-last", "99"]);
    assert_eq!(system.packs().len(), 2, "one of data, one of trees");
    assert_whole(&system, &nights, "merged");
}

/// A backup that goes on all the time keeps everything where it is.
#[test]
fn beside_a_running_backup_nothing_is_deleted_and_nothing_is_lost() {
    let system = System::new();
    let mut nights = Vec::new();
    for night in 0..3 {
        system.write(FILE, noise(300_000, night));
        nights.push(Night::take(&system, &[FILE]));
    }
    let mut backup = system.command(&["create", "--stdin", "stream"]);
    let mut backup = backup.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start");
    let mut stream = backup.stdin.take().expect("its standard input");
    stream.write_all(&noise(300_000, 0)).expect("it reads");
    watch(&mut backup, "it had its lock", || system.objects("locks/").len() >= 2);
    let packs = system.packs();
    let run = system.run(&LAST);
    run.ended(PARTIAL).says("the space is freed by the next prune");
    assert!(packs.iter().all(|pack| pack.exists()));
    nights[2].assert_whole(&system, "beside a backup");
    // What was deleted is not collected, so it can be brought back.
    system.ok(&["undelete", &nights[1].name]);
    drop(stream);
    assert_eq!(backup.wait().expect("it ends").code(), Some(0));
    let bytes = system.packs_bytes();
    system.ok(&["prune", "--force", "--keep-last", "9"]);
    assert_eq!(names(&system).len(), 3);
    assert!(system.packs_bytes() < bytes + 1_000, "the first night's data is the stream's now");
    assert_whole(&system, &nights[1..], "after the backup");
    let out = system.path("out");
    system.ok(&["restore", "latest@stream", "--target", &out.to_string_lossy()]);
    assert!(system.read("out/stream") == noise(300_000, 0));
}
