//! A database as one plain dump.

use std::io::Read;

use super::scripts::{Begun, check_length};
use crate::model::{Node, TableRows};
use crate::monitor::Monitor;
use crate::postgres::moment::{Moment, check_blockers};
use crate::postgres::{self, Connection, CopyCounter, Session};
use crate::process::{Program, Watched};
use crate::source::{Error, Visitor};

/// A `pg_dump` that has locked all tables, and sees what a session sees that keeps sequences and names of schemas.
pub(super) struct PlainDump {
    holder: Session,
    moment: Moment,
    begun: Begun,
    encoding: String,
}

impl PlainDump {
    /// Begins one in this encoding, whose sessions have this name.
    ///
    /// # Errors
    /// [`Error::Process`] when the server does not permit it, or somebody waits to alter a table; [`Error::Stop`].
    pub(super) fn begin(
        (connection, name): (&Connection, &str),
        program: &dyn Fn() -> Program,
        encoding: &str,
        monitor: &Monitor<'_>,
    ) -> Result<Self, Error> {
        let cancel = monitor.cancel();
        let begin = || {
            let mut holder = Session::open(connection, name, cancel)?;
            let moment = Moment::begin_without_tables(connection, (&mut holder, name), cancel)?;
            let mut program = program();
            program.arg(format!("--snapshot={}", moment.snapshot));
            let (_, process) = program.start(false)?;
            let blockers = || check_blockers(connection, name, cancel);
            let begun = Begun::wait(process, &blockers, encoding, monitor)?;
            Ok(Self { holder, moment, begun, encoding: encoding.to_owned() })
        };
        begin().map_err(|error| match monitor.check() {
            Err(cancelled) => Error::Stop(cancelled.into()),
            Ok(()) => error,
        })
    }

    /// Shows it. Returns the rows of each table.
    ///
    /// # Errors
    /// [`Error::Process`], [`Error::Incomplete`] when it does not reach its end; [`Error::Stop`]; those of the visitor.
    pub(super) fn show(
        self,
        node: Node,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<TableRows>, Error> {
        let Self { holder, moment, begun, encoding } = self;
        let (head, process) = begun.into_parts();
        let mut rest = process.map(|process| Watched::on(process, monitor.cancel()));
        let reader: Box<dyn Read + '_> = match &mut rest {
            Some(rest) => Box::new(head.chain(rest)),
            None => Box::new(head),
        };
        let mut counter = CopyCounter::new(reader, &encoding);
        visitor.stream(node, &mut counter)?;
        let (complete, bytes) = (counter.is_complete(), counter.bytes_passed());
        let (too_long, untold) = (counter.too_long().map(str::to_owned), counter.take_untold());
        let (tables, reader) = counter.finish();
        drop(reader);
        rest.map_or(Ok(()), Watched::finish)?;
        let incomplete = |why| postgres::Error::Incomplete { program: "pg_dump".to_owned(), why };
        if bytes == 0 {
            return Err(incomplete("it is empty").into());
        }
        if !complete {
            return Err(incomplete("the line that ends a dump is missing").into());
        }
        check_length(too_long)?;
        untold.map_or(Ok(()), Err)?;
        moment.end(holder, monitor.cancel())?;
        Ok(tables)
    }
}
