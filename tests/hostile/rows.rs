//! Rows that are statements to whoever reads them as `psql` does.

use std::error::Error;
use std::fs;

use larder::cancel::Cancel;
use larder::monitor::Monitor;
use larder::postgres::Connection;
use larder::sink::postgres::{LoadOptions, Loader};

use crate::attacker::Attacked;

/// Bytes that `psql` reads at once.
const READ_BYTES: usize = 8192;

/// Text that `psql` took for the end of the rows, where a server sees a row or none at all.
fn ends(first: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let filled = [b"\0", "A".repeat(READ_BYTES - first.len() - 2).as_bytes(), b"\\.\n"].concat();
    vec![
        ("a line of its own", b"\\.\n".to_vec()),
        ("one in the middle of a row", b"x\\.\n".to_vec()),
        ("one with a carriage return", b"\\.\r\n".to_vec()),
        ("a place in a row that begins with a NUL", filled),
    ]
}

fn evil(attacked: &Attacked) -> Vec<u8> {
    format!("ALTER ROLE {} SUPERUSER;\nCOPY public.t (id, v) FROM stdin;\n2\ty\n", attacked.mallory).into_bytes()
}

fn why(error: &dyn Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// What stood behind such an end in the rows of a dump was run by who restored it, and counted as nothing.
#[test]
fn rows_of_a_dump_are_no_statements() {
    let attacked = Attacked::new();
    let begin = b"--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\nCREATE TABLE public.t (\n    id integer NOT NULL,\n    v text\n);\n\nCOPY public.t (id, v) FROM stdin;\n";
    let end = b"\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    let name_with_nul = b"CREATE TABLE public.\"\xff\" (a text);\nCOPY public.\"\xff\0\" FROM stdin;\n\" ;\n".to_vec();
    let rows = ends(b"1\tx\n").into_iter().skip(1).map(|(what, end)| (what, [b"1\tx\n", end.as_slice()].concat()));
    let names = std::iter::once(("a name with a NUL", [b"\\.\n\n", name_with_nul.as_slice()].concat()));
    for (number, (what, rows)) in rows.chain(names).enumerate() {
        let dump = [begin, rows.as_slice(), &evil(&attacked), end].concat();
        let path =
            attacked.system.beside(&format!("{}_backup_2025010{}_020000.sql", attacked.system.database, 1 + number));
        fs::write(&path, dump).expect("the folder is ours");
        let path = path.to_string_lossy().into_owned();
        let restored =
            attacked.system.larder(&["restore", &path, "--components", "database", "--force", "--no-snapshot"]);
        attacked.assert_harmless(what);
        assert_ne!(restored.code, 0, "{what}: {restored:?}");
        let tested = attacked.system.larder(&["verify", &path, "--test-restore", "--on-live-server"]);
        attacked.assert_harmless(what);
        assert_ne!(tested.code, 0, "{what}: {tested:?}");
    }
}

/// What followed a BEGIN without a COMMIT was lost, and nothing said so.
#[test]
fn what_stands_in_a_transaction_that_does_not_end_is_not_lost() {
    let attacked = Attacked::new();
    for (number, end) in
        ["BEGIN;\nCREATE TABLE public.lost (a integer);\n", "COMMIT;\n", "BEGIN;\n\nBEGIN;\n\nCOMMIT;\n"]
            .iter()
            .enumerate()
    {
        let dump = format!(
            "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\nCREATE TABLE public.t (a integer);\n\n{end}\n--\n-- PostgreSQL database dump complete\n--\n\n"
        );
        let path =
            attacked.system.beside(&format!("{}_backup_2025020{}_020000.sql", attacked.system.database, 1 + number));
        fs::write(&path, dump).expect("the folder is ours");
        let path = path.to_string_lossy().into_owned();
        let before = attacked.system.fingerprint();
        let restored =
            attacked.system.larder(&["restore", &path, "--components", "database", "--force", "--no-snapshot"]);
        assert_ne!(restored.code, 0, "{end}: {restored:?}");
        assert!(restored.all().contains("BEGIN without a COMMIT"), "{end}: {restored:?}");
        assert_eq!(attacked.system.fingerprint(), before, "{end}");
    }
}

/// The files of tables in a repository were given to `psql` as they were.
#[test]
fn rows_of_a_repository_are_no_statements() {
    let attacked = Attacked::new();
    attacked.system.sql("CREATE TABLE public.t (id integer, v text)");
    let url = attacked.system.server.url(&attacked.system.database);
    let database = Connection::from_url(&url).expect("a URL");
    let columns = ["id".to_owned(), "v".to_owned()];
    let cancel = Cancel::new();
    let monitor = Monitor::unheard(&cancel);
    let loader = || {
        let options = LoadOptions {
            jobs: 1,
            encoding: "UTF8",
            settings: &[],
            has_all_rows: true,
            trusts_code: false,
            is_foreign: false,
            goes_on: false,
        };
        let connections = (database.clone(), database.with_database("postgres"));
        Loader::open(connections, options, Box::new(std::io::empty()), &monitor).expect("a server")
    };
    for (what, end) in ends(b"1\tx\n") {
        let mut loader = loader();
        let rows = [b"1\tx\n", end.as_slice(), &evil(&attacked)].concat();
        let error = match loader.rows(("public.t", &columns), &mut rows.as_slice()) {
            Ok(()) => loader.end().expect_err(what),
            Err(error) => {
                loader.discard();
                error
            }
        };
        let error = why(&error);
        assert!(error.contains("no server writes"), "{what}: {error}");
        attacked.assert_harmless(what);
    }
    // What follows would have been part of it, and nothing would have come to its end.
    let mut loader = loader();
    let cut = loader.rows(("public.t", &columns), &mut &b"1\tx\n2\ty"[..]).expect_err("it is cut off");
    loader.discard();
    assert!(why(&cut).contains("cut off"), "{cut}");
}
