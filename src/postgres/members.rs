//! Members of extensions that a dump leaves out although no script of the extension may make them: whoever owns an extension
//! and something else can add that to it.
//!
//! The server does not tell who has made a member a member. A script is run by a superuser, or by the one who owns everything that
//! it makes; and only a script can have the rows of a table saved.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::parse;
use super::{Asked, Error, query};
use crate::cancel::Cancel;
use crate::limits::SERVER_ENTRIES_MAX;

/// Catalogues whose objects have an owner, and the column that says who.
const OWNED: [(&str, &str); 15] = [
    ("pg_namespace", "nspowner"),
    ("pg_class", "relowner"),
    ("pg_proc", "proowner"),
    ("pg_type", "typowner"),
    ("pg_operator", "oprowner"),
    ("pg_opclass", "opcowner"),
    ("pg_opfamily", "opfowner"),
    ("pg_collation", "collowner"),
    ("pg_conversion", "conowner"),
    ("pg_language", "lanowner"),
    ("pg_ts_dict", "dictowner"),
    ("pg_ts_config", "cfgowner"),
    ("pg_foreign_data_wrapper", "fdwowner"),
    ("pg_foreign_server", "srvowner"),
    ("pg_event_trigger", "evtowner"),
];

/// One row of JSON for each member that no superuser owns, and for each table with rows that a dump leaves out. What belongs to no
/// superuser is taken for a part of its extension where nothing of that belongs to one, unless it has rows or a schema has more
/// in it. A cast belongs to who owns a type of it.
const MEMBERS_SQL: &str = "WITH owned AS (
    :OWNED
    UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, k.oid, y.typowner
        FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_type y ON y.oid IN (k.castsource, k.casttarget)
), members AS (
    SELECT d.classid AS class, d.objid AS object, e.oid AS extension, e.extname, e.extconfig, r.rolname, r.rolsuper
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    JOIN owned o ON o.class = d.classid AND o.object = d.objid JOIN pg_catalog.pg_roles r ON r.oid = o.owner
    WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
), inner_objects AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, oid AS object, relnamespace AS schema FROM pg_catalog.pg_class
        WHERE relkind NOT IN ('i', 'I', 't')
    UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, pronamespace FROM pg_catalog.pg_proc
    UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace FROM pg_catalog.pg_type WHERE typtype <> 'c' AND typelem = 0
    UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprnamespace FROM pg_catalog.pg_operator
), looked_at AS (
    SELECT m.*, m.class = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND NOT m.rolsuper AND EXISTS (SELECT FROM inner_objects i
            WHERE i.schema = m.object AND NOT EXISTS (SELECT FROM members o WHERE o.class = i.class AND o.object = i.object)) AS is_used,
        CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) > 0 ELSE false END AS has_rows
    FROM members m LEFT JOIN pg_catalog.pg_class c ON m.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = m.object
    WHERE m.class <> 'pg_catalog.pg_class'::pg_catalog.regclass OR m.object <> ALL (coalesce(m.extconfig, '{}'))
)
SELECT pg_catalog.json_build_object('extension', pg_catalog.quote_ident(m.extname), 'kind', pg_catalog.upper(pg_catalog.replace(o.type, '-', ' ')), 'name', o.identity,
    'owner', CASE WHEN NOT m.rolsuper THEN m.rolname END)
FROM looked_at m CROSS JOIN LATERAL pg_catalog.pg_identify_object(m.class, m.object, 0) AS o
WHERE m.has_rows OR m.is_used OR (NOT m.rolsuper AND EXISTS (SELECT FROM members s WHERE s.extension = m.extension AND s.rolsuper
    AND s.class <> 'pg_catalog.pg_cast'::pg_catalog.regclass))
ORDER BY m.extname, o.type, o.identity LIMIT :LIMIT";

/// Members that one message names.
const NAMES_SHOWN: usize = 10;

#[derive(Deserialize)]
struct Member {
    /// Quoted where needed, as the name is.
    extension: String,
    kind: String,
    name: String,
    /// Where that is no superuser.
    owner: Option<String>,
}

/// What there is to say of members of extensions that a dump leaves out.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// What is probably not of its extension, and therefore in no snapshot.
    pub(crate) problems: Vec<String>,
    /// Rows that only the extension can have put there, as far as its owners can be trusted.
    pub(crate) notes: Vec<String>,
}

/// Asks a database for members of extensions that a dump of it leaves out.
///
/// # Errors
/// Those of [`query`]; [`Error::Answer`].
pub(crate) fn read_left_out(asked: &impl Asked, cancel: &Cancel) -> Result<LeftOut, Error> {
    let owned = OWNED.map(|(table, owner)| {
        format!("SELECT 'pg_catalog.{table}'::pg_catalog.regclass AS class, oid AS object, {owner} AS owner FROM pg_catalog.{table}")
    });
    let sql = MEMBERS_SQL
        .replace(":OWNED", &owned.join("\n    UNION ALL "))
        .replace(":LIMIT", &SERVER_ENTRIES_MAX.to_string());
    let mut extensions: BTreeMap<String, [Vec<Member>; 2]> = BTreeMap::new();
    for row in query(asked, &sql, cancel)? {
        let member: Member = parse(&row)?;
        let [foreign, own] = extensions.entry(member.extension.clone()).or_default();
        if member.owner.is_some() { foreign.push(member) } else { own.push(member) }
    }
    let mut left_out = LeftOut::default();
    for (extension, [foreign, own]) in extensions {
        if !foreign.is_empty() {
            let names = shown(&foreign, |Member { kind, name, owner, .. }| {
                format!("{} {name} (of {})", kind.to_lowercase(), owner.as_deref().unwrap_or_default())
            });
            let statements = foreign.iter().take(NAMES_SHOWN);
            let statements =
                statements.map(|Member { kind, name, .. }| format!("ALTER EXTENSION {extension} DROP {kind} {name}"));
            left_out.problems.push(format!(
                "members of the extension {extension} that belong to no superuser are not saved, and what needs them cannot be \
                 restored: {names}; where the extension has not made them: {}",
                statements.collect::<Vec<_>>().join("; ")
            ));
        }
        if !own.is_empty() {
            let names = shown(&own, |member| member.name.clone());
            left_out
                .notes
                .push(format!("rows of tables that belong to the extension {extension} are not saved: {names}"));
        }
    }
    Ok(left_out)
}

fn shown(members: &[Member], text: impl Fn(&Member) -> String) -> String {
    let more = members.len().saturating_sub(NAMES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    members.iter().take(NAMES_SHOWN).map(text).collect::<Vec<_>>().join(", ") + &more
}
