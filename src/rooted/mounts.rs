//! Where something is mounted, as the kernel lists it, and what of it may be touched without waiting for somebody.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::fstatfs;

/// Kinds of file systems of this host, by name.
const LOCAL_KINDS: [&str; 18] = [
    "bcachefs", "btrfs", "cgroup", "cgroup2", "devtmpfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660",
    "overlay", "proc", "squashfs", "sysfs", "tmpfs", "vfat", "xfs",
];
/// Those of them that a repository or a component mostly lies on, and ZFS, by the number that the kernel gives them: ext2 to
/// ext4, XFS, Btrfs, tmpfs, ZFS, F2FS, overlayfs and bcachefs.
const LOCAL_NUMBERS: [u32; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x2FC1_2FC1, 0xF2F5_2010, 0x794C_7630, 0xCA45_1A4E];
/// Those that keep files in memory alone: tmpfs, ramfs and hugetlbfs.
const MEMORY_NUMBERS: [u32; 3] = [0x0102_1994, 0x8584_58F6, 0x9584_58F6];
const LIST: &str = "/proc/self/mountinfo";
/// The field of a line that has the place.
const PLACE_FIELD: usize = 4;

/// The paths below a directory that something is mounted at, in order.
///
/// # Errors
/// Those of the operating system.
pub fn mounts_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = directory.canonicalize()?;
    let list = fs::read(LIST)?;
    let places = list.split(|byte| *byte == b'\n').filter_map(place_of);
    let mut below: Vec<PathBuf> = places.filter(|place| *place != directory && place.starts_with(&directory)).collect();
    below.sort();
    below.dedup();
    Ok(below)
}

/// Whether the kernel lists a mount at this path.
#[must_use]
pub fn is_mount_point(path: &Path) -> bool {
    fs::read(LIST).is_ok_and(|list| list.split(|byte| *byte == b'\n').filter_map(place_of).any(|place| place == path))
}

/// Whether the mount of this number is a file system of this host: one of a program or of another host may never answer.
#[must_use]
pub fn is_local_mount(number: u64) -> bool {
    let list = fs::read_to_string(LIST).unwrap_or_default();
    let is_it = |line: &&str| line.split(' ').next().and_then(|field| field.parse().ok()) == Some(number);
    let kind = list.lines().find(is_it).and_then(|line| line.split_once(" - ")?.1.split(' ').next());
    kind.is_some_and(|kind| LOCAL_KINDS.contains(&kind))
}

/// Whether a file lies on a file system of this host that is known: what another host, or a program, has a part in may be cut
/// short, or change its times, without this kernel knowing.
#[must_use]
pub fn is_on_local_disk(file: impl AsFd) -> bool {
    is_of_kind(file, &LOCAL_NUMBERS)
}

/// Whether a file lies in memory alone: nothing of it is written back, and so a write to a mapping of it never sets its times.
#[must_use]
pub fn is_in_memory(file: impl AsFd) -> bool {
    is_of_kind(file, &MEMORY_NUMBERS)
}

fn is_of_kind(file: impl AsFd, numbers: &[u32]) -> bool {
    fstatfs(file).is_ok_and(|stat| numbers.iter().any(|number| i128::from(stat.f_type) == i128::from(*number)))
}

/// The place of a mount in a line of the kernel's list.
#[must_use]
pub fn place_of(line: &[u8]) -> Option<PathBuf> {
    let escaped = line.split(|byte| *byte == b' ').nth(PLACE_FIELD)?;
    let mut place = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((byte, after)) = rest.split_first() {
        // Blanks and their like are written as a backslash and three octal digits.
        let octal = after.get(..3).filter(|_| *byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        place.push(octal.unwrap_or(*byte));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    Some(PathBuf::from(OsString::from_vec(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_with_their_blanks() {
        let place = |line: &str| place_of(line.as_bytes()).map(|place| place.display().to_string());
        let line = "36 35 98:0 /mnt1 /mnt\\040two\\134x rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(place(line).as_deref(), Some("/mnt two\\x"));
        assert_eq!(place(""), None);
        assert!(mounts_below(Path::new("/")).expect("there is /proc").contains(&PathBuf::from("/proc")));
    }
}
