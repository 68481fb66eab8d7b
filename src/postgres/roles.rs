//! The roles of a server: read from its catalogue as values, made again where they are missing, and written down for people.

use std::collections::HashSet;
use std::fmt::Write;

use super::client::parse;
use super::shared::{is_ascii, read_settings, too_long};
use super::sql::{ident, literal, loads_nothing, setting};
use super::{Connection, Error, Stopped, execute, maintenance, query};
use crate::limits::{SERVER_ENTRIES_MAX, SERVER_TEXT_BYTES_MAX};
use crate::model::{Membership, Role, Roles, Tablespace};

/// What the names of roles are like that are made for one restore, as a regular expression: no backup keeps them.
pub(crate) const LOADER_ROLES: &str = "^larder_load_[0-9a-f]{16}$";

/// One row of JSON for each role that is not built in.
const ROLES_SQL: &str = "SELECT pg_catalog.json_build_object('name', r.rolname, 'superuser', r.rolsuper, 'inherit', r.rolinherit,
        'create_role', r.rolcreaterole, 'create_database', r.rolcreatedb, 'login', r.rolcanlogin, 'replication', r.rolreplication,
        'bypass_row_security', r.rolbypassrls, 'connection_limit', NULLIF(r.rolconnlimit, -1), 'valid_until', r.rolvaliduntil::pg_catalog.text,
        'comment', pg_catalog.left(pg_catalog.shobj_description(r.oid, 'pg_authid'), :MAX), 'settings', ARRAY[]::pg_catalog.text[]),
        coalesce(pg_catalog.octet_length(pg_catalog.shobj_description(r.oid, 'pg_authid')), 0)
    FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' AND r.rolname !~ ':LOADERS' ORDER BY r.rolname COLLATE \"C\" LIMIT :LIMIT";

/// One row of JSON for each membership. Columns that not every version has are looked up by name.
const MEMBERSHIPS_SQL: &str = "SELECT pg_catalog.json_build_object('role', r.rolname, 'member', m.rolname, 'admin', a.admin_option,
        'inherit', (pg_catalog.to_jsonb(a) ->> 'inherit_option')::pg_catalog.bool, 'set', (pg_catalog.to_jsonb(a) ->> 'set_option')::pg_catalog.bool)
    FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
    WHERE m.rolname !~ '^pg_' AND m.rolname !~ ':LOADERS' AND r.rolname !~ ':LOADERS' ORDER BY r.rolname COLLATE \"C\", m.rolname COLLATE \"C\", a.grantor LIMIT :LIMIT";

const TABLESPACES_SQL: &str =
    "SELECT pg_catalog.json_build_object('name', spcname, 'owner', pg_catalog.pg_get_userbyid(spcowner),
        'location', pg_catalog.pg_tablespace_location(oid))
    FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_' ORDER BY spcname COLLATE \"C\" LIMIT :LIMIT";

const GLOBALS_HEAD: &str = "--\n-- Roles and tablespaces of the server, without passwords. Written by Larder for people to read.\n\
    -- A restore makes the roles that are missing by itself, and does not run this.\n--\n\n";

/// The roles of a server, and what of them is left out. Names that are not ASCII are read through the database that a restore
/// makes roles through.
///
/// # Errors
/// Those of [`query`]; [`Error::Answer`].
pub(crate) fn read_roles(connection: &Connection, stopped: Stopped<'_>) -> Result<(Roles, Vec<String>), Error> {
    let read = read_through(connection, stopped)?;
    if is_ascii(&read.0) {
        return Ok(read);
    }
    read_through(&maintenance(connection, stopped)?.0, stopped)
}

fn read_through(connection: &Connection, stopped: Stopped<'_>) -> Result<(Roles, Vec<String>), Error> {
    let mut left_out = Vec::new();
    let sql = |text: &str| {
        let text = text.replace(":MAX", &SERVER_TEXT_BYTES_MAX.to_string());
        let text = text.replace(":LOADERS", LOADER_ROLES);
        text.replace(":LIMIT", &(SERVER_ENTRIES_MAX + 1).to_string())
    };
    let mut roles: Vec<Role> = Vec::new();
    for row in query(connection, &sql(ROLES_SQL), stopped)? {
        let mut role: Role = parse(&row)?;
        let len: usize = row.get(1).and_then(|len| len.as_ref()?.parse().ok()).unwrap_or(0);
        if len > SERVER_TEXT_BYTES_MAX {
            left_out.push(too_long(&format!("the comment of the role {}", role.name), len));
            role.comment = None;
        }
        roles.push(role);
    }
    for (name, setting) in read_settings(connection, "0", &mut left_out, stopped)? {
        if let Some(role) = roles.iter_mut().find(|role| Some(&role.name) == name.as_ref()) {
            role.settings.push(setting);
        }
    }
    let memberships = query(connection, &sql(MEMBERSHIPS_SQL), stopped)?;
    let mut memberships: Vec<Membership> = memberships.iter().map(parse).collect::<Result<_, _>>()?;
    // The same may have been granted by several.
    memberships.dedup_by(|a, b| (&a.role, &a.member) == (&b.role, &b.member));
    let tablespaces = query(connection, &sql(TABLESPACES_SQL), stopped)?;
    let tablespaces: Vec<Tablespace> = tablespaces.iter().map(parse).collect::<Result<_, _>>()?;
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
    stopped: Stopped<'_>,
) -> Result<MadeRoles, Error> {
    let known = query(connection, "SELECT rolname FROM pg_catalog.pg_roles", stopped)?;
    let known: HashSet<String> = known.into_iter().flatten().flatten().collect();
    let missing: Vec<&Role> = roles.roles.iter().filter(|role| !known.contains(&role.name)).collect();
    let names: HashSet<&str> = missing.iter().map(|role| role.name.as_str()).collect();
    let mut made = MadeRoles::default();
    if !missing.is_empty() && !may_make_roles(connection, stopped)? {
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
        match execute(connection, &create, stopped) {
            Ok(()) => {
                execute(connection, &attributes, stopped)?;
                made.names.push(role.name.clone());
            }
            // Somebody else has made it meanwhile.
            Err(_) if are_there(connection, &[&role.name], stopped)? => {}
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
        match execute(connection, &[grant(membership)], stopped) {
            Err(error) if are_there(connection, &[&membership.role, &membership.member], stopped)? => {
                return Err(error);
            }
            // Somebody else has dropped one of them meanwhile.
            _ => {}
        }
    }
    Ok(made)
}

/// Whether the one who asks may make roles.
fn may_make_roles(connection: &Connection, stopped: Stopped<'_>) -> Result<bool, Error> {
    let sql = "SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER";
    let rows = query(connection, sql, stopped)?;
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
fn are_there(connection: &Connection, names: &[&str], stopped: Stopped<'_>) -> Result<bool, Error> {
    let listed: Vec<String> = names.iter().map(|name| literal(name)).collect();
    let sql = format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname IN ({})", listed.join(", "));
    let distinct: HashSet<&&str> = names.iter().collect();
    Ok(query(connection, &sql, stopped)?.len() == distinct.len())
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
