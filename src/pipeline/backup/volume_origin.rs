//! A volume as it is backed up: read while the containers that write to it are held, or go on.

use std::time::Duration;

use crate::docker::HoldMethod;
use crate::source::VolumeSource;

/// A volume, and what is done with the containers that write to it.
#[derive(Debug)]
pub struct VolumeOrigin {
    /// The volume.
    pub source: VolumeSource,
    /// How they are held while what has changed is read; `None` when they go on.
    pub hold: Option<HoldMethod>,
    /// How long they may be held.
    pub limit: Duration,
}
