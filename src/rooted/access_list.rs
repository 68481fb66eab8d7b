//! Access control lists of files and directories, which their modes show no more of than a bound.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::getxattr;
use rustix::io::Errno;

const NAME: &str = "system.posix_acl_access";
/// The longest that Linux keeps, in bytes.
const BYTES_MAX: usize = 64 << 10;
/// Bytes before the entries, and of each of them: what it is for, rights, and a number.
const HEADER_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;
/// What an entry is for.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const WRITE: u16 = 0x02;

/// The list of what is open, as the extended attribute has it; empty where there is none.
#[must_use]
pub fn access_list(file: impl AsFd) -> Vec<u8> {
    // Not every descriptor is open for reading; the kernel's own path of it is as safe.
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let mut list = vec![0; 256];
    let mut read = getxattr(&path, NAME, &mut list);
    if read == Err(Errno::RANGE) {
        list.resize(BYTES_MAX, 0);
        read = getxattr(&path, NAME, &mut list);
    }
    list.truncate(read.unwrap_or(0));
    list
}

/// Whether a list lets a group by its number write, or a user who is not believed.
pub(super) fn lets_write(list: &[u8], believes: impl Fn(u32) -> bool) -> bool {
    let entries = list.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(ENTRY_BYTES);
    let entries: Vec<(u16, u16, u32)> = entries
        .filter_map(|entry| {
            let [a, b, c, d, number @ ..] = *entry.first_chunk::<ENTRY_BYTES>()?;
            Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]), u32::from_le_bytes(number)))
        })
        .collect();
    let mask = entries.iter().find(|(kind, ..)| *kind == MASK).map_or(WRITE, |(_, rights, _)| *rights);
    entries.iter().any(|(kind, rights, number)| {
        rights & mask & WRITE != 0 && (*kind == GROUP || (*kind == USER && !believes(*number)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_understood_with_its_mask() {
        let entry = |kind: u16, rights: u16, number: u32| {
            [&kind.to_le_bytes()[..], &rights.to_le_bytes(), &number.to_le_bytes()].concat()
        };
        let list = |entries: &[Vec<u8>]| [vec![2, 0, 0, 0], entries.concat()].concat();
        let believes = |uid| uid == 1000;
        let (own, all) = (entry(1, 6, u32::MAX), entry(MASK, 7, u32::MAX));
        assert!(lets_write(&list(&[own.clone(), entry(USER, 6, 1001), all.clone()]), believes));
        assert!(lets_write(&list(&[own.clone(), entry(GROUP, 2, 5), all.clone()]), believes));
        assert!(!lets_write(&list(&[own.clone(), entry(USER, 6, 1000), entry(USER, 4, 1001), all]), believes));
        assert!(!lets_write(&list(&[own, entry(USER, 6, 1001), entry(MASK, 5, u32::MAX)]), believes));
        assert!(!lets_write(b"", believes) && !lets_write(b"short", believes));
    }
}
