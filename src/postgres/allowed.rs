//! The statements that `pg_dump` writes, from 9.6 to 18. Anything else is none of a dump.
//!
//! A statement is followed by its first words, and as far as others would let it do something else: queries, rows that come from
//! queries, tables of the server.

use super::kinds::{CALLED, CALLED_FOR_STATISTICS, KINDS, Kind, OF_CONSTANTS, OF_ROWS, SETTINGS};
use super::script_token::{Chain, Last, Place, Short, Token};

/// What a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It has not begun.
    Start,
    /// `CREATE`, `ALTER`, `DROP`, and not yet of what.
    Phrase,
    Object,
    /// `COMMENT`, `SECURITY LABEL`.
    About,
    /// `GRANT`.
    Grant,
    /// `REVOKE`.
    Revoke,
    Copy,
    Insert,
    Set,
    Select,
    /// What it says has no meaning here.
    Free,
    /// None of a dump.
    Refused,
}

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Alter,
    Drop,
}

/// How far a statement is; what each means is up to its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Name,
    Columns,
    Between,
    Values,
    Encoding,
    Strings,
    Value,
    From,
    End,
}

/// Follows a statement as far as it is one of a dump.
#[derive(Debug)]
pub(super) struct Allowed {
    form: Form,
    verb: Verb,
    first: Short,
    phrase: Vec<u8>,
    kind: Option<&'static Kind>,
    step: Step,
    /// Whether what is there may be replaced.
    replaces: bool,
    has_on: bool,
    /// Tokens since the step began.
    count: u32,
    /// Of what must be said to the end, as much as has been.
    said: usize,
    /// Whether every string understands backslashes.
    escapes: bool,
}

impl Default for Allowed {
    fn default() -> Self {
        Self {
            form: Form::Start,
            verb: Verb::Create,
            first: Short::EMPTY,
            phrase: Vec::new(),
            kind: None,
            step: Step::Begin,
            replaces: false,
            has_on: false,
            count: 0,
            said: 0,
            escapes: false,
        }
    }
}

impl Allowed {
    pub(super) const fn form(&self) -> Form {
        self.form
    }

    pub(super) const fn verb(&self) -> Verb {
        self.verb
    }

    /// The kind of object that it is about, when it is known.
    pub(super) const fn kind(&self) -> Option<&'static Kind> {
        self.kind
    }

    /// Whether it makes what may be there already.
    pub(super) const fn replaces(&self) -> bool {
        self.replaces
    }

    /// The first word.
    pub(super) fn first(&self) -> &[u8] {
        self.first.get()
    }

    /// Whether rows follow the name of a table that has been read.
    pub(super) fn names_rows(&self) -> bool {
        matches!(self.form, Form::Copy | Form::Insert) && self.step == Step::Name
    }

    pub(super) fn is_refused(&self) -> bool {
        self.form == Form::Refused
    }

    pub(super) const fn refuse(&mut self) {
        self.form = Form::Refused;
    }

    /// Whether it is known only at its end whether it is one of a dump.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.form, Form::Object) && self.must_say().is_some()
    }

    /// Whether no privilege is on something so far, but roles may be granted.
    pub(super) const fn is_grant_of_roles(&self) -> bool {
        matches!(self.form, Form::Grant | Form::Revoke) && !self.has_on
    }

    pub(super) const fn all_strings_escape(&mut self) {
        self.escapes = true;
    }

    /// Another statement begins.
    pub(super) fn begin(&mut self) {
        let phrase = std::mem::take(&mut self.phrase);
        *self = Self { escapes: self.escapes, phrase, ..Self::default() };
        self.phrase.clear();
    }

    /// The next token. Says whether this can be a statement of a dump.
    pub(super) fn token(&mut self, token: Token<'_>, place: &Place) -> bool {
        let is_escaped_name = place.last == Last::Mark(b'&') && place.chain.last.get() == b"U";
        if is_escaped_name && matches!(token, Token::Text(_) | Token::Name(_)) {
            return false;
        }
        match self.form {
            Form::Start => self.start(token),
            Form::Phrase => self.phrase(token),
            Form::Object => self.object(token, place),
            Form::About => self.about(token),
            Form::Grant | Form::Revoke => self.grant(token),
            Form::Copy => self.copy(token, place),
            Form::Insert => self.insert(token, place),
            Form::Set => self.set(token),
            Form::Select => self.select(token, place),
            Form::Free => self.first.get() == b"REFRESH" || matches!(token, Token::Word(b"TRANSACTION" | b"WORK")),
            Form::Refused => true,
        }
    }

    /// Says whether what ends here was a statement of a dump.
    pub(super) fn end(&self) -> bool {
        match self.form {
            Form::Start | Form::About | Form::Free | Form::Refused => true,
            Form::Phrase => false,
            Form::Object => self.must_say().is_none_or(|words| self.said == words.len()),
            Form::Grant | Form::Revoke => self.has_on,
            Form::Copy | Form::Select => self.step == Step::End,
            Form::Insert => matches!(self.step, Step::Values | Step::End),
            Form::Set => self.count > 0,
        }
    }

    fn start(&mut self, token: Token<'_>) -> bool {
        let Token::Word(word) = token else { return false };
        self.first.push(word);
        let (form, verb) = match word {
            b"CREATE" => (Form::Phrase, Verb::Create),
            b"ALTER" => (Form::Phrase, Verb::Alter),
            b"DROP" => (Form::Phrase, Verb::Drop),
            b"COMMENT" | b"SECURITY" => (Form::About, Verb::Alter),
            b"GRANT" => (Form::Grant, Verb::Alter),
            b"REVOKE" => (Form::Revoke, Verb::Alter),
            b"COPY" => (Form::Copy, Verb::Alter),
            b"INSERT" => (Form::Insert, Verb::Alter),
            b"SET" | b"RESET" => (Form::Set, Verb::Alter),
            b"SELECT" => (Form::Select, Verb::Alter),
            b"REFRESH" | b"BEGIN" | b"COMMIT" | b"START" => (Form::Free, Verb::Alter),
            _ => return false,
        };
        (self.form, self.verb) = (form, verb);
        true
    }

    /// The words that say what an object is.
    fn phrase(&mut self, token: Token<'_>) -> bool {
        let Token::Word(word) = token else { return false };
        if self.phrase.is_empty() && self.verb == Verb::Create && matches!(word, b"OR" | b"REPLACE") {
            self.replaces = true;
            return true;
        }
        if !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        self.phrase.extend_from_slice(word);
        if let Some(kind) = KINDS.iter().find(|kind| kind.name.as_bytes() == self.phrase) {
            (self.form, self.kind) = (Form::Object, Some(kind));
            return !(self.verb == Verb::Alter && kind.name == "EXTENSION");
        }
        let goes_on = |rest: &[u8]| rest.starts_with(b" ");
        KINDS.iter().any(|kind| kind.name.as_bytes().strip_prefix(self.phrase.as_slice()).is_some_and(goes_on))
    }

    /// What must be said of an object, and by a dump always is.
    const fn must_say(&self) -> Option<&'static [&'static [u8]]> {
        let (Verb::Create, Some(kind)) = (self.verb, self.kind) else { return None };
        match kind.name.as_bytes() {
            b"MATERIALIZED VIEW" => Some(&[b"WITH", b"NO", b"DATA"]),
            b"SUBSCRIPTION" => Some(&[b"CONNECT", b"=", b"FALSE"]),
            _ => None,
        }
    }

    fn object(&mut self, token: Token<'_>, place: &Place) -> bool {
        let name = self.kind.map_or("", |kind| kind.name);
        self.count += 1;
        match (self.verb, name, token) {
            (Verb::Create, "TABLE" | "UNLOGGED TABLE" | "FOREIGN TABLE", Token::Word(b"AS")) => place.depth > 0,
            (Verb::Create, "SCHEMA", Token::Word(b"CREATE" | b"GRANT")) => false,
            (Verb::Create, "MATERIALIZED VIEW" | "SUBSCRIPTION", _) => {
                self.say(token, name == "SUBSCRIPTION");
                true
            }
            (Verb::Alter, "SUBSCRIPTION", _) if self.count == 2 => token == Token::Word(b"OWNER"),
            _ => true,
        }
    }

    /// Follows what must be said, at the very end or somewhere.
    fn say(&mut self, token: Token<'_>, somewhere: bool) {
        let words = self.must_say().unwrap_or_default();
        if somewhere && self.said == words.len() {
            return;
        }
        let is = |word: &[u8]| match token {
            Token::Word(said) => said == word,
            Token::Mark(mark) => [mark] == *word,
            _ => false,
        };
        self.said = match words.get(self.said) {
            Some(word) if is(word) => self.said + 1,
            _ => usize::from(words.first().is_some_and(|word| is(word))),
        };
    }

    fn about(&mut self, token: Token<'_>) -> bool {
        if self.has_on {
            self.count += 1;
            return self.count > 1 || !matches!(token, Token::Word(b"ROLE" | b"TABLESPACE" | b"DATABASE"));
        }
        self.has_on = token == Token::Word(b"ON");
        self.has_on || self.first.get() == b"SECURITY"
    }

    fn grant(&mut self, token: Token<'_>) -> bool {
        if !self.has_on {
            self.has_on = token == Token::Word(b"ON");
            return true;
        }
        self.count += 1;
        let of_others = matches!(token, Token::Word(b"ALL" | b"DATABASE" | b"PARAMETER" | b"ROLE" | b"TABLESPACE"));
        self.count > 1 || !of_others
    }

    /// The name of a table that rows are for, up to what follows it.
    fn table(&mut self, token: Token<'_>, place: &Place) -> bool {
        self.step = Step::Name;
        let is_in_name = place.last == Last::Mark(b'.');
        match token {
            Token::Word(_) | Token::Name(_) => self.count == 0 || is_in_name,
            Token::Mark(b'.') => !is_in_name,
            _ => false,
        }
    }

    fn copy(&mut self, token: Token<'_>, place: &Place) -> bool {
        match (self.step, token) {
            (Step::Begin | Step::Name, Token::Mark(b'(')) if self.count > 0 => {
                self.step = Step::Columns;
                !is_of_server(&place.chain)
            }
            (Step::Begin | Step::Name, Token::Word(b"FROM")) if self.count > 0 => {
                self.step = Step::From;
                !is_of_server(&place.chain)
            }
            (Step::Begin | Step::Name, _) => {
                let is_fine = self.table(token, place);
                self.count += 1;
                is_fine
            }
            (Step::Columns, Token::Mark(b')')) => {
                self.step = Step::Between;
                true
            }
            (Step::Columns, Token::Word(_) | Token::Name(_) | Token::Mark(b',')) => true,
            (Step::Between, Token::Word(b"FROM")) => {
                self.step = Step::From;
                true
            }
            (Step::From, Token::Word(b"STDIN")) => {
                self.step = Step::End;
                true
            }
            _ => false,
        }
    }

    fn insert(&mut self, token: Token<'_>, place: &Place) -> bool {
        match (self.step, token) {
            (Step::Begin, _) => {
                self.step = Step::Name;
                token == Token::Word(b"INTO")
            }
            (Step::Name, Token::Mark(b'(')) if self.count > 0 => {
                self.step = Step::Columns;
                !is_of_server(&place.chain)
            }
            (Step::Name, Token::Word(b"VALUES" | b"OVERRIDING" | b"DEFAULT"))
                if self.count > 0 && place.last != Last::Mark(b'.') =>
            {
                self.step = if token == Token::Word(b"VALUES") { Step::Values } else { Step::Between };
                !is_of_server(&place.chain)
            }
            (Step::Name, _) => {
                let is_fine = self.table(token, place);
                self.count += 1;
                is_fine
            }
            (Step::Columns, Token::Mark(b')')) => {
                self.step = Step::Between;
                true
            }
            (Step::Columns, Token::Word(word)) => !matches!(word, b"SELECT" | b"WITH" | b"VALUES" | b"TABLE"),
            (Step::Columns, Token::Name(_) | Token::Mark(b',')) | (Step::Values, Token::Text(_) | Token::Number) => {
                true
            }
            (Step::Between, Token::Word(b"VALUES")) => {
                self.step = Step::Values;
                true
            }
            (Step::Between, Token::Word(word)) => {
                matches!(word, b"OVERRIDING" | b"SYSTEM" | b"USER" | b"VALUE" | b"DEFAULT")
            }
            (Step::Values, Token::Word(word)) => {
                OF_ROWS.contains(&word) || matches!(place.last, Last::Cast | Last::Mark(b'.'))
            }
            (Step::Values, Token::Name(_)) => matches!(place.last, Last::Cast | Last::Mark(b'.')),
            (Step::Values, Token::Mark(b'(')) => {
                !matches!(place.last, Last::Word | Last::Name) || place.chain.last.get() == b"VALUES"
            }
            // The name of a type has a schema before it. A dot behind anything else would call what follows.
            (Step::Values, Token::Mark(b'.')) => {
                place.chain.before == Last::Cast && matches!(place.last, Last::Word | Last::Name)
            }
            (Step::Values, Token::Mark(mark)) => matches!(mark, b')' | b',' | b'-' | b'+' | b':' | b'[' | b']'),
            _ => false,
        }
    }

    fn set(&mut self, token: Token<'_>) -> bool {
        self.count += 1;
        if self.first.get() == b"RESET" {
            return matches!((self.count, token), (1, Token::Word(b"SESSION")) | (2, Token::Word(b"AUTHORIZATION")));
        }
        match (self.count, self.step, token) {
            (1, _, Token::Word(word)) => {
                self.step = match word {
                    b"CLIENT_ENCODING" => Step::Encoding,
                    b"STANDARD_CONFORMING_STRINGS" => Step::Strings,
                    b"SESSION" => Step::Name,
                    _ => Step::Value,
                };
                self.step != Step::Value || SETTINGS.contains(&word)
            }
            (2, Step::Name, _) => token == Token::Word(b"AUTHORIZATION"),
            (2, ..) => matches!(token, Token::Mark(b'=') | Token::Word(b"TO")),
            (3, Step::Encoding, Token::Text(name)) => reads_alike(name),
            (3, Step::Strings, Token::Word(b"ON") | Token::Text(b"on")) => !self.escapes,
            // A line of it is read for what it is.
            (3, Step::Strings, Token::Word(b"OFF")) => self.escapes,
            (1, ..) | (_, Step::Encoding | Step::Strings, _) => false,
            (_, _, Token::Mark(mark)) => matches!(mark, b',' | b'-'),
            _ => true,
        }
    }

    /// `SELECT` of one call with constants.
    fn select(&mut self, token: Token<'_>, place: &Place) -> bool {
        self.count += 1;
        match (self.step, token) {
            (Step::Begin, Token::Mark(b'*')) => {
                self.has_on = true;
                self.count == 1
            }
            (Step::Begin, Token::Word(b"FROM")) => self.has_on && self.count == 2,
            (Step::Begin, Token::Word(b"PG_CATALOG")) => place.last == Last::Word || place.last == Last::Start,
            (Step::Begin, Token::Mark(b'.')) => place.chain.last.get() == b"PG_CATALOG" && !place.chain.last.is_quoted,
            (Step::Begin, Token::Word(word)) => {
                self.step = Step::Name;
                // Unqualified, it could be a function of somebody else.
                let is_called =
                    if self.has_on { CALLED_FOR_STATISTICS.contains(&word) } else { CALLED.contains(&word) };
                is_called && place.last == Last::Mark(b'.')
            }
            (Step::Name, Token::Mark(b'(')) => {
                self.phrase.extend_from_slice(place.chain.last.get());
                (self.step, self.count) = (Step::Values, 0);
                true
            }
            (Step::Values, Token::Mark(b')')) => {
                self.step = Step::End;
                true
            }
            (Step::Values, _) if self.phrase == b"SET_CONFIG" && self.count < 3 => match self.count {
                1 => token == Token::Text(b"search_path"),
                _ => token == Token::Mark(b','),
            },
            (Step::Values, Token::Word(b"OID")) if self.phrase == b"LO_UNLINK" && self.count == 1 => {
                (self.step, self.count) = (Step::From, 0);
                true
            }
            (Step::From, _) => self.unlink_if_there(token),
            (Step::Values, Token::Word(word)) => OF_CONSTANTS.contains(&word),
            (Step::Values, Token::Text(_) | Token::Number) => true,
            (Step::Values, Token::Mark(mark)) => matches!(mark, b',' | b'-' | b':' | b'[' | b']'),
            _ => false,
        }
    }

    /// `) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '…'`
    fn unlink_if_there(&mut self, token: Token<'_>) -> bool {
        let is_fine = match self.count {
            1 => token == Token::Mark(b')'),
            2 => token == Token::Word(b"FROM"),
            3 => token == Token::Word(b"PG_CATALOG"),
            4 => token == Token::Mark(b'.'),
            5 => token == Token::Word(b"PG_LARGEOBJECT_METADATA"),
            6 => token == Token::Word(b"WHERE"),
            7 => token == Token::Word(b"OID"),
            8 => token == Token::Mark(b'='),
            _ => matches!(token, Token::Text(_)),
        };
        if self.count == 9 {
            self.step = Step::End;
        }
        is_fine
    }
}

/// Whether a name may be that of a table of the server itself.
pub(super) fn is_of_server(chain: &Chain) -> bool {
    let first = chain.first.folded();
    chain.parts > 2 || first.starts_with(b"pg_") || (chain.parts > 1 && first == b"information_schema")
}

/// Whether text of an encoding is read alike by those who know the encoding and those who do not: none of its characters has a
/// byte of ASCII in it.
pub(crate) fn reads_alike(encoding: &[u8]) -> bool {
    let name: Vec<u8> =
        encoding.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
    let starts: [&[u8]; 9] = [b"UTF8", b"UNICODE", b"SQLASCII", b"LATIN", b"ISO8859", b"WIN", b"KOI8", b"EUC", b"MULE"];
    // `WIN` is a code page of one byte but for these.
    let wide: [&[u8]; 4] = [b"WIN932", b"WIN936", b"WIN949", b"WIN950"];
    let is_wide = name.starts_with(b"WINDOWS9") || wide.contains(&name.as_slice());
    starts.iter().any(|start| name.starts_with(start)) && !is_wide
}
