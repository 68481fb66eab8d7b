//! A volume for a while: to restore into and look at. It is removed when it is dropped, and when its process was killed,
//! by the next one that is made.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::engine::LOCAL_DRIVER;
use super::owner::{Kind, VOLUME_LABEL, is_gone, owner, unique_name, volume_owner};
use super::{Engine, Error, Volume};
use crate::rooted::Trust;

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
        // The next one takes it away when the engine does not answer now.
        let _ = self.engine.remove_volume(&self.volume.name);
    }
}

/// Whether a volume that the engine makes now is found on this host: its name is made by chance, so nobody could have
/// made one here before.
pub(super) fn shows_up_here(engine: &Engine) -> bool {
    let Ok(volume) = make(engine) else { return false };
    let place = Path::new(&volume.mountpoint);
    let is_named = place.components().any(|name| name.as_os_str() == volume.name.as_str());
    let is_here = is_named && Trust::default().open_directory(place).is_ok();
    // The next one takes it away when the engine does not answer now.
    let _ = engine.remove_volume(&volume.name);
    is_here
}

fn make(engine: &Engine) -> Result<Volume, Error> {
    for orphan in engine.volumes()? {
        if volume_owner(&orphan.name, &orphan.labels).is_some_and(is_gone) {
            // Best effort: the next one tries again.
            let _ = engine.remove_volume(&orphan.name);
        }
    }
    let labels = HashMap::from([(VOLUME_LABEL.to_owned(), owner())]);
    engine.create_volume(&unique_name(Kind::Volume)?, LOCAL_DRIVER, HashMap::new(), labels)
}
