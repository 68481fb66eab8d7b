//! What a script has made so far. What it does with anything else is done with things of the server or of its extensions.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::script_token::{Chain, Last, Place, Short, Token};

/// Objects that are known. What is not known is taken for one that was not made.
const KNOWN_MAX: usize = 1 << 20;
/// What stands in no schema.
const GLOBAL: [&str; 3] = ["EXTENSION", "PUBLICATION", "SCHEMA"];

/// The objects that were made, and where names without a schema are looked for.
#[derive(Debug, Default)]
pub(super) struct Made {
    known: HashSet<u64>,
    hasher: RandomState,
    /// The only schema that is looked into, where there is one.
    path: Option<Short>,
}

impl Made {
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Follows what sets the path.
    pub(super) fn set(&mut self, token: Token<'_>, place: &Place) {
        let is_path = place.chain.parts > 0 && place.chain.first.get() == b"SEARCH_PATH";
        match token {
            Token::Word(b"SEARCH_PATH" | b"DEFAULT") => self.path = None,
            Token::Word(name) | Token::Name(name) if is_path && name != b"TO" => {
                self.path = Some(Short::of(name, matches!(token, Token::Name(_))));
            }
            // With it, nothing of others is found.
            Token::Word(b"PG_CATALOG") if place.last == Last::Mark(b',') => {}
            Token::Word(_) | Token::Name(_) | Token::Text(_) if place.last == Last::Mark(b',') => self.path = None,
            _ => {}
        }
    }

    /// Something else has set the path.
    pub(super) const fn forget_path(&mut self) {
        self.path = None;
    }

    /// Whether a name stands in a schema of the server.
    pub(super) fn is_of_server(&self, kind: &str, chain: &Chain) -> bool {
        let schema = if chain.parts > 1 || GLOBAL.contains(&kind) { Some(chain.first) } else { self.path };
        let is_of_server = |schema: Vec<u8>| schema.starts_with(b"pg_") || schema == b"information_schema";
        kind != "EXTENSION" && schema.is_some_and(|schema| is_of_server(schema.folded()))
    }

    pub(super) fn insert(&mut self, kind: &str, chain: &Chain) {
        if self.known.len() >= KNOWN_MAX {
            return;
        }
        self.known.extend(self.key(class(kind), chain));
        if matches!(kind, "TABLE" | "UNLOGGED TABLE") {
            self.known.extend(self.key("rows", chain));
        }
    }

    /// Whether something of that kind was made.
    pub(super) fn has(&self, kind: &str, chain: &Chain) -> bool {
        self.key(class(kind), chain).is_some_and(|key| self.known.contains(&key))
    }

    /// Whether that is a table that was made.
    pub(super) fn has_table(&self, chain: &Chain) -> bool {
        self.has("rows", chain)
    }

    /// What stands for an object; `None` where it is not known which one is meant.
    fn key(&self, class: &str, chain: &Chain) -> Option<u64> {
        let schema = match chain.parts {
            1 if GLOBAL.contains(&class) => Vec::new(),
            // The server has types and other things of any name, and looks for those first.
            1 if !matches!(class, "relation" | "rows") => return None,
            1 => self.path?.folded(),
            2 => chain.first.folded(),
            _ => return None,
        };
        Some(self.hasher.hash_one((class, schema, chain.last.folded())))
    }
}

/// What `ALTER TABLE` can be said of is one class.
fn class(kind: &str) -> &str {
    match kind {
        "TABLE" | "UNLOGGED TABLE" | "VIEW" | "MATERIALIZED VIEW" | "SEQUENCE" | "UNLOGGED SEQUENCE" => "relation",
        kind => kind,
    }
}
