//! What the kernel says of an entry, the mount that it lies on included.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, StatxFlags, makedev, statx};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

/// A point in time as file systems keep it: seconds since 1970 and nanoseconds.
pub type Instant = (i64, u32);

/// Device, inode, and where the file system says so when it was made: the number of what was removed may be given to another one.
pub type Identity = ((u64, u64), Option<Instant>);

/// The metadata of one entry, which was not followed where it is a link.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    mode: u32,
    uid: u32,
    gid: u32,
    size_bytes: u64,
    sectors: u64,
    links: u64,
    identity: (u64, u64),
    device_number: u64,
    mount: u64,
    mtime: Instant,
    ctime: Instant,
    made: Option<Instant>,
}

impl Status {
    /// The entry `name` of an open directory. No automatic mount is started.
    ///
    /// # Errors
    /// Those of the operating system. `NOSYS` on Linux before 5.8, which does not tell mounts.
    pub fn of_entry(directory: impl AsFd, name: impl Arg) -> Result<Self> {
        Self::ask(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
    }

    /// The entry `name` of an open directory, as this kernel knows it: nobody else is asked, who may never answer.
    ///
    /// # Errors
    /// Those of [`Status::of_entry`].
    pub fn known_of_entry(directory: impl AsFd, name: impl Arg) -> Result<Self> {
        Self::ask(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC)
    }

    /// What a descriptor is open on.
    ///
    /// # Errors
    /// Those of [`Status::of_entry`].
    pub fn of(file: impl AsFd) -> Result<Self> {
        Self::ask(file, c"", AtFlags::EMPTY_PATH)
    }

    /// What a path leads to, through links, as this kernel knows it.
    ///
    /// # Errors
    /// Those of [`Status::of_entry`].
    pub fn of_place(path: &Path) -> Result<Self> {
        Self::ask(rustix::fs::CWD, path, AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC)
    }

    /// What a descriptor is open on, as this kernel knows it: nobody else is asked, who may never answer.
    ///
    /// # Errors
    /// Those of [`Status::of_entry`].
    pub fn known_of(file: impl AsFd) -> Result<Self> {
        Self::ask(file, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC)
    }

    fn ask(directory: impl AsFd, name: impl Arg, flags: AtFlags) -> Result<Self> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID | StatxFlags::BTIME;
        let statx = statx(directory, name, flags, wanted)?;
        let known = StatxFlags::from_bits_retain(statx.stx_mask);
        if !known.contains(StatxFlags::MNT_ID) {
            return Err(Errno::NOSYS);
        }
        let made = (statx.stx_btime.tv_sec, statx.stx_btime.tv_nsec);
        Ok(Self {
            mode: statx.stx_mode.into(),
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            size_bytes: statx.stx_size,
            sectors: statx.stx_blocks,
            links: statx.stx_nlink.into(),
            identity: (makedev(statx.stx_dev_major, statx.stx_dev_minor), statx.stx_ino),
            device_number: makedev(statx.stx_rdev_major, statx.stx_rdev_minor),
            mount: statx.stx_mnt_id,
            mtime: (statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
            ctime: (statx.stx_ctime.tv_sec, statx.stx_ctime.tv_nsec),
            made: known.contains(StatxFlags::BTIME).then_some(made),
        })
    }

    /// What tells it from every other entry.
    #[must_use]
    pub const fn whole_identity(&self) -> Identity {
        (self.identity, self.made)
    }

    /// What kind of entry it is.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file_type() == FileType::RegularFile
    }

    /// Permission bits with set-user-id, set-group-id and sticky.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        self.mode & 0o7777
    }

    /// Owner.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// Group.
    #[must_use]
    pub const fn gid(&self) -> u32 {
        self.gid
    }

    /// Length in bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Space on the disk, in units of 512 bytes.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Names that lead to it.
    #[must_use]
    pub const fn links(&self) -> u64 {
        self.links
    }

    /// Number of the inode.
    #[must_use]
    pub const fn inode(&self) -> u64 {
        self.identity.1
    }

    /// Number of the file system; a btrfs subvolume has its own.
    #[must_use]
    pub const fn device(&self) -> u64 {
        self.identity.0
    }

    /// The device that a device node stands for.
    #[must_use]
    pub const fn device_number(&self) -> u64 {
        self.device_number
    }

    /// Device and inode.
    #[must_use]
    pub const fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Number of the mount that it lies on: that of the directory around it, unless something is mounted here. Bind mounts
    /// of one file system have numbers of their own, subvolumes of btrfs do not.
    #[must_use]
    pub const fn mount(&self) -> u64 {
        self.mount
    }

    /// When the content changed.
    #[must_use]
    pub const fn mtime(&self) -> Instant {
        self.mtime
    }

    /// When the inode changed.
    #[must_use]
    pub const fn ctime(&self) -> Instant {
        self.ctime
    }

    /// When the inode was made, where the file system knows that: with its number it is that inode and no later one.
    #[must_use]
    pub const fn made(&self) -> Option<Instant> {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_link_is_looked_at_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("file"), "12345").expect("ours");
        std::os::unix::fs::symlink("file", folder.path().join("link")).expect("ours");
        let directory = File::open(folder.path()).expect("ours");
        let status = |name: &str| Status::of_entry(&directory, name).expect("there");
        assert_eq!((status("file").is_file(), status("file").size_bytes()), (true, 5));
        assert_eq!(status("link").file_type(), FileType::Symlink);
        assert_eq!(status("file").mount(), Status::of(&directory).expect("open").mount());
        let proc = Status::of_entry(File::open("/").expect("open"), "proc").expect("there");
        assert_ne!(proc.mount(), Status::of(File::open("/").expect("open")).expect("open").mount());
    }
}
