//! Giving a whole directory to a user: everything in it, and no more. No link is followed.

use std::path::Path;

use rustix::fs::{AtFlags, Gid, Uid, chownat, fchown};

use super::{DirTarget, Error};
use crate::rooted::{Trust, join};

/// Makes a user, and the group of its number, the owner of a directory and of everything beneath it.
///
/// # Errors
/// [`Error::Io`].
pub fn give_to(directory: &Path, user: u32) -> Result<(), Error> {
    let mut target = DirTarget::open(directory, &Trust::default())?;
    let (uid, gid) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(user)));
    let root = target.directory(b"")?;
    fchown(&root, uid, gid).map_err(|errno| Error::io("give away", target.show(b""), errno))?;
    let mut left = vec![Vec::new()];
    while let Some(path) = left.pop() {
        for name in target.names(&path)? {
            let path = join(&path, &name);
            let is_directory = target.look(&path)?.is_some_and(|existing| existing.is_directory());
            let (parent, name) = target.parent(&path)?;
            let given = chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
            given.map_err(|errno| Error::io("give away", target.show(&path), errno))?;
            if is_directory {
                left.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_not_given_away() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("given/sub")).expect("ours");
        fs::create_dir(path("kept")).expect("ours");
        fs::write(path("kept/file"), "").expect("ours");
        fs::write(path("given/sub/file"), "").expect("ours");
        symlink(path("kept"), path("given/link")).expect("ours");
        symlink(path("kept/file"), path("given/sub/link")).expect("ours");
        give_to(&path("given"), 61_999).expect("given");
        let owner = |name: &str| path(name).symlink_metadata().expect("there").uid();
        for name in ["given", "given/sub", "given/sub/file", "given/link", "given/sub/link"] {
            assert_eq!(owner(name), 61_999, "{name}");
        }
        assert_eq!((owner("kept"), owner("kept/file")), (0, 0));
    }
}
