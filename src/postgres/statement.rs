//! What the statements of a script are, token by token: what reaches beyond the database that it is for, what no `pg_dump`
//! writes, and what would run code of whoever wrote it.
//!
//! Strings and comments do not come here as words. A statement is known for what it is before its end is, wherever that can be:
//! `psql` runs what it was given when its input ends.

use super::allowed::{Allowed, Form, Verb};
use super::calls::Code;
use super::script_token::{Chain, Last, Place, Short, Token};

/// Tokens of a statement that are shown.
const SHOWN_TOKENS: usize = 6;
const DEEP_COMMENTS: &str = "with comments within comments";
/// What no dump of one database makes, drops or changes.
const OF_SERVER: [&[u8]; 6] = [b"DATABASE", b"ROLE", b"USER", b"GROUP", b"TABLESPACE", b"SYSTEM"];

/// Whether a function is written out as statements, which end with `;` but do not end the one that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    /// `BEGIN` was the last token.
    Begin,
    /// Within; whether a statement of it could begin here.
    Inside {
        at_start: bool,
    },
}

/// Follows the tokens of one statement after another.
#[derive(Debug)]
pub(crate) struct Statements {
    chain: Chain,
    last: Last,
    depth: u32,
    body: Body,
    /// The first tokens of the statement.
    shown: String,
    count: usize,
    allowed: Allowed,
    code: Code,
    is_stopped: bool,
    /// What reaches beyond the database.
    beyond: Option<String>,
    /// What no `pg_dump` writes.
    refused: Option<String>,
}

impl Default for Statements {
    fn default() -> Self {
        Self {
            chain: Chain::NONE,
            last: Last::Start,
            depth: 0,
            body: Body::None,
            shown: String::new(),
            count: 0,
            allowed: Allowed::default(),
            code: Code::default(),
            is_stopped: false,
            beyond: None,
            refused: None,
        }
    }
}

impl Statements {
    /// What reaches beyond the database, where there was such a statement.
    pub(crate) fn beyond(&self) -> Option<&str> {
        self.beyond.as_deref()
    }

    /// The first statement that no `pg_dump` writes, where there was one.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// What runs code of whoever wrote the script, as far as it is kept, and how much there was.
    pub(crate) const fn code(&self) -> &Code {
        &self.code
    }

    /// Whether no statement has begun that has not ended.
    pub(crate) const fn is_at_start(&self) -> bool {
        self.count == 0
    }

    /// Whether what the statement is is known only at its end.
    pub(crate) const fn is_open(&self) -> bool {
        self.allowed.is_open()
    }

    /// From here on every string understands backslashes.
    pub(super) fn all_strings_escape(&mut self) {
        self.allowed.all_strings_escape();
        self.code.find("SET standard_conforming_strings = off".to_owned());
    }

    /// What stands here is read in several ways.
    pub(super) fn is_unclear(&mut self) {
        self.code.find(format!("{}, which versions read in several ways", self.shown_statement()));
    }

    /// Comments lie in one another deeper than a person writes them: a server takes very long to read that, and hears nothing meanwhile.
    pub(super) fn has_deep_comments(&mut self) {
        self.code.find(DEEP_COMMENTS.to_owned());
        self.refused.get_or_insert_with(|| DEEP_COMMENTS.to_owned());
    }

    /// What comes here is none of SQL, and nothing more is looked at.
    pub(super) const fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// A string begins. One that follows another goes on as that one began, which the lexer does not follow.
    pub(super) fn string_begins(&mut self) {
        self.refuse_unless(self.last != Last::Text);
    }

    /// The script ends within a string, a quoted name or a comment.
    pub(super) fn is_cut(&mut self) {
        self.refuse_unless(self.is_stopped);
    }

    /// A token.
    pub(super) fn token(&mut self, token: Token<'_>) {
        if self.is_stopped {
            return;
        }
        if let Token::Mark(b';') = token
            && self.depth == 0
            && self.ends_statement()
        {
            self.end();
            return;
        }
        self.follow_body(token);
        let place = Place { last: self.last, chain: self.chain, depth: self.depth };
        if self.count < SHOWN_TOKENS {
            self.show(token);
        }
        self.look_beyond(token);
        if self.is_stopped {
            return;
        }
        let is_fine = self.allowed.token(token, &place);
        self.refuse_unless(is_fine);
        self.code.token(token, (&place, &self.shown), &self.allowed);
        self.advance(token);
    }

    /// A statement has ended, or the script has.
    pub(super) fn end(&mut self) {
        let is_fine = self.count == 0 || self.allowed.end();
        self.refuse_unless(is_fine);
        let place = Place { last: self.last, chain: self.chain, depth: self.depth };
        self.code.end((&place, &self.shown), &self.allowed);
        self.allowed.begin();
        (self.chain, self.last, self.depth, self.body) = (Chain::NONE, Last::Start, 0, Body::None);
        self.shown.clear();
        self.count = 0;
    }

    fn refuse_unless(&mut self, is_fine: bool) {
        if !is_fine && !self.allowed.is_refused() {
            self.allowed.refuse();
            let shown = self.shown_statement();
            self.code.find(shown.clone());
            self.refused.get_or_insert(shown);
        }
    }

    fn shown_statement(&self) -> String {
        if self.shown.is_empty() { "that is cut off".to_owned() } else { self.shown.trim_end().to_owned() }
    }

    fn show(&mut self, token: Token<'_>) {
        let shown = match token {
            Token::Word(word) => Short::of(word, false).shown(),
            Token::Name(name) => Short::of(name, true).shown(),
            Token::Text(_) => "'…'".to_owned(),
            Token::Number => "0".to_owned(),
            Token::Mark(byte) => char::from(byte).to_string(),
        };
        let is_close = self.shown.ends_with('.') || matches!(token, Token::Mark(b'.' | b'('));
        if !self.shown.is_empty() && !is_close {
            self.shown.push(' ');
        }
        self.shown.push_str(&if self.count == 0 { shown.to_uppercase() } else { shown });
    }

    /// Whether `;` ends the statement here, and not one within a function.
    fn ends_statement(&mut self) -> bool {
        match &mut self.body {
            Body::Inside { at_start } => {
                *at_start = true;
                false
            }
            _ => true,
        }
    }

    /// Statements of a function stand between `BEGIN ATOMIC` and an `END` that follows the end of one of them.
    fn follow_body(&mut self, token: Token<'_>) {
        let makes_function = self.allowed.form() == Form::Object
            && self.allowed.verb() == Verb::Create
            && matches!(self.allowed.kind().map(|kind| kind.name), Some("FUNCTION" | "PROCEDURE"));
        self.body = match (self.body, token) {
            (Body::None | Body::Begin, Token::Word(b"BEGIN")) if makes_function && self.depth == 0 => Body::Begin,
            (Body::Begin, Token::Word(b"ATOMIC")) => Body::Inside { at_start: true },
            (Body::Inside { at_start: true }, Token::Word(b"END")) if self.depth == 0 => Body::None,
            (Body::Inside { at_start }, Token::Mark(b';')) => Body::Inside { at_start },
            (Body::Inside { .. }, _) => Body::Inside { at_start: false },
            (Body::None | Body::Begin, _) => Body::None,
        };
    }

    fn advance(&mut self, token: Token<'_>) {
        self.count += 1;
        match token {
            Token::Word(name) | Token::Name(name) => {
                let is_quoted = matches!(token, Token::Name(_));
                let name = Short::of(name, is_quoted);
                if self.last == Last::Mark(b'.') && self.chain.parts > 0 {
                    self.chain.parts += 1;
                    self.chain.last = name;
                } else {
                    let before_word = if self.last == Last::Word { self.chain.last } else { Short::EMPTY };
                    let number = self.chain.number + u32::from(self.chain.parts > 0);
                    self.chain = Chain { before: self.last, before_word, parts: 1, first: name, last: name, number };
                }
                self.last = if is_quoted { Last::Name } else { Last::Word };
            }
            Token::Text(_) => self.last = Last::Text,
            Token::Number => self.last = Last::Number,
            Token::Mark(byte) => {
                match byte {
                    b'(' => self.depth += 1,
                    b')' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                let is_cast = byte == b':' && self.last == Last::Mark(b':');
                self.last = if is_cast { Last::Cast } else { Last::Mark(byte) };
            }
        }
    }

    /// Looks for what reaches other databases, roles, the settings and files of the server.
    fn look_beyond(&mut self, token: Token<'_>) {
        if self.depth > 0 || self.beyond.is_some() || self.body != Body::None {
            return;
        }
        let verb = self.allowed.first().to_vec();
        let changes = matches!(verb.as_slice(), b"CREATE" | b"DROP" | b"ALTER");
        let after = |words: &[&[u8]]| self.last == Last::Word && words.contains(&self.chain.last.get());
        let found: &[u8] = match token {
            // `USER MAPPING` is of the database.
            Token::Word(b"MAPPING") if changes && self.count == 2 => return,
            Token::Word(_) | Token::Name(_) if changes && self.count == 2 && after(&[b"USER"]) => b"USER",
            Token::Word(word) if changes && self.count == 1 && word != b"USER" && OF_SERVER.contains(&word) => word,
            Token::Word(b"PROGRAM") if verb == b"COPY" && after(&[b"FROM", b"TO"]) => b"PROGRAM",
            Token::Text(_) if verb == b"COPY" && after(&[b"FROM", b"TO"]) => b"FILE",
            Token::Word(word @ (b"TO" | b"FROM")) if self.allowed.is_grant_of_roles() => word,
            Token::Word(b"PARAMETER") if self.allowed.form() == Form::Grant && after(&[b"ON"]) => b"ON PARAMETER",
            _ => return,
        };
        // It is never loaded, so nothing else matters.
        self.stop();
        self.beyond = Some(format!("{} {}", String::from_utf8_lossy(&verb), String::from_utf8_lossy(found)));
    }
}

#[cfg(test)]
mod tests {
    use crate::postgres::Lexer;

    fn found(text: &str) -> Option<String> {
        let mut lexer = Lexer::of_statements();
        lexer.advance(text.as_bytes());
        lexer.statements()?.beyond().map(str::to_owned)
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
            ("GRANT SET ON PARAMETER session_preload_libraries TO a;", "GRANT ON PARAMETER"),
            ("COPY t (program) FROM PROGRAM 'id';", "COPY PROGRAM"),
            ("COPY t TO '/etc/x';", "COPY FILE"),
            ("COPY t FROM E'/etc/x';", "COPY FILE"),
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
