//! What the text that names a place for a repository means: which kind of storage is there.

use std::sync::Arc;

use super::{Error, LocalStorage, Storage};
use crate::rooted::Trust;

/// Opens the storage at a location: so far a local folder. Nothing is created. A folder that somebody may write to who is not
/// believed is refused when it is used.
///
/// # Errors
/// [`Error::UnknownScheme`] for what begins like a URL, or with a word and a colon: a folder of such a name is given with its directory,
/// `./a:b`.
pub fn open(location: &str, trust: &Trust) -> Result<Arc<dyn Storage>, Error> {
    check_folder(location)?;
    Ok(Arc::new(LocalStorage::trusting(location, trust.clone())))
}

/// Refuses a location that is not a folder: whoever completes a relative path has to ask before.
///
/// # Errors
/// [`Error::UnknownScheme`].
pub fn check_folder(location: &str) -> Result<(), Error> {
    match scheme_of(location) {
        Some(scheme) => Err(Error::UnknownScheme { location: location.to_owned(), scheme: scheme.to_owned() }),
        None => Ok(()),
    }
}

/// The part before a colon, where that comes before every slash.
fn scheme_of(location: &str) -> Option<&str> {
    let (scheme, _) = location.split_once(':')?;
    (!scheme.contains('/') && scheme.starts_with(|first: char| first.is_ascii_alphabetic())).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A location with a scheme became a folder of that name, in the directory of the system.
    #[test]
    fn an_unknown_scheme_is_no_folder() {
        for location in ["s3://bucket/prefix", "sftp:host:/path", "s3:bucket", "c:"] {
            let refused = open(location, &Trust::default()).expect_err("it is not known");
            assert!(matches!(refused, Error::UnknownScheme { .. }), "{refused}");
        }
        for location in ["/srv/a:b", "./a:b", "a/b:c", "a", ":a", "1:a"] {
            open(location, &Trust::default()).expect("a folder");
        }
    }
}
