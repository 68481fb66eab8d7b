//! What people see, and what programs read: whole screens and documents, beside the texts that single tests look for.
//!
//! `INSTA_UPDATE=always` writes the files in `snapshots/` anew; whoever changes a message reads what became of them.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

use insta::{assert_snapshot, with_settings};

use super::support::{Run, System, noise};

/// What differs from run to run, and what stands in its place.
const FILTERS: [(&str, &str); 13] = [
    (r"system_backup_\d{8}_\d{6}", "[NAME]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "[TIME]"),
    (r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?", "[TIME]"),
    (r"\d{4}-W\d\d", "[WEEK]"),
    (r"monthly \d{4}-\d\d", "monthly [MONTH]"),
    (r"\b\d+\.\d s\b", "[SPAN]"),
    (
        r#""(seconds|bytes_stored|bytes_added|stored_bytes|bytes_before|bytes_after|bytes_written|bytes_decoded)": [\d.]+"#,
        r#""$1": [N]"#,
    ),
    // Inode numbers and times are longer or shorter in what is stored of an entry.
    (r" +[\d.]+ (B|KiB|MiB)  \[SPAN\]", "  [SIZE]  [SPAN]"),
    (r"stored +[\d.]+ (B|KiB|MiB)", "stored [SIZE]"),
    (r"[\d.]+ (B|KiB|MiB) added", "[SIZE] added"),
    (r"takes [\d.]+ (B|KiB|MiB)", "takes [SIZE]"),
    (r"about [\d.]+ (B|KiB|MiB)", "about [SIZE]"),
    (r#""(host|system)": "[^"]*""#, r#""$1": "[HOST]""#),
];

/// A system of files that are the same at every run.
fn system() -> System {
    let system = System::new();
    system.write("models/filter.pkl", noise(200_000, 1));
    system.write("config/sources.yaml", "feeds:\n  - one\n");
    system.write("outputs/report.csv", "a,b\n".repeat(5000));
    let time = SystemTime::UNIX_EPOCH + Duration::from_hours(490_898);
    for path in ["models/filter.pkl", "config/sources.yaml", "outputs/report.csv"] {
        let file = File::options().append(true).open(system.path(path)).expect("it is ours");
        file.set_times(FileTimes::new().set_modified(time)).expect("it is ours");
    }
    system
}

/// Everything that a run says.
fn screen(system: &System, arguments: &[&str]) -> String {
    let run = Run::of(system.command(arguments).env("TZ", "UTC"));
    let folder = system.path("").display().to_string();
    let shown = |text: &str| text.replace(folder.trim_end_matches('/'), "[SYSTEM]");
    format!("$ larder {}\n{}---- {}\n{}", arguments.join(" "), shown(&run.stdout), run.code, shown(&run.stderr))
}

fn assert_screen(name: &str, screen: &str) {
    with_settings!({ filters => FILTERS.to_vec(), omit_expression => true, prepend_module_to_snapshot => false }, {
        assert_snapshot!(name, screen);
    });
}

#[test]
fn a_backup_and_what_is_told_of_it() {
    let system = system();
    assert_screen("plan", &screen(&system, &["plan"]));
    assert_screen("create", &screen(&system, &["create", "--tag", "before-upgrade"]));
    system.write("config/sources.yaml", "feeds: []\n");
    assert_screen("list", &screen(&system, &["list", "--show-details"]));
    assert_screen("verify", &screen(&system, &["verify"]));
    assert_screen("restore_dry_run", &screen(&system, &["restore", "latest", "--dry-run"]));
    assert_screen("restore", &screen(&system, &["restore", "latest", "--force"]));
    assert_screen("prune_dry_run", &screen(&system, &["prune", "--dry-run"]));
}

#[test]
fn documents() {
    let system = system();
    for (name, arguments) in [
        ("plan_json", &["plan", "--json"][..]),
        ("create_json", &["create", "--json"]),
        ("list_json", &["list", "--json"]),
        ("verify_json", &["verify", "--json"]),
        ("restore_json", &["restore", "latest", "--dry-run", "--json"]),
        ("prune_json", &["prune", "--dry-run", "--json"]),
        ("error_json", &["show", "nothing", "--json"]),
    ] {
        assert_screen(name, &screen(&system, arguments));
    }
}

#[test]
fn mistakes() {
    let system = system();
    assert_screen("no_repository", &screen(&system, &["list"]));
    system.create();
    for (name, arguments) in [
        ("other_program", &["snapshots"][..]),
        ("unknown_component", &["create", "--components", "modells"]),
        ("unknown_path", &["ls", "latest:config/nothing"]),
        ("not_a_pattern", &["find", "["]),
        ("nothing_found", &["find", "nothing"]),
    ] {
        assert_screen(name, &screen(&system, arguments));
    }
}

#[test]
fn help() {
    let system = System::new();
    for command in ["create", "restore", "prune", "verify", "list"] {
        assert_screen(&format!("help_{command}"), &screen(&system, &[command, "--help"]));
    }
    assert_screen("help", &screen(&system, &["--help"]));
}
