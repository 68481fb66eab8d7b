//! What a database component has beyond its files, and what is kept of the roles of its server.
//!
//! All of it comes from a server that others use: values are kept as they are, and become SQL in one place alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Error;
use super::tables::split_names;

/// Where the roles lie in the component.
pub const ROLES_FILE: &str = "roles.json";

/// Where that lies in it which the server keeps of the database.
pub const PROPERTIES_FILE: &str = "properties.json";

const ROLES: &str = "list of roles";
const ROLES_VERSION: u16 = 1;
/// Extensions that are made only in the database whose name the server is set to.
const BOUND_EXTENSIONS: [&str; 1] = ["pg_cron"];
const PROPERTIES: &str = "list of properties";
const PROPERTIES_VERSION: u16 = 1;

/// Rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// Schema and table as the dump writes them, quoted where needed.
    pub table: String,
    /// Rows in the dump.
    pub rows: u64,
}

/// What a database component has beyond its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// Name of the database.
    pub name: String,
    /// Version of the server.
    pub server_version: String,
    /// Version of the program that dumped.
    pub dump_version: String,
    /// Size on the server in bytes.
    pub size_bytes: u64,
    /// Character encoding of the database.
    pub encoding: String,
    /// Character encoding that the dump is written in.
    pub dump_encoding: String,
    /// Collation.
    pub collate: String,
    /// Character classification.
    pub ctype: String,
    /// Owner.
    pub owner: String,
    /// Its own tablespace, where that is not the default of the server.
    pub tablespace: Option<String>,
    /// Extensions with their versions.
    pub extensions: BTreeMap<String, String>,
    /// Rows of each table, counted in the dump as it passed.
    pub tables: Vec<TableRows>,
    /// Settings and privileges of the database itself.
    pub properties: DatabaseProperties,
    /// The container that the server ran in, where it was one.
    pub container: Option<String>,
    /// Tables of superusers whose rows run code of roles that are none when they are loaded, with those roles; of an imported
    /// dump, what in it is code of whoever wrote it. As far as that was known when it was saved.
    pub foreign_code: Vec<String>,
}

impl DatabaseFacts {
    /// An extension that a server makes only in the database that it is set to by name.
    #[must_use]
    pub fn bound_extension(&self) -> Option<&str> {
        BOUND_EXTENSIONS.into_iter().find(|extension| self.extensions.contains_key(*extension))
    }
}

/// Settings and privileges of a database itself, which are in no dump of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseProperties {
    /// Settings of its sessions.
    pub settings: Vec<DatabaseSetting>,
    /// How many sessions it allows, where that is limited.
    pub connection_limit: Option<u32>,
    /// Its comment.
    pub comment: Option<String>,
    /// Who may do what with it, but for its owner; `None` where nothing was said and the server's default holds.
    pub privileges: Option<Vec<Privilege>>,
}

/// A setting of the sessions in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSetting {
    /// The role whose sessions have it; all have it where there is none.
    pub role: Option<String>,
    /// The setting and its value.
    pub setting: Setting,
}

/// A setting and its value, as the server keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value. A list of names has its quotes in it.
    pub value: String,
}

/// A privilege on a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privilege {
    /// Who has it; everybody where there is none.
    pub grantee: Option<String>,
    /// What it allows: `CONNECT`, `CREATE`, `TEMPORARY`.
    pub privilege: String,
    /// Whether they may give it to others.
    pub grantable: bool,
}

/// What a server keeps of a database beside what the manifest has a field for, as a file of its component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerProperties {
    version: u16,
    /// Where the order of its texts comes from; `None` where the server has one answer for all.
    pub locale: Option<DatabaseLocale>,
    /// Whether others are made of it by whoever may make any.
    pub is_template: bool,
    /// Who has given whom which privilege on it, its owner too; `None` where nothing was said and the default holds.
    pub grants: Option<Vec<Grant>>,
    /// Its security labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<SecurityLabel>,
}

/// A label that a module of the server attaches a meaning to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityLabel {
    /// The module.
    pub provider: String,
    /// The label.
    pub label: String,
}

/// Where the order of texts in a database comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseLocale {
    /// `libc`, `icu` or `builtin`.
    pub provider: String,
    /// What that calls it; none of `libc`, which has the two names in the manifest.
    pub name: Option<String>,
    /// Its own rules beside, of `icu`.
    pub rules: Option<String>,
}

/// A privilege on a database that somebody has given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who has given it.
    pub grantor: String,
    /// The privilege.
    #[serde(flatten)]
    pub privilege: Privilege,
}

impl ServerProperties {
    /// These properties.
    #[must_use]
    pub const fn new(locale: Option<DatabaseLocale>, is_template: bool, grants: Option<Vec<Grant>>) -> Self {
        Self { version: PROPERTIES_VERSION, locale, is_template, grants, labels: Vec::new() }
    }

    /// They as a file.
    ///
    /// # Panics
    /// Never: plain data can be written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_file(self)
    }

    /// The properties that a file holds.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |error: serde_json::Error| Error::Damaged { what: PROPERTIES, why: error.to_string() };
        let properties: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        match properties.version {
            PROPERTIES_VERSION => Ok(properties),
            found => Err(Error::UnknownVersion { what: PROPERTIES, found }),
        }
    }
}

/// The roles of a server, without passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    version: u16,
    /// Each role.
    pub roles: Vec<Role>,
    /// Which is a member of which.
    pub memberships: Vec<Membership>,
    /// Where the server keeps data beside its data directory. For people: a restore makes none.
    pub tablespaces: Vec<Tablespace>,
}

/// A role of a server.
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of a role")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether it has the privileges of the roles that it is a member of.
    pub inherit: bool,
    /// Whether it may make roles.
    pub create_role: bool,
    /// Whether it may make databases.
    pub create_database: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Whether it may replicate.
    pub replication: bool,
    /// Whether policies do not hold for it.
    pub bypass_row_security: bool,
    /// How many sessions it may have at once, where that is limited.
    pub connection_limit: Option<u32>,
    /// Until when its password counts, as the server writes it.
    pub valid_until: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// Settings of its sessions in all databases.
    pub settings: Vec<Setting>,
    /// Its security labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<SecurityLabel>,
}

/// That one role is a member of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The role.
    pub role: String,
    /// Its member.
    pub member: String,
    /// Whether the member may make others members.
    pub admin: bool,
    /// Whether the member has the privileges of the role by itself; `None` where the member's own attribute says so.
    pub inherit: Option<bool>,
    /// Whether the member may become the role; `None` on servers where every member may.
    pub set: Option<bool>,
}

/// A tablespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tablespace {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Its directory on the server.
    pub location: String,
}

impl DatabaseFacts {
    /// Makes sure that what becomes a part of SQL is what it should be.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(super) fn validate(&self) -> Result<(), Error> {
        let is_none = |table: &&TableRows| split_names(&table.table).is_none_or(|parts| parts.len() > 2);
        match self.tables.iter().find(is_none) {
            None => Ok(()),
            Some(table) => {
                let why = format!("it counts rows of '{}', which names no table", table.table.escape_debug());
                Err(Error::Damaged { what: "manifest", why })
            }
        }
    }
}

impl Roles {
    /// These roles.
    #[must_use]
    pub const fn new(roles: Vec<Role>, memberships: Vec<Membership>, tablespaces: Vec<Tablespace>) -> Self {
        Self { version: ROLES_VERSION, roles, memberships, tablespaces }
    }

    /// The roles as a file.
    ///
    /// # Panics
    /// Never: plain data can be written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_file(self)
    }

    /// The roles that a file holds.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |error: serde_json::Error| Error::Damaged { what: ROLES, why: error.to_string() };
        let roles: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        match roles.version {
            ROLES_VERSION => Ok(roles),
            found => Err(Error::UnknownVersion { what: ROLES, found }),
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }
}

fn to_file(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("plain data can be written as JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_back_and_others_are_refused() {
        let role = Role { name: "a\n\"b".to_owned(), valid_until: Some("infinity".to_owned()), ..Role::default() };
        let roles = Roles::new(vec![role], Vec::new(), Vec::new());
        assert_eq!(Roles::decode(&roles.encode()).expect("own bytes"), roles);
        assert!(matches!(Roles::decode(b"[]"), Err(Error::Damaged { .. })));
        let newer = Roles { version: 9, ..roles };
        assert!(matches!(Roles::decode(&newer.encode()), Err(Error::UnknownVersion { found: 9, .. })));
    }

    #[test]
    fn what_names_no_table_is_refused() {
        let facts = |table: &str| {
            let tables = vec![TableRows { table: table.to_owned(), rows: 1 }];
            DatabaseFacts { tables, ..DatabaseFacts::default() }
        };
        assert!(facts("public.\"a b\"").validate().is_ok() && facts("t").validate().is_ok());
        assert!(facts("t; DROP TABLE x").validate().is_err() && facts("a.b.c").validate().is_err());
    }
}
