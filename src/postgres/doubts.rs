//! What of a database may not be restored, or not as it is: what the server will be asked to do then, where it looks for other names.
//!
//! A dump is loaded with an empty `search_path`, as `pg_dump` has it, and into a database that has another name until it is whole. Code says
//! what it needs only when it runs, so that this is a guess from its text.

use std::time::Duration;

use super::overloads::{beside_others_sql, cast_by_others_sql};
use super::sql::literal;
use super::{Error, Kept, Row};
use crate::cancel::Cancel;

/// Most bytes of the body of a function that are looked at.
const BODY_BYTES: usize = 100_000;
/// How long it is looked for them.
const LIMIT: Duration = Duration::from_secs(20);
/// Objects of each kind that are named.
const NAMED_MAX: usize = 5;

/// Objects that are evaluated when a dump is loaded, and the functions of others than the server's that they call.
const USED: &str = "used AS (
    SELECT DISTINCT o.what, o.statement, f.oid, f.proname, n.nspname, pg_catalog.left(f.prosrc, :BYTES) AS body, coalesce(f.proconfig::pg_catalog.text, '') AS config
    FROM (
        SELECT 'the index ' || c.oid::pg_catalog.regclass::pg_catalog.text AS what, 'REINDEX INDEX ' || c.oid::pg_catalog.regclass::pg_catalog.text AS statement,
            'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid FROM pg_catalog.pg_class c WHERE c.relkind IN ('i', 'I') AND c.oid >= 16384
        UNION ALL SELECT 'a generated column of ' || d.adrelid::pg_catalog.regclass::pg_catalog.text, NULL, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
            FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            WHERE coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> ''
        UNION ALL SELECT 'the constraint ' || c.conname || ' of ' || CASE WHEN c.contypid <> 0 THEN c.contypid::pg_catalog.regtype::pg_catalog.text
                ELSE c.conrelid::pg_catalog.regclass::pg_catalog.text END, NULL,
            'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.oid >= 16384
        UNION ALL SELECT 'the materialized view ' || c.oid::pg_catalog.regclass::pg_catalog.text, 'REFRESH MATERIALIZED VIEW ' || c.oid::pg_catalog.regclass::pg_catalog.text,
            'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid WHERE c.relkind = 'm' AND c.relispopulated
    ) o JOIN pg_catalog.pg_depend d ON d.classid = o.class AND d.objid = o.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace JOIN pg_catalog.pg_language l ON l.oid = f.prolang
    WHERE f.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')
)";

/// Functions that are called, or tables that are read, by a name without a schema that only a `search_path` gives a meaning.
const UNQUALIFIED_SQL: &str = "SELECT DISTINCT u.what, pg_catalog.format('%I.%I', u.nspname, u.proname), m.name[1] FROM used u
    CROSS JOIN LATERAL (
        SELECT pg_catalog.regexp_matches(u.body, '(?:^|[^.[:alnum:]_$\"])([[:alpha:]_][[:alnum:]_$]*)[[:space:]]*[(]', 'g') AS name, true AS is_function
        UNION ALL SELECT pg_catalog.regexp_matches(u.body, '\\m(?:from|join|into|update)[[:space:]]+(?:only[[:space:]]+)?([[:alpha:]_][[:alnum:]_$]*)(?![[:alnum:]_$.]|[[:space:]]*[(.])', 'gi'), false
    ) m
    WHERE u.config !~ 'search_path=' AND CASE WHEN m.is_function
        THEN EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname = pg_catalog.lower(m.name[1]) AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace)
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname = pg_catalog.lower(m.name[1]) AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace)
        ELSE EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = pg_catalog.lower(m.name[1])
                AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relname = pg_catalog.lower(m.name[1]) AND c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace) END
    ORDER BY 1, 2, 3";

/// What asks for the name of the database, or connects to it by its name, when it is made.
const OWN_NAME_SQL: &str = "SELECT DISTINCT what, statement FROM (
    SELECT what, statement FROM used WHERE body ~* :PATTERN OR pg_catalog.strpos(body, pg_catalog.current_database()) > 0 AND body ~* 'dblink'
    UNION ALL SELECT 'the materialized view ' || c.oid::pg_catalog.regclass::pg_catalog.text, 'REFRESH MATERIALIZED VIEW ' || c.oid::pg_catalog.regclass::pg_catalog.text
        FROM pg_catalog.pg_class c WHERE c.relkind = 'm' AND c.relispopulated AND c.oid >= 16384 AND pg_catalog.pg_get_viewdef(c.oid) ~* :PATTERN
    UNION ALL SELECT 'the constraint ' || c.conname || ' of ' || c.conrelid::pg_catalog.regclass::pg_catalog.text, NULL
        FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.conrelid <> 0 AND c.oid >= 16384 AND pg_catalog.pg_get_constraintdef(c.oid) ~* :PATTERN
    UNION ALL SELECT DISTINCT 'the materialized view ' || m.oid::pg_catalog.regclass::pg_catalog.text, 'REFRESH MATERIALIZED VIEW ' || m.oid::pg_catalog.regclass::pg_catalog.text
        FROM pg_catalog.pg_class m JOIN pg_catalog.pg_rewrite w ON w.ev_class = m.oid
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        JOIN pg_catalog.pg_foreign_table t ON t.ftrelid = d.refobjid JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver
        WHERE m.relkind = 'm' AND m.relispopulated AND s.srvoptions @> ARRAY['dbname=' || :NAME]
) found ORDER BY 1";
/// Tables that their owner makes or loads when a dump is loaded, as they run code that is no superuser's, or could, and what he lacks for that: a superuser,
/// who had made them or could make them, does not.
const RIGHTS_SQL: &str = "WITH coded AS (
    SELECT c.oid, c.relowner, r.rolname, c.reltablespace FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT r.rolsuper AND ((
        -- The server evaluates what is constant in them.
        (c.relkind = 'p' OR c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> ''))
        AND (EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_roles w ON w.oid = f.proowner WHERE NOT w.rolsuper)
            OR EXISTS (SELECT FROM pg_catalog.pg_type y JOIN pg_catalog.pg_roles w ON w.oid = y.typowner WHERE y.typtype = 'd' AND NOT w.rolsuper))
    ) OR EXISTS (
        SELECT FROM (
            SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass AS class, d.oid FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                WHERE d.adrelid = c.oid AND coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> ''
            UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
        ) o JOIN pg_catalog.pg_depend p ON p.classid = o.class AND p.objid = o.oid AND p.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
            JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid JOIN pg_catalog.pg_roles w ON w.oid = f.proowner WHERE NOT w.rolsuper))
)
SELECT c.oid::pg_catalog.regclass::pg_catalog.text, c.rolname, l.what FROM coded c CROSS JOIN LATERAL (
    SELECT 'is no role that another one can be a member of' AS what WHERE c.rolname = 'pg_database_owner'
    UNION ALL SELECT 'may make nothing in the tablespace ' || s.spcname FROM pg_catalog.pg_tablespace s
        WHERE s.oid = c.reltablespace AND NOT pg_catalog.has_tablespace_privilege(c.relowner, s.oid, 'CREATE')
    UNION ALL SELECT 'does not own ' || i.inhparent::pg_catalog.regclass::pg_catalog.text || ', which it inherits from' FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
        WHERE i.inhrelid = c.oid AND p.relkind = 'r' AND NOT pg_catalog.pg_has_role(c.relowner, p.relowner, 'USAGE')
    UNION ALL SELECT 'may not use the type ' || pg_catalog.format_type(a.atttypid, NULL) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384 AND NOT pg_catalog.has_type_privilege(c.relowner, a.atttypid, 'USAGE')
    UNION ALL SELECT 'may not use the schema of ' || s.oid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_attrdef d
        JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND p.objid = d.oid AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        JOIN pg_catalog.pg_class s ON s.oid = p.refobjid AND s.relkind = 'S' WHERE d.adrelid = c.oid AND NOT pg_catalog.has_schema_privilege(c.relowner, s.relnamespace, 'USAGE')
) l ORDER BY 1, 3";
const PATTERN: &str = "'current_database|current_catalog|pg_catalog[.]pg_database|[^_]pg_database[^_]'";

/// What may not be restored as it is, each in words, as far as the texts of functions show it.
///
/// # Errors
/// Those of [`super::query`].
pub(crate) fn doubts(asked: &Kept, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let with_used = |sql: &str| format!("WITH {} {sql}", USED.replace(":BYTES", &BODY_BYTES.to_string()));
    let unqualified = ask(asked, &with_used(UNQUALIFIED_SQL), cancel)?;
    let mut found = named(&unqualified, |row| match row {
        [Some(what), Some(function), Some(name)] => Some(format!(
            "it may not be restored: {what} calls {function}, which looks for {name} without a schema; \
             ALTER FUNCTION {function} SET search_path makes it sure"
        )),
        _ => None,
    });
    found.extend(named(&ask(asked, RIGHTS_SQL, cancel)?, |row| match row {
        [Some(table), Some(owner), Some(lacks)] => Some(format!(
            "it is not restored without --run-code-as-superuser: {table} is made by its owner, as it could run code of others, and {owner} {lacks}"
        )),
        _ => None,
    }));
    found.extend(named(&ask(asked, &beside_others_sql(), cancel)?, |row| match row {
        [Some(what), Some(called), Some(author)] => Some(format!(
            "it may not be restored without --run-code-as-superuser: {what} calls {called}, and {author} has one of that name, which could be called then"
        )),
        _ => None,
    }));
    found.extend(named(&ask(asked, &cast_by_others_sql(), cancel)?, |row| match row {
        [Some(what), Some(called), Some(author)] => Some(format!(
            "it may not be restored without --run-code-as-superuser: {what} needs {called}, and {author} has written a function that casts, which could be called then"
        )),
        _ => None,
    }));
    let own_name = of_own_name(asked, &asked.connection().database, cancel)?;
    found.extend(named(&own_name, |row| match row {
        [Some(what), _] => Some(format!(
            "{what} asks for the name of the database, or connects to it: while it is restored, its name is another one"
        )),
        _ => None,
    }));
    Ok(found)
}

/// What of a database that was loaded under another name than `name` has looked at that, with the statements that make it again.
///
/// # Errors
/// Those of [`super::query`].
pub(crate) fn made_under_other_name(asked: &Kept, name: &str, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let rows = of_own_name(asked, name, cancel)?;
    let statements = rows.into_iter().filter_map(|row| row.into_iter().nth(1).flatten());
    Ok(statements
        .map(|statement| format!("made while the database had another name, at which it looks: {statement}"))
        .collect())
}

fn of_own_name(asked: &Kept, name: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
    let sql = OWN_NAME_SQL.replace(":PATTERN", PATTERN).replace(":NAME", &literal(name));
    ask(asked, &format!("WITH {} {sql}", USED.replace(":BYTES", &BODY_BYTES.to_string())), cancel)
}

/// Whoever may write functions can have their texts keep the server busy.
fn ask(asked: &Kept, sql: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
    asked.query_within(sql, LIMIT, cancel)
}

/// The first few in words, and how many more there are.
fn named(rows: &[Row], in_words: impl Fn(&[Option<String>]) -> Option<String>) -> Vec<String> {
    let mut found: Vec<String> = rows.iter().take(NAMED_MAX).filter_map(|row| in_words(row)).collect();
    if let Some(last) = found.last_mut()
        && rows.len() > NAMED_MAX
    {
        *last = format!("{last}; and {} more like it", rows.len() - NAMED_MAX);
    }
    found
}
