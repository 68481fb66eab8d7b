//! `backup.yaml` of the old tool as `larder.toml`.

use std::fmt::Write;

use larder::model::is_deceptive;
use yaml_rust2::parser::{Event, EventReceiver, Parser};
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

/// Components that the old tool knows as directories.
const DIRECTORIES: [&str; 4] = ["models", "config", "outputs", "logs"];
/// Bytes of a gibibyte in the 10^9 bytes that the size is given in here.
const GIBIBYTE: f64 = 1.073_741_824;
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What became of a `backup.yaml`.
#[derive(Debug, Default)]
pub(crate) struct Converted {
    /// The text of `larder.toml`.
    pub(crate) text: String,
    /// The overlay that was applied, where the file has it.
    pub(crate) overlay: Option<String>,
    /// What of it has no meaning here, or another one.
    pub(crate) warnings: Vec<String>,
    /// The command that installs its schedule.
    pub(crate) schedule: Option<String>,
}

/// What is known so far of the new file.
#[derive(Debug, Default)]
struct Reader {
    directory: Option<String>,
    /// Directories that are left out.
    without: Vec<String>,
    without_database: bool,
    without_volumes: bool,
    volumes: Vec<String>,
    retention: Vec<(&'static str, String)>,
    create_at: Option<String>,
    prune_at: Option<String>,
    prune_day: Option<usize>,
    warnings: Vec<String>,
}

/// Converts a file; of its overlays the one of `environment` applies.
///
/// # Errors
/// Why it cannot be taken over.
pub(crate) fn convert(text: &str, environment: &str) -> Result<Converted, String> {
    let mut aliases = Aliases(false);
    Parser::new_from_str(text).load(&mut aliases, true).map_err(|error| format!("it is not YAML: {error}"))?;
    if aliases.0 {
        return Err("it has an alias (`*name`): write in its place what it stands for".to_owned());
    }
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("it is not YAML: {error}"))?;
    let document = documents.into_iter().next().unwrap_or(Yaml::Null);
    let mut base = document.into_hash().ok_or("it is not a table of settings")?;
    let overlays = base.remove(&Yaml::String("environments".to_owned())).and_then(Yaml::into_hash);
    let overlay = overlays.and_then(|mut all| all.remove(&Yaml::String(environment.to_owned()))?.into_hash());
    let applied = overlay.is_some().then(|| environment.to_owned());
    overlay.into_iter().flatten().for_each(|(key, value)| merge(&mut base, key, value));
    let mut reader = Reader::default();
    for (section, value) in &base {
        let section = section.as_str().ok_or("a section has no name")?;
        let Some(keys) = value.as_hash() else {
            reader.warn(section, "means nothing here");
            continue;
        };
        for (key, value) in keys {
            let key = key.as_str().ok_or_else(|| format!("a key of {section} has no name"))?;
            reader.key(section, key, value)?;
        }
    }
    Ok(reader.finish(applied))
}

/// Whether a text has aliases: of a few lines they make more than memory holds.
struct Aliases(bool);

impl EventReceiver for Aliases {
    fn on_event(&mut self, event: Event) {
        self.0 |= matches!(event, Event::Alias(_));
    }
}

/// Tables are merged key by key; anything else is replaced.
fn merge(base: &mut Hash, key: Yaml, value: Yaml) {
    match (base.get_mut(&key), value) {
        (Some(Yaml::Hash(old)), Yaml::Hash(new)) => new.into_iter().for_each(|(key, value)| merge(old, key, value)),
        (_, value) => drop(base.insert(key, value)),
    }
}

impl Reader {
    fn warn(&mut self, key: &str, what: &str) {
        self.warnings.push(format!("{key} {what}"));
    }

    fn key(&mut self, section: &str, key: &str, value: &Yaml) -> Result<(), String> {
        let path = format!("{section}.{key}");
        let wrong = || format!("{path} has a value that cannot be understood");
        match (section, key) {
            ("security", "encrypt") if truth(value).ok_or_else(wrong)? => {
                return Err(
                    "security.encrypt is true, and Larder does not encrypt: what this file wants encrypted would not be"
                        .to_owned(),
                );
            }
            ("security", "encrypt" | "key_file") | ("backup", "compress") | ("verification", "checksums") => {}
            ("backup", "directory") => self.directory = Some(text(value).ok_or_else(wrong)?),
            ("backup", "verify") if truth(value).ok_or_else(wrong)? => {}
            ("backup", "verify") => self.warn(&path, "is false: `create --no-verify` does not read back what it wrote"),
            ("backup", "type") if text(value).is_some_and(|kind| kind == "full") => {}
            ("backup", "type") => self.warn(&path, "means nothing here: `create --type` says what is saved"),
            ("components", "database") => self.without_database = !truth(value).ok_or_else(wrong)?,
            ("components", "docker_volumes") => self.without_volumes = !truth(value).ok_or_else(wrong)?,
            ("components", name) if DIRECTORIES.contains(&name) => {
                if !truth(value).ok_or_else(wrong)? {
                    self.without.push(name.to_owned());
                }
            }
            ("docker_volumes", "volumes") => {
                let names = value.as_vec().ok_or_else(wrong)?.iter().map(text);
                self.volumes = names.collect::<Option<_>>().ok_or_else(wrong)?;
            }
            ("docker_volumes", "stop_containers") => {
                self.warn(&path, "was never read: containers are paused, or with `quiesce = \"stop\"` stopped");
            }
            ("retention", "daily") => self.retention.push(("daily", whole(value).ok_or_else(wrong)?)),
            ("retention", "weekly") => self.retention.push(("weekly", whole(value).ok_or_else(wrong)?)),
            ("retention", "monthly") => self.retention.push(("monthly", whole(value).ok_or_else(wrong)?)),
            ("retention", "max_size_gb") => {
                let gibibytes = number(value).filter(|number| *number >= 0.0).ok_or_else(wrong)?;
                self.retention.push(("max_size_gb", format!("{:.3}", gibibytes * GIBIBYTE)));
            }
            ("schedule", "backup_time") => self.create_at = Some(time(value).ok_or_else(wrong)?),
            ("schedule", "cleanup_time") => self.prune_at = Some(time(value).ok_or_else(wrong)?),
            ("schedule", "cleanup_day") => {
                let day = value.as_i64().and_then(|day| usize::try_from(day).ok());
                self.prune_day = Some(day.filter(|day| *day < WEEKDAYS.len()).ok_or_else(wrong)?);
            }
            ("security", "file_permissions" | "dir_permissions") => {
                self.warn(&path, "means nothing here: files have mode 0600 and directories 0700");
            }
            ("verification", "test_restore") if !truth(value).ok_or_else(wrong)? => {}
            ("verification", "test_restore") => {
                self.warn(&path, "is true: `larder verify latest --test-restore` does it");
            }
            _ => self.warn(&path, "means nothing here"),
        }
        Ok(())
    }

    fn finish(mut self, overlay: Option<String>) -> Converted {
        let mut text = String::new();
        if let Some(directory) = self.directory.as_deref().filter(|directory| *directory != "backups") {
            line(&mut text, &format!("backup_dir = {}", quoted(directory)));
        }
        if !self.without.is_empty() {
            line(&mut text, "\n[directories]");
            for name in DIRECTORIES.iter().filter(|name| !self.without.iter().any(|without| without == *name)) {
                line(&mut text, &format!("{name} = {}", quoted(name)));
            }
        }
        if self.without_database {
            line(&mut text, "\n[database]\nskip = true");
        }
        if self.without_volumes {
            let what = "is false: only the volumes that the file lists are left out, by `skip = true`";
            self.warnings.push(format!("components.docker_volumes {what}"));
            for name in &self.volumes {
                line(&mut text, &format!("\n[volumes.{}]\nskip = true", quoted(name)));
            }
        } else if !self.volumes.is_empty() {
            let text = "lists some volumes, and all volumes of the project are saved: `skip = true` leaves one out";
            self.warnings.push(format!("docker_volumes.volumes {text}"));
        }
        if !self.retention.is_empty() {
            line(&mut text, "\n[retention]");
            self.retention.iter().for_each(|(key, value)| line(&mut text, &format!("{key} = {value}")));
        }
        let schedule = (self.create_at.is_some() || self.prune_at.is_some()).then(|| {
            let create = self.create_at.as_deref().unwrap_or("02:00");
            let prune = self.prune_at.as_deref().unwrap_or("03:00");
            let day = WEEKDAYS.get(self.prune_day.unwrap_or(0)).copied().unwrap_or("sun");
            format!("larder schedule install --create {create} --prune '{day} {prune}'")
        });
        Converted { text: text.trim_start().to_owned(), overlay, warnings: self.warnings, schedule }
    }
}

fn line(text: &mut String, line: &str) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A string of TOML, in which nothing stands as it is that is not shown as it is, or that would end what it is quoted in.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char == '`' || is_deceptive(char) => quoted.extend(format!("\\U{:08X}", u32::from(char)).chars()),
            char => quoted.push(char),
        }
    }
    quoted + "\""
}

fn text(value: &Yaml) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Yes or no in all the words that the old tool's reader knows.
fn truth(value: &Yaml) -> Option<bool> {
    match value {
        Yaml::Boolean(truth) => Some(*truth),
        Yaml::String(word) => match word.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" => Some(true),
            "no" | "off" | "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn whole(value: &Yaml) -> Option<String> {
    value.as_i64().and_then(|number| u32::try_from(number).ok()).map(|number| number.to_string())
}

fn number(value: &Yaml) -> Option<f64> {
    value.as_f64().or_else(|| value.as_i64().map(|number| number as f64))
}

/// A time of the day. What the old tool's reader takes for a number in base 60 is one.
fn time(value: &Yaml) -> Option<String> {
    let text = match value {
        Yaml::Integer(minutes) => format!("{}:{}", minutes / 60, minutes % 60),
        value => text(value)?,
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
    (hour < 24 && minute < 60).then(|| format!("{hour:02}:{minute:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::File;

    const WHOLE: &str = "
schedule: {backup_time: '02:30', cleanup_time: 3:05, cleanup_day: 6}
retention: {daily: 7, weekly: 4, monthly: 3, max_size_gb: 50}
backup: {directory: 'my \"backups\"', compress: true, verify: false, type: full}
components: {database: true, models: true, config: true, outputs: false, logs: yes, docker_volumes: true}
docker_volumes: {volumes: [postgres_data, redis_data], stop_containers: true}
security: {encrypt: false, file_permissions: '0644'}
logging: {level: INFO}
notifications: none
environments:
  development: {retention: {daily: 3}, docker_volumes: {volumes: [a]}}
  production: {security: {encrypt: true}, components: {database: false, docker_volumes: false}}
";

    #[test]
    fn what_has_a_meaning_is_taken_over_and_the_rest_is_named() {
        let found = convert(WHOLE, "development").expect("it can be");
        assert_eq!(found.overlay.as_deref(), Some("development"));
        let file = File::parse(&found.text).unwrap_or_else(|why| panic!("{why}: {}", found.text));
        assert_eq!(file.backup_dir.expect("a directory").to_string_lossy(), "my \"backups\"");
        assert_eq!(file.retention.daily, Some(3));
        assert_eq!(file.retention.max_size_gb, Some(53.687));
        assert_eq!(file.directories.expect("some").into_keys().collect::<Vec<_>>(), ["config", "logs", "models"]);
        assert_eq!(found.schedule.as_deref(), Some("larder schedule install --create 02:30 --prune 'sat 03:05'"));
        for key in [
            "backup.verify",
            "docker_volumes.stop_containers",
            "docker_volumes.volumes",
            "logging.level",
            "notifications",
        ] {
            assert!(found.warnings.iter().any(|warning| warning.starts_with(key)), "{key}: {:?}", found.warnings);
        }
        assert_eq!(convert(WHOLE, "nothing").expect("it can be").overlay, None);
    }

    #[test]
    fn encryption_is_never_ignored() {
        assert!(convert(WHOLE, "production").expect_err("it must not").contains("does not encrypt"));
        let other = WHOLE.replace("encrypt: true", "encrypt: no");
        let found = convert(&other, "production").expect("it can be");
        assert!(found.text.contains("[database]\nskip = true"), "{}", found.text);
        assert!(found.text.contains("[volumes.\"redis_data\"]\nskip = true"), "{}", found.text);
        File::parse(&found.text).expect("it can be read");
    }

    #[test]
    fn what_cannot_be_understood_says_where() {
        for (text, says) in [
            ("- a\n- b\n", "not a table"),
            ("retention: {daily: -1}", "retention.daily"),
            ("retention: {max_size_gb: much}", "retention.max_size_gb"),
            ("schedule: {backup_time: '25:00'}", "schedule.backup_time"),
            ("security: {encrypt: maybe}", "security.encrypt"),
            ("a: [\n", "not YAML"),
            ("a: &a [1]\nb: [*a, *a]\n", "an alias"),
        ] {
            let error = convert(text, "development").expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
