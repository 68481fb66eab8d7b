//! Directories beneath a root: made, or taken over from whoever had them, and known again afterwards.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, RenameFlags, fchmod, fchown, mkdirat, renameat_with, unlinkat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::staging::is_as_staging;
use super::{DirTarget, Error, Existing};
use crate::model::{Metadata, Node};
use crate::rooted::{Held, Identity, Status, explain, names_in, open_directory};

/// All rights of the owner.
const OWNER: u32 = 0o700;

impl DirTarget {
    /// Makes a directory, which only its user gets into, and says which one it is.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make_directory(&mut self, path: &[u8]) -> Result<Existing, Error> {
        let (parent, name) = self.parent(path)?;
        // In a directory that only its user gets into it is made at once: the system calls that move it cost more the deeper it lies.
        let made = if is_as_staging(&parent).map_err(|errno| self.failed("look at", path, errno))? {
            mkdirat(&parent, name, Mode::RWXU).map_err(|errno| self.failed("create", path, errno))?;
            self.made_directory(path, open_directory(&parent, name))?
        } else {
            let made = self.stage_directory(path)?;
            let placed = self.staging(path)?.place(&parent, name, RenameFlags::NOREPLACE);
            placed.map_err(|errno| self.failed("create", path, errno))?;
            made
        };
        let status = Status::of(&made).map_err(|errno| self.failed("look at", path, errno))?;
        // From here on it is this one that the path has to lead to.
        self.directory_as(path, status.whole_identity())?;
        Ok(status.into())
    }

    /// Makes a directory where nobody else reaches it.
    fn stage_directory(&mut self, path: &[u8]) -> Result<OwnedFd, Error> {
        let made = self
            .staging(path)?
            .create(|staging, name| mkdirat(staging, name, Mode::RWXU), |staging, name| open_directory(staging, name));
        self.made_directory(path, made)
    }

    /// A directory that was just made, which belongs to whoever restores.
    fn made_directory(&self, path: &[u8], made: rustix::io::Result<OwnedFd>) -> Result<OwnedFd, Error> {
        let made = made.map_err(|errno| self.failed("create", path, errno))?;
        let status = Status::of(&made).map_err(|errno| self.failed("look at", path, errno))?;
        // Some file systems know no owners.
        if status.uid() != geteuid().as_raw() && fchown(&made, Some(geteuid()), None).is_ok() {
            return Err(self.exchanged(path));
        }
        Ok(made)
    }

    /// Prepares a directory that stands there for becoming the one of a node: nobody gets in meanwhile who will not afterwards.
    /// One that somebody may have open who has no right to it afterwards, or that a program of root may work in and that is opened to others,
    /// has another one take its place, with everything that is in it. So has any where it `is_fresh`. The root stays, and belongs to
    /// whoever restores until it is finished. Says which one stands there then, and which one was found.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unusable`] when it is a mount or the repository.
    pub fn take_over(&mut self, path: &[u8], node: &Node, is_fresh: bool) -> Result<(Existing, Existing), Error> {
        let directory = self.directory(path)?;
        let existing = Existing::from(Status::of(&directory).map_err(|errno| self.failed("look at", path, errno))?);
        self.check_not_guarded(path, &existing)?;
        if !geteuid().is_root() {
            // Who owns a directory may have taken the right to write to it from himself; it gets its mode when it is finished.
            let mode = existing.status.mode();
            if existing.status.uid() == geteuid().as_raw() && mode & OWNER != OWNER {
                let opened = fchmod(&directory, Mode::from_raw_mode(mode | OWNER));
                opened.map_err(|errno| Error::io("write to", self.show(path), explain(errno)))?;
            }
            return Ok((existing.clone(), existing));
        }
        let existing = existing.with_list(&directory, node);
        let failed = |errno| Error::io("change the rights of", self.show(path), explain(errno));
        let narrowed = existing.narrowed(node);
        let is_trusted = existing.was_trusted(node);
        if !is_trusted {
            fchown(&directory, Some(geteuid()), Some(getegid())).map_err(failed)?;
        }
        if narrowed.bits() != existing.status.mode() {
            fchmod(&directory, narrowed).map_err(failed)?;
        }
        if (is_trusted && !is_fresh && !existing.would_open_to(node)) || path.is_empty() {
            return Ok((existing.clone(), existing));
        }
        Ok((self.renew(path, &directory)?, existing))
    }

    /// Goes into a directory that stays as it is. For root it has to keep out whom the node keeps out: what is restored in it may
    /// rely on that.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unusable`] for one that others get into, a mount, and the repository.
    pub fn pass(&mut self, path: &[u8], node: &Node) -> Result<Existing, Error> {
        let directory = self.directory(path)?;
        let existing = Existing::from(Status::of(&directory).map_err(|errno| self.failed("look at", path, errno))?);
        self.check_not_guarded(path, &existing)?;
        let existing = existing.with_list(&directory, node);
        if geteuid().is_root() && !existing.keeps_out_as(node) {
            let Metadata { uid, gid, mode, .. } = &node.metadata;
            let (shown, status) = (self.show(path), existing.status);
            return Err(Error::Unusable(format!(
                "{shown} belongs to {}:{} with the mode {:o} now, and belonged to {uid}:{gid} with {mode:o} when it was saved: it may be another \
                 one, and others get at what would be restored in it; restore all of it, or use --target",
                status.uid(),
                status.gid(),
                status.mode()
            )));
        }
        Ok(existing)
    }

    fn check_not_guarded(&self, path: &[u8], existing: &Existing) -> Result<(), Error> {
        if self.is_guarded(existing) {
            return Err(Error::Unusable(format!(
                "{} is a mount or the repository, and is left as it is",
                self.show(path)
            )));
        }
        Ok(())
    }

    /// Has a new directory take the place of one that is closed to others.
    fn renew(&mut self, path: &[u8], old: &OwnedFd) -> Result<Existing, Error> {
        let new = self.stage_directory(path)?;
        let (parent, name) = self.parent(path)?;
        let staging = self.staging(path)?;
        let replaced = move_all(old, &new).and_then(|()| match staging.exchange(&parent, name, old) {
            // The file system cannot do that at once.
            Err(Errno::INVAL) => {
                unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
                staging.place(&parent, name, RenameFlags::NOREPLACE)
            }
            exchanged => exchanged,
        });
        if let Err(errno) = replaced {
            let _ = move_all(&new, old);
            return Err(self.not_renewed(path, &new, errno));
        }
        self.tree.forget(path);
        // A program of root that has the old one open may have put something into it meanwhile.
        if let Err(errno) = move_all(old, &new) {
            return Err(self.not_renewed(path, old, errno));
        }
        self.staging(path)?.clear();
        Ok(Status::of(&new).map_err(|errno| self.failed("look at", path, errno))?.into())
    }

    /// Says why a directory was not made anew, and where the rest of what was in it stays, if it is in this one.
    fn not_renewed(&mut self, path: &[u8], staged: &OwnedFd, errno: Errno) -> Error {
        let is_left = names_in(staged).is_ok_and(|names| !names.is_empty());
        let Some((_, staging)) = self.staging.take() else { return self.exchanged(path) };
        staging.clear();
        let mut why =
            if errno == Errno::BUSY { io::Error::other("something is mounted in it") } else { explain(errno) };
        if is_left {
            let place = self.show(&staging.path_of_new());
            why = io::Error::other(format!("{why}; what was in it could not all be moved, and lies in {place}"));
        }
        Error::io("make a new directory, because this one had other rights, in the place of", self.show(path), why)
    }

    /// From now on a path that leads through this directory has to lead to that one, until it is released.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn hold(&mut self, path: &[u8], directory: &Existing) -> Result<Option<Held>, Error> {
        if path.is_empty() {
            // The root is open.
            return Ok(None);
        }
        self.tree
            .hold(path, directory.status.whole_identity())
            .map(Some)
            .map_err(|errno| self.failed("look at", path, errno))
    }

    /// Nothing more is done in a directory.
    pub fn release(&mut self, held: &Held) {
        self.tree.release(held);
    }

    /// The directory at a path, which has to be the one that it was.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unusable`] when it was exchanged.
    pub fn directory_as(&mut self, path: &[u8], identity: Identity) -> Result<Arc<OwnedFd>, Error> {
        let directory = self.directory(path)?;
        let status = Status::of(&directory).map_err(|errno| self.failed("look at", path, errno))?;
        if status.whole_identity() == identity { Ok(directory) } else { Err(self.exchanged(path)) }
    }
}

/// Moves everything from one directory into another.
fn move_all(from: &OwnedFd, to: &OwnedFd) -> rustix::io::Result<()> {
    let names = names_in(from)?;
    names.iter().try_for_each(|name| renameat_with(from, name.as_slice(), to, name.as_slice(), RenameFlags::NOREPLACE))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::path::Path;

    use super::*;
    use crate::model::{ByteString, Content, Metadata, NodeKind};
    use crate::rooted::Trust;

    const STRANGER: u32 = 61_995;

    fn directory_of_root(mode: u32) -> Node {
        let metadata = Metadata { mode, links: 1, ..Metadata::default() };
        Node::new(ByteString(b"d".to_vec()), metadata, NodeKind::Directory { tree: Content::default() })
    }

    fn with_directory(uid: u32, mode: u32, work: impl FnOnce(&mut DirTarget, &Path)) {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("d");
        fs::create_dir_all(place.join("inner")).expect("ours");
        fs::write(place.join("file"), "x").expect("ours");
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).expect("ours");
        chown(&place, Some(uid), Some(uid)).expect("root");
        work(&mut DirTarget::open(folder.path(), &Trust::default()).expect("open"), &place);
    }

    /// Whoever had a directory open got at what was restored into it for ever.
    #[test]
    fn the_directory_of_somebody_else_is_replaced_with_everything_in_it() {
        with_directory(STRANGER, 0o777, |target, place| {
            let held = File::open(place).expect("open");
            target.directory(b"d/inner").expect("it is known under this path");
            let (now, found) = target.take_over(b"d", &directory_of_root(0o755), false).expect("root");
            let metadata = fs::metadata(place).expect("there");
            assert_ne!(metadata.ino(), held.metadata().expect("open").ino());
            assert_eq!((metadata.uid(), metadata.mode() & 0o777, metadata.ino()), (0, 0o700, now.identity().1));
            assert_eq!(found.identity().1, held.metadata().expect("open").ino());
            assert!(place.join("inner").is_dir() && place.join("file").is_file());
            let root = Arc::clone(target.tree.root());
            target.end_staging(&root);
            assert_eq!(fs::read_dir(place.parent().expect("the root")).expect("list").count(), 1);
            let directory = target.directory(b"d").expect("there");
            assert_eq!(Status::of(&directory).expect("open").identity(), now.identity());
        });
    }

    /// What was restored had its own mode already when the directory around it was still open to others.
    #[test]
    fn nobody_gets_in_meanwhile_who_will_not_afterwards() {
        with_directory(0, 0o777, |target, place| {
            target.take_over(b"d", &directory_of_root(0o750), false).expect("root");
            assert_eq!(fs::metadata(place).expect("there").mode() & 0o777, 0o750);
        });
        with_directory(0, 0o700, |target, place| {
            let (_, found) = target.take_over(b"d", &directory_of_root(0o755), false).expect("root");
            assert_eq!(fs::metadata(place).expect("there").mode() & 0o777, 0o700);
            assert!(found.would_open_to(&directory_of_root(0o755)));
            assert!(!found.would_open_to(&directory_of_root(0o700)));
        });
    }

    /// While a directory that everybody may write to was restored, everybody could move what was somebody else's in it.
    #[test]
    fn nobody_moves_meanwhile_what_is_not_his() {
        let mode = |place: &Path| fs::metadata(place).expect("there").mode() & 0o7777;
        for (saved, meanwhile) in [(0o1777, 0o3777), (0o1755, 0o3755), (0o0755, 0o3755)] {
            with_directory(0, 0o3777, |target, place| {
                target.take_over(b"d", &directory_of_root(saved), false).expect("root");
                assert_eq!(mode(place), meanwhile, "{saved:o}");
            });
        }
        with_directory(0, 0o777, |target, place| {
            let (_, found) = target.take_over(b"d", &directory_of_root(0o1777), true).expect("root");
            assert!(found.was_open_to_others(&directory_of_root(0o1777)));
            assert_eq!(mode(place), 0o700, "another one, until it is finished");
            assert!(target.pass(b"d", &directory_of_root(0o1700)).is_ok());
        });
        with_directory(0, 0o777, |target, _| {
            drop(target.pass(b"d", &directory_of_root(0o1777)).expect_err("it was closed"));
        });
        with_directory(0, 0o1777, |target, _| {
            let (_, found) = target.take_over(b"d", &directory_of_root(0o777), false).expect("root");
            assert!(found.would_open_to(&directory_of_root(0o777)));
        });
    }

    /// Whoever has rights by the list that a directory hands down got into what was made in it.
    #[test]
    fn what_is_made_in_a_closed_directory_gets_no_list_of_it() {
        with_directory(0, 0o700, |target, place| {
            let entries: [(u16, u16, u32); 5] =
                [(1, 7, u32::MAX), (2, 7, STRANGER), (4, 0, u32::MAX), (0x10, 7, u32::MAX), (0x20, 0, u32::MAX)];
            let bytes = entries.iter().flat_map(|(tag, rights, id)| {
                [tag.to_le_bytes().as_slice(), &rights.to_le_bytes(), &id.to_le_bytes()].concat()
            });
            let list: Vec<u8> = 2_u32.to_le_bytes().into_iter().chain(bytes).collect();
            let lists = ["system.posix_acl_default", "system.posix_acl_access"];
            let has_any =
                |path: &Path| lists.iter().any(|list| rustix::fs::getxattr(path, *list, &mut [0_u8; 64]).is_ok());
            target.make_directory(b"d/one").expect("made");
            rustix::fs::setxattr(place, lists[0], &list, rustix::fs::XattrFlags::empty()).expect("it has lists");
            target.make_directory(b"d/two").expect("made");
            target.make_directory(b"d/two/three").expect("made");
            for made in ["one", "two", "two/three"].map(|name| place.join(name)) {
                assert!(made.is_dir() && !has_any(&made), "{}", made.display());
            }
        });
    }

    /// A directory that its owner made in the moment in which none stood there kept the new one from its place, and what had been in the old
    /// one lay where nobody looks.
    #[test]
    fn a_directory_is_renewed_in_its_place_or_stays() {
        with_directory(0, 0o700, |target, place| {
            let old = OwnedFd::from(File::open(place).expect("open"));
            let away = place.with_file_name("away");
            fs::rename(place, &away).expect("ours");
            fs::create_dir(place).expect("ours");
            fs::write(place.join("other"), "x").expect("ours");
            let ino = fs::metadata(place).expect("there").ino();
            target.renew(b"d", &old).expect_err("another one stands there");
            assert_eq!(fs::metadata(place).expect("there").ino(), ino);
            assert!(place.join("other").exists() && away.join("file").exists() && away.join("inner").is_dir());
            assert_eq!(fs::read_dir(place.parent().expect("the root")).expect("list").count(), 2, "nothing else stays");
        });
    }

    /// A further name of a file of root was put into the directory of somebody who had exchanged it since it was gone into: the walk was
    /// elsewhere by then.
    #[test]
    fn nothing_is_put_into_another_directory_after_the_walk_has_left() {
        with_directory(0, 0o700, |target, place| {
            let folder = place.parent().expect("the root");
            fs::create_dir_all(folder.join("other/deep")).expect("ours");
            fs::create_dir(folder.join("mine")).expect("ours");
            fs::write(folder.join("first"), "secret").expect("ours");
            let mut held = Vec::new();
            for path in [&b"d"[..], b"other", b"other/deep"] {
                let directory = Existing::from(Status::of(target.directory(path).expect("there")).expect("open"));
                held.extend(target.hold(path, &directory).expect("there"));
            }
            let file = target.look(b"first").expect("looked").expect("there");
            fs::rename(folder.join("d"), folder.join("away")).expect("ours");
            fs::rename(folder.join("mine"), folder.join("d")).expect("ours");
            target.make_hard_link(b"first", b"d/second", &file).expect_err("another directory");
            target.temporary_file(b"d/new").expect_err("another directory");
            target.remove_file(b"d/file").expect_err("another directory");
            target.remove_directory(b"d/inner").expect_err("another directory");
            assert_eq!(fs::read_dir(folder.join("d")).expect("list").count(), 0, "nothing is put there");
            target.release(&held[0]);
            target.make_hard_link(b"first", b"d/second", &file).expect("nothing is done in it any more");
        });
    }

    /// Whoever owned the directory around it put another one in its place, which got its owner and its mode.
    #[test]
    fn a_directory_that_was_exchanged_is_known() {
        with_directory(0, 0o755, |target, place| {
            let (now, _) = target.take_over(b"d", &directory_of_root(0o755), false).expect("root");
            target.hold(b"d", &now).expect("there");
            target.directory_as(b"d", now.status.whole_identity()).expect("the same");
            fs::rename(place, place.with_file_name("e")).expect("ours");
            fs::create_dir_all(place.join("inner")).expect("ours");
            target.directory(b"").expect("the root");
            target.tree.forget(b"d");
            assert!(target.directory(b"d").is_err() && target.directory(b"d/inner").is_err());
            assert!(target.directory_as(b"d", now.status.whole_identity()).is_err());
        });
    }
}
