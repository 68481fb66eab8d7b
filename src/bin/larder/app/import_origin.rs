//! Where backups of the old tool come from: those of another system do not become this one's unsaid.

use std::path::PathBuf;

use larder::model::ComponentName;
use larder::pipeline::import::copied_from;

use crate::config::Settings;
use crate::error::UsageError;
use crate::host::real_path::real;
use crate::host::shell::quoted;

/// Refuses folders whose directories all lay elsewhere than those of the same names here, unless it was said of which system they are.
pub(crate) fn check_origin(settings: &Settings, own: &str, folders: &[PathBuf]) -> Result<(), UsageError> {
    for folder in folders {
        let places =
            |(name, was): (ComponentName, PathBuf)| Some((was, settings.directory(name.as_str())?.path.clone()));
        let places: Vec<(PathBuf, PathBuf)> = copied_from(folder).into_iter().filter_map(places).collect();
        if places.iter().any(|(was, here)| real(was) == real(here)) {
            continue;
        }
        if let Some((was, here)) = places.first() {
            let message = format!(
                "{} was made of {}, and here that is {}: it may be of another system",
                folder.display(),
                was.display(),
                here.display()
            );
            let advice = format!(
                "`--system NAME` says of which system it is; --system={} if it is this one, and was moved",
                quoted(own)
            );
            return Err(UsageError::with_advice(message, advice));
        }
    }
    Ok(())
}
