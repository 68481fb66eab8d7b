//! What a server has refused, out of what `psql` says: which statement, and why.
//!
//! A statement can have passwords in it, so that no more of it is told than what it makes or changes.

use super::Error;
use crate::process;

/// What `psql` begins its messages with: where it reads from, and the number of the line there.
const PLACE: &str = "psql:<stdin>:";
const STATEMENT: &str = "STATEMENT:";
/// What stands before a whole statement that the server was running.
const CONTEXT: &str = "SQL statement \"";
const SEVERITIES: [&str; 3] = ["ERROR:", "FATAL:", "PANIC:"];
/// Most characters of a statement that are told.
const CHARS_MAX: usize = 120;

/// The error of a `psql` that shows the statement that failed.
pub(crate) fn refused(error: process::Error) -> Error {
    match &error {
        process::Error::Failed { stderr, .. } => parse(stderr).unwrap_or(Error::Process(error)),
        _ => Error::Process(error),
    }
}

fn parse(said: &str) -> Option<Error> {
    let (mut why, mut statement): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let (mut is_statement, mut is_context) = (false, false);
    for line in said.lines() {
        let (is_message, text) = match line.strip_prefix(PLACE).and_then(|line| line.split_once(": ")) {
            Some((_, text)) => (true, text),
            None => (false, line),
        };
        if is_message && SEVERITIES.iter().any(|severity| text.starts_with(severity)) {
            (why, statement, is_statement, is_context) = (vec![text], Vec::new(), false, false);
        } else if is_message && text.starts_with(STATEMENT) {
            (is_statement, is_context) = (true, false);
            statement.push(text.trim_start_matches(STATEMENT));
        } else if is_message {
            // What is said after an error is of something else.
            is_statement = false;
        } else if is_statement {
            statement.push(line);
        } else if is_context {
            // The whole statement, in which there may be secrets.
        } else if line.contains(CONTEXT) {
            is_context = true;
        } else if !why.is_empty() {
            why.push(line);
        }
    }
    let what = said.lines().find_map(title).or_else(|| beginning(&statement));
    let why = why.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; ");
    (!why.is_empty()).then_some(Error::Refused { what, why })
}

/// What statements of an entry are about, in words: what its title says, or how they begin.
pub(crate) fn object_of(statements: &[u8]) -> String {
    let text = String::from_utf8_lossy(statements);
    let found = text.lines().find_map(title).or_else(|| beginning(&text.lines().collect::<Vec<_>>()));
    found.unwrap_or_else(|| "a statement".to_owned())
}

/// What a statement makes or changes: its words up to the first text, list or body.
fn beginning(statement: &[&str]) -> Option<String> {
    let lines = statement.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join(" ");
    let words = text.split(['\'', '(', '$', ';']).next().unwrap_or_default().trim();
    let is_told = !words.is_empty() && !words.starts_with("DO ") && words != "DO E";
    is_told.then(|| format!("`{}`", words.chars().take(CHARS_MAX).collect::<String>()))
}

/// What a dump says of what it makes next: name, kind and schema.
fn title(line: &str) -> Option<String> {
    let (_, said) = line.split_once("-- Name: ")?;
    let (name, said) = said.split_once("; Type: ")?;
    let (kind, said) = said.split_once("; Schema: ")?;
    let (schema, _) = said.split_once("; Owner: ")?;
    let schema = if schema == "-" { String::new() } else { format!("{}.", schema.escape_debug()) };
    Some(format!("the {} {schema}{}", kind.escape_debug(), name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stderr: &str) -> String {
        let failed = process::Error::Failed {
            program: "psql".to_owned(),
            status: "exit status 3".to_owned(),
            stderr: stderr.to_owned(),
        };
        refused(failed).to_string()
    }

    /// An error named a line of no file that anybody has, and no object.
    #[test]
    fn what_is_refused_is_told_and_no_secret_of_it() {
        let said = "psql:<stdin>:9: WARNING:  a\npsql:<stdin>:45: ERROR:  function norm(text) does not exist\nLINE 1:  SELECT norm(a)\n                ^\nHINT:  b\n\
            psql:<stdin>:45: STATEMENT:  CREATE INDEX i ON public.t\n  USING btree (public.f(a));";
        assert_eq!(
            told(said),
            "the server refuses `CREATE INDEX i ON public.t USING btree`: ERROR:  function norm(text) does not exist; LINE 1:  SELECT norm(a); ^; HINT:  b"
        );
        let said = "psql:<stdin>:1: ERROR:  no\npsql:<stdin>:1: STATEMENT:  CREATE SUBSCRIPTION s CONNECTION 'password=secret' PUBLICATION p;";
        assert_eq!(told(said), "the server refuses `CREATE SUBSCRIPTION s CONNECTION`: ERROR:  no");
        assert_eq!(
            told("psql:<stdin>:1: ERROR:  no\npsql:<stdin>:1: STATEMENT:  DO E'x secret'"),
            "the server refuses a statement: ERROR:  no"
        );
        let said = "psql:<stdin>:1: ERROR:  no\nCONTEXT:  SQL statement \"SET a = \'secret\';\n-- Name: t; Type: TABLE; Schema: a b; Owner: o\nCREATE\"\nPL/pgSQL\npsql:<stdin>:1: STATEMENT:  DO E\'x\'";
        assert_eq!(told(said), "the server refuses the TABLE a b.t: ERROR:  no");
        assert!(told("psql: error: connection refused").contains("psql: error: connection refused"));
    }
}
