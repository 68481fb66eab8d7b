//! The folders of the system: a model that does not compress, settings that hardly change, results that come, a log that
//! grows.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::rows::Rows;
use super::text::{Random, Words, push};

/// The components that are folders.
pub(super) const FOLDERS: [&str; 4] = ["models", "config", "outputs", "logs"];

/// Kinds of random numbers.
const MODEL: u64 = 10;
const CONFIG: u64 = 11;
const OUTPUT: u64 = 12;
const LOG: u64 = 13;

const CONFIGS: u32 = 24;
/// The model is trained on every so many nights, and the configuration changed.
const TRAINING_NIGHTS: u32 = 4;
const CONFIG_NIGHTS: u32 = 3;
/// One of so many rows is in the results of a night.
const ROWS_PER_RESULT: u64 = 20;

/// The folders, whose sizes follow from the number of rows.
pub(super) struct Folders {
    root: PathBuf,
    model_bytes: u64,
    log_lines: u64,
}

impl Folders {
    pub(super) fn new(root: &Path, rows: u32) -> Self {
        let model_bytes = (u64::from(rows) * 400).clamp(256 << 10, 64 << 20) / 8 * 8;
        Self { root: root.to_owned(), model_bytes, log_lines: u64::from(rows).clamp(200, 1_000_000) }
    }

    /// The folders as they are before the first night.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        for name in FOLDERS {
            let path = self.root.join(name);
            fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        self.train(1, 0)?;
        (1..=CONFIGS).try_for_each(|number| self.configure(number, 1))
    }

    /// What a day leaves in them.
    pub(super) fn end_day(&mut self, night: u32, rows: &Rows) -> anyhow::Result<()> {
        if night.is_multiple_of(TRAINING_NIGHTS) {
            self.train(night, self.model_bytes / 10 * 9 / 8 * 8)?;
        }
        if night.is_multiple_of(CONFIG_NIGHTS) {
            self.configure(1 + night / CONFIG_NIGHTS % CONFIGS, night)?;
        }
        self.publish(night, rows)?;
        let lines = if night == 1 { self.log_lines } else { self.log_lines / 30 };
        self.log(night, lines, rows.words())
    }

    /// Writes the model anew from a place to its end.
    fn train(&self, night: u32, from: u64) -> anyhow::Result<()> {
        let path = self.root.join("models/model.bin");
        let failed = || format!("cannot write {}", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).with_context(failed)?;
        let mut file = BufWriter::new(file);
        file.seek(SeekFrom::Start(from)).with_context(failed)?;
        let mut random = Random::new(MODEL, u64::from(night));
        for _ in 0..(self.model_bytes - from) / 8 {
            file.write_all(&random.next().to_le_bytes()).with_context(failed)?;
        }
        file.flush().with_context(failed)
    }

    fn configure(&self, number: u32, night: u32) -> anyhow::Result<()> {
        let path = self.root.join(format!("config/source-{number:02}.yaml"));
        let mut random = Random::new(CONFIG, u64::from(number));
        let mut text = format!("# source {number}, changed on night {night}\nname: source-{number:02}\nfilters:\n");
        for filter in 0..30 {
            let (weight, limit) = (random.below(1_000), random.below(500));
            push(
                &mut text,
                format_args!("  - id: {filter}\n    weight: 0.{weight:03}\n    limit: {limit}\n    enabled: true\n"),
            );
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn publish(&self, night: u32, rows: &Rows) -> anyhow::Result<()> {
        let path = self.root.join(format!("outputs/digest-{night:03}.csv"));
        let failed = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(&path).with_context(failed)?);
        let mut random = Random::new(OUTPUT, u64::from(night));
        let mut line = String::new();
        for _ in 0..(rows.len() / ROWS_PER_RESULT).max(1) {
            let Some(row) = random.one_of(rows.heap()) else { continue };
            line.clear();
            push(&mut line, format_args!("{},0.{:06},", row.id, random.below(1_000_000)));
            rows.append_title(&mut line, *row);
            line.push('\n');
            file.write_all(line.as_bytes()).with_context(failed)?;
        }
        file.flush().with_context(failed)
    }

    fn log(&self, night: u32, lines: u64, words: &Words) -> anyhow::Result<()> {
        const LEVELS: [&str; 8] = ["INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"];
        let path = self.root.join("logs/app.log");
        let failed = || format!("cannot write {}", path.display());
        let file = OpenOptions::new().append(true).create(true).open(&path).with_context(failed)?;
        let mut file = BufWriter::new(file);
        let mut random = Random::new(LOG, u64::from(night));
        let mut line = String::new();
        for number in 0..lines {
            let second = number * 86_400 / lines;
            let (hour, minute, rest, millis) = (second / 3_600, second / 60 % 60, second % 60, random.below(1_000));
            let (worker, level) = (1 + random.below(8), random.one_of(&LEVELS).copied().unwrap_or("INFO"));
            line.clear();
            let stamp = format!("day {night:03} {hour:02}:{minute:02}:{rest:02}.{millis:03}");
            push(&mut line, format_args!("{stamp} {level} worker-{worker} request {:08x}: ", random.below(1 << 32)));
            words.append(&mut line, &mut random, 9);
            line.push('\n');
            file.write_all(line.as_bytes()).with_context(failed)?;
        }
        file.flush().with_context(failed)
    }
}
