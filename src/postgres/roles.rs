//! The roles of a server: read from its catalogue as values, made again where they are missing, and written down for people.

use std::collections::HashSet;
use std::fmt::Write;

use super::client::parse;
use super::dump_encoding::bytes_of;
use super::facts::label_statement;
use super::shared::{digits_of, is_ascii, is_long, read_settings, text_of, too_long};
use super::sql::{ident, literal, loads_nothing, setting};
use super::{Asked, Connection, Error, Kept, execute, maintenance, query};
use crate::cancel::Cancel;
use crate::limits::SERVER_ENTRIES_MAX;
use crate::model::{Membership, Role, Roles, SecurityLabel, Tablespace};

/// What the names of roles are like that are made for one restore, as a regular expression: no backup keeps them.
pub(crate) const LOADER_ROLES: &str = "^larder_load_[0-9a-f]{16}$";

/// JSON for each role that is not built in, its name and comment, and the length of that.
const ROLES_SQL: &str = "SELECT pg_catalog.json_build_object('name', '', 'superuser', r.rolsuper, 'inherit', r.rolinherit,
        'create_role', r.rolcreaterole, 'create_database', r.rolcreatedb, 'login', r.rolcanlogin, 'replication', r.rolreplication,
        'bypass_row_security', r.rolbypassrls, 'connection_limit', NULLIF(r.rolconnlimit, -1), 'valid_until', r.rolvaliduntil::pg_catalog.text,
        'comment', NULL, 'settings', ARRAY[]::pg_catalog.text[]), :NAME, :COMMENT, coalesce(pg_catalog.octet_length(c), 0)
    FROM pg_catalog.pg_roles r CROSS JOIN LATERAL pg_catalog.shobj_description(r.oid, 'pg_authid') AS c
    WHERE r.rolname !~ '^pg_' AND r.rolname !~ ':LOADERS' ORDER BY r.rolname COLLATE \"C\" LIMIT :LIMIT";

/// Role, provider and security label.
const LABELS_SQL: &str = "SELECT :NAME, :PROVIDER, :LABEL, pg_catalog.octet_length(l.label) FROM pg_catalog.pg_shseclabel l JOIN pg_catalog.pg_roles r ON r.oid = l.objoid
    WHERE l.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass ORDER BY 1, 2 LIMIT :LIMIT";

/// JSON for each membership, role and member. Columns that not every version has are looked up by name.
const MEMBERSHIPS_SQL: &str = "SELECT pg_catalog.json_build_object('role', '', 'member', '', 'admin', a.admin_option,
        'inherit', (pg_catalog.to_jsonb(a) ->> 'inherit_option')::pg_catalog.bool, 'set', (pg_catalog.to_jsonb(a) ->> 'set_option')::pg_catalog.bool), :NAME, :MEMBER
    FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
    WHERE m.rolname !~ '^pg_' AND m.rolname !~ ':LOADERS' AND r.rolname !~ ':LOADERS' ORDER BY r.rolname COLLATE \"C\", m.rolname COLLATE \"C\", a.grantor LIMIT :LIMIT";

/// Name, owner and place.
const TABLESPACES_SQL: &str = "SELECT :SPACE, :OWNER, :LOCATION FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_' ORDER BY spcname COLLATE \"C\" LIMIT :LIMIT";

const GLOBALS_HEAD: &str = "--\n-- Roles and tablespaces of the server, without passwords. Written by Larder for people to read.\n\
    -- A restore makes the roles that are missing by itself, and does not run this.\n--\n\n";

/// The roles of a server, and what of them is left out. Names that are not ASCII are read through the database that a restore
/// makes roles through.
///
/// # Errors
/// Those of [`query`]; [`Error::Answer`].
pub(crate) fn read_roles(asked: &Kept, cancel: &Cancel) -> Result<(Roles, Vec<String>), Error> {
    let read = read_through(asked, cancel)?;
    if is_ascii(&read.0) {
        return Ok(read);
    }
    read_through(&Kept::new(maintenance(asked.connection(), cancel)?.0), cancel)
}

/// A question with what its names stand for.
fn sql(text: &str) -> String {
    let names = [
        (":NAME", "r.rolname::pg_catalog.text"),
        (":MEMBER", "m.rolname::pg_catalog.text"),
        (":COMMENT", "c"),
        (":PROVIDER", "l.provider"),
        (":LABEL", "l.label"),
        (":SPACE", "spcname::pg_catalog.text"),
        (":OWNER", "pg_catalog.pg_get_userbyid(spcowner)::pg_catalog.text"),
        (":LOCATION", "pg_catalog.pg_tablespace_location(oid)"),
    ];
    let text = names.iter().fold(text.to_owned(), |text, (name, of)| text.replace(name, &digits_of(of)));
    let text = text.replace(":LOADERS", LOADER_ROLES);
    text.replace(":LIMIT", &(SERVER_ENTRIES_MAX + 1).to_string())
}

fn read_through(asked: &impl Asked, cancel: &Cancel) -> Result<(Roles, Vec<String>), Error> {
    let mut left_out = Vec::new();
    // What has no name that is a text is named once, with the role itself.
    let text = |digits: &Option<String>| String::from_utf8(bytes_of(digits.as_deref()?)).ok();
    let mut roles: Vec<Role> = Vec::new();
    for row in query(asked, &sql(ROLES_SQL), cancel)? {
        let [_, Some(name), comment, Some(bytes)] = row.as_slice() else { continue };
        let name = match text_of(bytes_of(name), &|| "a role".to_owned()) {
            Ok(name) => name,
            Err(why) => {
                left_out.push(why);
                continue;
            }
        };
        let of = || format!("the comment of the role {name}");
        let comment = match comment.as_deref().map(|comment| text_of(bytes_of(comment), &of)).transpose() {
            _ if is_long(bytes) => Err(too_long(&of(), bytes)),
            comment => comment,
        };
        let comment = comment.unwrap_or_else(|why| {
            left_out.push(why);
            None
        });
        roles.push(Role { name, comment, ..parse(&row)? });
    }
    for (name, setting) in read_settings(asked, "0", &mut left_out, cancel)? {
        if let Some(role) = roles.iter_mut().find(|role| Some(&role.name) == name.as_ref()) {
            role.settings.push(setting);
        }
    }
    for row in query(asked, &sql(LABELS_SQL), cancel)? {
        let [name, provider, label, Some(bytes)] = row.as_slice() else { continue };
        let name = text(name);
        let Some(role) = roles.iter_mut().find(|role| Some(&role.name) == name.as_ref()) else { continue };
        match (text(provider), text(label)) {
            (Some(provider), Some(label)) if !is_long(bytes) => role.labels.push(SecurityLabel { provider, label }),
            _ => left_out.push(format!(
                "a security label of the role {} is not saved: it is too long, or no text in UTF-8",
                role.name
            )),
        }
    }
    let mut memberships: Vec<Membership> = Vec::new();
    for row in query(asked, &sql(MEMBERSHIPS_SQL), cancel)? {
        let [_, role, member] = row.as_slice() else { continue };
        let (Some(role), Some(member)) = (text(role), text(member)) else { continue };
        memberships.push(Membership { role, member, ..parse(&row)? });
    }
    // The same may have been granted by several.
    memberships.dedup_by(|a, b| (&a.role, &a.member) == (&b.role, &b.member));
    let mut tablespaces: Vec<Tablespace> = Vec::new();
    for row in query(asked, &sql(TABLESPACES_SQL), cancel)? {
        let [name, owner, location] = row.as_slice() else { continue };
        match (text(name), text(owner), text(location)) {
            (Some(name), Some(owner), Some(location)) => tablespaces.push(Tablespace { name, owner, location }),
            _ => left_out
                .push("a tablespace is not written down: its name, owner or place is no text in UTF-8".to_owned()),
        }
    }
    if roles.len().max(memberships.len()).max(tablespaces.len()) > SERVER_ENTRIES_MAX {
        left_out
            .push(format!("roles, memberships and tablespaces beyond the first {SERVER_ENTRIES_MAX} are not saved"));
        roles.truncate(SERVER_ENTRIES_MAX);
        memberships.truncate(SERVER_ENTRIES_MAX);
    }
    Ok((Roles::new(roles, memberships, tablespaces), left_out))
}

/// The roles that were made, and what they, or roles that were there, had and do not have now.
#[derive(Debug, Default)]
pub struct MadeRoles {
    /// Their names.
    pub names: Vec<String>,
    /// What was left out, in a few words each.
    pub left_out: Vec<String>,
}

/// Makes those roles that the server lacks, without passwords, and makes them members of one another as they were. None is given
/// power over the server, and none that is there becomes a member of anything: whoever has written the roles down, or had these
/// rights once, would have them by that.
///
/// # Errors
/// Those of [`query`] and [`execute`]; [`Error::Answer`] for a setting that would load a program.
pub(crate) fn create_missing_roles(
    connection: &Connection,
    roles: &Roles,
    cancel: &Cancel,
) -> Result<MadeRoles, Error> {
    let listed: Vec<String> = roles.roles.iter().map(|role| literal(&role.name)).collect();
    // Others may have names that are text in no encoding that is known here.
    let sql = format!("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ({})", listed.join(", "));
    let known = if listed.is_empty() { Vec::new() } else { query(connection, &sql, cancel)? };
    let known: HashSet<String> = known.into_iter().flatten().flatten().collect();
    let missing: Vec<&Role> = roles.roles.iter().filter(|role| !known.contains(&role.name)).collect();
    let names: HashSet<&str> = missing.iter().map(|role| role.name.as_str()).collect();
    let mut made = MadeRoles::default();
    if !missing.is_empty() && !may_make_roles(connection, cancel)? {
        // What needs them is refused when it is loaded.
        let shown: Vec<String> = missing.iter().map(|role| role.name.escape_debug().to_string()).collect();
        made.left_out.push(format!("not made, as the restoring role may make no roles: {}", shown.join(", ")));
        return Ok(made);
    }
    for role in &missing {
        role.settings.iter().try_for_each(loads_nothing)?;
        let (role, power) = without_power(role);
        if !power.is_empty() {
            made.left_out.push(format!("the role {} was made without {}", role.name.escape_debug(), power.join(", ")));
        }
        let mut create = role_statements(&role)?;
        let attributes = create.split_off(1);
        match execute(connection, &create, cancel) {
            Ok(()) => {
                execute(connection, &attributes, cancel)?;
                made.names.push(role.name.clone());
                made.left_out.extend(label(connection, &role, cancel)?);
            }
            // Somebody else has made it meanwhile.
            Err(_) if are_there(connection, &[&role.name], cancel)? => {}
            Err(error) => return Err(error),
        }
    }
    for membership in &roles.memberships {
        let Membership { role, member, .. } = membership;
        match [role, member].map(|name| names.contains(name.as_str())) {
            [true, true] => {}
            [false, false] => continue,
            _ => {
                let [role, member] = [role, member].map(|name| name.escape_debug());
                made.left_out.push(format!("the role {member} was not made a member of {role}"));
                continue;
            }
        }
        match execute(connection, &[grant(membership)], cancel) {
            Err(error) if are_there(connection, &[&membership.role, &membership.member], cancel)? => {
                return Err(error);
            }
            // Somebody else has dropped one of them meanwhile.
            _ => {}
        }
    }
    Ok(made)
}

/// Gives a role its security labels. Returns in words which it does not have.
fn label(connection: &Connection, role: &Role, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let mut lacking = Vec::new();
    for label in &role.labels {
        let statement = label_statement(label, &format!("ROLE {}", ident(&role.name)));
        match execute(connection, &[statement], cancel) {
            Err(error) if cancel.is_cancelled() => return Err(error),
            Err(_) => {
                let [role, provider] = [&role.name, &label.provider].map(|name| name.escape_debug());
                lacking.push(format!(
                    "the role {role} was made without its security label of {provider}, which the server refused"
                ));
            }
            Ok(()) => {}
        }
    }
    Ok(lacking)
}

/// Whether the one who asks may make roles.
fn may_make_roles(connection: &Connection, cancel: &Cancel) -> Result<bool, Error> {
    let sql = "SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER";
    let rows = query(connection, sql, cancel)?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("t"))
}

/// A role without what gives power over a server, and what that was.
fn without_power(role: &Role) -> (Role, Vec<&'static str>) {
    let mut plain = role.clone();
    let flags = [
        (&mut plain.superuser, "SUPERUSER"),
        (&mut plain.create_role, "CREATEROLE"),
        (&mut plain.create_database, "CREATEDB"),
        (&mut plain.replication, "REPLICATION"),
        (&mut plain.bypass_row_security, "BYPASSRLS"),
    ];
    let power = flags.into_iter().filter_map(|(flag, word)| std::mem::take(flag).then_some(word)).collect();
    (plain, power)
}

/// Whether a server has all of these roles.
fn are_there(connection: &Connection, names: &[&str], cancel: &Cancel) -> Result<bool, Error> {
    let listed: Vec<String> = names.iter().map(|name| literal(name)).collect();
    let sql = format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname IN ({})", listed.join(", "));
    let distinct: HashSet<&&str> = names.iter().collect();
    Ok(query(connection, &sql, cancel)?.len() == distinct.len())
}

/// The statements that make a role.
///
/// # Errors
/// [`Error::Answer`] when a value cannot be made SQL.
fn role_statements(role: &Role) -> Result<Vec<String>, Error> {
    let name = ident(&role.name);
    let flag = |is: bool, word: &str| format!("{}{word}", if is { "" } else { "NO" });
    let limit = role.connection_limit.map_or(-1, i64::from);
    let mut create = format!(
        "CREATE ROLE {name} WITH {} {} {} {} {} {} {} CONNECTION LIMIT {limit}",
        flag(role.superuser, "SUPERUSER"),
        flag(role.inherit, "INHERIT"),
        flag(role.create_role, "CREATEROLE"),
        flag(role.create_database, "CREATEDB"),
        flag(role.login, "LOGIN"),
        flag(role.replication, "REPLICATION"),
        flag(role.bypass_row_security, "BYPASSRLS"),
    );
    if let Some(until) = &role.valid_until {
        // Writing into a string cannot fail.
        let _ = write!(create, " VALID UNTIL {}", literal(until));
    }
    let mut statements = vec![create];
    for value in &role.settings {
        statements.push(format!("ALTER ROLE {name} {}", setting(value)?));
    }
    statements.extend(role.comment.iter().map(|comment| format!("COMMENT ON ROLE {name} IS {}", literal(comment))));
    Ok(statements)
}

/// Who granted it is left out: that role may have another name on another server.
fn grant(membership: &Membership) -> String {
    let Membership { role, member, admin, inherit, set } = membership;
    let options = [("ADMIN", Some(*admin).filter(|admin| *admin)), ("INHERIT", *inherit), ("SET", *set)];
    let text = if inherit.is_none() && set.is_none() {
        if *admin { "ADMIN OPTION".to_owned() } else { String::new() }
    } else {
        let options = options.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?)));
        options.collect::<Vec<_>>().join(", ").to_uppercase()
    };
    let with = if text.is_empty() { String::new() } else { format!(" WITH {text}") };
    format!("GRANT {} TO {}{with}", ident(role), ident(member))
}

/// The roles as SQL, for people. It is never run.
///
/// # Errors
/// [`Error::Answer`] when a value cannot be made SQL.
pub(crate) fn globals_text(roles: &Roles) -> Result<String, Error> {
    let mut text = GLOBALS_HEAD.to_owned();
    let mut add = |statement: String| {
        text.push_str(&statement);
        text.push_str(";\n");
    };
    for role in &roles.roles {
        role_statements(role)?.into_iter().for_each(&mut add);
        let of = format!("ROLE {}", ident(&role.name));
        role.labels.iter().map(|label| label_statement(label, &of)).for_each(&mut add);
    }
    roles.memberships.iter().map(grant).for_each(&mut add);
    for Tablespace { name, owner, location } in &roles.tablespaces {
        add(format!("CREATE TABLESPACE {} OWNER {} LOCATION {}", ident(name), ident(owner), literal(location)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Setting;

    fn role(name: &str) -> Role {
        Role { name: name.to_owned(), inherit: true, ..Role::default() }
    }

    #[test]
    fn a_role_is_made_of_its_values() {
        let hostile = "a\nCREATE ROLE evil SUPERUSER;\n\\! id'";
        let setting =
            Setting { name: "search_path".to_owned(), value: "\"a\nCREATE ROLE evil SUPERUSER;\"".to_owned() };
        let role =
            Role { login: true, valid_until: Some("infinity".to_owned()), settings: vec![setting], ..role(hostile) };
        let expected = [
            "CREATE ROLE \"a\nCREATE ROLE evil SUPERUSER;\n\\! id'\" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION \
             NOBYPASSRLS CONNECTION LIMIT -1 VALID UNTIL E'infinity'",
            "ALTER ROLE \"a\nCREATE ROLE evil SUPERUSER;\n\\! id'\" SET \"search_path\" TO E'a\nCREATE ROLE evil SUPERUSER;'",
        ];
        assert_eq!(role_statements(&role).expect("statements"), expected);
    }

    #[test]
    fn memberships_are_granted_as_the_server_has_them() {
        let membership = |admin, inherit, set| {
            let (role, member) = ("readers".to_owned(), "Web User".to_owned());
            grant(&Membership { role, member, admin, inherit, set })
        };
        assert_eq!(membership(false, None, None), "GRANT \"readers\" TO \"Web User\"");
        assert_eq!(membership(true, None, None), "GRANT \"readers\" TO \"Web User\" WITH ADMIN OPTION");
        assert_eq!(
            membership(true, Some(false), Some(true)),
            "GRANT \"readers\" TO \"Web User\" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE"
        );
    }
}
