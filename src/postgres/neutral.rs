//! What every session is set to, whatever server, database and role ask for: each setting stands here once.
//!
//! What a session without a transaction is set to outlasts it where a program between it and the server lends connections to others. So
//! that is only what statements need that no transaction may be around.

use super::sql::literal;
use crate::model::{DatabaseSetting, Setting};

/// Which sessions a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// All.
    Any,
    /// Those that ask, or read rows.
    Reading,
    /// Those that load a dump or rows.
    Loading,
}

/// The settings that all versions have, and the sessions that have them; `None` is for those that read and those that load.
const SETTINGS: [(Option<Purpose>, &str, &str); 22] = [
    (Some(Purpose::Any), "default_transaction_isolation", "read committed"),
    (Some(Purpose::Any), "default_transaction_read_only", "off"),
    // A transaction that may be put off waits for those of others, without a lock and without an end.
    (Some(Purpose::Any), "default_transaction_deferrable", "off"),
    (Some(Purpose::Any), "statement_timeout", "0"),
    (Some(Purpose::Any), "lock_timeout", "0"),
    (Some(Purpose::Any), "idle_in_transaction_session_timeout", "0"),
    (None, "search_path", ""),
    (None, "standard_conforming_strings", "on"),
    // Rows that policies hide are an error.
    (None, "row_security", "off"),
    // Checks of tables are not evaluated for a plan.
    (None, "constraint_exclusion", "off"),
    // As `pg_dump` has it. Times are said in one time zone, so that they are ordered as their text is.
    (Some(Purpose::Reading), "datestyle", "ISO"),
    (Some(Purpose::Reading), "intervalstyle", "postgres"),
    (Some(Purpose::Reading), "timezone", "UTC"),
    (Some(Purpose::Reading), "bytea_output", "hex"),
    (Some(Purpose::Reading), "extra_float_digits", "3"),
    (Some(Purpose::Reading), "quote_all_identifiers", "off"),
    (Some(Purpose::Reading), "synchronize_seqscans", "off"),
    // To see everything as dumps expect it.
    (Some(Purpose::Loading), "check_function_bodies", "off"),
    (Some(Purpose::Loading), "xmloption", "content"),
    (Some(Purpose::Loading), "client_min_messages", "warning"),
    (Some(Purpose::Loading), "array_nulls", "on"),
    (Some(Purpose::Loading), "backslash_quote", "safe_encoding"),
];
/// Those that some versions lack, or some roles may not set, for all sessions. To compile a question takes the server a hundred times as long as to answer it.
const OPTIONAL: [(&str, &str); 4] =
    [("transaction_timeout", "0"), ("idle_session_timeout", "0"), ("jit", "off"), ("temp_file_limit", "-1")];
/// That of them which only a superuser may set.
const OF_SUPERUSERS: &str = "temp_file_limit";
/// What of a database's own settings says where something is made, or in which encoding it is told, and not what it is.
const OF_PLACE: [&str; 4] =
    ["default_tablespace", "default_table_access_method", "temp_tablespaces", "client_encoding"];

/// Whether sessions of this purpose have a setting.
fn is_for(purpose: Purpose, of: Option<Purpose>) -> bool {
    match of {
        Some(of) => of == Purpose::Any || of == purpose,
        None => purpose != Purpose::Any,
    }
}

/// Statements that set a session to what it is for, within a transaction or without one, but for [`optional`].
pub(crate) fn neutral(purpose: Purpose, in_transaction: bool) -> String {
    let set = if in_transaction { "SET LOCAL" } else { "SET" };
    let wanted = SETTINGS.iter().filter(|(of, ..)| is_for(purpose, *of));
    let statements: Vec<String> =
        wanted.map(|(_, name, value)| format!("{set} {name} = {};\n", literal(value))).collect();
    statements.concat()
}

/// A question that sets what only some versions have.
pub(crate) fn optional(in_transaction: bool) -> String {
    set_at_once(OPTIONAL.into_iter(), in_transaction)
}

/// A question that sets everything for a transaction at once: each statement would be a way to the server and back.
pub(super) fn neutral_at_once(purpose: Purpose) -> String {
    let wanted = SETTINGS.iter().filter(|(of, ..)| is_for(purpose, *of)).map(|(_, name, value)| (*name, *value));
    set_at_once(wanted.chain(OPTIONAL), true)
}

fn set_at_once<'s>(settings: impl Iterator<Item = (&'s str, &'s str)>, in_transaction: bool) -> String {
    let values: Vec<String> = settings
        .map(|(name, value)| format!("({}, {}, {})", literal(name), literal(value), name == OF_SUPERUSERS))
        .collect();
    // The server would compute all of `pg_settings` for a few of them.
    format!(
        "SELECT pg_catalog.set_config(v.name, v.value, {in_transaction}) FROM (VALUES {}) AS v (name, value, is_of_superusers)
            WHERE pg_catalog.current_setting(v.name, true) IS NOT NULL
                AND (NOT v.is_of_superusers OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user));\n",
        values.join(", ")
    )
}

/// The setting that rows have to be read with, and queries of materialized views need not.
const NULLS: &str = "array_nulls";

/// The statements that set a transaction, in which no dump is read, to what the database was set to and dumps are not read with.
pub(crate) fn of_queries(settings: &[DatabaseSetting]) -> String {
    let of_all = settings.iter().filter(|setting| setting.role.is_none()).map(|setting| &setting.setting);
    let nulls = of_all.filter(|setting| setting.name.eq_ignore_ascii_case(NULLS));
    let statements: Vec<String> =
        nulls.map(|setting| format!("SET LOCAL {NULLS} = {};\n", literal(&setting.value))).collect();
    statements.concat()
}

/// Questions that set a loading session to what the database was set to, as far as that says what values mean and expressions give:
/// its time zone, its currency, and settings of the application, say. Every role may set these. What it was set to for the role that logs
/// in comes last.
pub(crate) fn of_database(settings: &[DatabaseSetting]) -> String {
    [false, true].map(|of_roles| of_some(settings, of_roles)).concat()
}

/// Those for all roles, or for single ones.
fn of_some(settings: &[DatabaseSetting], of_roles: bool) -> String {
    let is_kept = |setting: &&Setting| {
        let is_called = |name: &str| setting.name.eq_ignore_ascii_case(name);
        let neutral = SETTINGS.iter().filter(|(of, ..)| is_for(Purpose::Loading, *of)).map(|(_, name, _)| name);
        !neutral.chain(OPTIONAL.iter().map(|(name, _)| name)).chain(&OF_PLACE).any(|name| is_called(name))
    };
    let some = settings.iter().filter(|setting| setting.role.is_some() == of_roles && is_kept(&&setting.setting));
    let in_sql = |DatabaseSetting { role, setting: Setting { name, value } }: &DatabaseSetting| {
        let role = role.as_ref().map_or_else(|| "NULL".to_owned(), |role| literal(role));
        format!("({}, {}, {role})", literal(name), literal(value))
    };
    let values: Vec<String> = some.map(in_sql).collect();
    if values.is_empty() {
        return String::new();
    }
    format!(
        "SELECT pg_catalog.set_config(v.name, v.value, false) FROM (VALUES {}) AS v (name, value, role)
            LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(v.name)
            WHERE (v.role IS NULL OR v.role OPERATOR(pg_catalog.=) SESSION_USER) AND CASE WHEN s.name IS NULL THEN pg_catalog.strpos(v.name, '.') OPERATOR(pg_catalog.>) 0
                ELSE s.context OPERATOR(pg_catalog.=) 'user' END;\n",
        values.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_what_is_for_it() {
        let any = neutral(Purpose::Any, false);
        assert!(any.contains("SET lock_timeout = E'0';\n") && !any.contains("search_path") && !any.contains("LOCAL"));
        let [reading, loading] = [Purpose::Reading, Purpose::Loading].map(|purpose| neutral(purpose, true));
        for statements in [&reading, &loading] {
            assert!(statements.contains("SET LOCAL search_path = E'';") && statements.contains("deferrable"));
        }
        assert!(reading.contains("timezone") && !loading.contains("timezone"));
        assert!(loading.contains("array_nulls") && !reading.contains("array_nulls"));
    }

    /// An amount of money of a database with another currency came back a hundred times as large.
    #[test]
    fn what_a_database_says_of_values_holds_while_it_is_loaded() {
        let of = |role: Option<&str>, name: &str| {
            let setting = Setting { name: name.to_owned(), value: "it's".to_owned() };
            DatabaseSetting { role: role.map(str::to_owned), setting }
        };
        let settings = [
            of(None, "lc_monetary"),
            of(None, "app.rate"),
            of(None, "Statement_Timeout"),
            of(None, "search_path"),
            of(None, "default_tablespace"),
            of(Some("role"), "TimeZone"),
        ];
        let set = of_database(&settings);
        assert!(set.contains("VALUES (E'lc_monetary', E'it''s', NULL), (E'app.rate', E'it''s', NULL)) AS v"), "{set}");
        assert!(set.contains("VALUES (E'TimeZone', E'it''s', E'role')) AS v"), "{set}");
        assert_eq!(of_database(&settings[2..5]), "");
    }
}
