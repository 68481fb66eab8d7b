//! A file that a backup tool left, plain or compressed with gzip, read as what it holds.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::limits::{EXPANDED_BYTES_MIN, EXPANSION_MAX};

const BUFFER_BYTES: usize = 256 << 10;

/// A file whose content may be compressed.
#[derive(Debug, Clone)]
pub struct StoredFile {
    path: PathBuf,
    is_compressed: bool,
}

impl StoredFile {
    /// The file at `path`, compressed where its name ends so.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
        Self { path, is_compressed }
    }

    /// The file at `path`, whose content is what it is, however its name ends.
    #[must_use]
    pub fn as_it_is(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_compressed: false }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes that it has, as they are stored. A link is not followed.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file.
    pub fn open_stored(&self) -> io::Result<File> {
        let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits()).unwrap_or(0);
        let file = File::options().read(true).custom_flags(flags).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(file)
    }

    /// What it holds, decompressed.
    ///
    /// # Errors
    /// Those of [`StoredFile::open_stored`]. The reader fails when the compressed data is damaged or cut short.
    pub fn open(&self) -> io::Result<Box<dyn Read>> {
        let file = self.open_stored()?;
        let left = file.metadata()?.len().saturating_mul(EXPANSION_MAX).max(EXPANDED_BYTES_MIN);
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(if self.is_compressed {
            Box::new(Expanded { decoder: MultiGzDecoder::new(file), left })
        } else {
            Box::new(file)
        })
    }
}

/// What a compressed file holds, until it is more than an honest one can hold.
struct Expanded<R> {
    decoder: MultiGzDecoder<R>,
    left: u64,
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let len = self.decoder.read(target)?;
        self.left = self.left.checked_sub(len as u64).ok_or_else(|| {
            let why = format!(
                "it holds more than {EXPANSION_MAX} times its own length, as nothing does that is worth keeping"
            );
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pipes_are_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("plain"), b"x").expect("write");
        std::os::unix::fs::symlink(path("plain"), path("link")).expect("link");
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
        assert!(StoredFile::new(path("plain")).open().is_ok());
        for name in ["link", "pipe", "."] {
            assert!(StoredFile::new(path(name)).open().is_err(), "{name}");
        }
    }
}
