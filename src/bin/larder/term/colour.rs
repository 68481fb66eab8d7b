//! Colours: which words have one, and whether any are printed.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};

/// When colours are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    Always,
    Never,
}

/// Where something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Output,
    Error,
}

/// Words that begin a line, and their colours.
const WORDS: [(&str, AnsiColor); 16] = [
    ("complete", AnsiColor::Green),
    ("OK:", AnsiColor::Green),
    ("REPAIRED:", AnsiColor::Green),
    ("partial", AnsiColor::Yellow),
    ("LACKING", AnsiColor::Yellow),
    ("NOT", AnsiColor::Yellow),
    ("TOO", AnsiColor::Yellow),
    ("warning:", AnsiColor::Yellow),
    ("DAMAGED", AnsiColor::Red),
    ("DAMAGED:", AnsiColor::Red),
    ("LOST", AnsiColor::Red),
    ("LOST:", AnsiColor::Red),
    ("FAILED:", AnsiColor::Red),
    ("error:", AnsiColor::Red),
    ("note:", AnsiColor::Cyan),
    ("hint:", AnsiColor::Cyan),
];
/// How a sentence about a snapshot goes on, and the colour of its verdict.
const VERDICTS: [(&str, AnsiColor); 2] = [("complete", AnsiColor::Green), ("PARTIAL", AnsiColor::Yellow)];

static CHOSEN: OnceLock<When> = OnceLock::new();

/// Says once for the process when colours are printed.
pub(crate) fn choose(when: When) {
    // The first choice holds.
    let _ = CHOSEN.set(when);
}

/// A line in colours, where they are printed.
pub(crate) fn painted(line: &str, place: Place) -> String {
    if is_on(place) { paint(line) } else { line.to_owned() }
}

fn is_on(place: Place) -> bool {
    match CHOSEN.get().copied().unwrap_or_default() {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let is_terminal = match place {
                Place::Output => stdout().is_terminal(),
                Place::Error => stderr().is_terminal(),
            };
            is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

fn paint(line: &str) -> String {
    let start = line.len() - line.trim_start().len();
    let (blank, text) = line.split_at(start);
    let word = text.split(' ').next().unwrap_or_default();
    if let Some((_, colour)) = WORDS.iter().find(|(known, _)| *known == word) {
        return format!("{blank}{}{}", in_colour(word, *colour), &text[word.len()..]);
    }
    for (verdict, colour) in VERDICTS {
        let sentence = format!(" is {verdict}: ");
        if let Some((before, after)) = line.split_once(&sentence).filter(|_| line.starts_with("Snapshot ")) {
            return format!("{before} is {}: {after}", in_colour(verdict, colour));
        }
    }
    line.to_owned()
}

fn in_colour(text: &str, colour: AnsiColor) -> String {
    let style = Style::new().fg_color(Some(colour.into())).bold();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_have_colours_and_names_have_none() {
        assert_eq!(paint("warning: x"), "\u{1b}[1m\u{1b}[33mwarning:\u{1b}[0m x");
        assert!(paint("  hint: x").starts_with("  \u{1b}"));
        assert!(paint("Snapshot system_backup_20260101_000000 is PARTIAL: 1 B").contains("\u{1b}[33mPARTIAL"));
        for plain in ["models is complete: no", "completed", "", "  2 entries"] {
            assert_eq!(paint(plain), plain);
        }
    }
}
