//! A database of a live server.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::postgres::{Tools, query};
use crate::sink::postgres::exists;
use crate::source::postgres::DumpSource;
use crate::source::{self, Visitor};

const SIZE_SQL: &str = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";

impl Source for DumpSource {
    fn describe(&self) -> Description {
        Description::new(ComponentKind::Database, self.connection().to_string(), Consistency::Dumped)
    }

    fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Facts, source::Error> {
        self.visit(name, time, visitor, monitor).map(Facts::of_database)
    }

    /// Its size on the server.
    fn preview(&self, _name: &str, visitor: &mut dyn Visitor, monitor: &Monitor<'_>) -> Result<Preview, source::Error> {
        let cancel = monitor.cancel();
        match query(self.connection(), SIZE_SQL, cancel) {
            Ok(rows) => {
                let bytes = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok()).unwrap_or(0);
                if let Err(error) = Tools::of(self.connection(), cancel) {
                    visitor.error(error.to_string());
                }
                Ok(Preview::Bytes(bytes))
            }
            Err(error) => {
                visitor.error(error.to_string());
                Ok(Preview::Unknown)
            }
        }
    }

    fn is_there(&self, monitor: &Monitor<'_>) -> Result<bool, Error> {
        Ok(exists(self.connection(), monitor.cancel())?)
    }
}
