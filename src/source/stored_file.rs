//! A file that a backup tool left, plain or compressed with gzip, read as what it holds.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustix::fs::OFlags;

use crate::limits::{EXPANDED_BYTES_MIN, EXPANSION_MAX};
use crate::rooted::{explain, open_beneath};

const BUFFER_BYTES: usize = 256 << 10;

/// A file whose content may be compressed.
#[derive(Debug, Clone)]
pub struct StoredFile {
    path: PathBuf,
    /// The folder that nothing leads out of, and where in it the file lies.
    folder: PathBuf,
    within: PathBuf,
    is_compressed: bool,
}

impl StoredFile {
    /// The file at `path`, compressed where its name ends so.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::within(folder, Path::new(path.file_name().unwrap_or_default()))
    }

    /// The file at a path within a folder, which no link in the folder leads out of.
    #[must_use]
    pub fn within(folder: &Path, within: &Path) -> Self {
        let is_compressed = within.extension().is_some_and(|extension| extension == "gz");
        Self { path: folder.join(within), folder: folder.to_owned(), within: within.to_owned(), is_compressed }
    }

    /// The same file, whose content is what it is, however its name ends.
    #[must_use]
    pub fn as_it_is(mut self) -> Self {
        self.is_compressed = false;
        self
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
        let folder = File::open(&self.folder)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = open_beneath(&folder, self.within.as_os_str().as_bytes(), flags).map_err(explain)?;
        let file = File::from(file);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
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
        assert!(StoredFile::new(&path("plain")).open().is_ok());
        for name in ["link", "pipe", "."] {
            assert!(StoredFile::new(&path(name)).open().is_err(), "{name}");
        }
        // Only the last name of a path was looked at, so a link in its middle led anywhere.
        std::fs::create_dir(path("backup")).expect("create");
        std::os::unix::fs::symlink("..", path("backup/up")).expect("link");
        for within in ["up/plain", "../plain"] {
            let file = StoredFile::within(&path("backup"), Path::new(within));
            assert!(file.open().is_err(), "{within}");
        }
    }
}
