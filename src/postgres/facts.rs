//! What a server says of a database: versions, encoding, settings and privileges, as values; and those as SQL.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::parse;
use super::dump_encoding::dump_encoding;
use super::sql::{ident, literal, loads_nothing, setting};
use super::{Connection, Error, Stopped, query};
use crate::limits::{SERVER_ENTRIES_MAX, SERVER_TEXT_BYTES_MAX};
use crate::model::{DatabaseFacts, DatabaseProperties, DatabaseSetting, Privilege, Setting};

/// One row of JSON.
const FACTS_SQL: &str = "SELECT pg_catalog.json_build_object(
    'server_version', pg_catalog.current_setting('server_version'),
    'version_number', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
    'size_bytes', pg_catalog.pg_database_size(d.oid),
    'encoding', pg_catalog.pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
    'owner', pg_catalog.pg_get_userbyid(d.datdba),
    'tablespace', (SELECT spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = d.dattablespace AND spcname <> 'pg_default'),
    'connection_limit', d.datconnlimit,
    'comment', pg_catalog.left(pg_catalog.shobj_description(d.oid, 'pg_database'), :MAX),
    'comment_bytes', coalesce(pg_catalog.octet_length(pg_catalog.shobj_description(d.oid, 'pg_database')), 0),
    'extensions', (SELECT pg_catalog.json_object_agg(extname, extversion) FROM pg_catalog.pg_extension),
    'has_privileges', d.datacl IS NOT NULL,
    'privileges', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('privilege', a.privilege_type, 'grantable', a.is_grantable,
            'grantee', CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END))
        FROM pg_catalog.aclexplode(d.datacl) AS a WHERE a.grantee <> d.datdba)
) FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/// Role, name and value of the settings in a database, and the length of the value, which is cut.
const SETTINGS_SQL: &str = "SELECT CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole) END,
        pg_catalog.left(pg_catalog.split_part(c, '=', 1), :MAX),
        pg_catalog.left(pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1), :MAX), pg_catalog.octet_length(c)
    FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
    WHERE s.setdatabase = :DATABASE ORDER BY 1, 2 LIMIT :LIMIT";

#[derive(Deserialize)]
struct Answer {
    server_version: String,
    version_number: u32,
    size_bytes: u64,
    encoding: String,
    collate: String,
    ctype: String,
    owner: String,
    tablespace: Option<String>,
    connection_limit: i64,
    comment: Option<String>,
    comment_bytes: usize,
    extensions: Option<BTreeMap<String, String>>,
    has_privileges: bool,
    privileges: Option<Vec<Privilege>>,
}

/// What is worth knowing of a database, the major version of its server, and what of it is left out.
///
/// # Errors
/// Those of [`query`]; [`Error::Answer`], [`Error::UnknownName`].
pub(crate) fn read_facts(
    connection: &Connection,
    stopped: Stopped<'_>,
) -> Result<(DatabaseFacts, u32, Vec<String>), Error> {
    let rows = query(connection, &FACTS_SQL.replace(":MAX", &SERVER_TEXT_BYTES_MAX.to_string()), stopped)?;
    let nothing = || Error::Answer { why: "it has no row".to_owned() };
    let answer: Answer = parse(rows.first().ok_or_else(nothing)?)?;
    let dump_encoding = dump_encoding(connection, &answer.encoding, stopped)?;
    let mut left_out = Vec::new();
    let this = "(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
    let settings = read_settings(connection, this, &mut left_out, stopped)?;
    let comment = if answer.comment_bytes > SERVER_TEXT_BYTES_MAX {
        left_out.push(too_long("the comment of the database", answer.comment_bytes));
        None
    } else {
        answer.comment
    };
    let properties = DatabaseProperties {
        settings: settings.into_iter().map(|(role, setting)| DatabaseSetting { role, setting }).collect(),
        connection_limit: u32::try_from(answer.connection_limit).ok(),
        comment,
        privileges: answer.has_privileges.then(|| answer.privileges.unwrap_or_default()),
    };
    let facts = DatabaseFacts {
        name: connection.database.clone(),
        server_version: answer.server_version,
        size_bytes: answer.size_bytes,
        encoding: answer.encoding,
        dump_encoding,
        collate: answer.collate,
        ctype: answer.ctype,
        owner: answer.owner,
        tablespace: answer.tablespace,
        extensions: answer.extensions.unwrap_or_default(),
        properties,
        container: connection.place.container().map(str::to_owned),
        ..DatabaseFacts::default()
    };
    Ok((facts, answer.version_number / 10_000, left_out))
}

/// The settings of roles in the database with this oid, 0 for those in all databases. What is too long is left out and named.
///
/// # Errors
/// Those of [`query`].
pub(super) fn read_settings(
    connection: &Connection,
    database: &str,
    left_out: &mut Vec<String>,
    stopped: Stopped<'_>,
) -> Result<Vec<(Option<String>, Setting)>, Error> {
    let sql = SETTINGS_SQL.replace(":MAX", &SERVER_TEXT_BYTES_MAX.to_string());
    let sql = sql.replace(":LIMIT", &(SERVER_ENTRIES_MAX + 1).to_string()).replace(":DATABASE", database);
    let mut settings = Vec::new();
    for row in query(connection, &sql, stopped)? {
        let [role, Some(name), Some(value), Some(len)] = row.as_slice() else { continue };
        let len = len.parse().unwrap_or(usize::MAX);
        if settings.len() == SERVER_ENTRIES_MAX {
            left_out.push(format!("settings beyond the first {SERVER_ENTRIES_MAX}"));
        } else if len > SERVER_TEXT_BYTES_MAX {
            let of = role.as_deref().map_or_else(String::new, |role| format!(" of the role {role}"));
            left_out.push(too_long(&format!("the setting {}{of}", name.chars().take(63).collect::<String>()), len));
        } else {
            settings.push((role.clone(), Setting { name: name.clone(), value: value.clone() }));
        }
    }
    Ok(settings)
}

pub(super) fn too_long(what: &str, len: usize) -> String {
    format!("{what} is not saved: it has {len} bytes, more than {SERVER_TEXT_BYTES_MAX}")
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
