//! Where something is mounted, as the kernel lists it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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

fn place_of(line: &[u8]) -> Option<PathBuf> {
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
