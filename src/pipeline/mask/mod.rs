//! Masking: what people's data becomes when a database leaves production. The same value becomes the same everywhere, so
//! that what belonged together still does.

mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use value::Masker;
pub use value::Rule;

use crate::limits::ID_BYTES;
use crate::model::rows::{NULL, escape, fields, unescape};
use crate::model::{split_table, unquote};

/// Which columns of which tables are masked, and how.
#[derive(Debug)]
pub struct Mask {
    masker: Masker,
    tables: Vec<TableRules>,
    /// Which of the rules have been for a table.
    fitted: Mutex<BTreeSet<usize>>,
}

/// The rules for the tables that a pattern fits.
#[derive(Debug, Clone)]
struct TableRules {
    pattern: String,
    columns: BTreeMap<String, Rule>,
}

/// How the rows of one table are masked.
#[derive(Debug)]
pub(super) struct RowMask<'a> {
    masker: &'a Masker,
    /// For each column of a row the rule, where there is one.
    rules: Vec<Option<Rule>>,
    columns: Vec<String>,
}

impl Mask {
    /// The rules for columns of tables. In the name of a table, `schema.table`, a `*` stands for anything. Who does not know
    /// the key cannot find a value by trying out what it might have been.
    #[must_use]
    pub fn new(key: [u8; ID_BYTES], tables: BTreeMap<String, BTreeMap<String, Rule>>) -> Self {
        let tables = tables.into_iter().map(|(pattern, columns)| TableRules { pattern, columns }).collect();
        Self { masker: Masker::new(key), tables, fitted: Mutex::default() }
    }

    /// The columns that are masked, by the pattern of their tables.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.tables.iter().map(|rules| (rules.pattern.as_str(), rules.columns.keys().map(String::as_str).collect()))
    }

    /// How the rows of a table are masked, if they are; or which column it does not have. `related` are the tables whose rows
    /// these are too: what holds for them holds for it.
    pub(super) fn of_table(
        &self,
        table: &str,
        columns: &[String],
        related: &[String],
    ) -> Result<Option<RowMask<'_>>, String> {
        let names: Vec<String> = columns.iter().map(|column| unquote(column)).collect();
        let mut rules: Vec<Option<Rule>> = vec![None; names.len()];
        let mut is_masked = false;
        for (number, fitting) in self.tables.iter().enumerate().filter(|(_, rules)| rules.fit(table, related)) {
            self.fitted.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
            for (column, rule) in &fitting.columns {
                let place = names.iter().position(|name| name == column);
                let place = place.and_then(|place| rules.get_mut(place));
                let unknown = || format!("the mask has the column '{column}', which {table} does not have");
                *place.ok_or_else(unknown)? = Some(*rule);
                is_masked = true;
            }
        }
        Ok(is_masked.then_some(RowMask { masker: &self.masker, rules, columns: names }))
    }

    /// Begins anew with what [`Mask::missing`] tells: another snapshot may not have the tables of the last one.
    pub(super) fn begin(&self) {
        self.fitted.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Which rules have not been for any table so far, in words.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unused = self.tables.iter().enumerate().filter(|(number, _)| !fitted.contains(number));
        let (_, rules) = unused.next()?;
        Some(format!("the mask has rules for {}, and the dump has no rows of such a table", rules.pattern))
    }
}

impl TableRules {
    fn fit(&self, table: &str, related: &[String]) -> bool {
        let (schema, name) = split_table(table);
        self.pattern == table
            || fits(&self.pattern, &format!("{schema}.{name}"))
            || related.iter().any(|other| fits(&self.pattern, other))
    }
}

impl RowMask<'_> {
    /// Appends a masked row, with the end of its line.
    ///
    /// # Errors
    /// Which value cannot be masked by its rule.
    pub(super) fn apply(&self, row: &[u8], target: &mut Vec<u8>) -> Result<(), String> {
        for (number, field) in fields(row).enumerate() {
            if number > 0 {
                target.push(b'\t');
            }
            match self.rules.get(number).copied().flatten() {
                Some(Rule::Null) => target.extend_from_slice(NULL),
                Some(rule) if field != NULL => {
                    let masked = self.masker.mask(rule, &unescape(field));
                    let column = self.columns.get(number).map(String::as_str).unwrap_or_default();
                    let masked = masked.ok_or_else(|| format!("a value of the column '{column}' is no date"))?;
                    target.extend_from_slice(&escape(&masked));
                }
                _ => target.extend_from_slice(field),
            }
        }
        target.push(b'\n');
        Ok(())
    }
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(head) else { return false };
    let places = tail.char_indices().map(|(place, _)| place).chain([tail.len()]);
    places.into_iter().any(|place| tail.get(place..).is_some_and(|tail| fits(rest, tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rules: &[(&str, &str, Rule)]) -> Mask {
        let mut tables: BTreeMap<String, BTreeMap<String, Rule>> = BTreeMap::new();
        for (table, column, rule) in rules {
            tables.entry((*table).to_owned()).or_default().insert((*column).to_owned(), *rule);
        }
        Mask::new([7; ID_BYTES], tables)
    }

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_the_named_columns_change_and_null_stays_null() {
        let mask = mask(&[("public.users", "E-Mail", Rule::Email), ("public.users", "notes", Rule::Null)]);
        let columns = columns(&["id", "\"E-Mail\"", "notes"]);
        let rows = mask.of_table("public.users", &columns, &[]).expect("its columns").expect("it is masked");
        let mut masked = Vec::new();
        rows.apply(b"1\tada@bank.org\ta\\tb\n", &mut masked).expect("a row");
        rows.apply(b"2\t\\N\t\\N\n", &mut masked).expect("a row");
        let text = String::from_utf8(masked).expect("UTF-8");
        assert!(text.starts_with("1\t") && text.contains("@example.com\t\\N\n2\t\\N\t\\N\n"), "{text}");
        assert!(!text.contains("ada") && !text.contains("bank"), "{text}");
    }

    #[test]
    fn what_a_mask_names_must_be_there() {
        let known = columns(&["id", "email"]);
        let looked = |table: &str, column: &str, related: &[&str]| {
            let mask = mask(&[(table, column, Rule::Hash)]);
            let is_masked = mask.of_table("public.users", &known, &columns(related)).map(|mask| mask.is_some());
            (is_masked, mask.missing().is_none())
        };
        assert_eq!(looked("public.users", "email", &[]), (Ok(true), true));
        assert_eq!(looked("public.u*", "email", &[]), (Ok(true), true));
        assert_eq!(looked("public.people", "email", &["public.people"]), (Ok(true), true), "what it inherits from");
        assert_eq!(looked("public.user", "email", &["public.people"]), (Ok(false), false));
        assert!(looked("public.users", "mail", &[]).0.is_err());
    }

    #[test]
    fn quotes_and_stars_in_names_of_tables() {
        assert_eq!(split_table("\"a.b\".\"c\"\"d\""), ("a.b".to_owned(), "c\"d".to_owned()));
        assert!(fits("public.*_old", "public.a_old") && fits("*.users", "x.users") && fits("*", ""));
        assert!(!fits("public.*_old", "public.a_new") && !fits("a*b*c", "acb"));
    }
}
