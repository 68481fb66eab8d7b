//! A dump that lies in a file.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::source::postgres::DumpFile;
use crate::source::{self, Visitor};

impl Source for DumpFile {
    fn describe(&self) -> Description {
        let path = self.file().path().display().to_string();
        Description::new(ComponentKind::Database, path, Consistency::Dumped)
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

    fn preview(
        &self,
        _name: &str,
        _visitor: &mut dyn Visitor,
        _monitor: &Monitor<'_>,
    ) -> Result<Preview, source::Error> {
        Ok(Preview::Unknown)
    }

    fn is_there(&self, _monitor: &Monitor<'_>) -> Result<bool, Error> {
        Ok(false)
    }
}
