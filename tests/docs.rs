//! Holds `docs/cli.md` to the program: every command, long flag and exit status is in it.
//!
//! Commands and flags are read from the help texts of the real binary, exit statuses from the source that numbers them.
//! Whether what the document says of them is right is not known here.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Messages in `docs/messages.md` that servers and their clients say.
const OF_OTHERS: [&str; 3] = ["Connection refused", "fe_sendauth: no password supplied", "permission denied for table"];
const MESSAGES: &str = include_str!("../docs/messages.md");
const DOCUMENT: &str = include_str!("../docs/cli.md");
const EXIT: &str = include_str!("../src/bin/larder/exit.rs");

#[test]
fn every_command_has_a_section() {
    for command in commands() {
        let heading = format!("### {command}");
        assert!(DOCUMENT.lines().any(|line| line == heading), "docs/cli.md has no section '{heading}'");
    }
}

#[test]
fn every_long_flag_is_documented() {
    let documented: BTreeSet<&str> = words(DOCUMENT).collect();
    let mut flags = long_flags(&help(&["help"]));
    for command in commands().iter().filter(|command| *command != "help") {
        flags.extend(long_flags(&help(&[command.as_str(), "--help"])));
    }
    assert!(flags.contains("--backup-dir") && flags.contains("--dry-run"), "the help texts are not understood");
    let missing: Vec<&String> = flags.iter().filter(|flag| !documented.contains(flag.as_str())).collect();
    assert!(missing.is_empty(), "docs/cli.md does not have {missing:?}");
}

#[test]
fn every_help_text_has_an_example() {
    for command in commands().iter().filter(|command| *command != "help") {
        let text = help(&[command.as_str(), "--help"]);
        let example = format!("\n  larder {command}");
        assert!(text.contains("Example") && (text.contains(&example) || text.contains("sudo larder")), "{text}");
    }
}

#[test]
fn every_exit_status_is_in_the_table() {
    let statuses = exit_statuses();
    assert!(statuses.contains(&0) && statuses.contains(&130), "exit.rs is not understood");
    for status in statuses {
        let row = format!("| {status} | ");
        assert!(DOCUMENT.lines().any(|line| line.starts_with(&row)), "docs/cli.md has no exit status {status}");
    }
}

/// One of them was written down from memory.
#[test]
fn every_message_that_is_explained_is_one_that_is_said() {
    let sources = sources_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let rows = MESSAGES.lines().filter_map(|line| line.strip_prefix("| *")?.split(" | ").next());
    let texts: Vec<&str> = rows.flat_map(|row| row.split('*')).filter(|text| text.len() > 10).collect();
    assert!(texts.len() > 25, "the table is not understood");
    for text in texts {
        let part = longest_part(text);
        let is_known =
            sources.contains(part) || OF_OTHERS.iter().any(|other| part.contains(other) || other.contains(part));
        assert!(is_known, "nothing says '{part}' of '{text}'");
    }
}

/// The longest part of a message between what stands for a name or a number.
fn longest_part(text: &str) -> &str {
    let is_placeholder = |word: &str| {
        word.contains('…')
            || word.starts_with('`')
            || word.chars().all(|char| !char.is_lowercase())
            || word.contains('\'')
    };
    let (mut best, mut start, mut position) = ("", 0, 0);
    for word in text.split_inclusive(' ').chain(["…"]) {
        if is_placeholder(word.trim()) {
            let part = text[start..position].trim();
            best = if part.len() > best.len() { part } else { best };
            start = (position + word.len()).min(text.len());
        }
        position += word.len();
    }
    best
}

/// The texts of all sources.
fn sources_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        if entry.path().is_dir() {
            text.push_str(&sources_below(&entry.path()));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(entry.path()).expect("a source"));
        }
    }
    text
}

/// What the program prints for these arguments, which ask for help.
fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    let output = command.args(arguments).env_remove("LARDER_BACKUP_DIR").output().expect("the program runs");
    assert!(output.status.success(), "larder {} failed", arguments.join(" "));
    String::from_utf8(output.stdout).expect("help is UTF-8")
}

/// The commands, which stand two spaces from the margin below `Commands:`; what continues a line stands further in.
fn commands() -> Vec<String> {
    let text = help(&["help"]);
    let section = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let entries = section.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let commands: Vec<String> = entries.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(commands.iter().any(|command| command == "create"), "the commands are not understood: {commands:?}");
    commands
}

/// The first long flag of every line that begins with a flag. Examples and descriptions begin with something else.
fn long_flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    lines.filter_map(|line| words(line).find(|word| is_long_flag(word))).map(str::to_owned).collect()
}

fn is_long_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Runs of letters, digits and hyphens.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '-').filter(|word| !word.is_empty())
}

/// The numbers of `enum Exit`.
fn exit_statuses() -> Vec<u8> {
    let variants = EXIT.lines().skip_while(|line| !line.contains("enum Exit {")).skip(1);
    let variants = variants.take_while(|line| line.trim() != "}");
    let numbers = variants.filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "));
    numbers.map(|(_, number)| number.parse().expect("an exit status is a number")).collect()
}
