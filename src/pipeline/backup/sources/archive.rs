//! A volume that lies in a file as an archive.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency, VolumeFacts};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::source::{self, ArchiveFile, Visitor};

impl Source for ArchiveFile {
    fn describe(&self) -> Description {
        let path = self.file().path().display().to_string();
        Description { volume: Some(self.facts()), ..Description::new(ComponentKind::Volume, path, Consistency::Live) }
    }

    fn visit(
        &self,
        name: &str,
        _time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Facts, source::Error> {
        self.visit(name, visitor, monitor).map(|()| Facts::default())
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

    fn facts_when_read(&self) -> Option<VolumeFacts> {
        Some(self.facts())
    }
}
