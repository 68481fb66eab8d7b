//! What a server keeps of a database for all of them: its owner, settings and privileges, with names of roles.
//!
//! The server keeps such names as bytes, and each database takes them for text of its own encoding. The same bytes are the same
//! name only where they are read and written through databases of one encoding, so what is not ASCII is read through the one
//! that a restore writes it through.

use serde::{Deserialize, Serialize};

use super::client::parse;
use super::dump_encoding::bytes_of;
use super::{Asked, Error, Kept, maintenance, query};
use crate::cancel::Cancel;
use crate::limits::{SERVER_ENTRIES_MAX, SERVER_TEXT_BYTES_MAX};
use crate::model::{DatabaseProperties, DatabaseSetting, Grant, Privilege, SecurityLabel, Setting};

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

/// The comment of a database, and its length. It is text of the encoding of that database, and so read and written through it.
const COMMENT_SQL: &str =
    "SELECT :COMMENT, pg_catalog.octet_length(c) FROM pg_catalog.shobj_description(:DATABASE, 'pg_database') AS c";

/// Security labels of a database, their providers, and the length of the labels. They are such text too.
const LABELS_SQL: &str = "SELECT :LABEL, :PROVIDER, pg_catalog.octet_length(label) FROM pg_catalog.pg_shseclabel
    WHERE objoid = :DATABASE AND classoid = 'pg_catalog.pg_database'::pg_catalog.regclass ORDER BY provider";

/// Role, and name and value, of the settings in a database, and the length of these.
const SETTINGS_SQL: &str = "SELECT :ROLE, :SETTING, pg_catalog.octet_length(c)
    FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
    WHERE s.setdatabase = :DATABASE ORDER BY 1, 2 LIMIT :LIMIT";
/// The role of a setting.
const ROLE: &str = "CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole)::pg_catalog.text END";

/// Bytes that are shown of what is no text.
const SHOWN_BYTES: usize = 200;

/// A text in SQL as hexadecimal digits, cut: what another database has made need not be text here, and a server refuses to handle that.
pub(super) fn digits_of(text: &str) -> String {
    let bytes = SERVER_TEXT_BYTES_MAX + SHOWN_BYTES;
    format!("pg_catalog.encode(pg_catalog.substr(pg_catalog.textsend({text}), 1, {bytes}), 'hex')")
}

/// The text that bytes are; where they are none, what there is to say of it.
pub(super) fn text_of(bytes: Vec<u8>, what: &dyn Fn() -> String) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let shown = error.as_bytes().get(..SHOWN_BYTES).unwrap_or(error.as_bytes());
        format!(
            "{} is not saved: it is no text in UTF-8, as it was said in a database of another encoding; say it in ASCII: {}",
            what(),
            shown.escape_ascii()
        )
    })
}

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
    pub(super) labels: Vec<SecurityLabel>,
    pub(super) left_out: Vec<String>,
}

impl Shared {
    /// That of the database of a connection, which has this oid.
    ///
    /// # Errors
    /// Those of [`query`]; [`Error::Answer`].
    pub(super) fn of(asked: &Kept, oid: u32, cancel: &Cancel) -> Result<Self, Error> {
        let mut shared = match Self::read(asked, oid, cancel) {
            Ok(shared) if is_ascii(&(&shared.owner, &shared.tablespace, &shared.properties, &shared.grants)) => shared,
            Ok(_) | Err(Error::Answer { .. }) => {
                let through = maintenance(asked.connection(), cancel)
                    .and_then(|(other, _)| Self::read(&Kept::new(other), oid, cancel));
                through.unwrap_or_else(|error| {
                    let why = "what is not ASCII in the names and settings of a database is read through another one";
                    let problem = format!("its owner, settings and privileges are not saved: {why}: {error}");
                    Self { left_out: vec![problem], ..Self::default() }
                })
            }
            Err(error) => return Err(error),
        };
        shared.read_texts(asked, oid, cancel)?;
        Ok(shared)
    }

    /// Comment and security labels.
    fn read_texts(&mut self, asked: &impl Asked, oid: u32, cancel: &Cancel) -> Result<(), Error> {
        let oid = oid.to_string();
        let sql = COMMENT_SQL.replace(":COMMENT", &digits_of("c")).replace(":DATABASE", &oid);
        for row in query(asked, &sql, cancel)? {
            let [Some(comment), Some(bytes)] = row.as_slice() else { continue };
            let what = "the comment of the database";
            match text_of(bytes_of(comment), &|| what.to_owned()) {
                _ if is_long(bytes) => self.left_out.push(too_long(what, bytes)),
                Ok(comment) => self.properties.comment = Some(comment),
                Err(why) => self.left_out.push(why),
            }
        }
        let sql = LABELS_SQL.replace(":LABEL", &digits_of("label")).replace(":PROVIDER", &digits_of("provider"));
        for row in query(asked, &sql.replace(":DATABASE", &oid), cancel)? {
            let [Some(label), Some(provider), Some(bytes)] = row.as_slice() else { continue };
            let what = "a security label of the database";
            match [label, provider].map(|text| text_of(bytes_of(text), &|| what.to_owned())) {
                _ if is_long(bytes) => self.left_out.push(too_long(what, bytes)),
                [Ok(label), Ok(provider)] => self.labels.push(SecurityLabel { provider, label }),
                [Err(why), _] | [_, Err(why)] => self.left_out.push(why),
            }
        }
        Ok(())
    }

    fn read(asked: &impl Asked, oid: u32, cancel: &Cancel) -> Result<Self, Error> {
        let sql = SHARED_SQL.replace(":DATABASE", &oid.to_string());
        let rows = query(asked, &sql, cancel)?;
        let answer: Answer = parse(rows.first().ok_or_else(|| Error::Answer { why: "it has no row".to_owned() })?)?;
        let mut left_out = Vec::new();
        let settings = read_settings(asked, &oid.to_string(), &mut left_out, cancel)?;
        let properties = DatabaseProperties {
            settings: settings.into_iter().map(|(role, setting)| DatabaseSetting { role, setting }).collect(),
            connection_limit: u32::try_from(answer.connection_limit).ok(),
            comment: None,
            privileges: answer.has_privileges.then(|| answer.privileges.unwrap_or_default()),
        };
        let grants = answer.has_privileges.then(|| answer.grants.unwrap_or_default());
        let Answer { owner, tablespace, is_template, .. } = answer;
        Ok(Self { owner, tablespace, properties, is_template, grants, labels: Vec::new(), left_out })
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
    asked: &impl Asked,
    database: &str,
    left_out: &mut Vec<String>,
    cancel: &Cancel,
) -> Result<Vec<(Option<String>, Setting)>, Error> {
    let sql = SETTINGS_SQL.replace(":ROLE", &digits_of(ROLE)).replace(":SETTING", &digits_of("c"));
    let sql = sql.replace(":LIMIT", &(SERVER_ENTRIES_MAX + 1).to_string());
    let mut settings = Vec::new();
    for row in query(asked, &sql.replace(":DATABASE", database), cancel)? {
        let [role, Some(setting), Some(bytes)] = row.as_slice() else { continue };
        let setting = bytes_of(setting);
        let (name, value) = setting.split_at(memchr::memchr(b'=', &setting).unwrap_or(setting.len()));
        let value = value.get(1..).unwrap_or_default();
        let of = role.as_deref().map(bytes_of).map(|role| text_of(role, &|| "a setting of a role".to_owned()));
        let of = of.transpose();
        let what = || {
            let of = if let Ok(Some(role)) = &of { format!(" of the role {role}") } else { String::new() };
            format!("the setting {}{of}", String::from_utf8_lossy(name).chars().take(63).collect::<String>())
        };
        if settings.len() == SERVER_ENTRIES_MAX {
            left_out.push(format!("settings beyond the first {SERVER_ENTRIES_MAX}"));
        } else if is_long(bytes) {
            left_out.push(too_long(&what(), bytes));
        } else {
            match (of.clone(), [name, value].map(|text| text_of(text.to_vec(), &what))) {
                (Ok(role), [Ok(name), Ok(value)]) => settings.push((role, Setting { name, value })),
                (Err(why), _) | (_, [Err(why), _] | [_, Err(why)]) => left_out.push(why),
            }
        }
    }
    Ok(settings)
}

/// Whether a text of so many bytes is longer than what is kept.
pub(super) fn is_long(bytes: &str) -> bool {
    bytes.parse().unwrap_or(usize::MAX) > SERVER_TEXT_BYTES_MAX
}

pub(super) fn too_long(what: &str, bytes: &str) -> String {
    format!("{what} is not saved: it has {bytes} bytes, more than {SERVER_TEXT_BYTES_MAX}")
}
