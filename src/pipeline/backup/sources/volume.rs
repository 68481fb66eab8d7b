//! A volume of the engine.

use crate::clock::LocalTime;
use crate::docker::Container;
use crate::model::{ComponentKind, Consistency};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::pipeline::backup::volume_origin::VolumeOrigin;
use crate::source::{self, Visitor};

impl Source for VolumeOrigin {
    /// With the consistency that it has before anybody was held for it.
    fn describe(&self) -> Description {
        let name = format!("the volume {}", self.source.volume().name);
        let is_written = self.source.writers().iter().any(Container::is_up);
        let consistency = if is_written { Consistency::Live } else { Consistency::Stopped };
        Description { volume: Some(self.source.facts()), ..Description::new(ComponentKind::Volume, name, consistency) }
    }

    fn visit(
        &self,
        name: &str,
        _time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Facts, source::Error> {
        let links = self.source.visit(name, visitor, monitor)?;
        Ok(Facts { links, ..Facts::default() })
    }

    /// Where it lies; one that only the engine reaches is not read for it.
    fn preview(&self, name: &str, visitor: &mut dyn Visitor, _monitor: &Monitor<'_>) -> Result<Preview, source::Error> {
        let shown = self.source.directory().map_or(Ok(()), |directory| directory.visit(name, visitor));
        shown.map(|()| Preview::Walked)
    }

    /// One that is to be made has no source.
    fn is_there(&self, _monitor: &Monitor<'_>) -> Result<bool, Error> {
        Ok(true)
    }

    fn volume(&self) -> Option<&VolumeOrigin> {
        Some(self)
    }
}
