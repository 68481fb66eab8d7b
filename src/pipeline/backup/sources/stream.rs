//! A command, standard input, or a file as one.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::source::{self, CommandSource, Visitor};

impl Source for CommandSource {
    fn describe(&self) -> Description {
        Description::new(ComponentKind::Stream, self.describe(), Consistency::Dumped)
    }

    fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Facts, source::Error> {
        self.visit(name, time, visitor, monitor).map(|()| Facts::default())
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
