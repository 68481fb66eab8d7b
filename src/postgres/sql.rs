//! Quoting: the only place where names, texts and settings of others become a part of SQL.

use super::Error;
use crate::model::{Setting, split_names};

/// Settings that are lists of names, which are quoted one by one.
const NAME_LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// A name as it stands in SQL.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", without_nul(name).replace('"', "\"\""))
}

/// A text as a literal of SQL, whatever the session thinks of backslashes.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", without_nul(text).replace('\\', "\\\\").replace('\'', "''"))
}

/// A table as it stands in SQL, out of a text that names it, quoted where needed, as dumps and catalogues do.
///
/// # Errors
/// [`Error::Name`] when the text is anything else.
pub(crate) fn table(text: &str) -> Result<String, Error> {
    match split_names(text) {
        Some(names) if names.len() <= 2 => Ok(names.iter().map(|name| ident(name)).collect::<Vec<_>>().join(".")),
        _ => Err(Error::Name { name: text.to_owned() }),
    }
}

/// A column as it stands in SQL, out of a text that names it, quoted where needed.
///
/// # Errors
/// [`Error::Name`] when the text is anything else.
pub(crate) fn column(text: &str) -> Result<String, Error> {
    match split_names(text).as_deref() {
        Some([name]) => Ok(ident(name)),
        _ => Err(Error::Name { name: text.to_owned() }),
    }
}

/// `SET name TO value` as it follows `ALTER DATABASE …` or `ALTER ROLE …`.
///
/// # Errors
/// [`Error::Answer`] when a list of names cannot be told into its names.
pub(crate) fn setting(setting: &Setting) -> Result<String, Error> {
    let Setting { name, value } = setting;
    let values = if NAME_LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        let names = listed_names(value);
        let why = || format!("the setting {} is no list of names", name.escape_debug());
        names.ok_or_else(|| Error::Answer { why: why() })?
    } else {
        vec![value.clone()]
    };
    let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
    // An empty list is one name without a letter.
    let values = if values.is_empty() { literal("") } else { values.join(", ") };
    Ok(format!("SET {} TO {values}", ident(name)))
}

/// Makes sure that a setting has no session load a program of somebody's: a library by its path, or out of a folder that is named.
///
/// # Errors
/// [`Error::Answer`] when it does.
pub(crate) fn loads_nothing(setting: &Setting) -> Result<(), Error> {
    let Setting { name, value } = setting;
    let name = name.to_ascii_lowercase();
    let loads = name == "dynamic_library_path"
        || (name.ends_with("_preload_libraries") && value.replace("$libdir/", "").contains('/'));
    if loads {
        return Err(Error::Answer {
            why: format!("the setting {name} would have sessions load a library by its path"),
        });
    }
    Ok(())
}

/// The names in a list as the server keeps it: separated by commas, quoted where needed.
fn listed_names(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list.trim();
    while !rest.is_empty() {
        let after = if let Some(inside) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut inside = inside;
            loop {
                let (part, after) = inside.split_once('"')?;
                name.push_str(part);
                match after.strip_prefix('"') {
                    Some(next) => {
                        name.push('"');
                        inside = next;
                    }
                    None => break names.push(name),
                }
            }
            inside.split_once('"')?.1
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            names.push(name.trim_end().to_owned());
            after
        };
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(next) if !next.trim().is_empty() => rest = next.trim_start(),
            None if after.is_empty() => return Some(names),
            _ => return None,
        }
    }
    Some(names)
}

/// No server takes this character, and `psql` would take it for the end of a line.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_holds() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's \\"), "E'it''s \\\\'");
        assert_eq!((ident("a\0b"), literal("a\0'")), ("\"ab\"".to_owned(), "E'a'''".to_owned()));
    }

    #[test]
    fn tables_and_columns_are_names_and_nothing_else() {
        assert_eq!(table("public.\"A b\"").expect("a table"), "\"public\".\"A b\"");
        assert_eq!(table("Numbers").expect("a table"), "\"numbers\"");
        assert_eq!(column("\"x\"\"y\"").expect("a column"), "\"x\"\"y\"");
        for text in ["t; DROP TABLE x", "t (SELECT 1)", "a.b.c", "t\n\\! id", ""] {
            assert!(table(text).is_err(), "{text}");
        }
        assert!(column("a.b").is_err() && column("a, b").is_err());
    }

    #[test]
    fn settings_are_what_the_server_keeps() {
        let set = |name: &str, value: &str| setting(&Setting { name: name.to_owned(), value: value.to_owned() });
        assert_eq!(set("work_mem", "4MB").expect("SQL"), "SET \"work_mem\" TO E'4MB'");
        assert_eq!(
            set("search_path", "\"$user\", public, \"a\"\"b,c\"").expect("SQL"),
            "SET \"search_path\" TO E'$user', E'public', E'a\"b,c'"
        );
        assert_eq!(set("search_path", "\"\"").expect("SQL"), "SET \"search_path\" TO E''");
        assert_eq!(set("search_path", "").expect("SQL"), "SET \"search_path\" TO E''");
        assert_eq!(set("app.name", "a', x\n\\! id").expect("SQL"), "SET \"app.name\" TO E'a'', x\n\\\\! id'");
        for broken in ["\"a", "a,", "\"a\" b", ", a\""] {
            assert!(set("search_path", broken).is_err() || broken == ", a\"", "{broken}");
        }
    }
}
