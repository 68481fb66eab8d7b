//! Holds the sources to the rules of the house: floors, homes of dependencies, lengths, first lines, wildcards.
//!
//! They are read as text, without comments and literals. Every rule has a test of its own that proves that it can fail.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// The modules of the library, floor by floor. A module uses only its own floor and those below it.
const FLOORS: &[&[&str]] = &[
    &["clock", "fields", "id", "limits", "progress", "rooted", "runtime", "temporary"],
    &["storage"],
    &["chunk", "parity"],
    &["pack"],
    &["index"],
    &["repo"],
    &["model"],
    &["docker"],
    &["process"],
    &["postgres"],
    &["source"],
    &["sink"],
    &["pipeline"],
];

/// Where the program lives, above all floors.
const PROGRAM: &str = "src/bin/";

/// The only files, or folders, that name a dependency. `docs/architecture.md` says why.
const HOMES: &[(&str, &[&str])] = &[
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
    ("anyhow", &[PROGRAM]),
    ("clap", &[PROGRAM]),
    ("clap_complete", &[PROGRAM]),
    ("clap_mangen", &[PROGRAM]),
    ("indicatif", &[PROGRAM]),
    ("signal_hook", &[PROGRAM]),
    ("toml", &[PROGRAM]),
    ("yaml_rust2", &["src/bin/larder/config/old.rs"]),
];

/// Modules within a file that may import everything from the file around them.
const TEST_MODULES: &[&str] = &["tests", "contract"];
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

struct SourceFile {
    /// Relative to the root of the crate, with `/`.
    path: String,
    text: String,
    /// The text with comments and the insides of literals blanked; every character stands where it stood.
    code: Vec<char>,
}

impl SourceFile {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
    }

    fn code_lines(&self) -> Vec<String> {
        let code: String = self.code.iter().collect();
        code.split('\n').map(|line| line.trim_end().to_owned()).collect()
    }

    /// `path:line` of a position in the code.
    fn place(&self, position: usize) -> String {
        let line = 1 + self.code[..position].iter().filter(|char| **char == '\n').count();
        format!("{}:{line}", self.path)
    }

    fn is_of_program(&self) -> bool {
        self.path.starts_with(PROGRAM)
    }

    /// The parts of the module's path: none for `src/lib.rs`, two for `src/pack/layout.rs`.
    fn module(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
        if matches!(parts.last(), Some(&("mod" | "lib"))) {
            parts.pop();
        }
        parts
    }
}

// ---- Reading Rust as text ----

fn code_of(text: &str) -> Vec<char> {
    let chars: Vec<char> = text.chars().collect();
    let mut code = Vec::with_capacity(chars.len());
    while let Some(char) = chars.get(code.len()) {
        let rest = &chars[code.len()..];
        match blank_len(rest) {
            0 => code.push(*char),
            len => code.extend(rest.iter().take(len).map(|char| if *char == '\n' { '\n' } else { ' ' })),
        }
    }
    code
}

/// Length of the comment or literal that begins here; 0 when none does.
fn blank_len(rest: &[char]) -> usize {
    match rest {
        ['/', '/', ..] => rest.iter().position(|char| *char == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment_len(rest),
        ['"', ..] => quoted_len(rest, '"'),
        ['r', '"' | '#', ..] => raw_string_len(rest),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted_len(rest, '\''),
        _ => 0,
    }
}

fn block_comment_len(rest: &[char]) -> usize {
    let (mut depth, mut len) = (0, 0);
    loop {
        match &rest[len..] {
            ['/', '*', ..] => (depth, len) = (depth + 1, len + 2),
            ['*', '/', ..] => (depth, len) = (depth - 1, len + 2),
            [] => return len,
            [_, ..] => len += 1,
        }
        if depth == 0 {
            return len;
        }
    }
}

fn quoted_len(rest: &[char], quote: char) -> usize {
    let mut len = 1;
    while let Some(char) = rest.get(len) {
        match *char {
            '\\' => len += 2,
            char if char == quote => return len + 1,
            _ => len += 1,
        }
    }
    rest.len()
}

fn raw_string_len(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|char| **char == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[2 + hashes..];
    let len = body.windows(end.len()).position(|window| window == end.as_slice());
    len.map_or(rest.len(), |len| 2 + hashes + len + end.len())
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The identifier that the characters begin with.
fn word_at(chars: &[char]) -> String {
    chars.iter().take_while(|char| is_word(**char)).collect()
}

/// Positions behind `word::` where that is the beginning of a path.
fn path_starts(code: &[char], word: &str) -> Vec<usize> {
    let wanted: Vec<char> = format!("{word}::").chars().collect();
    let found = code.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted.as_slice());
    let begins = found.filter(|(position, _)| {
        let before = position.checked_sub(1).and_then(|before| code.get(before));
        before.is_none_or(|char| !is_word(*char) && *char != ':')
    });
    begins.map(|(position, _)| position + wanted.len()).collect()
}

/// The first names below a path that is followed by a name or by a group in braces.
fn names_below(code: &[char], start: usize) -> Vec<String> {
    if code.get(start) != Some(&'{') {
        return vec![word_at(&code[start..])];
    }
    let (mut names, mut depth, mut at_name) = (Vec::new(), 0, false);
    for (offset, char) in code[start..].iter().enumerate() {
        match char {
            '{' => (depth, at_name) = (depth + 1, depth == 0),
            '}' if depth == 1 => return names,
            '}' => depth -= 1,
            ',' => at_name = depth == 1,
            char if char.is_whitespace() => {}
            _ if at_name => {
                names.push(word_at(&code[start + offset..]));
                at_name = false;
            }
            _ => {}
        }
    }
    names
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The line that closes what begins on line `start`: the first brace at the same indentation.
fn closing_line(lines: &[String], start: usize) -> usize {
    let depth = indent(&lines[start]);
    let closes = |line: &String| line.trim_start().starts_with('}') && indent(line) == depth;
    lines.iter().skip(start + 1).position(closes).map_or(lines.len() - 1, |offset| start + 1 + offset)
}

/// For each line, the name of the module within the file that it lies in.
fn inner_modules(lines: &[String]) -> Vec<Option<String>> {
    let mut modules = vec![None; lines.len()];
    for (number, line) in lines.iter().enumerate() {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        if words.next() == Some("mod") && line.ends_with('{') {
            let name = words.next().map(str::to_owned);
            modules[number..closing_line(lines, number)].fill(name);
        }
    }
    modules
}

// ---- The rules: each gives the places where it is broken ----

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn upward_imports(file: &SourceFile) -> Vec<String> {
    let module = file.module();
    let Some(own) = module.first() else { return Vec::new() };
    let (root, floor) = if file.is_of_program() { ("larder", Some(FLOORS.len())) } else { ("crate", floor_of(own)) };
    let Some(floor) = floor else { return vec![format!("{}: '{own}' is on no floor of tests/layers.rs", file.path)] };
    let mut problems = Vec::new();
    for start in path_starts(&file.code, root) {
        for name in names_below(&file.code, start) {
            let place = file.place(start);
            match floor_of(&name) {
                Some(used) if used <= floor => {}
                Some(used) => problems.push(format!("{place}: '{own}' (floor {floor}) uses '{name}' (floor {used})")),
                None => problems.push(format!("{place}: '{root}::{name}' is on no floor of tests/layers.rs")),
            }
        }
    }
    problems
}

/// `super::` that reaches the root of the crate, where floors cannot be told apart.
fn climbs_to_the_root(file: &SourceFile) -> Vec<String> {
    let modules = inner_modules(&file.code_lines());
    let depth = file.module().len();
    let mut problems = Vec::new();
    for start in path_starts(&file.code, "super") {
        let mut climbed = 1;
        let mut rest = &file.code[start..];
        while rest.starts_with(&['s', 'u', 'p', 'e', 'r', ':', ':']) {
            climbed += 1;
            rest = &rest[7..];
        }
        let line = file.code[..start].iter().filter(|char| **char == '\n').count();
        if !file.is_of_program() && climbed >= depth + usize::from(modules[line].is_some()) {
            problems.push(format!("{}: 'super' is the root of the crate here; 'crate::' says so", file.place(start)));
        }
    }
    problems
}

fn strangers(file: &SourceFile) -> Vec<String> {
    let mut problems = Vec::new();
    for (dependency, homes) in HOMES {
        let at_home =
            homes.iter().any(|home| file.path == *home || (home.ends_with('/') && file.path.starts_with(home)));
        let uses = if at_home { Vec::new() } else { path_starts(&file.code, dependency) };
        problems.extend(uses.into_iter().map(|start| {
            format!("{}: '{dependency}' is named outside of its home, {}", file.place(start), homes.join(" or "))
        }));
    }
    problems
}

/// Entries of the table that Cargo.toml does not have, so that the table says what is.
fn unknown_dependencies(manifest: &str) -> Vec<String> {
    let key = |line: &str| line.split([' ', '=', '.']).next().unwrap_or_default().replace('-', "_");
    let keys: Vec<String> = manifest.lines().map(key).collect();
    let unknown = HOMES.iter().filter(|(dependency, _)| !keys.iter().any(|key| key == dependency));
    unknown.map(|(dependency, _)| format!("tests/layers.rs: '{dependency}' is no dependency of Cargo.toml")).collect()
}

/// Modules that `src/lib.rs` declares otherwise than the list of floors has them.
fn undeclared(root: &SourceFile) -> Option<String> {
    let listed: Vec<&str> = FLOORS.concat();
    let lines = root.code_lines();
    let declared: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    (declared != listed).then(|| format!("{}: declares {declared:?}, and the floors are {listed:?}", root.path))
}

fn wildcards(file: &SourceFile) -> Vec<String> {
    if TEST_MODULES.iter().any(|name| file.path.ends_with(&format!("/{name}.rs"))) {
        return Vec::new();
    }
    let lines = file.code_lines();
    let modules = inner_modules(&lines);
    let is_wildcard = |line: &str| {
        let path = line.trim_start().trim_start_matches("pub ").strip_prefix("use ").unwrap_or_default();
        (path.starts_with("crate::") || path.starts_with("super::")) && path.contains('*')
    };
    let is_test = |number: usize| modules[number].as_deref().is_some_and(|name| TEST_MODULES.contains(&name));
    let broken = lines.iter().enumerate().filter(|(number, line)| is_wildcard(line) && !is_test(*number));
    broken.map(|(number, line)| format!("{}:{}: '{}' hides what is used", file.path, number + 1, line.trim())).collect()
}

fn missing_introduction(file: &SourceFile) -> Option<String> {
    let missing = !file.text.starts_with("//! ");
    missing.then(|| format!("{}:1: does not begin with '//!' and what the file is for", file.path))
}

fn long_file(file: &SourceFile) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > FILE_LINES_MAX).then(|| format!("{}:{lines}: the file has more than {FILE_LINES_MAX} lines", file.path))
}

/// Whether a line begins a function with a body that goes on below it.
fn begins_function(lines: &[String], number: usize) -> bool {
    let qualifier =
        |word: &str| matches!(word, "pub" | "const" | "async" | "unsafe" | "extern") || word.starts_with("pub(");
    if lines[number].split_whitespace().find(|word| !qualifier(word)) != Some("fn") {
        return false;
    }
    // The signature ends with a brace, or in a trait with a semicolon.
    let ends = |line: &&String| line.ends_with([';', '{', '}']);
    lines[number..].iter().find(ends).is_some_and(|line| line.ends_with('{'))
}

fn long_functions(file: &SourceFile) -> Vec<String> {
    let lines = file.code_lines();
    let mut problems = Vec::new();
    for number in (0..lines.len()).filter(|number| begins_function(&lines, *number)) {
        let len = closing_line(&lines, number) - number + 1;
        if len > FUNCTION_LINES_MAX {
            let place = format!("{}:{}", file.path, number + 1);
            problems.push(format!("{place}: the function has {len} lines, more than {FUNCTION_LINES_MAX}"));
        }
    }
    problems
}

// ---- The rules on the sources ----

fn read(path: &str) -> String {
    let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&absolute).unwrap_or_else(|error| panic!("cannot read {}: {error}", absolute.display()))
}

fn collect(folder: &str, files: &mut Vec<SourceFile>) {
    let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for entry in fs::read_dir(absolute).expect("a folder of sources") {
        let found = entry.expect("an entry of a folder of sources").path();
        let path = format!("{folder}/{}", found.file_name().and_then(OsStr::to_str).expect("a name in UTF-8"));
        if found.is_dir() {
            collect(&path, files);
        } else if found.extension() == Some(OsStr::new("rs")) {
            files.push(SourceFile::new(&path, &read(&path)));
        }
    }
}

fn check<Problems: IntoIterator<Item = String>>(rule: impl Fn(&SourceFile) -> Problems) {
    let mut files = Vec::new();
    collect("src", &mut files);
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the sources were found");
    let mut problems: Vec<String> = files.iter().flat_map(rule).collect();
    problems.sort();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn imports_go_down_only() {
    check(upward_imports);
    check(climbs_to_the_root);
}

#[test]
fn the_crate_declares_its_floors_in_order() {
    assert_eq!(undeclared(&SourceFile::new("src/lib.rs", &read("src/lib.rs"))), None);
}

#[test]
fn each_dependency_stays_at_home() {
    check(strangers);
    let problems = unknown_dependencies(&read("Cargo.toml"));
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn no_wildcard_hides_what_is_used() {
    check(wildcards);
}

#[test]
fn every_file_says_what_it_is_for() {
    check(missing_introduction);
}

#[test]
fn no_file_is_too_long() {
    check(long_file);
}

#[test]
fn no_function_is_too_long() {
    check(long_functions);
}

// ---- The rules on made-up snippets ----

#[test]
fn an_upward_import_is_found() {
    let found = |path: &str, text: &str| upward_imports(&SourceFile::new(path, text));
    assert_eq!(found("src/pack/x.rs", "use crate::id::Id;\nuse crate::index::Index;\n").len(), 1);
    assert!(found("src/pack/x.rs", "\nfn f() { crate::repo::open() }\n")[0].starts_with("src/pack/x.rs:2: "));
    assert_eq!(found("src/index/x.rs", "use crate::{\n    id::{Id, model},\n    model, repo::{self},\n};\n").len(), 2);
    assert_eq!(found("src/id.rs", "use crate::limits::N;\nuse crate::storage::Key;\n").len(), 1);
    assert_eq!(found("src/attic.rs", "").len(), 1);
    assert_eq!(found("src/sink/x.rs", "use crate::attic::Box;\n").len(), 1);
    assert_eq!(found("src/bin/larder/main.rs", "use larder::{pipeline, attic};\nuse crate::cli;\n").len(), 1);
    let harmless = "//! crate::pipeline\n/* crate::pipeline */ // crate::pipeline\nconst A: &str = \"crate::pipeline\";\n\
                    const B: &str = r#\"\"crate::pipeline\"#;\nconst C: char = '\"'; fn f<'a>(_: &'a u8) { crate::id::of() }\n";
    assert_eq!(found("src/pack/x.rs", harmless), Vec::<String>::new());
}

#[test]
fn a_climb_to_the_root_is_found() {
    let found = |path: &str, text: &str| climbs_to_the_root(&SourceFile::new(path, text)).len();
    assert_eq!(found("src/pack/mod.rs", "use super::repo;\n"), 1);
    assert_eq!(found("src/pack/x.rs", "use super::Error;\nuse super::super::repo;\n"), 1);
    assert_eq!(found("src/id.rs", "mod tests {\n    use super::*;\n}\n"), 0);
}

#[test]
fn an_undeclared_floor_is_found() {
    let declared = format!("pub mod {};\n", FLOORS.concat().join(";\n\npub mod "));
    assert_eq!(undeclared(&SourceFile::new("src/lib.rs", &declared)), None);
    assert!(undeclared(&SourceFile::new("src/lib.rs", &format!("{declared}pub mod attic;\n"))).is_some());
}

#[test]
fn a_dependency_outside_of_its_home_is_found() {
    let found = |path: &str, text: &str| strangers(&SourceFile::new(path, text)).len();
    assert_eq!(found("src/model/tree.rs", "use bincode::config;\n"), 1);
    assert_eq!(found("src/model/codec.rs", "use bincode::config;\n"), 0);
    assert_eq!(found("src/repo/mod.rs", "fn f() -> anyhow::Result<()> { toml::from_str(self::toml::TEXT) }\n"), 2);
    assert_eq!(found("src/bin/larder/cli/list.rs", "use anyhow::Result;\n"), 0);
    assert_eq!(unknown_dependencies("[dependencies]\nbincode = \"2\"\n").len(), HOMES.len() - 1);
}

#[test]
fn a_wildcard_is_found() {
    let found = |text: &str| wildcards(&SourceFile::new("src/pack/x.rs", text)).len();
    assert_eq!(found("use crate::*;\npub use super::layout::*;\n"), 2);
    assert_eq!(found("mod tests {\n    use super::*;\n}\nmod contract {\n    use super::*;\n}\n"), 0);
    assert_eq!(found("mod other {\n    use super::*;\n}\n"), 1);
}

#[test]
fn a_file_without_an_introduction_is_found() {
    assert!(missing_introduction(&SourceFile::new("src/x.rs", "use std::fs;\n")).is_some());
    assert_eq!(missing_introduction(&SourceFile::new("src/x.rs", "//! What it owns.\n")), None);
}

#[test]
fn a_long_file_is_found() {
    let found = |lines: usize| long_file(&SourceFile::new("src/x.rs", &"\n".repeat(lines))).is_some();
    assert!(found(FILE_LINES_MAX + 1) && !found(FILE_LINES_MAX));
}

#[test]
fn a_long_function_is_found() {
    let found = |before: &str, lines: usize| {
        let body = "        work(\"}\");\n".repeat(lines - 2);
        let text = format!("impl X {{\n    fn short() {{}}\n    fn declared();\n    {before} {{\n{body}    }}\n}}\n");
        long_functions(&SourceFile::new("src/x.rs", &text))
    };
    assert!(found("fn f()", FUNCTION_LINES_MAX).is_empty());
    for before in ["fn f()", "pub(super) const fn f()", "pub async fn f(\n        a: u8,\n    ) -> u8"] {
        let problems = found(before, FUNCTION_LINES_MAX + 1);
        assert!(problems.len() == 1 && problems[0].starts_with("src/x.rs:4: "), "{before}: {problems:?}");
    }
}
