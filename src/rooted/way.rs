//! The way to a place, walked name by name: every link is looked at before it is followed, and every mount before it is entered.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::{Refusal, Status, is_local_mount};

/// Most links on the way to a file, as the kernel has it.
const LINKS_MAX: usize = 40;

/// A link on the way.
pub(super) struct Link<'a> {
    pub(super) path: PathBuf,
    pub(super) status: Status,
    /// The directory that it lies in.
    pub(super) around: &'a OwnedFd,
}

/// A descriptor of what stands at a path, which is not opened for it, after one of the directory that it was found in. `look` is
/// asked for everything on the way, and `follow` whether a link may be followed.
///
/// # Errors
/// [`Refusal::Io`]; those of `follow`.
pub(super) fn walk(
    path: &Path,
    mut look: impl FnMut(&OwnedFd) -> rustix::io::Result<Status>,
    mut follow: impl FnMut(Link<'_>) -> Result<(), Refusal>,
) -> Result<(OwnedFd, OwnedFd), Refusal> {
    let failed = |errno| Refusal::io(path, errno);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let start = if path.is_absolute() { c"/" } else { c"." };
    let open = || openat(CWD, start, flags, Mode::empty()).map_err(failed);
    let (mut around, mut at) = (open()?, open()?);
    let mut shown = PathBuf::new();
    let mut left = names_of(path);
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        let next = openat(&at, name.as_os_str(), flags, Mode::empty()).map_err(failed)?;
        let status = look(&next).map_err(failed)?;
        if status.file_type() != FileType::Symlink {
            shown.push(&name);
            around = std::mem::replace(&mut at, next);
            continue;
        }
        follow(Link { path: shown.join(&name), status, around: &at })?;
        links += 1;
        if links > LINKS_MAX {
            return Err(failed(Errno::LOOP));
        }
        let target = readlinkat(&next, c"", Vec::new()).map_err(failed)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            at = openat(CWD, c"/", flags, Mode::empty()).map_err(failed)?;
            shown = PathBuf::new();
        }
        for name in names_of(&target).into_iter().rev() {
            left.push_front(name);
        }
    }
    Ok((around, at))
}

/// A descriptor of what stands at a path; `None` where there is nothing, or where it lies on a file system of a program or of another
/// host: these may never answer, and are not asked.
pub(super) fn find_here(path: &Path) -> Option<OwnedFd> {
    let mut known = None;
    let look = |next: &OwnedFd| {
        let status = Status::known_of(next)?;
        if known != Some(status.mount()) {
            if !is_local_mount(status.mount()) {
                return Err(Errno::XDEV);
            }
            known = Some(status.mount());
        }
        Ok(status)
    };
    walk(path, look, |_| Ok(())).ok().map(|(_, found)| found)
}

/// The names of a path, `/` among them where it begins with it.
fn names_of(path: &Path) -> VecDeque<OsString> {
    let is_name = |component: &Component<'_>| !matches!(component, Component::CurDir | Component::Prefix(_));
    path.components().filter(is_name).map(|component| component.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of containers were opened. One that lay on a file system whose program had stopped held up every command, and nothing
    /// ended it.
    #[test]
    fn no_file_system_is_entered_that_may_never_answer() {
        assert!(find_here(Path::new("/proc/sys")).is_some());
        // The kernel lists it as one of a kind that is not known here.
        assert!(Path::new("/dev/pts/ptmx").exists() && find_here(Path::new("/dev/pts/ptmx")).is_none());
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/dev/pts", folder.path().join("link")).expect("ours");
        assert!(find_here(&folder.path().join("link/ptmx")).is_none());
        assert!(find_here(&folder.path().join("none")).is_none() && find_here(folder.path()).is_some());
    }
}
