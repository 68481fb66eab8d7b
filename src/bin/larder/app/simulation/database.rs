//! The database of the system: a PostgreSQL that is started for it, or a dump that is written without one.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use larder::cancel::Cancel;
use larder::monitor::Monitor;
use larder::pipeline::Error;
use larder::pipeline::backup::Origin;
use larder::pipeline::restore::{CodeOf, TestServer};
use larder::postgres::{execute, find_server_programs, query};
use larder::source::postgres::{DUMP_FILE, DumpSource, TableOptions};
use larder::source::{DirSource, Excludes};

use super::rows::{Change, Row, Rows};
use super::text::push;

const TABLE: &str = "CREATE TABLE public.articles (
    id bigint NOT NULL,
    source integer NOT NULL,
    published timestamp with time zone NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    embedding text NOT NULL,
    updates integer NOT NULL
);";
const COPY: &str = "COPY public.articles (id, source, published, title, body, embedding, updates) FROM stdin;";
const KEY: &str = "ALTER TABLE ONLY public.articles ADD CONSTRAINT articles_pkey PRIMARY KEY (id);
CREATE INDEX articles_source_idx ON public.articles USING btree (source);";
/// SQL that is sent at once, about.
const BATCH_BYTES: usize = 4 << 20;
/// It makes the dump's only random line the same on every night. Nobody has to guess it: the server is gone afterwards.
const SECRET: [u8; 32] = *b"the simulation has no secrets ..";

/// Where the rows are.
pub(super) enum Database {
    Server { server: Box<TestServer>, version: String },
    Written { folder: PathBuf },
}

impl Database {
    /// Starts a server where that is wanted and its programs are installed.
    pub(super) fn start(folder: &Path, with_postgres: bool, monitor: &Monitor<'_>) -> anyhow::Result<Self> {
        if let Some(programs) = find_server_programs().filter(|_| with_postgres) {
            let not_started = |why: &dyn Display| {
                monitor.warn(&format!("no PostgreSQL could be started, so a dump is written without one: {why}"));
            };
            match TestServer::start(&programs, CodeOf::Ourselves, monitor.cancel()) {
                Ok(Ok(server)) => {
                    let version = "SELECT pg_catalog.current_setting('server_version')";
                    let answer = query(&server.connection(), version, &Cancel::new())?;
                    let version = answer.into_iter().flatten().flatten().next().unwrap_or_default();
                    let version = version.split_whitespace().next().unwrap_or_default().to_owned();
                    return Ok(Self::Server { server: Box::new(server), version });
                }
                Ok(Err(why)) => not_started(&why),
                Err(error) => {
                    monitor.check().map_err(Error::from)?;
                    not_started(&error);
                }
            }
        }
        let folder = folder.join("database");
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self::Written { folder })
    }

    /// The version of the server, where there is one.
    pub(super) fn version(&self) -> Option<&str> {
        match self {
            Self::Server { version, .. } => Some(version),
            Self::Written { .. } => None,
        }
    }

    /// Where a backup reads it from.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Server { server, .. } => {
                let source = DumpSource::new(server.connection(), SECRET).by_tables(Some(TableOptions::default()));
                Origin::Database(Box::new(source))
            }
            Self::Written { folder } => Origin::Directory(DirSource::new(folder, Excludes::default())),
        }
    }

    /// Makes the table with its first rows.
    pub(super) fn make(&self, rows: &Rows, monitor: &Monitor<'_>) -> anyhow::Result<()> {
        match self {
            Self::Server { .. } => {
                self.sql(TABLE)?;
                self.insert(rows, rows.heap().iter().copied(), monitor)?;
                self.sql(&format!("{KEY}\nVACUUM ANALYZE public.articles;"))
            }
            Self::Written { folder } => write_dump(&folder.join(DUMP_FILE), rows, monitor),
        }
    }

    /// Makes a change that the rows have had already.
    pub(super) fn change(&self, rows: &Rows, change: &Change, monitor: &Monitor<'_>) -> anyhow::Result<()> {
        match self {
            Self::Server { .. } => {
                self.update(rows, &change.updated, monitor)?;
                let inserted = change.inserted.clone().map(|id| Row { id, updates: 0 });
                self.insert(rows, inserted, monitor)?;
                self.sql("VACUUM ANALYZE public.articles;")
            }
            Self::Written { folder } => write_dump(&folder.join(DUMP_FILE), rows, monitor),
        }
    }

    fn insert(&self, rows: &Rows, new: impl Iterator<Item = Row>, monitor: &Monitor<'_>) -> anyhow::Result<()> {
        let append = |text: &mut String, row| rows.append_copy(text, row);
        // psql of 17 says nothing more after an empty statement right behind rows.
        self.batches((&format!("{COPY}\n"), "\\.\nSELECT"), new, append, monitor)
    }

    fn update(&self, rows: &Rows, updated: &[Row], monitor: &Monitor<'_>) -> anyhow::Result<()> {
        let before =
            "CREATE TEMPORARY TABLE changed (id bigint, title text, updates integer);\nCOPY changed FROM stdin;\n";
        let after = "\\.\nUPDATE public.articles SET title = changed.title, updates = changed.updates FROM changed \
                     WHERE articles.id = changed.id;\n";
        let append = |text: &mut String, row: Row| {
            push(text, format_args!("{}\t", row.id));
            rows.append_title(text, row);
            push(text, format_args!("\t{}\n", row.updates));
        };
        self.batches((before, after), updated.iter().copied(), append, monitor)
    }

    /// Sends rows in batches, each between two pieces of SQL.
    fn batches(
        &self,
        (before, after): (&str, &str),
        rows: impl Iterator<Item = Row>,
        append: impl Fn(&mut String, Row),
        monitor: &Monitor<'_>,
    ) -> anyhow::Result<()> {
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            monitor.check().map_err(Error::from)?;
            let mut text = before.to_owned();
            while let Some(row) = rows.next_if(|_| text.len() < BATCH_BYTES) {
                append(&mut text, row);
            }
            monitor.advance(text.len() as u64);
            text.push_str(after);
            self.sql(&text)?;
        }
        Ok(())
    }

    fn sql(&self, sql: &str) -> anyhow::Result<()> {
        if let Self::Server { server, .. } = self {
            execute(&server.connection(), &[sql.to_owned()], &Cancel::new())?;
        }
        Ok(())
    }
}

/// Writes what `pg_dump` would, with the rows in the order of the heap.
fn write_dump(path: &Path, rows: &Rows, monitor: &Monitor<'_>) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    write!(file, "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\n{TABLE}\n\n{COPY}\n")
        .with_context(failed)?;
    let mut text = String::new();
    for row in rows.heap() {
        rows.append_copy(&mut text, *row);
        if text.len() >= BATCH_BYTES {
            monitor.check().map_err(Error::from)?;
            monitor.advance(text.len() as u64);
            file.write_all(text.as_bytes()).with_context(failed)?;
            text.clear();
        }
    }
    file.write_all(text.as_bytes()).with_context(failed)?;
    write!(file, "\\.\n\n{KEY}\n\n--\n-- PostgreSQL database dump complete\n--\n").with_context(failed)?;
    file.flush().with_context(failed)
}
