//! Dumps of the old tool, brought back into a live database, and what must never reach one.

use std::fs;

use crate::support::{Run, System};

const STAMP: &str = "20250901_020000";

/// A dump that the server's own program makes, with these lines before its end.
fn dump_of(system: &System, lines: &str) -> String {
    let name = system.create()["name"].as_str().expect("a name").to_owned();
    let dump = system.larder(&["cat", &format!("{name}:database")]).exits(0).stdout;
    dump.replace(
        "--\n-- PostgreSQL database dump complete",
        &format!("{lines}--\n-- PostgreSQL database dump complete"),
    )
}

fn restore(system: &System, path: &str) -> Run {
    system.larder(&["restore", path, "--components", "database", "--force"])
}

#[test]
fn a_loose_dump_takes_the_place_of_the_live_database() {
    let system = System::with_numbers(50);
    let path = system.beside(&format!("cti_scraper_backup_{STAMP}.sql"));
    fs::write(&path, dump_of(&system, "")).expect("the folder is ours");
    let before = system.fingerprint();
    system.sql("DELETE FROM numbers WHERE id > 10");
    let path = path.to_string_lossy().into_owned();
    system.larder(&["verify", &path, "--test-restore"]).exits(0);
    restore(&system, &path).exits(0);
    assert_eq!(system.fingerprint(), before);
    assert_eq!(system.scratch_databases(), "", "nothing is left beside it");
    assert!(system.snapshots().contains(&format!("system_backup_{STAMP}")), "it was imported for that");
}

/// A dump of the old tool may have been made with `--create`. Loaded as it was, it left the fresh database for the live one.
#[test]
fn a_dump_that_would_leave_its_database_is_not_loaded() {
    let system = System::with_numbers(20);
    let before = system.fingerprint();
    let connect = format!("\\connect {}\n", system.database);
    for (number, harm) in [&connect[..], "\\! touch harmed\n", "DROP DATABASE postgres;\n"].iter().enumerate() {
        let path = system.beside(&format!("cti_scraper_backup_2025090{}_020000.sql", number + 2));
        fs::write(&path, dump_of(&system, &format!("{harm}DROP TABLE numbers;\n"))).expect("the folder is ours");
        let path = path.to_string_lossy().into_owned();
        let run = restore(&system, &path);
        assert_ne!(run.code, 0, "{harm}: {run:?}");
        assert_ne!(system.larder(&["verify", &path, "--test-restore"]).code, 0, "{harm}");
        assert_eq!(system.fingerprint(), before, "{harm}");
        assert_eq!(system.scratch_databases(), "", "{harm}");
        if harm.starts_with('\\') {
            assert!(run.all().contains("of psql"), "{harm}: {run:?}");
        }
    }
    assert!(!system.path("harmed").exists() && !std::path::Path::new("harmed").exists());
}
