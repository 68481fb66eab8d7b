//! The parts of a dump that `pg_dump` writes.

use std::io::{self, Read, Seek, Write};
use std::time::{Duration, Instant};

use tempfile::SpooledTempFile;

use crate::cancel::POLL;
use crate::model::{Node, Script, TableRows};
use crate::monitor::Monitor;
use crate::postgres::{self, Copied, CopyCounter};
use crate::process::{self, Process, Watched};
use crate::source::{Error, Visitor};

/// How often it is looked whether a `pg_dump` that says nothing waits for somebody who waits for us.
const LOOK: Duration = Duration::from_secs(1);
const PART_BYTES: usize = 64 << 10;
/// What is kept of a script in memory; more of it lies in a file without a name below `TMPDIR`.
const MEMORY_BYTES: usize = 16 << 20;

/// What `pg_dump` warns of where something after the data is needed by something before it, as a function that depends on a key is by the
/// default of a column: its sections one after another are not the dump.
const OUT_OF_ORDER: &str = "not in correct section order";

/// What a `pg_dump` has written so far, and itself where there may be more.
pub(super) struct Begun {
    head: SpooledTempFile,
    process: Option<Process>,
    /// The encoding that it writes.
    encoding: String,
    /// Whether its sections can be told one after another, as far as is known.
    pub(super) is_in_order: bool,
}

/// Asks whether a program of ours waits for somebody who waits for us.
type Blockers<'a> = &'a dyn Fn() -> Result<(), postgres::Error>;

impl Begun {
    /// Waits until a `pg_dump` says something: by then it has locked all tables, and looked at everything. Now and then
    /// `blockers` is asked.
    ///
    /// # Errors
    /// [`Error::Process`] when it ends without a word; [`Error::Stop`]; those of `blockers`.
    pub(super) fn wait(
        mut process: Process,
        blockers: Blockers<'_>,
        encoding: &str,
        monitor: &Monitor<'_>,
    ) -> Result<Self, Error> {
        let mut head = SpooledTempFile::new(MEMORY_BYTES);
        if !read_part(&mut process, &mut head, blockers, monitor)? {
            process.finish()?;
            return Err(incomplete("it is empty").into());
        }
        head.rewind().map_err(kept)?;
        Ok(Self { head, process: Some(process), encoding: encoding.to_owned(), is_in_order: true })
    }

    /// Waits until a `pg_dump` has written everything, and ends it: its locks are given back.
    ///
    /// # Errors
    /// Those of [`Begun::wait`].
    pub(super) fn whole(
        process: Process,
        blockers: Blockers<'_>,
        encoding: &str,
        monitor: &Monitor<'_>,
    ) -> Result<Self, Error> {
        let mut begun = Self::wait(process, blockers, encoding, monitor)?;
        if let Some(mut process) = begun.process.take() {
            begun.head.seek(io::SeekFrom::End(0)).map_err(kept)?;
            while read_part(&mut process, &mut begun.head, blockers, monitor)? {}
            begun.is_in_order = !process.finish_saying()?.contains(OUT_OF_ORDER);
            begun.head.rewind().map_err(kept)?;
        }
        Ok(begun)
    }

    /// What it has written, and the program itself where there may be more.
    pub(super) fn into_parts(self) -> (SpooledTempFile, Option<Process>) {
        (self.head, self.process)
    }
}

/// Reads what comes next of a program. Says whether there was any.
fn read_part(
    process: &mut Process,
    target: &mut SpooledTempFile,
    blockers: Blockers<'_>,
    monitor: &Monitor<'_>,
) -> Result<bool, Error> {
    let mut looked = Instant::now();
    let mut part = vec![0; PART_BYTES];
    loop {
        if monitor.is_cancelled() {
            return Err(process::Error::interrupted("pg_dump").into());
        }
        match process.read_within(&mut part, POLL).map_err(|source| postgres::Error::stream("pg_dump", source))? {
            None if looked.elapsed() >= LOOK => {
                blockers()?;
                looked = Instant::now();
            }
            None => {}
            Some(len) => {
                target.write_all(part.get(..len).unwrap_or_default()).map_err(kept)?;
                return Ok(len > 0);
            }
        }
    }
}

fn kept(source: io::Error) -> Error {
    postgres::Error::stream("a file below TMPDIR", source).into()
}

fn incomplete(why: &'static str) -> postgres::Error {
    postgres::Error::Incomplete { program: "pg_dump".to_owned(), why }
}

type CountedTable = (TableRows, Copied);

/// Shows a script, which must say that it is complete.
///
/// # Errors
/// [`Error::Process`], also when it does not reach its end; [`Error::Stop`]; those of the visitor.
pub(super) fn script(
    node: Node,
    name: &str,
    (begun, monitor): (Begun, &Monitor<'_>),
    visitor: &mut dyn Visitor,
) -> Result<(Script, Vec<CountedTable>), Error> {
    let mut rest = begun.process.map(|process| Watched::on(process, monitor.cancel()));
    let reader: Box<dyn Read + '_> = match &mut rest {
        Some(rest) => Box::new(begun.head.chain(rest)),
        None => Box::new(begun.head),
    };
    let mut counter = CopyCounter::new(reader, &begun.encoding);
    let shown = visitor.stream(node, &mut counter);
    let body = counter.body();
    let copied = counter.take_copied();
    let (too_long, untold) = (counter.too_long().map(str::to_owned), counter.take_untold());
    let (tables, reader) = counter.finish();
    drop(reader);
    shown?;
    rest.map_or(Ok(()), Watched::finish)?;
    check_length(too_long)?;
    untold.map_or(Ok(()), Err)?;
    let (begin, end) = body.ok_or_else(|| incomplete("the line that ends a dump is missing"))?;
    Ok((Script { file: name.to_owned(), begin, end }, tables.into_iter().zip(copied).collect()))
}

/// Makes sure that there is no entry that is longer than what a restore takes.
pub(super) fn check_length(too_long: Option<String>) -> Result<(), postgres::Error> {
    too_long.map_or(Ok(()), |title| Err(postgres::Error::TooLong { title }))
}
