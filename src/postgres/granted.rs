//! The part of the privileges in a script that code needs which runs while rows are loaded: to look things up.

use super::tokens::{Tokens, without_comments};
use super::wrapped::one_by_one;

/// What these statements of one entry give that changes nothing of a table: schemas, sequences, and the rows of tables to read.
/// Empty where that is nothing.
pub(crate) fn reading_part(entry: &[u8]) -> Vec<u8> {
    let mut part = String::new();
    let mut gives = false;
    for statement in one_by_one(entry) {
        let text = String::from_utf8_lossy(statement);
        let text = without_comments(&text);
        let mut tokens = Tokens(text);
        match tokens.word() {
            Some("SET" | "RESET") if tokens.word() == Some("SESSION") => part.push_str(text),
            Some("GRANT") => {
                let read = to_read(tokens, text);
                gives |= read.is_some();
                part.push_str(&read.unwrap_or_default());
            }
            _ => continue,
        }
        part.push('\n');
    }
    if gives { part.into_bytes() } else { Vec::new() }
}

/// The statements of an entry that take privileges from everybody. Until then everybody may call each function.
pub(crate) fn taken_from_everybody(entry: &[u8]) -> Vec<Vec<u8>> {
    let is_taken = |statement: &&[u8]| {
        let text = String::from_utf8_lossy(statement);
        Tokens(without_comments(&text)).word() == Some("REVOKE") && text.ends_with(" FROM PUBLIC;")
    };
    one_by_one(entry).into_iter().filter(is_taken).map(<[u8]>::to_vec).collect()
}

/// The statements of an entry as they are refused: each by itself, but for those that say who gives something, which are one with what he gives.
pub(crate) fn units(entry: &[u8]) -> Vec<Vec<u8>> {
    let (mut units, mut as_other) = (Vec::new(), Vec::new());
    for statement in one_by_one(entry) {
        let text = String::from_utf8_lossy(statement);
        let text = without_comments(&text);
        if text.is_empty() {
            continue;
        }
        let mut tokens = Tokens(text);
        let begins = tokens.word();
        let is_of_session = tokens.word() == Some("SESSION");
        if as_other.is_empty() && !(begins == Some("SET") && is_of_session) {
            units.push(statement.to_vec());
            continue;
        }
        as_other.extend_from_slice(statement);
        if begins == Some("RESET") && is_of_session {
            units.push(std::mem::take(&mut as_other));
        }
    }
    units.extend(Some(as_other).filter(|rest| !rest.is_empty()));
    units
}

/// What is left of a statement, of which `tokens` has what follows `GRANT`.
fn to_read(mut tokens: Tokens<'_>, text: &str) -> Option<String> {
    let mut columns = Vec::new();
    loop {
        let privilege = tokens.word()?;
        let list = tokens.0;
        let names = if list.starts_with('(') { list.get(..=after_list(&mut tokens, list)?)? } else { "" };
        if matches!(privilege, "SELECT" | "ALL") {
            columns.push(format!("SELECT{names}"));
        }
        match tokens.next_token()? {
            "," => {}
            "ON" => break,
            _ => return None,
        }
    }
    match tokens.word()? {
        "SCHEMA" | "SEQUENCE" => Some(text.to_owned()),
        "TABLE" if !columns.is_empty() => Some(format!("GRANT {} ON TABLE{}", columns.join(", "), tokens.0)),
        _ => None,
    }
}

/// Where a list of names ends.
fn after_list(tokens: &mut Tokens<'_>, list: &str) -> Option<usize> {
    while tokens.next_token()? != ")" {}
    Some(list.len() - tokens.0.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_gives_is_one_with_who_gives_it() {
        let entry = b"--\n-- Name: f; Type: ACL\n--\n\nREVOKE ALL ON FUNCTION m.f() FROM PUBLIC;\nSET SESSION AUTHORIZATION a;\nGRANT ALL ON FUNCTION m.f() TO b;
            RESET SESSION AUTHORIZATION;\nGRANT ALL ON FUNCTION m.f() TO \"SET SESSION AUTHORIZATION\";\nGRANT ALL ON FUNCTION m.f() TO c;\n\n";
        let units = units(entry);
        let has = |unit: usize, word: &str| String::from_utf8_lossy(&units[unit]).contains(word);
        assert_eq!(units.len(), 4);
        assert!(has(0, "REVOKE") && has(1, "TO b") && has(1, "RESET") && has(2, "TO \"SET") && has(3, "TO c"));
    }

    #[test]
    fn what_everybody_loses_is_found() {
        let entry = b"-- x\n\nREVOKE ALL ON FUNCTION m.f() FROM PUBLIC;\nREVOKE ALL ON FUNCTION m.f() FROM a;\nGRANT ALL ON FUNCTION m.f() TO b;\n";
        let taken = taken_from_everybody(entry);
        assert_eq!(taken.len(), 1);
        assert!(String::from_utf8_lossy(&taken[0]).ends_with("REVOKE ALL ON FUNCTION m.f() FROM PUBLIC;"));
        assert!(taken_from_everybody(b"REVOKE ALL ON FUNCTION m.f() FROM \"PUBLIC\";").is_empty());
    }

    #[test]
    fn what_is_given_to_read_is_kept() {
        for (entry, expected) in [
            (
                "-- x\n\nGRANT SELECT,INSERT ON TABLE m.t TO a;\nGRANT ALL ON TABLE m.\"t u\" TO b WITH GRANT OPTION;\n",
                "GRANT SELECT ON TABLE m.t TO a;\nGRANT SELECT ON TABLE m.\"t u\" TO b WITH GRANT OPTION;\n",
            ),
            ("GRANT SELECT(\"a)\"),UPDATE(b) ON TABLE m.t TO a;", "GRANT SELECT(\"a)\") ON TABLE m.t TO a;\n"),
            ("REVOKE ALL ON TABLE m.t FROM a;\nGRANT INSERT ON TABLE m.t TO a;", ""),
            ("GRANT ALL ON FUNCTION m.f() TO a;", ""),
            ("GRANT USAGE ON SEQUENCE m.s TO a;", "GRANT USAGE ON SEQUENCE m.s TO a;\n"),
            (
                "SET SESSION AUTHORIZATION g;\nGRANT SELECT,DELETE ON TABLE m.t TO a;\nRESET SESSION AUTHORIZATION;\n",
                "SET SESSION AUTHORIZATION g;\nGRANT SELECT ON TABLE m.t TO a;\nRESET SESSION AUTHORIZATION;\n",
            ),
            ("SET SESSION AUTHORIZATION g;\nGRANT DELETE ON TABLE m.t TO a;\nRESET SESSION AUTHORIZATION;\n", ""),
            ("ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b;", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&reading_part(entry.as_bytes())), expected, "{entry}");
        }
    }
}
