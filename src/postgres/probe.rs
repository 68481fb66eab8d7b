//! What a statement would find by the names in its expressions, asked before it runs them: a view of the same expressions runs nothing.

use super::overloads::bound_sql;
use super::sql::literal;
use super::tokens::{Tokens, without_comments};
use super::wrapped::{one_by_one, wrapped};
use super::{Connection, Error, Session};
use crate::cancel::Cancel;

const VIEW: &str = "CREATE TEMPORARY VIEW larder_probe AS ";

/// Statements of an entry, and for whom they are asked about. Values that stand in them are read, which must run no code of others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe<'p> {
    pub(crate) statements: &'p [u8],
    /// The encoding that they are written in.
    pub(crate) encoding: &'p str,
    /// Who may call what is his own.
    pub(crate) owner: Option<&'p str>,
    /// A query for what the server has refused to make.
    pub(crate) refused: &'p str,
}

impl Probe<'_> {
    /// What the expressions of an index, an exclusion constraint, a check or a statistics object call that others have written than the owner, a
    /// superuser and the one who asks, each in words, where somebody else has one of that name. `None` where that is not known.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub(crate) fn calls_of_others(
        self,
        connection: &Connection,
        cancel: &Cancel,
    ) -> Result<Option<Vec<String>>, Error> {
        let first = one_by_one(self.statements).into_iter().next().unwrap_or_default();
        let Some(query) = std::str::from_utf8(first).ok().and_then(query_of) else { return Ok(None) };
        let mut session = Session::open(connection, "larder", cancel)?;
        // The view ends with the session.
        let view = wrapped(format!("{VIEW}{query};\n").as_bytes(), self.encoding);
        if session.run(&view, cancel).is_err() {
            return Ok(None);
        }
        let owner = self.owner.map_or_else(|| "NULL".to_owned(), literal);
        let rows = session.question(&bound_sql(self.refused, &owner), cancel);
        Ok(rows.ok().map(|rows| rows.into_iter().flatten().flatten().collect()))
    }
}

/// A query with the expressions of the statement.
fn query_of(statement: &str) -> Option<String> {
    let mut tokens = Tokens(without_comments(statement));
    match (tokens.word()?, tokens.word()?) {
        ("CREATE", "STATISTICS") => {
            tokens.name()?;
            pass_to(&mut tokens, "ON")?;
            let rest = tokens.0;
            pass_to(&mut tokens, "FROM")?;
            let list = rest.get(..rest.len() - tokens.0.len())?.trim_end().strip_suffix("FROM")?;
            Some(format!("SELECT {} FROM ONLY {}", aliased(&parts(list))?, tokens.name()?))
        }
        ("ALTER", "TABLE") => {
            pass_only(&mut tokens);
            let table = tokens.name()?;
            pass_to(&mut tokens, "CONSTRAINT")?;
            tokens.name()?;
            match tokens.word()? {
                "CHECK" => Some(format!("SELECT ({}) AS p FROM ONLY {table}", parenthesised(&mut tokens)?)),
                "EXCLUDE" => of_index(&mut tokens, &table),
                _ => None,
            }
        }
        ("CREATE", "INDEX" | "UNIQUE") => {
            pass_to(&mut tokens, "ON")?;
            pass_only(&mut tokens);
            let table = tokens.name()?;
            of_index(&mut tokens, &table)
        }
        _ => None,
    }
}

/// What follows the table of an index, or `EXCLUDE`: `USING method (parts) … WHERE condition`.
fn of_index(tokens: &mut Tokens<'_>, table: &str) -> Option<String> {
    pass_to(tokens, "USING")?;
    tokens.name()?;
    let list = aliased(&parts(parenthesised(tokens)?))?;
    let condition = if pass_to(tokens, "WHERE").is_none() {
        String::new()
    } else if tokens.0.trim_start().starts_with('(') {
        format!(" WHERE ({})", parenthesised(tokens)?)
    } else {
        format!(" WHERE {}", tokens.0.trim_end().strip_suffix(';')?)
    };
    Some(format!("SELECT {list} FROM ONLY {table}{condition}"))
}

/// The text within the parentheses that come next.
fn parenthesised<'t>(tokens: &mut Tokens<'t>) -> Option<&'t str> {
    let rest = tokens.0.trim_start().strip_prefix('(')?;
    tokens.0 = rest;
    let mut depth = 1_u32;
    while depth > 0 {
        match tokens.next_token()? {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
    }
    rest.get(..rest.len() - tokens.0.len() - 1)
}

/// The parts of a list, at its commas.
fn parts(list: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut tokens) = (Vec::new(), list, 0_u32, Tokens(list));
    while let Some(token) = tokens.next_token() {
        match token {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parts.extend(begin.get(..begin.len() - tokens.0.len() - 1));
                begin = tokens.0;
            }
            _ => {}
        }
    }
    parts.push(begin);
    parts
}

/// The expressions that parts of an index begin with: in parentheses, a call, or a column.
fn aliased(parts: &[&str]) -> Option<String> {
    let expression = |(number, part): (usize, &&str)| {
        let mut tokens = Tokens(part);
        let name = if part.trim_start().starts_with('(') { String::new() } else { tokens.name()? };
        let is_call = tokens.0.trim_start().starts_with('(');
        let arguments = if is_call { format!("({})", parenthesised(&mut tokens)?) } else { String::new() };
        Some(format!("{name}{arguments} AS p{number}"))
    };
    let expressions: Option<Vec<String>> = parts.iter().enumerate().map(expression).collect();
    expressions.map(|expressions| expressions.join(", "))
}

fn pass_only(tokens: &mut Tokens<'_>) {
    if tokens.peek_word() == Some("ONLY") {
        tokens.pass(1);
    }
}

/// Passes the next such word that is in no parentheses.
fn pass_to(tokens: &mut Tokens<'_>, word: &str) -> Option<()> {
    let mut depth = 0_u32;
    loop {
        match tokens.next_token()? {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            token if depth == 0 && token == word => return Some(()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_asked_for() {
        for (statement, expected) in [
            (
                "-- x\nCREATE UNIQUE INDEX i ON ONLY public.\"a, b\" USING btree (id, public.f(x, ','::text) public.ops (a='1') DESC, ((x || ')'::text)) COLLATE \"C\") INCLUDE (y) WITH (fillfactor='90') WHERE (public.f(x) > 0);",
                Some(
                    "SELECT id AS p0, public.f(x, ','::text) AS p1, ((x || ')'::text)) AS p2 FROM ONLY public.\"a, b\" WHERE (public.f(x) > 0)",
                ),
            ),
            (
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c EXCLUDE USING gist (r WITH &&, int4range(id, public.f(id), '[]'::text) WITH OPERATOR(public.=)) WHERE ((id > 0)) DEFERRABLE;",
                Some(
                    "SELECT r AS p0, int4range(id, public.f(id), '[]'::text) AS p1 FROM ONLY public.t WHERE ((id > 0))",
                ),
            ),
            (
                "ALTER TABLE public.t ADD CONSTRAINT \"CHECK\" CHECK ((public.f(x) > 0)) NOT VALID;",
                Some("SELECT ((public.f(x) > 0)) AS p FROM ONLY public.t"),
            ),
            (
                "CREATE STATISTICS public.s (ndistinct, mcv) ON id, (ARRAY[a, b]), public.f(x) FROM public.t;",
                Some("SELECT id AS p0, (ARRAY[a, b]) AS p1, public.f(x) AS p2 FROM ONLY public.t"),
            ),
            ("ALTER DOMAIN public.d ADD CONSTRAINT c CHECK ((public.f(VALUE) > 0));", None),
            ("CREATE INDEX i ON public.t USING btree (f(x);", None),
        ] {
            assert_eq!(query_of(statement).as_deref(), expected, "{statement}");
        }
    }
}
