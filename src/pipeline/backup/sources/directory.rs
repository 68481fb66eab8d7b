//! A directory, as it lies there.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::source::{self, DirSource, Visitor};

impl Source for DirSource {
    fn describe(&self) -> Description {
        Description::new(ComponentKind::Directory, self.root().display().to_string(), Consistency::Live)
    }

    fn visit(
        &self,
        name: &str,
        _time: LocalTime,
        visitor: &mut dyn Visitor,
        _monitor: &Monitor<'_>,
    ) -> Result<Facts, source::Error> {
        self.visit(name, visitor).map(|()| Facts::default())
    }

    fn preview(&self, name: &str, visitor: &mut dyn Visitor, _monitor: &Monitor<'_>) -> Result<Preview, source::Error> {
        self.visit(name, visitor).map(|()| Preview::Walked)
    }

    fn is_there(&self, _monitor: &Monitor<'_>) -> Result<bool, Error> {
        Ok(self.root().exists())
    }

    fn count_bytes(&self) -> Option<u64> {
        Some(self.count_bytes())
    }
}
