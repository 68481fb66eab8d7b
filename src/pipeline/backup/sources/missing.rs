//! Something that should be there and is not.

use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::batch::Facts;
use crate::pipeline::backup::source::{Description, Preview, Source};
use crate::source::{self, Visitor};

/// Something that should be there and is not, which makes the snapshot partial.
#[derive(Debug)]
pub struct MissingSource {
    /// What it would be.
    pub kind: ComponentKind,
    /// Why it is not there.
    pub why: String,
}

impl Source for MissingSource {
    fn describe(&self) -> Description {
        Description::new(self.kind, "nothing".to_owned(), Consistency::Live)
    }

    fn visit(
        &self,
        _name: &str,
        _time: LocalTime,
        _visitor: &mut dyn Visitor,
        _monitor: &Monitor<'_>,
    ) -> Result<Facts, source::Error> {
        Err(source::Error::Missing { why: self.why.clone() })
    }

    fn preview(
        &self,
        _name: &str,
        visitor: &mut dyn Visitor,
        _monitor: &Monitor<'_>,
    ) -> Result<Preview, source::Error> {
        visitor.error(self.why.clone());
        Ok(Preview::Unknown)
    }

    fn is_there(&self, _monitor: &Monitor<'_>) -> Result<bool, Error> {
        Ok(false)
    }

    fn why_missing(&self) -> Option<&str> {
        Some(&self.why)
    }
}
