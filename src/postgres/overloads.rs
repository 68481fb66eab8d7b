//! Functions and operators of one name that belong to several roles. A dump names what is called, and a restore looks it up again: what was
//! made after the call, and fits better, is found then.

use serde::Deserialize;

use super::client::parse;
use super::{Asked, Error, query};
use crate::cancel::Cancel;

/// What can be called by a name, in groups of one schema and name. A type counts as a function: a value is cast to it by a call of its name. What
/// constructs values of a type belongs to whoever owns that. A function that casts is called by no name at all: it is a group, whoever else has its name.
const GROUPS: &str = "trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), callable AS (
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, p.oid, p.pronamespace AS schema, p.proname AS name, coalesce(y.typowner, p.proowner) AS owner, false AS is_operator,
            EXISTS (SELECT FROM pg_catalog.pg_cast k WHERE k.castfunc = p.oid) AS is_cast
        FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_depend i ON i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objid = p.oid
            AND i.deptype = 'i' AND i.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
            LEFT JOIN pg_catalog.pg_type y ON y.oid = i.refobjid
    UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace, typname, typowner, false, false FROM pg_catalog.pg_type
    UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprnamespace, oprname, oprowner, true, false FROM pg_catalog.pg_operator
), groups AS (
    SELECT schema, name, is_operator, pg_catalog.json_agg(DISTINCT pg_catalog.pg_get_userbyid(owner)) FILTER (WHERE owner NOT IN (SELECT oid FROM trusted)) AS authors
    FROM callable GROUP BY schema, name, is_operator
    HAVING (count(DISTINCT owner) > 1 OR bool_or(is_cast AND owner NOT IN (SELECT oid FROM trusted)) OR EXISTS (SELECT FROM (:REFUSED) AS r (object) WHERE pg_catalog.right(pg_catalog.split_part(r.object, '(', 1), pg_catalog.length(name)) = name))
        AND bool_or(owner NOT IN (SELECT oid FROM trusted)) AND bool_or(class <> 'pg_catalog.pg_type'::pg_catalog.regclass)
)";
/// All groups, as JSON.
const SQL: &str = "SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'name', g.name, 'is_operator', g.is_operator, 'authors', g.authors)
    ORDER BY n.nspname, g.name), '[]') FROM groups g JOIN pg_catalog.pg_namespace n ON n.oid = g.schema";
/// What calls one of a group: what it is, what it calls, and who has written one of that group. The columns of a table, and the parameters of
/// a function, are of a type and call nothing.
const CALLS_SQL: &str = "SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid), pg_catalog.pg_describe_object(c.class, c.oid, 0), pg_catalog.pg_get_userbyid(m.owner)
    FROM :CALLED
    JOIN pg_catalog.pg_depend d ON d.refclassid = c.class AND d.refobjid = c.oid
    LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = d.objid
    LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
    LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
    LEFT JOIN pg_catalog.pg_policy p ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND p.oid = d.objid
    LEFT JOIN pg_catalog.pg_trigger t ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid
    LEFT JOIN pg_catalog.pg_statistic_ext s ON d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND s.oid = d.objid
    LEFT JOIN pg_catalog.pg_class r ON r.oid = coalesce(a.adrelid, nullif(k.conrelid, 0), w.ev_class, p.polrelid, t.tgrelid, s.stxrelid,
        CASE WHEN d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.objid END)
    LEFT JOIN pg_catalog.pg_type y ON y.oid = coalesce(nullif(k.contypid, 0), CASE WHEN d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass THEN d.objid END)
    LEFT JOIN pg_catalog.pg_proc f ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.objid
    LEFT JOIN pg_catalog.pg_operator o ON d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.objid
    WHERE m.owner NOT IN (SELECT oid FROM trusted) AND m.owner <> coalesce(r.relowner, y.typowner, f.proowner, o.oprowner) AND (:WHICH)
        AND (c.class <> 'pg_catalog.pg_type'::pg_catalog.regclass OR CASE
            WHEN d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN r.relkind IN ('i', 'I')
                OR EXISTS (SELECT FROM pg_catalog.pg_partitioned_table q WHERE q.partrelid = r.oid AND q.partexprs IS NOT NULL)
            WHEN f.oid IS NOT NULL THEN pg_catalog.to_jsonb(f) ->> 'prosqlbody' IS NOT NULL
            ELSE y.oid IS NULL OR k.oid IS NOT NULL END)
    ORDER BY 1, 2, 3";
/// What is called, and what of the same group somebody has written.
const GROUPED: &str =
    "groups g JOIN callable c USING (schema, name, is_operator) JOIN callable m USING (schema, name, is_operator)";
/// A type, or a function that casts to it or from it, and the function by which somebody has it cast.
const CAST: &str = "pg_catalog.pg_cast casts JOIN callable m ON m.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.oid = casts.castfunc
    JOIN callable c ON c.oid >= 16384 AND (c.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND c.oid IN (casts.castsource, casts.casttarget) OR c.class = m.class AND c.oid = m.oid)";
/// What calls one that somebody else has written.
const OF_OTHERS: &str = "m.class = c.class AND m.oid = c.oid";

/// Functions, or operators, of one schema and name that belong to several roles, of which one is neither a superuser nor the one who asks.
#[derive(Debug, Deserialize)]
pub(crate) struct Overload {
    pub(crate) schema: String,
    pub(crate) name: String,
    is_operator: bool,
    /// Those who are neither.
    pub(crate) authors: Vec<String>,
}

/// All of a database.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Overloads(Vec<Overload>);

/// Where nothing was refused.
pub(crate) const NOTHING_REFUSED: &str = "SELECT NULL::pg_catalog.text WHERE false";

/// As if everything had been refused.
const ALL_NAMES: &str = "SELECT proname::pg_catalog.text FROM pg_catalog.pg_proc UNION SELECT oprname::pg_catalog.text FROM pg_catalog.pg_operator";

/// The query that finds them, for one value in another query. `refused` is a query for what the server has refused to make, as
/// [`object_of`](super::object_of) names it: it is called by nothing, and what somebody else has by that name may be called instead.
pub(super) fn overloads_sql(refused: &str) -> String {
    format!("WITH {} {SQL}", GROUPS.replace(":REFUSED", refused))
}

impl Overloads {
    /// Asks a database. `refused` is a query for what was refused.
    ///
    /// # Errors
    /// Those of [`query`]; [`Error::Answer`].
    pub(crate) fn read(asked: &impl Asked, refused: &str, cancel: &Cancel) -> Result<Self, Error> {
        let rows = query(asked, &overloads_sql(refused), cancel)?;
        parse(rows.first().ok_or_else(|| Error::Answer { why: "it has no row".to_owned() })?)
    }

    /// Asks a database for everything that others have written, whatever else has its name.
    ///
    /// # Errors
    /// Those of [`Overloads::read`].
    pub(crate) fn of_others(asked: &impl Asked, cancel: &Cancel) -> Result<Self, Error> {
        Self::read(asked, ALL_NAMES, cancel)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One that statements may call, of whatever schema, where somebody else than this role has written one of it.
    pub(crate) fn called_in(&self, statements: &str, owner: Option<&str>) -> Option<&Overload> {
        let text = folded(statements);
        let is_of_others = |overload: &&Overload| overload.authors.iter().any(|author| Some(author.as_str()) != owner);
        self.0.iter().filter(is_of_others).find(|overload| overload.may_be_called_in(&text))
    }

    /// What calls one that somebody else has written than who owns it, each in words: what it is, and what it calls. `refused` is as for
    /// [`Overloads::read`].
    ///
    /// # Errors
    /// Those of [`query`].
    pub(crate) fn calls_of_others(asked: &impl Asked, refused: &str, cancel: &Cancel) -> Result<Vec<String>, Error> {
        let calls = query(asked, &calls_sql(refused, GROUPED, OF_OTHERS), cancel)?.into_iter().filter_map(|row| {
            let [object, called, author] = <[Option<String>; 3]>::try_from(row).ok()?;
            Some(format!(
                "{} (it calls {} of {}, which it may not have called where it was saved)",
                object?, called?, author?
            ))
        });
        Ok(calls.collect())
    }
}

/// The query for what a view `larder_probe` of this session calls that others have written than a role, as it stands in SQL, in words.
pub(super) fn bound_sql(refused: &str, owner: &str) -> String {
    format!(
        "WITH {} SELECT DISTINCT pg_catalog.pg_describe_object(c.class, c.oid, 0) || ' of ' || pg_catalog.pg_get_userbyid(c.owner)
            FROM groups g JOIN callable c USING (schema, name, is_operator) JOIN pg_catalog.pg_depend d ON d.refclassid = c.class AND d.refobjid = c.oid
            JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
            WHERE w.ev_class = 'pg_temp.larder_probe'::pg_catalog.regclass AND c.owner NOT IN (SELECT oid FROM trusted)
                AND pg_catalog.pg_get_userbyid(c.owner) IS DISTINCT FROM {owner}",
        GROUPS.replace(":REFUSED", refused)
    )
}

/// The query for what may call something else when it is read again: what it is, what it calls, and who has one of that name.
pub(super) fn beside_others_sql() -> String {
    calls_sql(NOTHING_REFUSED, GROUPED, "true")
}

/// The query for what may be cast by somebody else's function when it is read again: what it is, the type or the function, and who has written
/// that.
pub(super) fn cast_by_others_sql() -> String {
    calls_sql(NOTHING_REFUSED, CAST, "true")
}

fn calls_sql(refused: &str, called: &str, which: &str) -> String {
    let calls = CALLS_SQL.replace(":CALLED", called).replace(":WHICH", which);
    format!("WITH {} {calls}", GROUPS.replace(":REFUSED", refused))
}

impl Overload {
    /// Whether a call of it may stand in a text, as [`folded`] gives it. One that stands in a string counts too.
    fn may_be_called_in(&self, text: &str) -> bool {
        let name = folded(&self.name.replace('"', "\"\""));
        text.match_indices(&name).any(|(place, _)| {
            let before = text.get(..place).and_then(|before| before.chars().next_back());
            let after = text.get(place + name.len()..).unwrap_or_default();
            if self.is_operator {
                return before == Some('.') && after.trim_start().starts_with(')');
            }
            let begins = before.is_none_or(|char| !char.is_ascii_alphanumeric() && !matches!(char, '_' | '$'));
            begins && after.strip_prefix('"').unwrap_or(after).trim_start().starts_with('(')
        })
    }
}

impl std::fmt::Display for Overload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [schema, name] = [&self.schema, &self.name].map(|name| name.escape_debug());
        write!(formatter, "{schema}.{name}")
    }
}

/// Names in whatever case and encoding: where a dump is not in UTF-8, what is not ASCII is not known.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii() {
            folded.push(char.to_ascii_lowercase());
        } else if !folded.ends_with(char::REPLACEMENT_CHARACTER) {
            folded.push(char::REPLACEMENT_CHARACTER);
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overloads(name: &str, is_operator: bool, authors: &[&str]) -> Overloads {
        let authors = authors.iter().map(|author| (*author).to_owned()).collect();
        Overloads(vec![Overload { schema: "public".to_owned(), name: name.to_owned(), is_operator, authors }])
    }

    #[test]
    fn calls_are_found_by_name() {
        for (name, text, expected) in [
            ("f", "CREATE INDEX i ON public.t USING btree (public.f(x));", true),
            ("f", "CREATE INDEX i ON public.t USING btree (public.\"f\" (x));", true),
            ("F", "CREATE INDEX i ON public.t USING btree (public.\"F\"(x));", true),
            ("a\"b", "CREATE INDEX i ON public.t USING btree (public.\"a\"\"b\"(x));", true),
            ("é", "CREATE INDEX i ON public.t USING btree (public.\"\u{FFFD}\"(x));", true),
            ("f", "CREATE INDEX f ON public.f USING btree (public.of(x), f);", false),
        ] {
            assert_eq!(overloads(name, false, &["m"]).called_in(text, None).is_some(), expected, "{text}");
        }
        let operator = overloads("#", true, &["m"]);
        assert!(operator.called_in("WHERE (x OPERATOR(public.#) 1)", None).is_some());
        assert!(operator.called_in("WHERE (x # 1) AND (y OPERATOR(public.##) 1)", None).is_none());
    }

    #[test]
    fn own_functions_may_be_called() {
        let text = "CREATE INDEX i ON public.t USING btree (public.f(x));";
        assert!(overloads("f", false, &["app"]).called_in(text, Some("app")).is_none());
        assert!(overloads("f", false, &["app", "m"]).called_in(text, Some("app")).is_some());
        assert!(overloads("f", false, &["m"]).called_in(text, Some("app")).is_some());
        assert!(overloads("f", false, &["m"]).called_in("CREATE INDEX i ON public.t USING btree (x);", None).is_none());
    }
}
