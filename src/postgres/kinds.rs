//! What the statements of a dump are about, set and call.

/// A kind of object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whether one is code, or lets code run.
    pub(super) is_code: bool,
}

const fn kind(name: &'static str) -> Kind {
    Kind { name, is_code: false }
}

const fn code(name: &'static str) -> Kind {
    Kind { name, is_code: true }
}

/// The kinds of objects that a dump has.
pub(super) static KINDS: [Kind; 46] = [
    code("ACCESS METHOD"),
    code("AGGREGATE"),
    code("CAST"),
    kind("COLLATION"),
    code("CONSTRAINT TRIGGER"),
    code("CONVERSION"),
    code("DEFAULT CONVERSION"),
    kind("DEFAULT PRIVILEGES"),
    kind("DOMAIN"),
    code("EVENT TRIGGER"),
    kind("EXTENSION"),
    code("FOREIGN DATA WRAPPER"),
    code("FOREIGN TABLE"),
    code("FUNCTION"),
    kind("INDEX"),
    code("LANGUAGE"),
    kind("LARGE OBJECT"),
    kind("MATERIALIZED VIEW"),
    // With its classes and families.
    code("OPERATOR"),
    kind("POLICY"),
    code("PROCEDURAL LANGUAGE"),
    code("PROCEDURE"),
    kind("PUBLICATION"),
    code("ROUTINE"),
    code("RULE"),
    kind("SCHEMA"),
    kind("SEQUENCE"),
    code("SERVER"),
    kind("STATISTICS"),
    code("SUBSCRIPTION"),
    kind("TABLE"),
    kind("TEXT SEARCH CONFIGURATION"),
    kind("TEXT SEARCH DICTIONARY"),
    code("TEXT SEARCH PARSER"),
    code("TEXT SEARCH TEMPLATE"),
    code("TRANSFORM"),
    code("TRIGGER"),
    code("TRUSTED LANGUAGE"),
    code("TRUSTED PROCEDURAL LANGUAGE"),
    kind("TYPE"),
    kind("UNIQUE INDEX"),
    kind("UNLOGGED SEQUENCE"),
    kind("UNLOGGED TABLE"),
    code("USER MAPPING"),
    kind("VIEW"),
    kind("RECURSIVE VIEW"),
];

/// What `pg_dump` sets, but for what has a meaning for how a script is read.
pub(super) const SETTINGS: [&[u8]; 16] = [
    b"BYTEA_OUTPUT",
    b"CHECK_FUNCTION_BODIES",
    b"CLIENT_MIN_MESSAGES",
    b"DEFAULT_TABLESPACE",
    b"DEFAULT_TABLE_ACCESS_METHOD",
    b"DEFAULT_TOAST_COMPRESSION",
    b"DEFAULT_WITH_OIDS",
    b"ESCAPE_STRING_WARNING",
    b"IDLE_IN_TRANSACTION_SESSION_TIMEOUT",
    b"LOCK_TIMEOUT",
    b"QUOTE_ALL_IDENTIFIERS",
    b"ROW_SECURITY",
    b"SEARCH_PATH",
    b"STATEMENT_TIMEOUT",
    b"TRANSACTION_TIMEOUT",
    b"XMLOPTION",
];
/// What `pg_dump` calls.
pub(super) const CALLED: [&[u8]; 7] =
    [b"LOWRITE", b"LO_CLOSE", b"LO_CREATE", b"LO_OPEN", b"LO_UNLINK", b"SETVAL", b"SET_CONFIG"];
/// What it calls to give statistics back.
pub(super) const CALLED_FOR_STATISTICS: [&[u8]; 5] = [
    b"PG_CLEAR_ATTRIBUTE_STATS",
    b"PG_CLEAR_RELATION_STATS",
    b"PG_RESTORE_ATTRIBUTE_STATS",
    b"PG_RESTORE_EXTENDED_STATS",
    b"PG_RESTORE_RELATION_STATS",
];
/// Words in constants.
pub(super) const OF_CONSTANTS: [&[u8]; 14] = [
    b"BIGINT",
    b"BOOLEAN",
    b"DOUBLE",
    b"FALSE",
    b"INTEGER",
    b"NAME",
    b"NULL",
    b"OID",
    b"PRECISION",
    b"REAL",
    b"REGCLASS",
    b"SMALLINT",
    b"TEXT",
    b"TRUE",
];
/// Words in rows that are inserted, and behind them.
pub(super) const OF_ROWS: [&[u8]; 14] = [
    b"ARRAY",
    b"B",
    b"CONFLICT",
    b"DEFAULT",
    b"DO",
    b"FALSE",
    b"INFINITY",
    b"N",
    b"NAN",
    b"NOTHING",
    b"NULL",
    b"ON",
    b"TRUE",
    b"X",
];
