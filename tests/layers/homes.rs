//! Dependencies have homes: the only files that name them, so that replacing one is a change of one file.

use crate::names::Names;
use crate::sources::{PROGRAM, SourceFile};

/// The only files, or folders, that name a dependency. `docs/architecture.md` says why.
pub(crate) const HOMES: &[(&str, &[&str])] = &[
    ("bincode", &["src/model/codec.rs"]),
    ("blake3", &["src/id.rs"]),
    ("bollard", &["src/docker/"]),
    ("crc32fast", &["src/sink/gzip.rs"]),
    ("fastcdc", &["src/chunk/cdc.rs"]),
    ("flate2", &["src/sink/gzip.rs", "src/source/stored_file.rs"]),
    ("futures_util", &["src/docker/"]),
    ("globset", &["src/source/exclude.rs", "src/pipeline/find.rs"]),
    ("jiff", &["src/clock.rs"]),
    ("keyutils", &["src/process/keys.rs"]),
    ("memmap2", &["src/index/bytes.rs"]),
    ("postgres_protocol", &["src/sink/postgres/loader_role.rs"]),
    ("reed_solomon_simd", &["src/parity/code.rs"]),
    ("tar", &["src/sink/archive.rs"]),
    ("tokio", &["src/docker/", "src/runtime.rs"]),
    ("tokio_tar", &["src/docker/archive.rs"]),
    ("walkdir", &["src/source/dir.rs"]),
    ("zstd", &["src/pack/block.rs", "src/pack/delta.rs"]),
    ("anstyle", &["src/bin/larder/term/colour.rs"]),
    ("anyhow", &[PROGRAM]),
    ("clap", &[PROGRAM]),
    ("clap_complete", &[PROGRAM]),
    ("clap_mangen", &[PROGRAM]),
    ("indicatif", &[PROGRAM]),
    ("signal_hook", &[PROGRAM]),
    ("toml", &[PROGRAM]),
    ("yaml_rust2", &["src/bin/larder/config/legacy.rs"]),
];

/// Where a file names a dependency that has its home elsewhere.
pub(crate) fn strangers(file: &SourceFile) -> Vec<String> {
    let names = Names::of(&file.syntax);
    let uses = names.uses.iter().map(|used| &used.path);
    let mut problems = Vec::new();
    for named in uses.chain(&names.paths) {
        // With one name alone it is something of the file itself.
        let first = named.names.first().filter(|_| named.names.len() > 1);
        let Some((dependency, homes)) =
            HOMES.iter().find(|(dependency, _)| first.is_some_and(|first| first == dependency))
        else {
            continue;
        };
        let is_at_home =
            homes.iter().any(|home| file.path == *home || (home.ends_with('/') && file.path.starts_with(home)));
        if !is_at_home {
            let place = file.place(named.line);
            problems.push(format!("{place}: '{dependency}' is named outside of its home, {}", homes.join(" or ")));
        }
    }
    problems
}

/// Entries of the table that `Cargo.toml` does not have, so that the table says what is.
pub(crate) fn unknown_dependencies(manifest: &str) -> Vec<String> {
    let key = |line: &str| line.split([' ', '=', '.']).next().unwrap_or_default().replace('-', "_");
    let keys: Vec<String> = manifest.lines().map(key).collect();
    let unknown = HOMES.iter().filter(|(dependency, _)| !keys.iter().any(|key| key == dependency));
    unknown.map(|(dependency, _)| format!("'{dependency}' is not a dependency of Cargo.toml")).collect()
}
