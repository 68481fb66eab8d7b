//! The program at a terminal: what fits, what is drawn, and questions.

use std::process::Command;

use super::support::{Run, System};
use crate::common::terminal::at_terminal;

fn at(system: &System, (columns, answer): (u16, &[u8]), arguments: &[&str]) -> Run {
    let larder = system.command(arguments);
    let set_up = |command: &mut Command| {
        command.envs(larder.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TERM", "xterm").env_remove("NO_COLOR");
    };
    let words: Vec<String> = larder.get_args().map(|word| format!("'{}'", word.display())).collect();
    at_terminal(&format!("exec {} {}", env!("CARGO_BIN_EXE_larder"), words.join(" ")), (columns, answer), set_up)
}

/// What stands on the screen, without colours.
fn lines(run: &Run) -> Vec<String> {
    let mut text = String::new();
    let mut is_escape = false;
    for char in run.stdout.chars() {
        match char {
            '\u{1b}' => is_escape = true,
            char if is_escape => is_escape = !char.is_ascii_alphabetic(),
            char => text.push(char),
        }
    }
    text.split(['\n', '\r']).map(|line| line.trim_end().to_owned()).collect()
}

/// A list took 112 columns.
#[test]
fn tables_fit_the_terminal() {
    let system = System::with_model("one");
    system.json(&["create", "--tag", "before-the-upgrade", "--tag", "of-the-year"]);
    for columns in [60, 80, 120] {
        for arguments in [&["list"][..], &["stats"], &["prune", "--dry-run", "-q"]] {
            let run = at(&system, (columns, b""), arguments);
            assert_eq!(run.code, 0, "{run:?}");
            for line in lines(&run).iter().filter(|line| line.contains("  ")) {
                assert!(line.chars().count() <= usize::from(columns), "{columns}: {line}");
            }
        }
    }
    assert!(!lines(&at(&system, (60, b""), &["list"])).concat().contains("took"), "it fits without");
    assert!(lines(&at(&system, (120, b""), &["list"])).concat().contains("took"), "there is room");
}

/// A warning that came before any work drew a bar of nothing.
#[test]
fn no_bar_is_drawn_before_work_begins() {
    let system = System::with_model("one");
    let run = at(&system, (80, b""), &["plan"]);
    assert!(run.stdout.contains("no database is saved") && !run.stdout.contains("0/0"), "{run:?}");
}

/// It stayed until a line was typed.
#[test]
fn a_signal_ends_a_question() {
    let system = System::with_model("one");
    system.create();
    system.write("models/one", "two");
    at(&system, (80, b"\x03"), &["restore", "latest"]).exits(130);
    assert_eq!(system.read("models/one"), b"two");
    at(&system, (80, b"yes\n"), &["restore", "latest"]).exits(0);
    assert_eq!(system.read("models/one"), b"one");
}

#[test]
fn verdicts_have_colours_unless_nobody_wants_them() {
    let system = System::with_model("one");
    system.create();
    let green = "\u{1b}[1m\u{1b}[32mcomplete";
    assert!(at(&system, (80, b""), &["list"]).stdout.contains(green));
    assert!(!at(&system, (80, b""), &["list", "--color", "never"]).stdout.contains(green));
    assert!(system.ok(&["list", "--color", "always"]).stdout.contains(green));
    assert!(!system.ok(&["list"]).stdout.contains('\u{1b}'));
}
