//! A database of a live server.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency};
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::postgres::{Tools, query};
use crate::progress::Progress;
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
        progress: &dyn Progress,
    ) -> Result<Facts, source::Error> {
        self.visit(name, time, visitor, progress).map(Facts::of_database)
    }

    /// Its size on the server.
    fn preview(
        &self,
        _name: &str,
        visitor: &mut dyn Visitor,
        progress: &dyn Progress,
    ) -> Result<Preview, source::Error> {
        let stopped = || progress.cancelled();
        match query(self.connection(), SIZE_SQL, &stopped) {
            Ok(rows) => {
                let bytes = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok()).unwrap_or(0);
                if let Err(error) = Tools::of(self.connection(), &stopped) {
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

    fn is_there(&self, progress: &dyn Progress) -> Result<bool, Error> {
        Ok(exists(self.connection(), &|| progress.cancelled())?)
    }
}
