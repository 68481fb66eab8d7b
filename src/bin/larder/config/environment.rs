//! Settings of `larder.toml` that are said in the environment: each key with a single value as `LARDER_SECTION_KEY`.

use anyhow::Result;
use toml::{Table, Value};

use super::file::File;
use crate::error::UsageError;

/// What the names of these variables begin with.
const PREFIX: &str = "LARDER_";
/// Another variable that begins like this, of the scripts of the old tool.
const OTHER: &str = "LARDER_BACKUP_DIR";
/// What those of tests begin with.
const OF_TESTS: &str = "LARDER_TEST_";

/// What a key has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Text,
    Number,
    Decimal,
    Truth,
}

/// The keys: section, which is empty for the top of the file, name, and form.
pub(super) const KEYS: &[(&str, &str, Form)] = &[
    ("system", "name", Form::Text),
    ("", "parity", Form::Text),
    ("database", "url", Form::Text),
    ("database", "host", Form::Text),
    ("database", "port", Form::Number),
    ("database", "name", Form::Text),
    ("database", "user", Form::Text),
    ("database", "password_file", Form::Text),
    ("database", "container", Form::Text),
    ("database", "skip", Form::Truth),
    ("database", "method", Form::Text),
    ("database", "jobs", Form::Number),
    ("database", "key_order_max", Form::Text),
    ("docker", "enabled", Form::Truth),
    ("docker", "host", Form::Text),
    ("docker", "project", Form::Text),
    ("docker", "hold_secs", Form::Number),
    ("retention", "last", Form::Number),
    ("retention", "hourly", Form::Number),
    ("retention", "daily", Form::Number),
    ("retention", "weekly", Form::Number),
    ("retention", "monthly", Form::Number),
    ("retention", "yearly", Form::Number),
    ("retention", "within", Form::Text),
    ("retention", "max_size_gb", Form::Decimal),
];

/// The variable of a key.
pub(super) fn variable_of(section: &str, key: &str) -> String {
    let joint = if section.is_empty() { "" } else { "_" };
    format!("{PREFIX}{section}{joint}{key}").to_ascii_uppercase()
}

/// The settings in the text of a file, with what the environment says in the place of what the file says.
pub(super) fn laid_over(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<(File, Table)> {
    let mut table: Table = text.parse()?;
    let mut is_changed = Vec::new();
    for (section, key, form) in KEYS {
        let name = variable_of(section, key);
        let Some(said) = variable(&name) else { continue };
        let value = form.parse(&said).map_err(|why| UsageError::new(format!("{name}: {why}")))?;
        let place = if section.is_empty() {
            &mut table
        } else {
            let place = table.entry(*section).or_insert_with(|| Value::Table(Table::new()));
            place.as_table_mut().ok_or_else(|| UsageError::new(format!("[{section}] is no table")))?
        };
        place.insert((*key).to_owned(), value);
        is_changed.push(name);
    }
    let invalid = |why: String| UsageError::new(format!("{}: {why}", is_changed.join(", ")));
    let file = if is_changed.is_empty() { File::parse(text) } else { File::of_table(table.clone()) };
    Ok((file.map_err(invalid)?, table))
}

impl Form {
    fn parse(self, text: &str) -> Result<Value, String> {
        if text.trim().is_empty() {
            return Err("it is set and empty".to_owned());
        }
        match self {
            Self::Text => Ok(Value::String(text.to_owned())),
            Self::Number => {
                let number = text.trim().parse::<i64>().ok().filter(|number| *number >= 0);
                number.map(Value::Integer).ok_or_else(|| format!("'{text}' is not a whole number of zero or more"))
            }
            Self::Decimal => {
                let number = text.trim().parse::<f64>().map_err(|_| format!("'{text}' is not a number"))?;
                Ok(Value::Float(number))
            }
            Self::Truth => {
                let truth = text.trim().parse::<bool>().map(Value::Boolean);
                truth.map_err(|_| format!("'{text}' is neither true nor false"))
            }
        }
    }
}

/// Whether the environment says how the system is called.
pub(crate) fn is_system_of_environment() -> bool {
    std::env::var_os(variable_of("system", "name")).is_some()
}

/// The variables that are set and say a setting.
pub(crate) fn settings_of_environment() -> Vec<String> {
    let names = KEYS.iter().map(|(section, key, _)| variable_of(section, key));
    names.filter(|name| std::env::var_os(name).is_some()).collect()
}

/// Variables that begin like those of Larder and mean nothing: one that is not spelled right would be forgotten.
pub(crate) fn unknown_variables() -> Vec<String> {
    let is_known = |name: &str| {
        name == OTHER
            || name.starts_with(OF_TESTS)
            || KEYS.iter().any(|(section, key, _)| variable_of(section, key) == name)
    };
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with(PREFIX) && !is_known(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_file_and_says_what_is_wrong_with_it() {
        let text = "parity = \"3%\"\n[retention]\ndaily = 5\nweekly = 2\n";
        let with = |name: &'static str, value: &'static str| {
            laid_over(text, move |asked| (asked == name).then(|| value.to_owned())).map(|(file, _)| file)
        };
        let file = with("LARDER_RETENTION_DAILY", "9").expect("a number");
        assert_eq!((file.retention.daily, file.retention.weekly), (Some(9), Some(2)));
        assert_eq!(with("LARDER_PARITY", "5%").expect("a text").parity.as_deref(), Some("5%"));
        assert_eq!(with("LARDER_SYSTEM_NAME", "shop").expect("a text").system.name.as_deref(), Some("shop"));
        assert_eq!(with("LARDER_DOCKER_ENABLED", "false").expect("it is").docker.enabled, Some(false));
        for (name, value) in [
            ("LARDER_RETENTION_DAILY", ""),
            ("LARDER_RETENTION_DAILY", "-1"),
            ("LARDER_DOCKER_ENABLED", "no"),
            ("LARDER_DATABASE_METHOD", "quick"),
        ] {
            let error = with(name, value).expect_err(value).to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    /// A key that is added to the file has its variable.
    #[test]
    fn each_key_is_one_of_the_file() {
        for (section, key, form) in KEYS {
            let value = match (*key, form) {
                ("method", _) => "\"tables\"",
                (_, Form::Text) => "\"1%\"",
                (_, Form::Number | Form::Decimal) => "1",
                (_, Form::Truth) => "true",
            };
            let heading = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            File::parse(&format!("{heading}{key} = {value}\n")).expect(key);
        }
    }
}
