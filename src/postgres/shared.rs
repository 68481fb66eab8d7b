//! What a server keeps of a database for all of them: its owner, settings and privileges, with names of roles.
//!
//! The server keeps such names as bytes, and each database takes them for text of its own encoding. The same bytes are the same
//! name only where they are read and written through databases of one encoding, so what is not ASCII is read through the one
//! that a restore writes it through.

use serde::{Deserialize, Serialize};

use super::client::parse;
use super::{Connection, Error, Stopped, maintenance, query};
use crate::limits::{SERVER_ENTRIES_MAX, SERVER_TEXT_BYTES_MAX};
use crate::model::{DatabaseProperties, DatabaseSetting, Grant, Privilege, Setting};

/// One row of JSON.
const SHARED_SQL: &str = "SELECT pg_catalog.json_build_object(
    'owner', pg_catalog.pg_get_userbyid(d.datdba), 'connection_limit', d.datconnlimit,
    'tablespace', (SELECT spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = d.dattablespace AND spcname <> 'pg_default'),
    'has_privileges', d.datacl IS NOT NULL, 'is_template', d.datistemplate,
    'grants', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('privilege', a.privilege_type, 'grantable', a.is_grantable,
            'grantor', pg_catalog.pg_get_userbyid(a.grantor),
            'grantee', CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END))
        FROM pg_catalog.aclexplode(d.datacl) AS a),
    'privileges', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('privilege', a.privilege_type, 'grantable', a.is_grantable,
            'grantee', CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END))
        FROM pg_catalog.aclexplode(d.datacl) AS a WHERE a.grantee <> d.datdba)
) FROM pg_catalog.pg_database d WHERE d.oid = :DATABASE";

/// The comment of a database, cut, and its length. It is text of the encoding of that database, and so read and written through it.
const COMMENT_SQL: &str = "SELECT pg_catalog.left(c, :MAX), pg_catalog.octet_length(c) FROM pg_catalog.shobj_description(:DATABASE, 'pg_database') AS c";

/// Role, name and value of the settings in a database, and the length of the value, which is cut.
const SETTINGS_SQL: &str = "SELECT CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole) END,
        pg_catalog.left(pg_catalog.split_part(c, '=', 1), :MAX),
        pg_catalog.left(pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1), :MAX), pg_catalog.octet_length(c)
    FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
    WHERE s.setdatabase = :DATABASE ORDER BY 1, 2 LIMIT :LIMIT";

#[derive(Deserialize)]
struct Answer {
    owner: String,
    tablespace: Option<String>,
    connection_limit: i64,
    has_privileges: bool,
    is_template: bool,
    grants: Option<Vec<Grant>>,
    privileges: Option<Vec<Privilege>>,
}

/// What a server keeps of a database, and what of that is left out.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) owner: String,
    pub(super) tablespace: Option<String>,
    pub(super) properties: DatabaseProperties,
    pub(super) is_template: bool,
    pub(super) grants: Option<Vec<Grant>>,
    pub(super) left_out: Vec<String>,
}

impl Shared {
    /// That of the database of a connection, which has this oid.
    ///
    /// # Errors
    /// Those of [`query`]; [`Error::Answer`].
    pub(super) fn of(connection: &Connection, oid: u32, stopped: Stopped<'_>) -> Result<Self, Error> {
        let mut shared = Self::read(connection, oid, stopped)?;
        if !is_ascii(&(&shared.owner, &shared.tablespace, &shared.properties, &shared.grants)) {
            let through = maintenance(connection, stopped).and_then(|(other, _)| Self::read(&other, oid, stopped));
            shared = through.unwrap_or_else(|error| {
                let why = "what is not ASCII in the names and settings of a database is read through another one";
                let problem = format!("its owner, settings and privileges are not saved: {why}: {error}");
                Self { left_out: vec![problem], ..Self::default() }
            });
        }
        shared.read_comment(connection, oid, stopped)?;
        Ok(shared)
    }

    fn read_comment(&mut self, connection: &Connection, oid: u32, stopped: Stopped<'_>) -> Result<(), Error> {
        let sql =
            COMMENT_SQL.replace(":MAX", &SERVER_TEXT_BYTES_MAX.to_string()).replace(":DATABASE", &oid.to_string());
        for row in query(connection, &sql, stopped)? {
            let [Some(comment), Some(bytes)] = row.as_slice() else { continue };
            match bytes.parse().unwrap_or(usize::MAX) {
                bytes if bytes > SERVER_TEXT_BYTES_MAX => {
                    self.left_out.push(too_long("the comment of the database", bytes));
                }
                _ => self.properties.comment = Some(comment.clone()),
            }
        }
        Ok(())
    }

    fn read(connection: &Connection, oid: u32, stopped: Stopped<'_>) -> Result<Self, Error> {
        let sql = SHARED_SQL.replace(":DATABASE", &oid.to_string());
        let rows = query(connection, &sql, stopped)?;
        let answer: Answer = parse(rows.first().ok_or_else(|| Error::Answer { why: "it has no row".to_owned() })?)?;
        let mut left_out = Vec::new();
        let settings = read_settings(connection, &oid.to_string(), &mut left_out, stopped)?;
        let properties = DatabaseProperties {
            settings: settings.into_iter().map(|(role, setting)| DatabaseSetting { role, setting }).collect(),
            connection_limit: u32::try_from(answer.connection_limit).ok(),
            comment: None,
            privileges: answer.has_privileges.then(|| answer.privileges.unwrap_or_default()),
        };
        let grants = answer.has_privileges.then(|| answer.grants.unwrap_or_default());
        let Answer { owner, tablespace, is_template, .. } = answer;
        Ok(Self { owner, tablespace, properties, is_template, grants, left_out })
    }
}

/// Whether all texts of a value mean the same in every encoding.
pub(super) fn is_ascii(value: &impl Serialize) -> bool {
    serde_json::to_string(value).is_ok_and(|text| text.is_ascii())
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
