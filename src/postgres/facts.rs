//! What a server says of a database: versions, encoding, settings and privileges, as values; and those as SQL.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::client::parse;
use super::dump_encoding::dump_encoding;
use super::shared::Shared;
use super::sql::{ident, literal, loads_nothing, setting};
use super::{Error, Kept, query};
use crate::cancel::Cancel;
use crate::model::{
    DatabaseFacts, DatabaseLocale, DatabaseProperties, DatabaseSetting, Grant, Privilege, SecurityLabel,
    ServerProperties,
};

/// One row of JSON.
const FACTS_SQL: &str = "SELECT pg_catalog.json_build_object(
    'oid', d.oid::pg_catalog.int8, 'user', SESSION_USER, 'server_version', pg_catalog.current_setting('server_version'),
    'version_number', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
    'size_bytes', pg_catalog.pg_database_size(d.oid),
    'encoding', pg_catalog.pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
    'provider', pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'rules', pg_catalog.to_jsonb(d) ->> 'daticurules',
    'locale', coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'),
    'extensions', (SELECT pg_catalog.json_object_agg(extname, extversion) FROM pg_catalog.pg_extension)
) FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

#[derive(Deserialize)]
struct Answer {
    oid: u32,
    user: String,
    server_version: String,
    version_number: u32,
    size_bytes: u64,
    encoding: String,
    collate: String,
    ctype: String,
    provider: Option<String>,
    locale: Option<String>,
    rules: Option<String>,
    extensions: Option<BTreeMap<String, String>>,
}

/// What a server says of a database.
pub(crate) struct Found {
    pub(crate) facts: DatabaseFacts,
    pub(crate) properties: ServerProperties,
    /// Who asked.
    pub(crate) user: String,
    /// The major version of the server.
    pub(crate) server_major: u32,
    /// What is not saved, in words.
    pub(crate) left_out: Vec<String>,
}

/// What is worth knowing of a database.
///
/// # Errors
/// Those of [`query`]; [`Error::Answer`], [`Error::UnknownName`].
pub(crate) fn read_facts(asked: &Kept, cancel: &Cancel) -> Result<Found, Error> {
    let connection = asked.connection();
    let rows = query(asked, FACTS_SQL, cancel)?;
    let answer: Answer = parse(rows.first().ok_or_else(|| Error::Answer { why: "it has no row".to_owned() })?)?;
    let dump_encoding = dump_encoding(asked, &answer.encoding, cancel)?;
    let Shared { owner, tablespace, properties, is_template, grants, labels, left_out } =
        Shared::of(asked, answer.oid, cancel)?;
    let provider = match answer.provider.as_deref() {
        Some("i") => Some("icu"),
        Some("b") => Some("builtin"),
        Some("c") => Some("libc"),
        _ => None,
    };
    let locale = provider.map(|provider| DatabaseLocale {
        provider: provider.to_owned(),
        name: answer.locale,
        rules: answer.rules,
    });
    let facts = DatabaseFacts {
        name: connection.database.clone(),
        server_version: answer.server_version,
        size_bytes: answer.size_bytes,
        encoding: answer.encoding,
        dump_encoding,
        collate: answer.collate,
        ctype: answer.ctype,
        owner,
        tablespace,
        extensions: answer.extensions.unwrap_or_default(),
        properties,
        container: connection.place.container().map(str::to_owned),
        ..DatabaseFacts::default()
    };
    let mut properties = ServerProperties::new(locale, is_template, grants);
    properties.labels = labels;
    Ok(Found { facts, properties, user: answer.user, server_major: answer.version_number / 10_000, left_out })
}

/// The statements that give a database its settings and privileges, when it belongs to its owner already.
///
/// # Errors
/// [`Error::Answer`] when a value cannot be made SQL.
pub(crate) fn property_statements(
    properties: &DatabaseProperties,
    of_server: &ServerProperties,
    (database, owner): (&str, &str),
) -> Result<Vec<String>, Error> {
    let database = ident(database);
    let mut statements = Vec::new();
    for DatabaseSetting { role, setting: value } in &properties.settings {
        loads_nothing(value)?;
        let set = setting(value)?;
        statements.push(match role {
            None => format!("ALTER DATABASE {database} {set}"),
            Some(role) => format!("ALTER ROLE {} IN DATABASE {database} {set}", ident(role)),
        });
    }
    if let Some(limit) = properties.connection_limit {
        statements.push(format!("ALTER DATABASE {database} CONNECTION LIMIT {limit}"));
    }
    if let Some(grants) = &of_server.grants {
        // Its owner may have taken some from himself.
        statements.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC, {}", ident(owner)));
        for Grant { grantor, privilege } in in_order(grants, owner) {
            let grant = grant_statement(privilege, &database)?;
            statements.push(if grantor == owner {
                grant
            } else {
                format!("BEGIN; SET LOCAL ROLE {}; {grant}; COMMIT", ident(grantor))
            });
        }
    } else if let Some(privileges) = &properties.privileges {
        statements.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"));
        for privilege in privileges {
            statements.push(grant_statement(privilege, &database)?);
        }
    }
    if of_server.is_template {
        statements.push(format!("ALTER DATABASE {database} IS_TEMPLATE true"));
    }
    Ok(statements)
}

/// Grants in an order in which each is given by who may give it by then, where there is one: a server lists them in another, and for one who may
/// not it gives nothing, without an error.
fn in_order<'g>(grants: &'g [Grant], owner: &str) -> Vec<&'g Grant> {
    let mut may: HashSet<(&str, &str)> = HashSet::new();
    let (mut ordered, mut waiting): (Vec<&Grant>, Vec<&Grant>) = (Vec::new(), grants.iter().collect());
    loop {
        let (ready, rest): (Vec<&Grant>, Vec<&Grant>) = waiting.into_iter().partition(|grant| {
            grant.grantor == owner || may.contains(&(grant.grantor.as_str(), grant.privilege.privilege.as_str()))
        });
        if ready.is_empty() {
            ordered.extend(rest);
            return ordered;
        }
        let given = ready.iter().filter(|grant| grant.privilege.grantable);
        may.extend(
            given.filter_map(|grant| Some((grant.privilege.grantee.as_deref()?, grant.privilege.privilege.as_str()))),
        );
        ordered.extend(ready);
        waiting = rest;
    }
}

/// The statements that give a database its comment and its security labels, said through that database: they are text of its encoding.
pub(crate) fn text_statements(
    properties: &DatabaseProperties,
    of_server: &ServerProperties,
    database: &str,
) -> Vec<String> {
    let database = format!("DATABASE {}", ident(database));
    let comment = properties.comment.iter().map(|comment| format!("COMMENT ON {database} IS {}", literal(comment)));
    comment.chain(of_server.labels.iter().map(|label| label_statement(label, &database))).collect()
}

/// The statement that gives something, as it stands in SQL, a security label.
pub(super) fn label_statement(SecurityLabel { provider, label }: &SecurityLabel, of: &str) -> String {
    format!("SECURITY LABEL FOR {} ON {of} IS {}", ident(provider), literal(label))
}

fn grant_statement(Privilege { grantee, privilege, grantable }: &Privilege, database: &str) -> Result<String, Error> {
    if !matches!(privilege.as_str(), "CREATE" | "CONNECT" | "TEMPORARY" | "TEMP") {
        return Err(Error::Answer { why: format!("'{}' is no privilege on a database", privilege.escape_debug()) });
    }
    let grantee = grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), ident);
    let option = if *grantable { " WITH GRANT OPTION" } else { "" };
    Ok(format!("GRANT {privilege} ON DATABASE {database} TO {grantee}{option}"))
}

/// How `CREATE DATABASE` is told where the order of texts comes from, the best first: of a server that does not know a provider, or of an
/// older one, it is that of the names that the manifest has, and of one that does not know these, that of bytes.
pub(crate) fn locale_options(facts: &DatabaseFacts, of_server: &ServerProperties) -> Vec<String> {
    let encoding = format!("ENCODING {}", literal(&facts.encoding));
    let names =
        |collate: &str, ctype: &str| format!("{encoding} LC_COLLATE {} LC_CTYPE {}", literal(collate), literal(ctype));
    let saved = names(&facts.collate, &facts.ctype);
    let of_provider = of_server.locale.as_ref().and_then(|DatabaseLocale { provider, name, rules }| {
        let name = literal(name.as_deref().unwrap_or_default());
        let rules = rules.as_deref().map_or_else(String::new, |rules| format!(" ICU_RULES {}", literal(rules)));
        match provider.as_str() {
            "icu" => Some(format!("{saved} LOCALE_PROVIDER icu ICU_LOCALE {name}{rules}")),
            "builtin" => Some(format!("{saved} LOCALE_PROVIDER builtin BUILTIN_LOCALE {name}")),
            "libc" => Some(format!("{saved} LOCALE_PROVIDER libc")),
            _ => None,
        }
    });
    of_provider.into_iter().chain([saved, names("C", "C")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Setting;

    /// The server had listed them otherwise: one was given by who had no right to yet, and was lost without a word.
    #[test]
    fn grants_are_given_by_who_may_by_then() {
        let grant = |grantor: &str, grantee: &str, grantable: bool| {
            let privilege = Privilege { grantee: Some(grantee.to_owned()), privilege: "TEMP".to_owned(), grantable };
            Grant { grantor: grantor.to_owned(), privilege }
        };
        let grants = [grant("b", "c", false), grant("x", "y", false), grant("a", "b", true), grant("o", "a", true)];
        let order: Vec<&str> = in_order(&grants, "o").iter().map(|grant| grant.grantor.as_str()).collect();
        assert_eq!(order, ["o", "a", "b", "x"]);
    }

    #[test]
    fn values_are_never_syntax() {
        let hostile = "a'; ALTER ROLE mallory SUPERUSER; --\n\\! id";
        let setting = Setting { name: hostile.to_owned(), value: hostile.to_owned() };
        let properties = DatabaseProperties {
            settings: vec![DatabaseSetting { role: Some(hostile.to_owned()), setting }],
            connection_limit: Some(3),
            comment: Some(hostile.to_owned()),
            privileges: Some(vec![Privilege { grantee: None, privilege: "CONNECT".to_owned(), grantable: true }]),
        };
        let none = ServerProperties::default();
        let statements = property_statements(&properties, &none, ("a\"b", "o")).expect("statements");
        let quoted = "E'a''; ALTER ROLE mallory SUPERUSER; --\n\\\\! id'";
        let name = "\"a'; ALTER ROLE mallory SUPERUSER; --\n\\! id\"";
        let expected = [
            format!("ALTER ROLE {name} IN DATABASE \"a\"\"b\" SET {name} TO {quoted}"),
            "ALTER DATABASE \"a\"\"b\" CONNECTION LIMIT 3".to_owned(),
            "REVOKE ALL ON DATABASE \"a\"\"b\" FROM PUBLIC".to_owned(),
            "GRANT CONNECT ON DATABASE \"a\"\"b\" TO PUBLIC WITH GRANT OPTION".to_owned(),
        ];
        assert_eq!(statements, expected);
        let labels = vec![SecurityLabel { provider: "p\"q".to_owned(), label: hostile.to_owned() }];
        let mut of_server = none.clone();
        of_server.labels = labels;
        let texts = text_statements(&properties, &of_server, "a\"b");
        let expected = [
            format!("COMMENT ON DATABASE \"a\"\"b\" IS {quoted}"),
            format!("SECURITY LABEL FOR \"p\"\"q\" ON DATABASE \"a\"\"b\" IS {quoted}"),
        ];
        assert_eq!(texts, expected);
        let privilege = Privilege { grantee: None, privilege: "ALL; DROP".to_owned(), grantable: false };
        let properties = DatabaseProperties { privileges: Some(vec![privilege]), ..DatabaseProperties::default() };
        assert!(property_statements(&properties, &none, ("d", "o")).is_err());
        let grant = |grantor: &str, grantee: &str| {
            let privilege =
                Privilege { grantee: Some(grantee.to_owned()), privilege: "TEMP".to_owned(), grantable: false };
            Grant { grantor: grantor.to_owned(), privilege }
        };
        let own = ServerProperties::new(None, true, Some(vec![grant("o", "a"), grant("a", hostile)]));
        let statements = property_statements(&DatabaseProperties::default(), &own, ("d", "o")).expect("statements");
        let expected = [
            "REVOKE ALL ON DATABASE \"d\" FROM PUBLIC, \"o\"".to_owned(),
            "GRANT TEMP ON DATABASE \"d\" TO \"a\"".to_owned(),
            format!("BEGIN; SET LOCAL ROLE \"a\"; GRANT TEMP ON DATABASE \"d\" TO {name}; COMMIT"),
            "ALTER DATABASE \"d\" IS_TEMPLATE true".to_owned(),
        ];
        assert_eq!(statements, expected);
    }
}
