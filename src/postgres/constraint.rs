//! Constraints that are made when the rows are there: which look at each of them, and what they belong to.

const TABLE_CHECKS: [&str; 2] = ["CHECK CONSTRAINT", "FK CONSTRAINT"];
const NOT_VALID: &[u8] = b" NOT VALID;";

/// What a constraint belongs to, quoted where needed, as its statement has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    /// Rows of this table are checked by an expression.
    Check(String),
    /// Rows of this table are compared with those of another.
    ForeignKey(String),
    /// Values of this domain are checked.
    OfDomain(String),
}

/// The constraint that the statements of an entry make, where that looks at rows.
pub(crate) fn of(kind: &str, text: &[u8]) -> Option<Constraint> {
    if !TABLE_CHECKS.contains(&kind) {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    // Titles are comments, and names have no line feed in them that is followed by these words.
    let start = |words: &str| text.find(&format!("\n{words}")).and_then(|place| text.get(place + 1 + words.len()..));
    if text.as_bytes().windows(NOT_VALID.len()).any(|window| window == NOT_VALID) {
        return None;
    }
    if let Some(rest) = start("ALTER DOMAIN ") {
        return name_at(rest).map(Constraint::OfDomain);
    }
    let rest = start("ALTER TABLE ")?;
    let table = name_at(rest.strip_prefix("ONLY ").unwrap_or(rest))?;
    Some(if kind == "FK CONSTRAINT" { Constraint::ForeignKey(table) } else { Constraint::Check(table) })
}

/// The name that a text begins with, up to a blank or the end of a line outside of its quotes.
fn name_at(text: &str) -> Option<String> {
    let mut quoted = false;
    let end = text.find(|char: char| {
        quoted ^= char == '"';
        !quoted && char.is_whitespace()
    });
    text.get(..end?).filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_known_by_what_they_belong_to() {
        let title = "--\n-- Name: t c; Type: CHECK CONSTRAINT; Schema: m; Owner: m\n--\n\n";
        let found = |kind: &str, text: &str| of(kind, format!("{title}{text}").as_bytes());
        let check = "ALTER TABLE m.\"a b\"\n    ADD CONSTRAINT c CHECK (m.f(x));\n\n";
        assert_eq!(found("CHECK CONSTRAINT", check), Some(Constraint::Check("m.\"a b\"".to_owned())));
        let key = "ALTER TABLE ONLY m.t\n    ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES m.u(y);\n";
        assert_eq!(found("FK CONSTRAINT", key), Some(Constraint::ForeignKey("m.t".to_owned())));
        let domain = "ALTER DOMAIN m.d\n    ADD CONSTRAINT c CHECK (m.f(VALUE));\n";
        assert_eq!(found("CHECK CONSTRAINT", domain), Some(Constraint::OfDomain("m.d".to_owned())));
        let unchecked = "ALTER TABLE m.t\n    ADD CONSTRAINT c CHECK (m.f(x)) NOT VALID;\n";
        assert_eq!(found("CHECK CONSTRAINT", unchecked), None);
        assert_eq!(found("INDEX", check), None);
    }
}
