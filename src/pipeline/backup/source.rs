//! What a backup asks of whatever a component is read from.
//!
//! Each kind of source answers in a file of its own, below `sources/`; `origin.rs` is the list of them.

use std::fmt::Debug;

use super::batch::Facts;
use super::volume_origin::VolumeOrigin;
use crate::clock::LocalTime;
use crate::model::{ComponentKind, Consistency, VolumeFacts};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::source::{self, Visitor};

/// What is known of a component before it is read.
pub(super) struct Description {
    pub(super) kind: ComponentKind,
    /// Where it comes from, as text.
    pub(super) source: String,
    pub(super) consistency: Consistency,
    /// What it has beyond its files where it is a volume.
    pub(super) volume: Option<VolumeFacts>,
}

impl Description {
    /// Of anything but a volume.
    pub(super) const fn new(kind: ComponentKind, source: String, consistency: Consistency) -> Self {
        Self { kind, source, consistency, volume: None }
    }
}

/// What can be told of a source without storing it.
pub(super) enum Preview {
    /// Everything was shown.
    Walked,
    /// Its length in bytes.
    Bytes(u64),
    /// Nothing, before it is read.
    Unknown,
}

/// Something that a component is read from.
pub(super) trait Source: Debug {
    /// What is known of it before it is read.
    fn describe(&self) -> Description;

    /// Shows it to a visitor that stores it, and tells what is known of it then.
    fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Facts, source::Error>;

    /// Shows it to a visitor that stores nothing, as far as that costs little. What would go wrong is an error of the visitor.
    fn preview(&self, name: &str, visitor: &mut dyn Visitor, monitor: &Monitor<'_>) -> Result<Preview, source::Error>;

    /// Whether there is something that a restore would replace.
    fn is_there(&self, monitor: &Monitor<'_>) -> Result<bool, Error>;

    /// Its length in bytes, where that can be told without reading it.
    fn count_bytes(&self) -> Option<u64> {
        None
    }

    /// Why there is nothing to read.
    fn why_missing(&self) -> Option<&str> {
        None
    }

    /// The volume that it is, whose containers may be held.
    fn volume(&self) -> Option<&VolumeOrigin> {
        None
    }

    /// What is known of it as a volume when it has been read, be it only in part.
    fn facts_when_read(&self) -> Option<VolumeFacts> {
        None
    }
}
