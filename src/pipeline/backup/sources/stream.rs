//! A command, standard input, or a file as one.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency};
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::progress::Progress;
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
        progress: &dyn Progress,
    ) -> Result<Facts, source::Error> {
        self.visit(name, time, visitor, progress).map(|()| Facts::default())
    }

    fn preview(
        &self,
        _name: &str,
        _visitor: &mut dyn Visitor,
        _progress: &dyn Progress,
    ) -> Result<Preview, source::Error> {
        Ok(Preview::Unknown)
    }

    fn is_there(&self, _progress: &dyn Progress) -> Result<bool, Error> {
        Ok(false)
    }
}
