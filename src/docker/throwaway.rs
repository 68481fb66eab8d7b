//! A volume for a while: to restore into and look at. It is removed when it is dropped, and when its process was killed,
//! by the next one that is made.

use std::collections::HashMap;
use std::sync::Arc;

use super::owner::{Kind, VOLUME_LABEL, is_gone, owner, unique_name, volume_owner};
use super::volume::LOCAL_DRIVER;
use super::{Engine, Error, Volume};

/// A volume that nobody else uses.
#[derive(Debug)]
pub struct ThrowawayVolume {
    engine: Arc<Engine>,
    volume: Volume,
}

impl ThrowawayVolume {
    /// Makes an empty volume.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn create(engine: &Arc<Engine>) -> Result<Self, Error> {
        Ok(Self { engine: Arc::clone(engine), volume: make(engine)? })
    }

    /// The volume.
    #[must_use]
    pub const fn volume(&self) -> &Volume {
        &self.volume
    }
}

impl Drop for ThrowawayVolume {
    fn drop(&mut self) {
        unmake(&self.engine, &self.volume);
    }
}

/// Removes a volume that was made for a while.
pub(super) fn unmake(engine: &Engine, volume: &Volume) {
    // The next one takes it away when the engine does not answer now.
    let _ = engine.remove_volume(&volume.name);
}

/// Makes an empty volume, and removes those that killed processes have left.
pub(super) fn make(engine: &Engine) -> Result<Volume, Error> {
    for orphan in engine.volumes()? {
        if volume_owner(&orphan.name, &orphan.labels).is_some_and(is_gone) {
            // Best effort: the next one tries again.
            let _ = engine.remove_volume(&orphan.name);
        }
    }
    let labels = HashMap::from([(VOLUME_LABEL.to_owned(), owner())]);
    engine.create_volume(&unique_name(Kind::Volume)?, LOCAL_DRIVER, HashMap::new(), labels)
}
