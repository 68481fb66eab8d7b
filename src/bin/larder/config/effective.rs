//! The settings as they are in force, and where each comes from.

use larder::postgres::Connection;
use toml::{Table, Value};

use super::database::DatabasePlace;
use super::environment::{KEYS, variable_of};
use super::overrides::Overrides;
use super::settings::Settings;

/// Stands for what is not shown.
const HIDDEN: &str = "(not shown)";
const BACKUP_DIR: &str = "LARDER_BACKUP_DIR";
/// What holds where nothing is said, by section and key.
const DEFAULTS: [(&str, &str, &str); 12] = [
    ("database", "skip", "false"),
    ("database", "method", "tables"),
    ("database", "jobs", "2"),
    ("database", "key_order_max", "4GB"),
    ("docker", "hold_secs", "60"),
    ("retention", "last", "0"),
    ("retention", "hourly", "0"),
    ("retention", "daily", "7"),
    ("retention", "weekly", "4"),
    ("retention", "monthly", "3"),
    ("retention", "yearly", "0"),
    ("retention", "max_size_gb", "50"),
];
/// Variables that other programs read too, for keys that nothing else says.
const AMBIENT: [(&str, &str, &str); 6] = [
    ("docker", "host", "DOCKER_HOST"),
    ("docker", "project", "COMPOSE_PROJECT_NAME"),
    ("retention", "daily", "BACKUP_RETENTION_DAILY"),
    ("retention", "weekly", "BACKUP_RETENTION_WEEKLY"),
    ("retention", "monthly", "BACKUP_RETENTION_MONTHLY"),
    ("retention", "max_size_gb", "BACKUP_MAX_SIZE_GB"),
];

/// A setting that is in force.
#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) key: String,
    pub(crate) value: String,
    /// What says it: a flag, a variable, the file, or nobody.
    pub(crate) origin: String,
}

/// All settings.
pub(crate) fn effective(settings: &Settings, overrides: &Overrides) -> Vec<Effective> {
    let mut all = vec![backup_dir(settings, overrides)];
    all.extend(KEYS.iter().filter_map(|(section, key, _)| of_key(settings, section, key)));
    if let Some(ambient) = ambient_database(settings) {
        all.push(ambient);
    }
    if !settings.said.contains_key("directories") {
        let present = settings.directories.iter().filter(|directory| directory.path.exists());
        all.extend(present.map(|directory| {
            let (key, value) = (format!("directories.{}", directory.name), directory.path.display().to_string());
            Effective { key, value, origin: "found".to_owned() }
        }));
    }
    let is_scalar = |key: &str| KEYS.iter().any(|(section, name, _)| joined(section, name) == key);
    let file = settings.file.display().to_string();
    let rest = leaves("", &settings.said).into_iter().filter(|(key, _)| !is_scalar(key) && key != "backup_dir");
    all.extend(rest.map(|(key, value)| Effective { key, value, origin: file.clone() }));
    all
}

fn joined(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn backup_dir(settings: &Settings, overrides: &Overrides) -> Effective {
    let origin = match (&overrides.backup_dir, settings.said.contains_key("backup_dir")) {
        (Some(given), _) if std::env::var_os(BACKUP_DIR).as_deref() == Some(given.as_os_str()) => BACKUP_DIR.to_owned(),
        (Some(_), _) => "--backup-dir".to_owned(),
        (None, true) => settings.file.display().to_string(),
        (None, false) => "default".to_owned(),
    };
    Effective { key: "backup_dir".to_owned(), value: settings.backup_dir.display().to_string(), origin }
}

/// A key with a single value, where it has any.
fn of_key(settings: &Settings, section: &str, key: &str) -> Option<Effective> {
    let said =
        if section.is_empty() { Some(&settings.said) } else { settings.said.get(section).and_then(Value::as_table) };
    let said = said.and_then(|table| table.get(key));
    let found = |table: &[(&str, &str, &'static str)]| {
        table.iter().find(|(of, name, _)| *of == section && *name == key).map(|(_, _, found)| *found)
    };
    let effective = |value: String, origin: String| Some(Effective { key: joined(section, key), value, origin });
    if let Some(said) = said {
        let variable = variable_of(section, key);
        let origin = if is_set(&variable) { variable } else { settings.file.display().to_string() };
        return effective(if key == "url" { without_password(&shown(said)) } else { shown(said) }, origin);
    }
    if let Some((variable, value)) = found(&AMBIENT).and_then(|name| Some((name, std::env::var(name).ok()?)))
        && !value.is_empty()
    {
        return effective(value, variable.to_owned());
    }
    effective(found(&DEFAULTS)?.to_owned(), "default".to_owned())
}

/// The database, where only variables that other programs read too name one.
fn ambient_database(settings: &Settings) -> Option<Effective> {
    let is_said = |key: &str| settings.said.get("database").is_some_and(|table| table.get(key).is_some());
    if ["url", "name", "container"].into_iter().any(is_said) {
        return None;
    }
    let value = match &settings.database.as_ref()?.place {
        DatabasePlace::Server(connection) => connection.to_string(),
        DatabasePlace::Unknown(_) | DatabasePlace::Container { .. } => HIDDEN.to_owned(),
    };
    let origin = if is_set("DATABASE_URL") { "DATABASE_URL" } else { "POSTGRES_DB" };
    Some(Effective { key: "database".to_owned(), value, origin: origin.to_owned() })
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        // The file has none of these.
        Value::Datetime(_) | Value::Table(_) => HIDDEN.to_owned(),
    }
}

fn without_password(url: &str) -> String {
    Connection::from_url(url).map_or_else(|_| HIDDEN.to_owned(), |connection| connection.to_string())
}

/// All values of a table that are no tables, with their keys.
fn leaves(prefix: &str, table: &Table) -> Vec<(String, String)> {
    let of = |(key, value): (&String, &Value)| match value {
        Value::Table(table) => leaves(&joined(prefix, key), table),
        value => vec![(joined(prefix, key), shown(value))],
    };
    table.iter().flat_map(of).collect()
}
