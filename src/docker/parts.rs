//! Parts of an archive on their way from the engine or to it.

use std::io;

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

/// Parts of an archive on their way.
pub type Parts = Receiver<io::Result<Bytes>>;
/// How many may be.
pub(super) const PARTS_IN_FLIGHT: usize = 8;
/// How long each is at least, but for the last.
pub(super) const PART_BYTES: usize = 256 << 10;
