//! What a statement of a script would reach beyond the database that the script is for: other databases, roles, the settings and
//! files of the server.
//!
//! Only words outside of strings, quoted names and comments come here. No statement that `pg_dump` writes without being asked
//! for more than one database is among those that are found.

/// What no dump of one database makes, drops or changes.
const OF_SERVER: [&str; 6] = ["DATABASE", "ROLE", "USER", "GROUP", "TABLESPACE", "SYSTEM"];
const WORD_BYTES_MAX: usize = 16;

/// Follows the words of one statement after another.
#[derive(Debug, Default)]
pub(super) struct StatementWords {
    /// The word that is read, in capital letters and cut.
    word: String,
    first: String,
    /// How many words were read.
    count: usize,
    last: String,
    /// Whether a privilege is on something, and not the membership in a role.
    has_on: bool,
    /// Open parentheses.
    depth: u32,
    /// What was found.
    found: Option<String>,
}

impl StatementWords {
    /// What reaches beyond the database, where there was such a statement.
    pub(super) fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// A byte of a word.
    pub(super) fn letter(&mut self, byte: u8) {
        if self.word.len() < WORD_BYTES_MAX {
            self.word.push(char::from(byte.to_ascii_uppercase()));
        }
    }

    /// A word has ended.
    pub(super) fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() || self.depth > 0 {
            return;
        }
        if self.count == 0 {
            self.first.clone_from(&word);
        }
        let changes = matches!(self.first.as_str(), "CREATE" | "DROP" | "ALTER");
        let is_grant = matches!(self.first.as_str(), "GRANT" | "REVOKE");
        // `USER MAPPING` is of the database.
        let is_of_server = self.count == 1 && changes && OF_SERVER.contains(&word.as_str()) && word != "USER";
        let is_user = self.count == 2 && changes && self.last == "USER" && word != "MAPPING";
        let is_program = self.first == "COPY" && word == "PROGRAM" && matches!(self.last.as_str(), "FROM" | "TO");
        let is_membership = is_grant && !self.has_on && matches!(word.as_str(), "TO" | "FROM");
        self.has_on |= word == "ON";
        if is_of_server || is_program || is_membership {
            self.find(&word);
        } else if is_user {
            self.find("USER");
        }
        self.last = word;
        self.count += 1;
    }

    /// A quoted name or a string begins.
    pub(super) fn quote(&mut self, byte: u8) {
        let is_file = self.first == "COPY" && self.depth == 0 && matches!(self.last.as_str(), "FROM" | "TO");
        let changes = matches!(self.first.as_str(), "CREATE" | "DROP" | "ALTER");
        if byte == b'\'' && is_file {
            self.find("FILE");
        } else if byte == b'"' && changes && self.count == 2 && self.last == "USER" {
            self.find("USER");
        }
        if self.depth == 0 {
            "\"".clone_into(&mut self.last);
            self.count += 1;
        }
    }

    /// A byte that is no part of a word.
    pub(super) fn mark(&mut self, byte: u8) {
        match byte {
            b'(' => self.depth += 1,
            b')' => self.depth = self.depth.saturating_sub(1),
            b';' => *self = Self { found: self.found.take(), ..Self::default() },
            _ => {}
        }
    }

    fn find(&mut self, what: &str) {
        if self.found.is_none() {
            self.found = Some(format!("{} {what}", self.first));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::postgres::Lexer;

    fn found(text: &str) -> Option<String> {
        let mut lexer = Lexer::default();
        lexer.advance(text.as_bytes());
        lexer.beyond_database().map(str::to_owned)
    }

    #[test]
    fn statements_that_reach_beyond_the_database_are_found() {
        for (text, expected) in [
            ("DROP DATABASE postgres;", "DROP DATABASE"),
            ("SELECT 1; create  /* x */ Role evil SUPERUSER;", "CREATE ROLE"),
            ("-- x\nALTER USER mallory SUPERUSER;", "ALTER USER"),
            ("ALTER USER \"mallory\" SUPERUSER;", "ALTER USER"),
            ("ALTER SYSTEM SET x = 1;", "ALTER SYSTEM"),
            ("GRANT postgres TO mallory;", "GRANT TO"),
            ("REVOKE ALL ON t FROM a; GRANT a, b TO c;", "GRANT TO"),
            ("COPY t (program) FROM PROGRAM 'id';", "COPY PROGRAM"),
            ("COPY t TO '/etc/x';", "COPY FILE"),
            ("COPY (SELECT 1) TO PROGRAM $$id$$;", "COPY PROGRAM"),
        ] {
            assert_eq!(found(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_dumps_say_is_not_found() {
        for text in [
            "SELECT 'x; DROP DATABASE y;';",
            "CREATE FUNCTION f() AS $$ DROP DATABASE y; $$;",
            "CREATE USER MAPPING FOR a SERVER b;",
            "GRANT SELECT ON TABLE t TO a; REVOKE ALL ON SCHEMA s FROM PUBLIC;",
            "COPY t (program, \"from\") FROM stdin;",
            "ALTER TABLE t OWNER TO database; COMMENT ON DATABASE d IS 'x';",
            "CREATE TABLE role (database int, system text); ALTER TABLE ONLY role ADD COLUMN x int;",
            "CREATE TABLE \"x\" (a int DEFAULT 1); CREATE VIEW v AS SELECT 1 AS role;",
            "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b;",
            "SET SESSION AUTHORIZATION a; RESET SESSION AUTHORIZATION;",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
