//! What an entry of a script makes, as its first statement says it. Its title is made of names, which are somebody else's.

use super::owned::owner_given_by;
use super::tokens::{Tokens, without_comments};
use super::wrapped::one_by_one;
use crate::model::split_names;

/// What is in an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Definition {
    Table {
        /// Who owns it, quoted where needed, where the entry says that.
        owner: Option<String>,
        /// Its name, quoted where needed.
        name: String,
        /// Whether the server runs what is constant in an expression of it at once.
        evaluates: bool,
        /// Whether it becomes part of another table at once.
        is_part: bool,
    },
    /// A table becomes part of another, both quoted where needed.
    Partition {
        whole: String,
        part: String,
    },
    Index {
        /// Its schema and name.
        names: Vec<String>,
        /// Whether it has an expression or a condition.
        is_computed: bool,
    },
    /// An index becomes part of another, both quoted where needed.
    IndexPartition {
        whole: String,
        part: String,
    },
    /// What the planner is to know of columns and expressions.
    Statistics,
    Constraint(Constraint),
    Domain,
    /// Something that can be called, or brings that along.
    Callable,
    Aggregate {
        has_initial_value: bool,
    },
    EventTrigger,
    Trigger,
    /// Something else that only a superuser can own.
    OfSuperuser,
    /// A comment or a label on an event trigger.
    OnEventTrigger,
    Comment,
    /// Privileges of a schema.
    OnSchema,
    /// Other privileges.
    Privileges,
    /// Rows of this table, quoted where needed, are behind its policies from then on.
    RowSecurity(String),
    /// A materialized view gets its rows.
    Refresh,
    Other,
}

/// What is checked when rows are there, quoted where needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    /// Rows of this table are checked by an expression.
    Check(String),
    /// Rows of this table are compared with those of another one.
    ForeignKey(String, String),
    /// Values of this domain are checked.
    OfDomain(String),
}

impl Constraint {
    /// Whether rows are compared with those of another table.
    pub(crate) const fn is_foreign_key(&self) -> bool {
        matches!(self, Self::ForeignKey(..))
    }
}

/// What the server evaluates when it makes a table, as `pg_dump` writes it.
const GENERATED: &str = "GENERATED ALWAYS AS (";
const PARTITIONED: &str = "PARTITION BY ";
const IS_PART: [&str; 2] = ["ATTACH PARTITION ", "PARTITION OF "];
/// What is said of a table after it was made, and evaluates nothing. To make a column not null, the server runs what is constant in the checks
/// of the table, to see whether they say the same.
const EVALUATES_NOTHING: [&str; 6] = ["OWNER", "REPLICA", "FORCE", "CLUSTER", "ENABLE", "DISABLE"];
/// The same of a column.
const EVALUATES_NOTHING_OF_COLUMN: [&str; 5] = ["STATISTICS", "STORAGE", "COMPRESSION", "DEFAULT", "("];
/// How a constraint ends that looks at no rows.
const NOT_VALID: &str = " NOT VALID;";

impl Definition {
    /// What the statements of an entry make.
    pub(crate) fn of(text: &[u8]) -> Self {
        let statements = one_by_one(text);
        let (first, others) = statements.split_first().expect("there is always one");
        let first = String::from_utf8_lossy(first);
        let statement = without_comments(&first);
        let mut tokens = Tokens(statement);
        let words: Vec<&str> = std::iter::from_fn(|| tokens.word()).take(4).collect();
        let mut tokens = Tokens(statement);
        match words.as_slice() {
            ["CREATE", "TABLE", ..] => Self::table(statement, 2, others),
            ["CREATE", "UNLOGGED" | "FOREIGN", "TABLE", ..] => Self::table(statement, 3, others),
            ["ALTER", "TABLE", ..] => Self::altered_table(statement).unwrap_or(Self::Other),
            ["ALTER", "DOMAIN", ..] => {
                tokens.pass(2);
                let is_check = statement.contains("ADD CONSTRAINT ") && !statement.ends_with(NOT_VALID);
                match tokens.name().filter(|_| is_check) {
                    Some(domain) => Self::Constraint(Constraint::OfDomain(domain)),
                    None => Self::Other,
                }
            }
            ["CREATE", "INDEX", ..] => Self::index(statement, 2).unwrap_or(Self::Other),
            ["CREATE", "UNIQUE", "INDEX", ..] => Self::index(statement, 3).unwrap_or(Self::Other),
            ["CREATE", "FUNCTION" | "PROCEDURE" | "EXTENSION", ..] => Self::Callable,
            ["ALTER", "INDEX", ..] => Self::altered_index(statement).unwrap_or(Self::Other),
            ["CREATE", "STATISTICS", ..] => Self::Statistics,
            ["CREATE", "DOMAIN", ..] => Self::Domain,
            ["CREATE", "AGGREGATE", ..] => Self::Aggregate { has_initial_value: statement.contains("INITCOND = ") },
            ["CREATE" | "ALTER", "EVENT", "TRIGGER", ..] => Self::EventTrigger,
            ["CREATE", "TRIGGER", ..] | ["CREATE", "CONSTRAINT", "TRIGGER", ..] => Self::Trigger,
            ["CREATE", "FOREIGN", "DATA", "WRAPPER"] | ["CREATE", "SUBSCRIPTION", ..] => Self::OfSuperuser,
            ["COMMENT", "ON", "EVENT", "TRIGGER"] => Self::OnEventTrigger,
            ["SECURITY", "LABEL", ..] if is_on_event_trigger(statement) => Self::OnEventTrigger,
            ["COMMENT", "ON", ..] => Self::Comment,
            ["REFRESH", "MATERIALIZED", "VIEW", ..] => Self::Refresh,
            ["GRANT" | "REVOKE", _, "ON", "SCHEMA"] => Self::OnSchema,
            // By somebody whom the owner has let give them.
            ["SET", "SESSION", "AUTHORIZATION", ..] if others.iter().any(|other| is_grant(other)) => Self::Privileges,
            ["GRANT" | "REVOKE", ..] | ["ALTER", "DEFAULT", "PRIVILEGES", ..] => Self::Privileges,
            _ => Self::Other,
        }
    }

    fn table(statement: &str, words: usize, others: &[&[u8]]) -> Self {
        let mut tokens = Tokens(statement);
        tokens.pass(words);
        let is_part = IS_PART.iter().any(|words| statement.contains(words));
        // A name that only looks like one of these makes the table be made by its owner, which does no harm.
        let is_partitioned = statement
            .match_indices(PARTITIONED)
            .any(|(place, _)| statement.get(place + PARTITIONED.len()..).is_some_and(has_expression));
        Self::Table {
            owner: owner_given_by(others),
            name: tokens.name().unwrap_or_default(),
            evaluates: is_part
                || is_partitioned
                || statement.contains(GENERATED)
                || others.iter().any(|other| may_evaluate(other)),
            is_part,
        }
    }

    fn index(statement: &str, words: usize) -> Option<Self> {
        let mut tokens = Tokens(statement);
        tokens.pass(words);
        let name = tokens.name()?;
        let is_of_table = tokens.word()? == "ON";
        if tokens.peek_word() == Some("ONLY") {
            tokens.pass(1);
        }
        let names = names_beside(&tokens.name().filter(|_| is_of_table)?, &name)?;
        Some(Self::Index { names, is_computed: has_expression(statement) || has_condition(statement) })
    }

    fn altered_index(statement: &str) -> Option<Self> {
        let mut tokens = Tokens(statement);
        tokens.pass(2);
        let whole = tokens.name()?;
        let is_part = tokens.word()? == "ATTACH" && tokens.word()? == "PARTITION";
        is_part.then_some(Self::IndexPartition { whole, part: tokens.name()? })
    }

    fn altered_table(statement: &str) -> Option<Self> {
        let mut tokens = Tokens(statement);
        tokens.pass(2);
        if tokens.peek_word() == Some("ONLY") {
            tokens.pass(1);
        }
        let table = tokens.name()?;
        match (tokens.word()?, tokens.word()?) {
            ("ENABLE", "ROW") => Some(Self::RowSecurity(table)),
            ("ATTACH", "PARTITION") => Some(Self::Partition { whole: table, part: tokens.name()? }),
            ("ADD", "CONSTRAINT") => {
                let names = names_beside(&table, &tokens.name()?)?;
                match tokens.word()? {
                    "PRIMARY" | "UNIQUE" => Some(Self::Index { names, is_computed: false }),
                    "EXCLUDE" => {
                        let is_computed = has_expression(tokens.0) || has_condition(tokens.0);
                        Some(Self::Index { names, is_computed })
                    }
                    "FOREIGN" if !statement.ends_with(NOT_VALID) => {
                        while tokens.next_token()? != "REFERENCES" {}
                        Some(Self::Constraint(Constraint::ForeignKey(table, tokens.name()?)))
                    }
                    "CHECK" if !statement.ends_with(NOT_VALID) => Some(Self::Constraint(Constraint::Check(table))),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Whether the server may evaluate something of a table when it runs a statement that follows the one that made it.
fn may_evaluate(statement: &[u8]) -> bool {
    let text = String::from_utf8_lossy(statement);
    let text = without_comments(&text);
    let mut tokens = Tokens(text);
    if tokens.peek_word() != Some("ALTER") {
        return false;
    }
    tokens.pass(1);
    if tokens.peek_word() == Some("FOREIGN") {
        tokens.pass(1);
    }
    if tokens.word() != Some("TABLE") {
        return false;
    }
    if tokens.peek_word() == Some("ONLY") {
        tokens.pass(1);
    }
    if tokens.name().is_none() {
        return true;
    }
    match tokens.word() {
        Some("ALTER") if tokens.word() == Some("COLUMN") && tokens.name().is_some() => {
            let is_set = matches!(tokens.word(), Some("SET" | "OPTIONS"));
            let what = tokens.next_token();
            !is_set || !what.is_some_and(|what| EVALUATES_NOTHING_OF_COLUMN.contains(&what))
        }
        Some(word) => !EVALUATES_NOTHING.contains(&word),
        None => true,
    }
}

/// The names of something in the schema of a table, both quoted where needed.
fn names_beside(table: &str, name: &str) -> Option<Vec<String>> {
    let mut names = split_names(table)?;
    names.pop();
    names.extend(split_names(name)?);
    Some(names)
}

fn is_grant(statement: &[u8]) -> bool {
    without_comments(&String::from_utf8_lossy(statement)).starts_with("GRANT ")
}

/// Whether the first list in parentheses has more than names in it.
fn has_expression(text: &str) -> bool {
    let (mut depth, mut tokens) = (0_u32, Tokens(text));
    while let Some(token) = tokens.next_token() {
        match token {
            "(" if depth == 1 => return true,
            "(" => depth += 1,
            ")" => return false,
            _ => {}
        }
    }
    false
}

/// Whether rows have to meet a condition, after lists in parentheses.
fn has_condition(text: &str) -> bool {
    let mut tokens = Tokens(text);
    std::iter::from_fn(|| tokens.next_token()).any(|token| token == "WHERE")
}

fn is_on_event_trigger(statement: &str) -> bool {
    let mut tokens = Tokens(statement);
    let words: Vec<&str> = std::iter::from_fn(|| tokens.next_token()).take(7).collect();
    words.windows(3).any(|words| words == ["ON", "EVENT", "TRIGGER"])
}

/// Whether a statement only drops something: an object, or a part of a table.
pub(crate) fn is_drop(statement: &[u8]) -> bool {
    let text = String::from_utf8_lossy(statement);
    let mut tokens = Tokens(without_comments(&text));
    match (tokens.word(), tokens.word()) {
        (Some("DROP"), Some(_)) => true,
        (Some("ALTER"), Some("TABLE" | "DOMAIN")) => {
            if tokens.peek_word() == Some("ONLY") {
                tokens.pass(1);
            }
            let is_named = tokens.name().is_some();
            let is_of_column = tokens.peek_word() == Some("ALTER");
            if is_of_column {
                tokens.pass(2);
            }
            is_named && (!is_of_column || tokens.name().is_some()) && tokens.word() == Some("DROP")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Definition {
        Definition::of(
            format!("--\n-- Name: t c; Type: TABLE; Schema: x; Type: ACL; Owner: m\n--\n\n{text}").as_bytes(),
        )
    }

    fn table(text: &str) -> (Option<String>, String, bool, bool) {
        match of(text) {
            Definition::Table { owner, name, evaluates, is_part } => (owner, name, evaluates, is_part),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn drops_are_told_from_what_changes_something() {
        for (text, expected) in [
            ("-- x\nDROP TABLE m.t;", true),
            ("ALTER TABLE ONLY m.\"a DROP b\" DROP CONSTRAINT c;", true),
            ("ALTER DOMAIN m.d DROP CONSTRAINT c;", true),
            ("ALTER TABLE m.t ALTER COLUMN a DROP DEFAULT;", true),
            ("ALTER TABLE m.t ALTER COLUMN \"DROP DEFAULT\" SET DEFAULT 1;", false),
            ("ALTER TABLE m.t ADD COLUMN \"DROP\" integer;", false),
            ("", false),
        ] {
            assert_eq!(is_drop(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn constraints_are_known_by_what_they_belong_to() {
        let check = "ALTER TABLE m.\"a b\"\n    ADD CONSTRAINT \"c \"\" d\" CHECK (m.f(x));\n\n";
        assert_eq!(of(check), Definition::Constraint(Constraint::Check("m.\"a b\"".to_owned())));
        let key = "ALTER TABLE ONLY m.t\n    ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES m.u(y);\n";
        assert_eq!(of(key), Definition::Constraint(Constraint::ForeignKey("m.t".to_owned(), "m.u".to_owned())));
        let domain = "ALTER DOMAIN m.d\n    ADD CONSTRAINT c CHECK (m.f(VALUE));\n";
        assert_eq!(of(domain), Definition::Constraint(Constraint::OfDomain("m.d".to_owned())));
        assert_eq!(of("ALTER TABLE m.t\n    ADD CONSTRAINT c CHECK (m.f(x)) NOT VALID;\n"), Definition::Other);
        let named = "ALTER TABLE m.t\n    ADD CONSTRAINT \" NOT VALID;\" CHECK (m.f(x));\n";
        assert_eq!(of(named), Definition::Constraint(Constraint::Check("m.t".to_owned())));
    }

    #[test]
    fn tables_are_known_by_whether_something_is_evaluated() {
        let owned = |text: &str| table(&format!("{text}\n\n\nALTER TABLE m.t OWNER TO \"a m\";\n\n"));
        let owner = || Some("\"a m\"".to_owned());
        assert_eq!(owned("CREATE TABLE m.t (\n    i integer\n);"), (owner(), "m.t".to_owned(), false, false));
        assert!(
            owned("CREATE UNLOGGED TABLE m.t (\n i integer, g integer GENERATED ALWAYS AS (m.f('x')) STORED\n);").2
        );
        assert!(owned("CREATE TABLE m.t (\n i integer\n)\nPARTITION BY RANGE (i, ((i + m.f('x'))));").2);
        assert!(owned("CREATE TABLE m.t (\n i integer\n)\nPARTITION BY RANGE (lower(i));").2);
        assert!(!owned("CREATE TABLE m.t (\n i integer DEFAULT f(1)\n)\nPARTITION BY RANGE (i, \"a(\");").2);
        assert!(owned("CREATE TABLE m.t PARTITION OF m.p FOR VALUES IN (1);").3);
        assert_eq!(table("CREATE TABLE t (\n i integer\n);\n"), (None, "t".to_owned(), false, false));
        let named = |name: &str, role: &str| {
            table(&format!(
                "CREATE TABLE m.{name} (i text DEFAULT '\nALTER TABLE m.t OWNER TO larder;\nSET default_x = ');\n\n
                 ALTER TABLE m.{name} OWNER TO {role};\n\nSET default_tablespace = '';\n\n--\n"
            ))
            .0
        };
        for role in [
            "a",
            "\"x OWNER TO y\"",
            "\"x\nALTER TABLE m.t OWNER TO y;\"",
            "\"x\nALTER TABLE m.t OWNER TO \"\"y\"",
            "\"x\nALTER TABLE m.t OWNER TO y;\nSET default_x = \"",
        ] {
            for name in ["t", "\"t'; -- x\"", "\"t OWNER TO y; \""] {
                assert_eq!(named(name, role).as_deref(), Some(role));
            }
        }
    }

    #[test]
    fn indexes_are_known_by_what_is_computed_for_them() {
        let computed = |text: &str| match of(text) {
            Definition::Index { is_computed, names } => {
                assert_eq!(names.first().map(String::as_str), Some("m"));
                is_computed
            }
            other => panic!("{other:?}"),
        };
        assert!(!computed(
            "CREATE UNIQUE INDEX i ON m.t USING btree (a, \"b (\" DESC) INCLUDE (c) WITH (fillfactor='70');"
        ));
        assert!(computed("CREATE INDEX i ON m.t USING btree (lower(a));"));
        assert!(computed("CREATE INDEX i ON ONLY m.t USING btree (((a + 1)));"));
        assert!(computed("CREATE INDEX i ON m.t USING btree (a) WHERE (b > 1);"));
        assert!(!computed("ALTER TABLE ONLY m.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id) INCLUDE (x);"));
        assert!(computed("ALTER TABLE ONLY m.t\n    ADD CONSTRAINT e EXCLUDE USING gist (m.f(a) WITH =);"));
        assert!(!computed("ALTER TABLE ONLY m.t\n    ADD CONSTRAINT e EXCLUDE USING gist (a WITH =);"));
    }

    #[test]
    fn other_entries_are_known_by_their_first_words() {
        let part = Definition::Partition { whole: "m.p".to_owned(), part: "m.\"q r\"".to_owned() };
        assert_eq!(of("ALTER TABLE ONLY m.p ATTACH PARTITION m.\"q r\" FOR VALUES IN (1);"), part);
        let part = Definition::IndexPartition { whole: "m.i".to_owned(), part: "n.j".to_owned() };
        assert_eq!(of("ALTER INDEX m.i ATTACH PARTITION n.j;"), part);
        assert_eq!(of("CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f();"), Definition::EventTrigger);
        assert_eq!(of("COMMENT ON EVENT TRIGGER e IS 'x';"), Definition::OnEventTrigger);
        assert_eq!(of("SECURITY LABEL FOR x ON EVENT TRIGGER e IS 'x';"), Definition::OnEventTrigger);
        assert_eq!(of("COMMENT ON TABLE m.t IS 'ON EVENT TRIGGER';"), Definition::Comment);
        assert_eq!(of("GRANT USAGE ON SCHEMA m TO a;"), Definition::OnSchema);
        assert_eq!(of("REVOKE ALL ON TABLE \"ON SCHEMA\" FROM a;"), Definition::Privileges);
        assert_eq!(of("ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b;"), Definition::Privileges);
        assert_eq!(of("CREATE DOMAIN m.d AS integer\n CONSTRAINT c CHECK (VALUE > 0);"), Definition::Domain);
        assert_eq!(of("ALTER TABLE m.t ENABLE ROW LEVEL SECURITY;"), Definition::RowSecurity("m.t".to_owned()));
        assert_eq!(of("ALTER TABLE m.t ENABLE ALWAYS TRIGGER g;"), Definition::Other);
        assert_eq!(of("REFRESH MATERIALIZED VIEW m.v;"), Definition::Refresh);
        assert_eq!(of("CREATE STATISTICS m.s ON (a + 1) FROM m.t;"), Definition::Statistics);
        assert_eq!(of("CREATE VIEW m.v AS SELECT 1;"), Definition::Other);
        assert_eq!(of(""), Definition::Other);
    }
}
