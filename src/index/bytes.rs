//! The bytes of a segment: mapped where nobody can cut the file short, else read piece by piece.
//!
//! A file that is cut short under a map kills the process. Only complete, synced, immutable files of the repository are
//! mapped, on a disk of this host and where only we can write to them; nothing else ever is.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::storage::Fetched;

#[derive(Debug)]
pub(super) enum Bytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
    /// The file and its length.
    Read(File, usize),
}

impl Bytes {
    /// Those of an object.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn of(object: Fetched) -> io::Result<Self> {
        match object {
            Fetched::Mappable(file) => Ok(Self::Mapped(map(&file)?)),
            Fetched::File(file, len_bytes) => {
                Ok(Self::Read(file, usize::try_from(len_bytes).map_err(io::Error::other)?))
            }
            Fetched::Bytes(bytes) => Ok(Self::Owned(bytes)),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Mapped(map) => map.len(),
            Self::Owned(bytes) => bytes.len(),
            Self::Read(_, len) => *len,
        }
    }

    /// A piece; `None` when it is not there, or cannot be read.
    pub(super) fn get(&self, start: usize, len: usize) -> Option<Cow<'_, [u8]>> {
        let range = start..start.checked_add(len)?;
        match self {
            Self::Mapped(map) => map.get(range).map(Cow::Borrowed),
            Self::Owned(bytes) => bytes.get(range).map(Cow::Borrowed),
            Self::Read(file, all) => {
                let mut piece = vec![0; len];
                (range.end <= *all).then_some(())?;
                file.read_exact_at(&mut piece, start as u64).ok()?;
                Some(Cow::Owned(piece))
            }
        }
    }
}

#[expect(unsafe_code, reason = "mapping a file is unsafe; segments are immutable once they are named")]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the repository writes a segment completely before it is named and never changes it afterwards, and nobody else
    // may write to it.
    unsafe { memmap2::MmapOptions::new().map(file) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A segment that was cut short under its map ended the process without a word.
    #[test]
    fn a_file_that_others_may_cut_short_is_read_and_never_mapped() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 10_000]).expect("write");
        let copy = || file.try_clone().expect("a file");
        let mapped = Bytes::of(Fetched::Mappable(copy())).expect("open");
        let read = Bytes::of(Fetched::File(copy(), 10_000)).expect("open");
        for bytes in [&mapped, &read] {
            assert_eq!(bytes.len(), 10_000);
            assert_eq!(bytes.get(9_990, 10).as_deref(), Some(&[7; 10][..]));
            assert!(bytes.get(9_991, 10).is_none() && bytes.get(usize::MAX, 2).is_none());
        }
        drop(mapped);
        file.set_len(0).expect("cut");
        assert!(read.get(0, 10).is_none(), "it says so, and goes on");
    }
}
