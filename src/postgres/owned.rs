//! Who owns what an entry of a script makes, as the entry says it.

use super::tokens::{Tokens, without_comments};
use super::wrapped::one_by_one;

/// What can be given to an owner that way and is in a schema.
const KINDS: [&[&str]; 10] = [
    &["TABLE"],
    &["VIEW"],
    &["MATERIALIZED", "VIEW"],
    &["FOREIGN", "TABLE"],
    &["FUNCTION"],
    &["PROCEDURE"],
    &["AGGREGATE"],
    &["DOMAIN"],
    &["TYPE"],
    &["STATISTICS"],
];

/// Who owns something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    /// This role owns what has this name, both quoted where needed.
    By { role: String, name: String },
    /// Whoever owns this table, quoted where needed: it belongs to it.
    WithTable(String),
    /// The entry does not say.
    Unknown,
}

impl Owned {
    /// Whose is what these statements of one entry make.
    pub(crate) fn of(text: &[u8]) -> Self {
        let statements = one_by_one(text);
        let (first, others) = statements.split_first().expect("there is always one");
        if let Some((role, name)) = others.iter().find_map(|other| given(other, &KINDS)) {
            return Self::By { role, name };
        }
        let first = String::from_utf8_lossy(first);
        table_of(without_comments(&first)).map_or(Self::Unknown, Self::WithTable)
    }
}

/// The owner that one of these statements gives, quoted where needed.
pub(super) fn owner_given_by(statements: &[&[u8]]) -> Option<String> {
    statements.iter().find_map(|statement| given(statement, &KINDS)).map(|(role, _)| role)
}

/// The owner in `ALTER … name OWNER TO owner;`, and the name, of something of one of these kinds.
pub(super) fn given(statement: &[u8], kinds: &[&[&str]]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(statement);
    let mut tokens = Tokens(without_comments(&text));
    if tokens.word()? != "ALTER" {
        return None;
    }
    let rest = tokens.0;
    let after_kind = kinds.iter().find_map(|kind| {
        let mut tokens = Tokens(rest);
        kind.iter().all(|word| tokens.word() == Some(*word)).then_some(tokens.0)
    })?;
    let mut tokens = Tokens(after_kind);
    let name = tokens.name()?;
    let (mut depth, mut token) = (0_u32, tokens.next_token()?);
    while depth > 0 || token != "OWNER" {
        match token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 => return None,
            _ => {}
        }
        token = tokens.next_token()?;
    }
    let owner = (tokens.word()? == "TO").then(|| tokens.name())??;
    (tokens.next_token() == Some(";") && tokens.next_token().is_none()).then_some((owner, name))
}

/// The table in `ALTER TABLE table …` and `CREATE … name … ON table …`; that of a rule follows `TO`.
fn table_of(statement: &str) -> Option<String> {
    let mut tokens = Tokens(statement);
    match (tokens.word()?, tokens.word()?) {
        ("ALTER", "TABLE") => {}
        ("CREATE", "RULE") => pass_to(&mut tokens, "TO")?,
        ("CREATE", "INDEX" | "UNIQUE" | "POLICY" | "TRIGGER" | "CONSTRAINT") => pass_to(&mut tokens, "ON")?,
        _ => return None,
    }
    if tokens.peek_word() == Some("ONLY") {
        tokens.pass(1);
    }
    tokens.name()
}

/// The tables that the first statement of an entry makes something of: the one that it belongs to, and the one that a foreign key, or a trigger
/// for one, refers to.
pub(crate) fn tables_of(text: &[u8]) -> Vec<String> {
    let statements = one_by_one(text);
    let first = String::from_utf8_lossy(statements.first().expect("there is always one"));
    let statement = without_comments(&first);
    let mut tables: Vec<String> = table_of(statement).into_iter().collect();
    let mut tokens = Tokens(statement);
    let before = match (tokens.word(), tokens.word()) {
        (Some("ALTER"), Some("TABLE")) => "REFERENCES",
        (Some("CREATE"), Some("CONSTRAINT")) => "FROM",
        _ => return tables,
    };
    if pass_to(&mut tokens, before).is_some() {
        tables.extend(tokens.name());
    }
    tables
}

/// Passes the first such word. Nothing that stands before it in these statements has it but quoted names, which are no words.
fn pass_to(tokens: &mut Tokens<'_>, word: &str) -> Option<()> {
    loop {
        if tokens.next_token()? == word {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(role: &str, name: &str) -> Owned {
        Owned::By { role: role.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn owners_are_in_a_statement_of_their_own() {
        for (text, expected) in [
            ("CREATE VIEW m.v AS\n SELECT 1;\n\n\nALTER TABLE m.v OWNER TO a;\n", by("a", "m.v")),
            ("CREATE MATERIALIZED VIEW m.v AS SELECT 1 WITH NO DATA;\nALTER MATERIALIZED VIEW m.v OWNER TO a;", by("a", "m.v")),
            (
                "CREATE FUNCTION m.f(a m.d[] DEFAULT '{1}'::m.d[]) RETURNS integer LANGUAGE sql\n BEGIN ATOMIC\n SELECT 1;\nEND;
                 ALTER FUNCTION m.f(a m.d[], OUT \"owner\" integer) OWNER TO \"a b\";\n\nSET default_tablespace = '';\n",
                by("\"a b\"", "m.f"),
            ),
            (
                "CREATE FUNCTION m.\"f'; -- \"() RETURNS integer LANGUAGE sql AS $$\nALTER FUNCTION m.f() OWNER TO b;\nSET default_a = '$$;
                 ALTER FUNCTION m.\"f'; -- \"() OWNER TO a;",
                by("a", "m.\"f'; -- \""),
            ),
            ("CREATE SCHEMA m;\nALTER SCHEMA m OWNER TO a;", Owned::Unknown),
            ("CREATE VIEW m.v AS SELECT 1;\nALTER TABLE m.v SET (a = b); ALTER TABLE m.v ALTER COLUMN x SET DEFAULT 1;", Owned::Unknown),
        ] {
            assert_eq!(Owned::of(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_refers_to_tables_names_them() {
        for (text, tables) in [
            (
                "-- x\nALTER TABLE ONLY m.t\n    ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES m.\"u v\"(y) NOT VALID;",
                &["m.t", "m.\"u v\""][..],
            ),
            (
                "CREATE CONSTRAINT TRIGGER c AFTER INSERT ON m.t FROM m.u FOR EACH ROW EXECUTE FUNCTION m.f();",
                &["m.t", "m.u"],
            ),
            ("ALTER TABLE m.t ENABLE ALWAYS TRIGGER x;", &["m.t"]),
            ("CREATE POLICY p ON m.t USING ((EXISTS ( SELECT FROM m.u)));", &["m.t"]),
            ("CREATE SCHEMA m;", &[]),
        ] {
            assert_eq!(tables_of(text.as_bytes()), tables, "{text}");
        }
    }

    #[test]
    fn what_belongs_to_a_table_names_it() {
        for (text, table) in [
            ("-- x\nCREATE POLICY \"p ON b.t\" ON m.t USING (('{1}'::m.d[] IS NOT NULL));", "m.t"),
            ("CREATE UNIQUE INDEX i ON ONLY m.\"t u\" USING btree (x);", "m.\"t u\""),
            ("CREATE TRIGGER \"ON\" BEFORE UPDATE OF a, \"ON\" ON m.t FOR EACH ROW EXECUTE FUNCTION m.f();", "m.t"),
            ("CREATE RULE r AS\n    ON INSERT TO m.t DO INSTEAD NOTHING;", "m.t"),
            ("ALTER TABLE ONLY m.t ALTER COLUMN a SET DEFAULT '{1}'::m.d[];", "m.t"),
        ] {
            assert_eq!(Owned::of(text.as_bytes()), Owned::WithTable(table.to_owned()), "{text}");
        }
    }
}
