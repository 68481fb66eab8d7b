//! A volume as the engine lists it, and where the engine's host has those of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The driver that keeps volumes on the engine's host.
pub(crate) const LOCAL_DRIVER: &str = "local";
/// Where the engine keeps its volumes, below the directory with everything that it keeps.
pub(super) const VOLUMES: &str = "volumes";
/// The directory of a volume, below one of its name.
const DATA: &str = "_data";

/// A volume as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Where the engine's host has it.
    pub mountpoint: String,
    /// Options of the driver.
    pub options: HashMap<String, String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
}

impl Volume {
    /// The directory of the engine's host that it is, where its driver binds one. What stands there when a container is
    /// started is mounted, through links of anybody.
    #[must_use]
    pub fn bound_directory(&self) -> Option<&Path> {
        self.bound().filter(|directory| directory.is_absolute())
    }

    /// The same, where the engine takes it from a directory that only its process knows.
    #[must_use]
    pub fn relative_directory(&self) -> Option<&Path> {
        self.bound().filter(|directory| !directory.is_absolute())
    }

    fn bound(&self) -> Option<&Path> {
        let is_bind = |option: &str| matches!(option.trim(), "bind" | "rbind");
        let binds = self.options.get("o").is_some_and(|options| options.split(',').any(is_bind));
        let device = self.options.get("device").filter(|_| binds && self.driver == LOCAL_DRIVER)?;
        Some(Path::new(device))
    }

    /// Every place of the engine's host that its options name, as that of an overlay's layers.
    pub fn named_places(&self) -> impl Iterator<Item = &Path> {
        // `o` has several, as `upperdir=/a,lowerdir=/b:/c`. One of another host begins with a colon.
        let words = self.options.values().flat_map(|value| value.split(','));
        let values = words.map(|word| word.split_once('=').map_or(word, |(_, value)| value).trim());
        let values = values.filter(|value| !value.starts_with(':'));
        values.flat_map(|value| value.split(':').chain([value])).map(Path::new).filter(|path| path.is_absolute())
    }
}

impl From<bollard::models::Volume> for Volume {
    fn from(volume: bollard::models::Volume) -> Self {
        let bollard::models::Volume { name, driver, mountpoint, options, labels, .. } = volume;
        Self { name, driver, mountpoint, options, labels }
    }
}

/// The directory of a volume of this name.
pub(super) fn directory_of(volumes: &Path, name: &str) -> PathBuf {
    volumes.join(name).join(DATA)
}
