//! What the repository saves: figures that add up, nights that are what they are in each way, charts, and simulated systems.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use serde_json::Value;

use super::support::{DAMAGE, System, noise};

const WAYS: [&str; 4] = ["copies_bytes", "dedup_bytes", "compressed_bytes", "stored_bytes"];
const SIMULATION: [&str; 7] = ["savings", "--simulate", "3", "--rows", "300", "--no-postgres", "--quiet"];

/// Lines that compress, the same for the same seed.
fn text(lines: usize, seed: u64) -> Vec<u8> {
    let bytes = noise(lines * 4, seed);
    let line = |four: &[u8]| format!("{} of the dump has {} and {}\n", four[0], four[1], u16::from(four[2]) * 7);
    bytes.chunks_exact(4).flat_map(|four| line(four).into_bytes()).collect()
}

fn bytes(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn ways(value: &Value) -> [u64; 4] {
    WAYS.map(|way| bytes(value, way))
}

/// Everything adds up: components to nights, nights to the total, and that with the rest to what `stats` says.
fn assert_sums(system: &System, savings: &Value) {
    let sum =
        |list: &Value, key: &str| list.as_array().expect("a list").iter().map(|part| bytes(part, key)).sum::<u64>();
    for key in WAYS.into_iter().chain(["bytes", "chunks"]) {
        for night in savings["nights"].as_array().expect("a list") {
            assert_eq!(sum(&night["components"], key), bytes(night, key), "{key} of {night}");
        }
        assert_eq!(sum(&savings["nights"], key), bytes(&savings["total"], key), "{key}");
        assert_eq!(sum(&savings["components"], key), bytes(&savings["total"], key), "{key}");
    }
    let whole = bytes(savings, "repository_bytes");
    assert_eq!(bytes(&savings["total"], "stored_bytes") + bytes(savings, "other_bytes"), whole);
    assert_eq!(whole, bytes(&system.json(&["stats"]), "stored_bytes"));
}

/// A system whose file changes in a hundred places between two nights.
fn changed_system(arguments: &[&str]) -> (System, Value) {
    let system = System::new();
    let mut file = text(60_000, 1);
    system.write("models/data", &file);
    system.write("config/settings", "a: 1\n");
    system.create();
    for place in (0..file.len()).step_by(file.len() / 100) {
        file[place] = b'#';
    }
    system.write("models/data", &file);
    system.ok(&[&["create"], arguments].concat());
    let savings = system.json(&["savings"]);
    (system, savings)
}

#[test]
fn deltas_save_what_compression_alone_does_not() {
    let (system, savings) = changed_system(&[]);
    assert_sums(&system, &savings);
    let [copies, dedup, compressed, stored] = ways(&savings["nights"][1]);
    assert!(stored * 5 < compressed, "{savings}");
    assert!(compressed * 2 < dedup, "{savings}");
    // Nearly every chunk is another one, so a copy is about as large as all that is new.
    assert!(compressed <= copies && copies < compressed * 5 / 4, "{savings}");
    let [whole, other] = ["repository_bytes", "other_bytes"].map(|key| bytes(&savings, key));
    assert!(other < whole / 10, "nearly all is chunks: {savings}");
    let [first_copies, first_dedup, first_compressed, first_stored] = ways(&savings["nights"][0]);
    assert_eq!(
        (first_copies, first_compressed),
        (first_stored, first_stored),
        "there is nothing before the first night"
    );
    assert!(first_dedup >= bytes(&savings["nights"][0], "bytes"));
    // The second night is the first one but for a hundred bytes.
    assert!(copies.abs_diff(first_copies) < first_copies / 20, "{savings}");
}

#[test]
fn without_deltas_compressed_is_stored() {
    let (system, savings) = changed_system(&["--no-delta"]);
    assert_sums(&system, &savings);
    let [copies, dedup, compressed, stored] = ways(&savings["nights"][1]);
    assert_eq!(compressed, stored);
    assert!(stored > 100_000 && dedup > stored && copies >= stored, "{savings}");
}

#[test]
fn the_sample_is_near_to_what_compression_would_have_made() {
    let [_, _, measured, _] = ways(&changed_system(&[]).1["nights"][1]);
    let [_, _, exact, _] = ways(&changed_system(&["--no-delta"]).1["nights"][1]);
    assert!(measured.abs_diff(exact) < exact / 20, "{measured} and {exact}");
}

#[test]
fn an_unchanged_night_costs_a_full_copy_and_nothing_else() {
    let system = System::new();
    system.write("models/data", text(20_000, 2));
    for number in 0..300 {
        system.write(format!("config/{}/{number}", number % 7), format!("number: {number}\n"));
    }
    // Files that were written a moment before are marked as such on the first night, and no more on the second.
    system.create();
    system.create();
    system.create();
    // The same tree again, as one that has to be walked: something else beside it is new.
    system.write("config/new", "new\n");
    system.create();
    let savings = system.json(&["savings"]);
    assert_sums(&system, &savings);
    let [second, third, last] = [1, 2, 3].map(|night| ways(&savings["nights"][night]));
    assert_eq!(third, [second[0], 0, 0, 0]);
    assert!(last[0].abs_diff(second[0]) < second[0] / 10 && last[1] < 10_000, "{savings}");
    assert_eq!(savings, system.json(&["savings"]), "the same at every run");
}

#[test]
fn a_long_file_beside_a_changed_one_is_in_every_full_copy() {
    let system = System::new();
    // More chunks than a node lists itself.
    system.write("models/long", noise(12 << 20, 4));
    for night in 0..3 {
        system.write("models/short", format!("night {night}"));
        system.create();
    }
    let savings = system.json(&["savings"]);
    assert_sums(&system, &savings);
    for night in 1..3 {
        let [copies, dedup, ..] = ways(&savings["nights"][night]);
        assert!(copies > 12 << 20 && dedup < 10_000, "{savings}");
    }
}

#[test]
fn what_two_components_have_belongs_to_the_first() {
    let system = System::new();
    system.write("models/data", noise(300_000, 3));
    system.write("outputs/data", noise(300_000, 3));
    system.create();
    let savings = system.json(&["savings"]);
    assert_sums(&system, &savings);
    let [models, outputs] = [0, 1].map(|component| ways(&savings["components"][component]));
    assert!(models[1] >= 300_000 && outputs[1] < 10_000, "{savings}");
    assert!(outputs[0] >= 300_000, "a full copy has it twice: {savings}");
}

#[test]
fn what_is_damaged_is_left_out_and_named() {
    let (system, _) = changed_system(&[]);
    for pack in system.packs() {
        let mut bytes = fs::read(&pack).expect("a pack");
        let middle = bytes.len() / 3;
        bytes[64..middle].fill(0xee);
        fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).expect("our own file");
        fs::write(&pack, bytes).expect("our own file");
    }
    let run = system.run(&["savings", "--json"]);
    assert_eq!(run.code, DAMAGE, "{run:?}");
    assert!(run.stderr.contains("left out of the figures: models of system_backup_"), "{run:?}");
    let savings = run.json();
    assert!(!savings["damage"].as_array().expect("a list").is_empty());
    assert_sums(&system, &savings);
}

#[test]
fn where_there_is_nothing_to_add_up() {
    let system = System::new();
    system.run(&["savings"]).ended(1).says("no repository").says("larder create");
    system.write("models/one", "one");
    system.create();
    for name in system.objects("snapshots/") {
        fs::remove_file(name).expect("our own file");
    }
    system.run(&["savings"]).ended(6).says("there are no snapshots yet");
}

#[test]
fn arguments_that_make_no_sense() {
    let system = System::new();
    for (arguments, says) in [
        (["--simulate", "0"], "1..=366"),
        (["--simulate", "367"], "1..=366"),
        (["--rows", "10"], "--simulate"),
        (["--update", "2"], "--simulate"),
        (["--insert", "2"], "--simulate"),
        (["--no-postgres", "-q"], "--simulate"),
    ] {
        system.run(&[["savings"].as_slice(), &arguments].concat()).ended(2).says(says);
    }
    for (arguments, says) in [
        (["--rows", "0"], "1..=10000000"),
        (["--rows", "10000001"], "1..=10000000"),
        (["--update", "100.1"], "0 and 100"),
        (["--update", "NaN"], "0 and 100"),
        (["--update=-1", "-q"], "0 and 100"),
        (["--insert", "inf"], "0 and 1000"),
        (["--insert", "1000.5"], "0 and 1000"),
        (["--insert", "much"], "no number"),
    ] {
        system.run(&[["savings", "--simulate", "2"].as_slice(), &arguments].concat()).ended(2).says(says);
    }
    let many = ["savings", "--simulate", "366", "--rows", "1000000", "--insert", "100"];
    system.run(&many).ended(2).says("366000000 rows").says("--insert");
}

#[test]
fn a_chart_is_written_beside_and_put_in_its_place() {
    let system = System::with_model("one");
    system.create();
    let chart = system.path("chart.svg");
    let chart = chart.to_string_lossy();
    for before in [None, Some("something else")] {
        if let Some(before) = before {
            system.write("chart.svg", before);
        }
        system.ok(&["savings", "--svg", &chart]);
        let svg = String::from_utf8(system.read("chart.svg")).expect("text");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(">models</text>"), "{svg}");
    }
    let folder: Vec<_> = fs::read_dir(system.path("")).expect("our own folder").collect();
    assert_eq!(folder.len(), 3, "models, backups and the chart: {folder:?}");
}

#[test]
fn a_chart_that_cannot_be_written_is_refused_before_the_work() {
    let system = System::with_model("one");
    system.create();
    let refused = |path: &str, code: i32, says: &str| {
        let path = system.path(path);
        let run = system.run(&["savings", "--svg", &path.to_string_lossy()]);
        run.ended(code).says(says).says(path.parent().expect("a folder").to_str().expect("text"));
        assert_eq!(run.stdout, "");
    };
    refused("models", 2, "it is a directory");
    refused("new/", 2, "not the name of a file");
    refused("nowhere/chart.svg", 1, "cannot write a chart into");
    refused("models/one/chart.svg", 1, "cannot write a chart into");
    let _socket = UnixListener::bind(system.path("socket")).expect("our own folder");
    refused("socket", 2, "no regular file");
}

#[test]
fn a_simulated_system_touches_nothing_and_leaves_nothing() {
    let system = System::new();
    let temporary = system.path("tmp");
    fs::create_dir(&temporary).expect("our own folder");
    let mut command = system.command(&[&SIMULATION[..], &["--json"]].concat());
    let run = super::support::Run::of(command.env("TMPDIR", &temporary));
    let savings = run.ended(0).json();
    assert_eq!(run.stderr, "");
    assert_eq!(fs::read_dir(&temporary).expect("our own folder").count(), 0);
    assert!(!system.exists("backups"));

    let names: Vec<&str> = savings["components"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|part| part["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["database", "models", "config", "outputs", "logs"]);
    assert_eq!(savings["nights"].as_array().map(Vec::len), Some(3));
    assert_eq!(savings["nights"][2]["name"], "system_backup_20260103_020000");
    let simulation = &savings["simulation"];
    assert_eq!((bytes(simulation, "nights"), bytes(simulation, "rows"), bytes(simulation, "rows_end")), (3, 300, 310));
    assert!(simulation["postgres"].is_null());
    for night in 1..3 {
        let [copies, _, compressed, stored] = ways(&savings["nights"][night]["components"][0]);
        assert!(stored * 2 < compressed && compressed <= copies, "the database of night {night}: {savings}");
    }
    // Times and inodes of files are others at every run, and make a few bytes of difference in the trees.
    let again = system.json(&SIMULATION);
    let lengths = |savings: &Value| -> Vec<u64> {
        let nights = savings["nights"].as_array().expect("a list").iter();
        nights
            .flat_map(|night| night["components"].as_array().expect("a list"))
            .map(|part| bytes(part, "bytes"))
            .collect()
    };
    assert_eq!(lengths(&savings), lengths(&again));
    let [one, other] = [&savings, &again].map(|savings| bytes(savings, "repository_bytes"));
    assert!(one.abs_diff(other) < one / 200, "{one} and {other}");
}

#[test]
fn percents_are_those_of_the_rows() {
    let system = System::new();
    let still = system.json(&[&SIMULATION[..], &["--update", "0", "--insert", "0"]].concat());
    let [_, new, ..] = ways(&still["nights"][1]["components"][0]);
    assert!(new < 2_000, "only the time of the file has changed: {still}");
    let turned = system.json(&[&SIMULATION[..], &["--update", "100", "--insert", "100"]].concat());
    assert_eq!(bytes(&turned["simulation"], "rows_end"), 900);
    let [first, second] = [0, 1].map(|night| bytes(&turned["nights"][night]["components"][0], "bytes"));
    assert!(second > first * 9 / 5, "{turned}");
}
