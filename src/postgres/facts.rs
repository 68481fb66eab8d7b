//! What a server says of a database: versions, encoding, settings and privileges, as values; and those as SQL.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::parse;
use super::dump_encoding::dump_encoding;
use super::shared::Shared;
use super::sql::{ident, literal, loads_nothing, setting};
use super::{Connection, Error, Stopped, query};
use crate::model::{DatabaseFacts, DatabaseProperties, DatabaseSetting, Privilege};

/// One row of JSON.
const FACTS_SQL: &str = "SELECT pg_catalog.json_build_object(
    'oid', d.oid::pg_catalog.int8, 'server_version', pg_catalog.current_setting('server_version'),
    'version_number', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
    'size_bytes', pg_catalog.pg_database_size(d.oid),
    'encoding', pg_catalog.pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
    'extensions', (SELECT pg_catalog.json_object_agg(extname, extversion) FROM pg_catalog.pg_extension)
) FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

#[derive(Deserialize)]
struct Answer {
    oid: u32,
    server_version: String,
    version_number: u32,
    size_bytes: u64,
    encoding: String,
    collate: String,
    ctype: String,
    extensions: Option<BTreeMap<String, String>>,
}

/// What is worth knowing of a database, the major version of its server, and what of it is left out.
///
/// # Errors
/// Those of [`query`]; [`Error::Answer`], [`Error::UnknownName`].
pub(crate) fn read_facts(
    connection: &Connection,
    stopped: Stopped<'_>,
) -> Result<(DatabaseFacts, u32, Vec<String>), Error> {
    let rows = query(connection, FACTS_SQL, stopped)?;
    let answer: Answer = parse(rows.first().ok_or_else(|| Error::Answer { why: "it has no row".to_owned() })?)?;
    let dump_encoding = dump_encoding(connection, &answer.encoding, stopped)?;
    let Shared { owner, tablespace, properties, left_out } = Shared::of(connection, answer.oid, stopped)?;
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
    Ok((facts, answer.version_number / 10_000, left_out))
}

/// The statements that give a database its settings and privileges.
///
/// # Errors
/// [`Error::Answer`] when a value cannot be made SQL.
pub(crate) fn property_statements(properties: &DatabaseProperties, database: &str) -> Result<Vec<String>, Error> {
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
    if let Some(comment) = &properties.comment {
        statements.push(format!("COMMENT ON DATABASE {database} IS {}", literal(comment)));
    }
    if let Some(privileges) = &properties.privileges {
        statements.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"));
        for Privilege { grantee, privilege, grantable } in privileges {
            if !matches!(privilege.as_str(), "CREATE" | "CONNECT" | "TEMPORARY" | "TEMP") {
                let why = format!("'{}' is no privilege on a database", privilege.escape_debug());
                return Err(Error::Answer { why });
            }
            let grantee = grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), ident);
            let option = if *grantable { " WITH GRANT OPTION" } else { "" };
            statements.push(format!("GRANT {privilege} ON DATABASE {database} TO {grantee}{option}"));
        }
    }
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Setting;

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
        let statements = property_statements(&properties, "a\"b").expect("statements");
        let quoted = "E'a''; ALTER ROLE mallory SUPERUSER; --\n\\\\! id'";
        let name = "\"a'; ALTER ROLE mallory SUPERUSER; --\n\\! id\"";
        let expected = [
            format!("ALTER ROLE {name} IN DATABASE \"a\"\"b\" SET {name} TO {quoted}"),
            "ALTER DATABASE \"a\"\"b\" CONNECTION LIMIT 3".to_owned(),
            format!("COMMENT ON DATABASE \"a\"\"b\" IS {quoted}"),
            "REVOKE ALL ON DATABASE \"a\"\"b\" FROM PUBLIC".to_owned(),
            "GRANT CONNECT ON DATABASE \"a\"\"b\" TO PUBLIC WITH GRANT OPTION".to_owned(),
        ];
        assert_eq!(statements, expected);
        let privilege = Privilege { grantee: None, privilege: "ALL; DROP".to_owned(), grantable: false };
        let properties = DatabaseProperties { privileges: Some(vec![privilege]), ..DatabaseProperties::default() };
        assert!(property_statements(&properties, "d").is_err());
    }
}
