//! Places of this host that containers may write to, as every engine has told of them so far.
//!
//! They are kept in a file, because their links stay when the container is gone or the engine does not answer, and most commands ask
//! none. A place is forgotten only when so many are known that it is the one that was not seen for the longest time.

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use larder::events::Events;
use larder::rooted::{Refusal, Status, Trust};
use serde::{Deserialize, Serialize};

use crate::host::state::folder;

const FILE_NAME: &str = "container-places.json";
const PLACES_MAX: usize = 4_000;
/// Longest file that is read, in bytes: that many of the longest paths.
const FILE_BYTES_MAX: u64 = 4_000 * 8_192;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// The one that was not seen for the longest time comes first.
    places: Vec<PathBuf>,
}

/// Those that are known. Who cannot be believed about them is a warning.
pub(crate) fn known(events: &dyn Events) -> Vec<PathBuf> {
    let Some(folder) = folder() else { return Vec::new() };
    read(&folder.join(FILE_NAME)).unwrap_or_else(|error| {
        let path = folder.join(FILE_NAME);
        events.warn(&format!("what containers could write to is not known from {}: {error}", path.display()));
        Vec::new()
    })
}

/// Those that were known before and those that an engine tells of now, which are known from now on.
pub(crate) fn remember(found: Vec<PathBuf>, events: &dyn Events) -> Vec<PathBuf> {
    let before = known(events);
    let places = merge(before.clone(), found);
    if places != before
        && let Some(folder) = folder()
        && let Err(error) = write(&folder, &places)
    {
        let folder = folder.display();
        events.warn(&format!(
            "what containers may write to cannot be written down in {folder}, and is not known without an engine: {error}"
        ));
    }
    places
}

fn merge(before: Vec<PathBuf>, found: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut places = before;
    places.retain(|place| !found.contains(place));
    // What cannot be written as text is in no answer of an engine.
    places.extend(found.into_iter().filter(|place| place.to_str().is_some()));
    places.drain(..places.len().saturating_sub(PLACES_MAX));
    places
}

fn read(path: &Path) -> io::Result<Vec<PathBuf>> {
    let file = match Trust::default().open_file(path) {
        Err(Refusal::Io { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        opened => opened?,
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    let known: Known = serde_json::from_slice(&text)?;
    Ok(known.places)
}

fn write(folder: &Path, places: &[PathBuf]) -> io::Result<()> {
    let trust = Trust::default().but_links_in(places.iter().cloned());
    trust.check_way(folder)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    trust.check(folder, &Status::of(trust.open_directory(folder)?)?)?;
    let text = serde_json::to_vec(&Known { places: places.to_vec() })?;
    let mut file = tempfile::Builder::new().prefix(".places-").tempfile_in(folder)?;
    file.write_all(&text)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(FILE_NAME))?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_was_not_seen_for_the_longest_time_goes_first() {
        assert_eq!(merge(paths(&["/a", "/b", "/c"]), paths(&["/b", "/d"])), paths(&["/a", "/c", "/b", "/d"]));
        let many: Vec<PathBuf> = (0..PLACES_MAX).map(|number| PathBuf::from(format!("/{number}"))).collect();
        let merged = merge(many, paths(&["/new"]));
        assert_eq!(
            (merged.len(), &merged[0], merged.last()),
            (PLACES_MAX, &PathBuf::from("/1"), Some(&PathBuf::from("/new")))
        );
    }

    #[test]
    fn places_are_kept_for_their_user_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, wanted) = (folder.path().join("state"), paths(&["/srv/a b", "/srv/\u{e4}"]));
        let file = state.join(FILE_NAME);
        assert_eq!(read(&file).expect("nothing is known"), paths(&[]));
        write(&state, &wanted).expect("written");
        assert_eq!(read(&file).expect("written"), wanted);
        assert_eq!(fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("ours");
        read(&file).expect_err("others may write to it");
        write(&state, &wanted).expect("written anew");
        fs::write(&file, "{").expect("ours");
        read(&file).expect_err("it is no JSON");
    }
}
