//! A volume for a while: to restore into and look at. It is removed when it is dropped, and when its process was killed,
//! by the next one that is made.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::owner::{is_gone, owner};
use super::{Engine, Error, Volume};

const LABEL: &str = "larder.throwaway";
const DRIVER: &str = "local";

static NEXT: AtomicU32 = AtomicU32::new(0);

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
        for orphan in engine.volumes()? {
            if orphan.labels.get(LABEL).is_some_and(|owner| is_gone(owner)) {
                // Best effort: the next one tries again.
                let _ = engine.remove_volume(&orphan.name);
            }
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("larder-throwaway-{}-{number}", std::process::id());
        let labels = HashMap::from([(LABEL.to_owned(), owner())]);
        let volume = engine.create_volume(&name, DRIVER, HashMap::new(), labels)?;
        Ok(Self { engine: Arc::clone(engine), volume })
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
