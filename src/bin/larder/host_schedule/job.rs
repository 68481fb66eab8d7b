//! A schedule: commands, and when each of them runs.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use larder::id::Digest;
use larder::model::show_text;

/// Minutes within which a run begins at random, so that not all machines begin at once.
pub(super) const JITTER_MINUTES: u32 = 10;
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A time of each day, or of one day of each week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    /// The day of the week, Sunday being 0.
    pub(super) weekday: Option<usize>,
    pub(super) hour: u8,
    pub(super) minute: u8,
}

impl When {
    /// Understands `02:00` and `sun 03:00`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{}' is no time: write it like 02:00, or like 'sun 03:00'", show_text(text));
        if text.contains(char::is_control) {
            return Err(wrong());
        }
        let (weekday, time) = match text.trim().split_once(' ') {
            Some((day, time)) => {
                let day = WEEKDAYS.iter().position(|known| *known == day.to_ascii_lowercase());
                (Some(day.ok_or_else(wrong)?), time.trim())
            }
            None => (None, text.trim()),
        };
        let (hour, minute) = time.split_once(':').ok_or_else(wrong)?;
        let number = |digits: &str, below: u8| digits.parse::<u8>().ok().filter(|number| *number < below);
        let hour = number(hour, 24).ok_or_else(wrong)?;
        Ok(Self { weekday, hour, minute: number(minute, 60).ok_or_else(wrong)? })
    }
}

/// A command that runs regularly.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// What it is called in names of files.
    pub(crate) name: &'static str,
    pub(crate) when: When,
    /// Whether it starts programs beside itself, those of a database.
    pub(crate) starts_programs: bool,
    /// Program and arguments.
    pub(crate) words: Vec<String>,
}

/// Everything that runs for one system.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Tells it from those of other systems.
    pub(crate) name: String,
    /// The directory of the system.
    pub(crate) base: PathBuf,
    /// Where its repository lies, the only thing that is written.
    pub(crate) repository: String,
    /// What the jobs have to reach besides: directories, files, sockets.
    pub(crate) reads: Vec<PathBuf>,
    pub(crate) jobs: Vec<Job>,
}

/// A file to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Schedule {
    /// Whether the jobs have to reach something in one of these places, or around it.
    pub(super) fn reaches(&self, places: &[&str]) -> bool {
        let paths = self.reads.iter().map(PathBuf::as_path).chain([self.base.as_path(), Path::new(&self.repository)]);
        paths
            .into_iter()
            .any(|path| places.iter().any(|place| path.starts_with(place) || Path::new(place).starts_with(path)))
    }

    /// The name of what runs for the system in this directory.
    pub(crate) fn name_of(base: &Path) -> String {
        let last = base.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain: String = last.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
        // Two systems may have directories of the same name.
        let mut sum = Digest::of(base.as_os_str().as_bytes()).to_string();
        sum.truncate(8);
        format!("larder-{}-{sum}", plain.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_others_refused() {
        assert_eq!(When::parse("Sun 03:05"), Ok(When { weekday: Some(0), hour: 3, minute: 5 }));
        assert_eq!(When::parse("23:59").map(|when| when.weekday), Ok(None));
        for text in ["", "24:00", "12:60", "someday 02:00", "2", "02:00 sun", "sun", "02:00\n", "sun\r02:00"] {
            assert!(When::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn systems_of_the_same_name_are_told_apart() {
        assert_ne!(Schedule::name_of(Path::new("/a/app")), Schedule::name_of(Path::new("/b/app")));
        assert!(Schedule::name_of(Path::new("/a/My App")).starts_with("larder-my-app-"));
    }
}
