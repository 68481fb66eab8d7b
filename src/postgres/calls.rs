//! What in a script is code of whoever wrote it, or would have his code run: functions and what calls one, and rows of tables
//! that the script does not make.
//!
//! There may be more than there is: a name before a parenthesis is taken for a call where that is not known to be none.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::allowed::{Allowed, Form, Verb};
use super::builtins::{is_builtin, is_harmless_extension, is_keyword, is_of_extension};
use super::kinds::Kind;
use super::made::Made;
use super::script_token::{Chain, Last, Place, Token};

/// Kinds of what has a schema, as `pg_dump` names what it drops.
const IN_SCHEMAS: [&str; 12] = [
    "AGGREGATE",
    "COLLATION",
    "CONVERSION",
    "DOMAIN",
    "FOREIGN TABLE",
    "FUNCTION",
    "MATERIALIZED VIEW",
    "PROCEDURE",
    "SEQUENCE",
    "STATISTICS",
    "TYPE",
    "VIEW",
];
/// Findings that are kept. The others are counted.
const KEPT: usize = 20;
/// Findings of which each is counted once.
const COUNTED: usize = 10_000;
/// Names of the server that are none of its own tables.
const HARMLESS: [&[u8]; 2] = [b"pg_catalog", b"pg_database_owner"];
/// Behind these, a name before a parenthesis is that of a table, a type or an alias.
const BEFORE_NAMES: [&[u8]; 9] =
    [b"TABLE", b"EXISTS", b"INTO", b"REFERENCES", b"ONLY", b"AS", b"WITH", b"RECURSIVE", b"ORDINALITY"];
/// These may stand before the name of an object.
const BEFORE_NAME: [&[u8]; 5] = [b"IF", b"NOT", b"EXISTS", b"ONLY", b"CONCURRENTLY"];
/// The name of one of these may have a parenthesis behind it.
const NAMED: [&str; 6] =
    ["VIEW", "MATERIALIZED VIEW", "STATISTICS", "COLLATION", "TEXT SEARCH DICTIONARY", "TEXT SEARCH CONFIGURATION"];
/// Functions of the server that have effects, run what they are given, or tell what only a superuser may know.
const EFFECTS: [&[u8]; 14] = [
    b"loread",
    b"lowrite",
    b"ts_stat",
    b"ts_rewrite",
    b"set_config",
    b"setval",
    b"nextval",
    b"setseed",
    b"currtid2",
    b"txid_status",
    b"current_setting",
    b"currval",
    b"amvalidate",
    b"plpgsql_validator",
];
/// What is no column, where columns are.
const NO_COLUMN: [&[u8]; 7] = [b"CONSTRAINT", b"PRIMARY", b"UNIQUE", b"CHECK", b"FOREIGN", b"EXCLUDE", b"LIKE"];

/// Among the columns of a table or a type; how many names of the one that is read have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    names: u32,
    is_column: bool,
}

/// How far the name of an object has been read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Naming {
    #[default]
    No,
    Begins,
    GoesOn {
        has_if: bool,
    },
    /// Just now.
    Ended {
        has_if: bool,
        is_known: bool,
    },
    Passed,
}

/// Follows statements and keeps what is found.
#[derive(Debug, Default)]
pub(crate) struct Code {
    found: Vec<String>,
    /// What stands for what was found.
    seen: HashSet<u64>,
    count: u64,
    /// Nothing more is looked for in the statement.
    is_done: bool,
    naming: Naming,
    /// Whether the name of a table is being read that rows are for.
    names_rows: bool,
    columns: Option<Columns>,
    made: Made,
    hasher: RandomState,
}

impl Code {
    /// What was found, the first ones.
    pub(crate) fn found(&self) -> &[String] {
        &self.found
    }

    /// How much was found.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Keeps a finding.
    pub(super) fn find(&mut self, what: String) {
        let hash = self.hasher.hash_one(&what);
        if self.seen.contains(&hash) {
            return;
        }
        if self.seen.len() < COUNTED {
            self.seen.insert(hash);
        }
        self.count += 1;
        if self.found.len() < KEPT {
            self.found.push(what);
        }
    }

    /// A token of a statement, of which so much is known with it.
    pub(super) fn token(&mut self, token: Token<'_>, (place, shown): (&Place, &str), allowed: &Allowed) {
        if self.is_done {
            return;
        }
        match allowed.form() {
            Form::Copy | Form::Insert => self.rows(place, allowed),
            Form::Set => self.made.set(token, place),
            Form::Select if token == Token::Word(b"SET_CONFIG") => self.made.forget_path(),
            Form::About if allowed.first() == b"SECURITY" => self.find_once("SECURITY LABEL".to_owned()),
            Form::Object => self.object(token, (place, shown), allowed),
            Form::Grant => self.grant(token, (place, shown), allowed),
            Form::Refused => self.is_done = true,
            Form::Start | Form::Phrase | Form::Select | Form::About | Form::Revoke | Form::Free => {}
        }
    }

    /// A statement has ended.
    pub(super) fn end(&mut self, (place, shown): (&Place, &str), allowed: &Allowed) {
        self.token(Token::Mark(b';'), (place, shown), allowed);
        (self.is_done, self.naming, self.names_rows, self.columns) = (false, Naming::No, false, None);
    }

    fn find_once(&mut self, what: String) {
        self.find(what);
        self.is_done = true;
    }

    fn object(&mut self, token: Token<'_>, (place, shown): (&Place, &str), allowed: &Allowed) {
        let Some(kind) = allowed.kind() else { return };
        if allowed.verb() == Verb::Drop {
            // A dump drops first. What was made and is not any more is not known from something else.
            let has_ended = self.name(token, place);
            let is_of_server = has_ended && may_be_of_server(kind.name, &place.chain);
            // Each statement of a dump drops one thing.
            let is_next = token == Token::Mark(b',') && place.depth == 0;
            if !self.made.is_empty() || is_next || is_of_server {
                self.find_once(shown.trim_end().to_owned());
            }
            return;
        }
        if self.name(token, place) {
            self.named(&place.chain, (kind, shown), allowed);
        }
        if !kind.is_code && !self.is_done {
            self.scan(token, (place, shown), allowed);
            self.altered(token, (place, shown), allowed);
        }
    }

    /// Reads the name of an object. Says whether it ends before this token.
    fn name(&mut self, token: Token<'_>, place: &Place) -> bool {
        let is_name = matches!(token, Token::Word(_) | Token::Name(_));
        let goes_on = token == Token::Mark(b'.') || place.last == Last::Mark(b'.');
        let word = if place.chain.last.is_quoted { &[] } else { place.chain.last.get() };
        self.naming = match self.naming {
            Naming::No => Naming::Begins,
            Naming::Begins if is_name => Naming::GoesOn { has_if: false },
            Naming::GoesOn { .. } if goes_on => self.naming,
            Naming::GoesOn { has_if } if is_name && place.chain.parts == 1 && BEFORE_NAME.contains(&word) => {
                Naming::GoesOn { has_if: has_if || word == b"IF" }
            }
            Naming::Begins => Naming::Ended { has_if: false, is_known: false },
            Naming::GoesOn { has_if } => Naming::Ended { has_if, is_known: true },
            Naming::Ended { .. } | Naming::Passed => Naming::Passed,
        };
        matches!(self.naming, Naming::Ended { .. })
    }

    /// The name of an object has been read, as far as it has one.
    fn named(&mut self, chain: &Chain, (kind, shown): (&Kind, &str), allowed: &Allowed) {
        let Naming::Ended { has_if, is_known } = self.naming else { return };
        if kind.is_code {
            let kind = kind.name.to_ascii_lowercase();
            // What follows these is no name.
            let has_name = is_known && !matches!(kind.as_str(), "operator" | "transform" | "user mapping");
            let name = if has_name { chain.shown() } else { String::new() };
            return self.find_once(format!("the {kind} {name}").trim_end().to_owned());
        }
        match (allowed.verb(), kind.name) {
            (Verb::Create, "EXTENSION") if is_harmless_extension(&chain.last.folded()) => {}
            (Verb::Create, "EXTENSION") => self.find_once(format!("the extension {}", chain.shown())),
            // Indexes and policies are named without a schema.
            (_, "INDEX" | "UNIQUE INDEX" | "POLICY") => {}
            (Verb::Create, _) if self.made.is_of_server(kind.name, chain) => {
                self.find_once(shown.trim_end().to_owned());
            }
            // It may be another one that is there.
            (Verb::Create, _) if has_if || allowed.replaces() => {}
            (Verb::Create, _) => self.made.insert(kind.name, chain),
            (_, "DEFAULT PRIVILEGES" | "LARGE OBJECT") => {}
            (_, "SCHEMA") if chain.parts == 1 && chain.last.folded() == b"public" => {}
            // A dump that drops first says so before there is anything, and tables of the server stay as they are.
            (_, "TABLE") if self.made.is_empty() => {}
            _ if self.made.has(kind.name, chain) => {}
            _ => self.find_once(shown.trim_end().to_owned()),
        }
    }

    /// Looks for what `ALTER` does beside changing what was made.
    fn altered(&mut self, token: Token<'_>, (place, shown): (&Place, &str), allowed: &Allowed) {
        if allowed.verb() != Verb::Alter || place.depth > 0 {
            return;
        }
        let kind = allowed.kind().map_or("", |kind| kind.name);
        let is_name = matches!(place.last, Last::Word | Last::Name) && token != Token::Mark(b'.');
        let is_after_set = place.last == Last::Word && place.chain.last.get() == b"SET";
        let is_foreign_part = is_name && place.chain.is_after(&[b"PARTITION"]) && !self.made.has_table(&place.chain);
        match token {
            Token::Word(b"RENAME") => self.find_once(shown.trim_end().to_owned()),
            Token::Word(b"SCHEMA") if is_after_set => self.find_once(shown.trim_end().to_owned()),
            Token::Word(b"SET") if kind == "TYPE" => self.find_once(shown.trim_end().to_owned()),
            _ if kind == "TABLE" && is_foreign_part => self.find_once(not_made(&place.chain)),
            _ => {}
        }
    }

    fn rows(&mut self, place: &Place, allowed: &Allowed) {
        let names_rows = allowed.names_rows();
        if self.names_rows && !names_rows && !self.made.has_table(&place.chain) {
            self.find(not_made(&place.chain));
        }
        self.is_done = self.names_rows && !names_rows;
        self.names_rows = names_rows;
    }

    fn grant(&mut self, token: Token<'_>, (place, shown): (&Place, &str), allowed: &Allowed) {
        let is_after_on = place.last == Last::Word && place.chain.last.get() == b"ON";
        let is_function = matches!(token, Token::Word(b"FUNCTION" | b"PROCEDURE" | b"ROUTINE"));
        let is_catalog = matches!(
            token,
            Token::Word(b"PG_CATALOG" | b"INFORMATION_SCHEMA") | Token::Name(b"pg_catalog" | b"information_schema")
        );
        if (is_after_on && is_function) || is_catalog {
            self.find_once(shown.trim_end().to_owned());
        } else {
            self.scan(token, (place, shown), allowed);
        }
    }

    /// Looks for calls, and for tables of the server.
    fn scan(&mut self, token: Token<'_>, (place, shown): (&Place, &str), allowed: &Allowed) {
        let kind = allowed.kind().map_or("", |kind| kind.name);
        match token {
            Token::Word(name) | Token::Name(name) => {
                let folded = if matches!(token, Token::Word(_)) { name.to_ascii_lowercase() } else { name.to_vec() };
                let is_of_server = folded.starts_with(b"pg_") || folded == b"information_schema";
                if is_of_server && !HARMLESS.contains(&folded.as_slice()) && kind != "EXTENSION" {
                    self.find(format!("{} in {}", String::from_utf8_lossy(&folded).escape_debug(), shown.trim_end()));
                }
                // The server takes `value.name` for a call where there is no such column.
                if place.last == Last::Mark(b'.') && has_effects(&folded) {
                    self.find(format!("….{} in {}", String::from_utf8_lossy(&folded).escape_debug(), shown.trim_end()));
                }
                self.column(token, place);
            }
            Token::Mark(b'.') if matches!(place.last, Last::Mark(b')' | b']') | Last::Text) => {
                self.find(format!("(…).… in {}", shown.trim_end()));
            }
            Token::Mark(b'(') => {
                if !self.is_no_call(place, allowed) {
                    let called = if place.last == Last::Text { "'…'".to_owned() } else { place.chain.shown() };
                    self.find(format!("{called}(…) in {}", shown.trim_end()));
                }
                let is_first = place.depth == 0 && allowed.verb() == Verb::Create;
                let of_table = matches!(kind, "TABLE" | "UNLOGGED TABLE")
                    && matches!(place.last, Last::Word | Last::Name)
                    && place.chain.is_after(&[b"TABLE", b"EXISTS"]);
                let of_type = kind == "TYPE" && place.last == Last::Word && place.chain.last.get() == b"AS";
                if is_first && (of_table || of_type) {
                    self.columns = Some(Columns { names: 0, is_column: true });
                }
            }
            Token::Mark(b')') if place.depth <= 1 => self.columns = None,
            Token::Mark(b',') if place.depth == 1 && self.columns.is_some() => {
                self.columns = Some(Columns { names: 0, is_column: true });
            }
            _ => {}
        }
    }

    fn column(&mut self, token: Token<'_>, place: &Place) {
        let Some(columns) = &mut self.columns else { return };
        if place.depth != 1 || place.last == Last::Mark(b'.') {
            return;
        }
        columns.names = columns.names.saturating_add(1);
        let is_none = columns.names == 1 && matches!(token, Token::Word(word) if NO_COLUMN.contains(&word));
        columns.is_column &= !is_none;
    }

    /// Whether the parenthesis that comes here is none of a call, or of one that is harmless.
    fn is_no_call(&self, place: &Place, allowed: &Allowed) -> bool {
        let chain = &place.chain;
        match place.last {
            Last::Word | Last::Name => {}
            Last::Text => return false,
            _ => return true,
        }
        // Two names one after another are a type, or an alias.
        let is_of_column = self.columns.is_some_and(|columns| columns.is_column && columns.names == 2)
            && place.depth == 1
            && matches!(chain.before, Last::Word | Last::Name);
        let is_type_or_alias = matches!(chain.before, Last::Cast | Last::Mark(b')')) || is_of_column;
        let is_only = chain.parts == 1;
        let is_keyword = is_only && !chain.last.is_quoted && is_keyword(chain.last.get());
        let is_of_server = is_only || (chain.parts == 2 && chain.first.folded() == b"pg_catalog");
        let name = chain.last.folded();
        is_type_or_alias
            || is_keyword
            || (is_of_server && is_builtin(&name))
            // It is for whoever reads rows later, as an application of several tenants does.
            || (is_of_server && name == b"current_setting" && allowed.kind().is_some_and(|kind| kind.name == "POLICY"))
            || (chain.parts < 3 && is_of_extension(&name))
            || chain.is_after(&BEFORE_NAMES)
            || is_name_of_object(place, allowed)
    }
}

/// Whether a function of the server that is called so does more than to compute something of what it is given: of those that
/// take one value, which need no parentheses. Those that begin
/// with `pg_` are found anyway.
fn has_effects(name: &[u8]) -> bool {
    let parts: [&[u8]; 2] = [b"to_xml", b"xmlschema"];
    EFFECTS.contains(&name)
        || [&b"lo_"[..], b"brin_summ", b"brin_desumm", b"gin_clean", b"binary_upgrade", b"fmgr_"]
            .iter()
            .any(|start| name.starts_with(start))
        || parts.iter().any(|part| memchr::memmem::find(name, part).is_some())
}

fn not_made(chain: &Chain) -> String {
    format!("rows of {}, which the dump does not make", chain.shown())
}

/// Whether the parenthesis follows the name of what the statement makes, or of the table of an index.
fn is_name_of_object(place: &Place, allowed: &Allowed) -> bool {
    let kind = allowed.kind().map_or("", |kind| kind.name);
    if place.depth > 0 || allowed.verb() == Verb::Drop {
        return false;
    }
    let last = kind.rsplit(' ').next().unwrap_or_default();
    let is_create = allowed.verb() == Verb::Create;
    (NAMED.contains(&kind) && place.chain.is_after(&[last.as_bytes()]))
        || (is_create && matches!(kind, "INDEX" | "UNIQUE INDEX") && place.chain.is_after(&[b"ON", b"USING"]))
        || (is_create && matches!(kind, "TABLE" | "UNLOGGED TABLE") && place.chain.is_after(&[b"OF"]))
}

/// Whether something that is dropped could be of the server: its schema is, or it has none and is of a kind that `pg_dump` names with
/// one.
fn may_be_of_server(kind: &str, chain: &Chain) -> bool {
    let first = chain.first.folded();
    let has_none = chain.parts == 1 && (IN_SCHEMAS.contains(&kind) || kind.starts_with("TEXT SEARCH"));
    first.starts_with(b"pg_") || first == b"information_schema" || has_none
}
