//! Reading one regular file: its data without the holes, and whether it held still meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{OFlags, SeekFrom, fdatasync, seek, syncfs};
use rustix::io::Errno;

use super::xattrs_of;
use crate::limits::{SPARSE_BYTES_MIN, SPARSE_GROWTH_MAX, SPARSE_RUNS_MAX};
use crate::model::{Hole, Xattr};
use crate::rooted::{Place, Status, is_in_memory, open_file};

/// The unit that the operating system counts the blocks of a file in.
const SECTOR_BYTES: u64 = 512;
/// The coarsest tick that file systems on Linux take their times from.
const CLOCK_TICK: Duration = Duration::from_millis(10);
/// After this time the kernel has written back what was written; by default it begins after 30 seconds.
const WRITTEN_BACK: Duration = Duration::from_mins(10);

/// What happened to a file while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Nothing: what was read is the file.
    Stable,
    /// It grew: what was read is how it began.
    Grew,
    /// It was written to, cut short or replaced: what was read may never have been the file.
    Changed,
}

/// A regular file that is being read.
#[derive(Debug)]
pub struct FileReader<'a> {
    place: Place<'a>,
    file: File,
    opened: SystemTime,
    before: Status,
    runs: Vec<(u64, u64)>,
    run: usize,
    position: u64,
    /// Where the file ended before its time.
    cut_short: Option<u64>,
}

impl<'a> FileReader<'a> {
    /// Opens the file at a place, never through a link.
    ///
    /// # Errors
    /// Those of the operating system; `InvalidInput` when there is no regular file any more; one that says so when it has more
    /// runs of data than are recorded, and is nearly all holes.
    pub fn open(place: &Place<'a>) -> io::Result<Self> {
        let open = |flags| open_file(place.directory, place.name, flags);
        // Reading should not change the access time; only the owner may ask for that.
        let (file, before) = match open(OFlags::NOATIME) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(OFlags::empty())?,
            opened => opened?,
        };
        let opened = SystemTime::now();
        let mut reader =
            Self { place: *place, file, opened, before, runs: Vec::new(), run: 0, position: 0, cut_short: None };
        reader.runs = reader.data_runs()?;
        reader.rewind();
        Ok(reader)
    }

    /// What the kernel said of the file when it was opened.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.before
    }

    /// The extended attributes of the file, sorted by name.
    ///
    /// # Errors
    /// Those of [`xattrs_of`].
    pub fn xattrs(&self) -> io::Result<Vec<Xattr>> {
        xattrs_of(&self.file)
    }

    /// Length of the file, as far as it could be read.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.cut_short.unwrap_or(self.before.size_bytes())
    }

    /// The holes of the file.
    #[must_use]
    pub fn holes(&self) -> Vec<Hole> {
        let size = self.size_bytes();
        let runs = self.runs.iter().copied().take_while(|(start, _)| *start < size);
        let mut holes = Vec::new();
        let mut end = 0;
        for (start, stop) in runs.chain([(size, size)]) {
            if start > end {
                holes.push(Hole { offset: end, len_bytes: start - end });
            }
            end = stop;
        }
        holes
    }

    /// Reads the next bytes of data, holes left out; 0 at the end.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while let Some((_, end)) = self.runs.get(self.run).copied() {
            let left = usize::try_from(end - self.position).unwrap_or(usize::MAX);
            if left == 0 {
                self.run += 1;
                self.position = self.runs.get(self.run).map_or(0, |(start, _)| *start);
                continue;
            }
            let len = left.min(target.len());
            let target = target.get_mut(..len).expect("bounded by its own length");
            let read = self.file.read_at(target, self.position)?;
            if read == 0 {
                self.cut_short = Some(self.position);
                self.run = self.runs.len();
            }
            self.position += read as u64;
            return Ok(read);
        }
        Ok(0)
    }

    /// Whether what a program has mapped of the file may not have been written back yet when it was opened, as far as its times
    /// tell. Until it is, the program writes to it again without a trace.
    #[must_use]
    pub fn may_be_dirty(&self) -> bool {
        self.changed_since(self.opened.checked_sub(WRITTEN_BACK).unwrap_or(UNIX_EPOCH))
    }

    /// Has the kernel write back what was written to the file before now.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn write_back(&self) -> io::Result<()> {
        Ok(fdatasync(&self.file)?)
    }

    /// Has the kernel write back everything that was written to the file system before now.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn write_all_back(&self) -> io::Result<()> {
        Ok(syncfs(&self.file)?)
    }

    /// Whether another write, after the file was opened, may leave no trace: it was touched after this time, when everything
    /// had been written back, or so shortly before it was opened that the clock of the file system could not tell the two writes
    /// from each other; or it lies in memory, where no write to a mapping leaves a trace.
    #[must_use]
    pub fn is_fresh(&self, written_back: Option<SystemTime>) -> bool {
        let since = written_back.map_or(self.opened, |time| time.min(self.opened));
        self.changed_since(since.checked_sub(CLOCK_TICK).unwrap_or(UNIX_EPOCH)) || is_in_memory(&self.file)
    }

    fn changed_since(&self, time: SystemTime) -> bool {
        let (secs, nanos) = self.before.ctime();
        UNIX_EPOCH + Duration::new(secs.try_into().unwrap_or(0), nanos) >= time
    }

    /// What happened to the file since it was opened.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn stability(&self) -> io::Result<Stability> {
        let after = Status::of(&self.file)?;
        let replaced = match Status::of_entry(self.place.directory, self.place.name) {
            Ok(now) => now.identity() != self.before.identity(),
            Err(Errno::NOENT) => true,
            Err(errno) => return Err(errno.into()),
        };
        let same = |status: &Status| (status.size_bytes(), status.mtime());
        Ok(if replaced || self.cut_short.is_some() || after.size_bytes() < self.before.size_bytes() {
            Stability::Changed
        } else if same(&after) == same(&self.before) {
            Stability::Stable
        } else if after.size_bytes() > self.before.size_bytes() {
            Stability::Grew
        } else {
            Stability::Changed
        })
    }

    fn rewind(&mut self) {
        self.run = 0;
        self.position = self.runs.first().map_or(0, |(start, _)| *start);
    }

    /// The runs of data as the file system tells them; one run where it cannot tell or there are too many.
    fn data_runs(&self) -> io::Result<Vec<(u64, u64)>> {
        let len = self.before.size_bytes();
        let whole = if len == 0 { Vec::new() } else { vec![(0, len)] };
        let on_disk = self.before.sectors().saturating_mul(SECTOR_BYTES);
        if on_disk >= len {
            return Ok(whole);
        }
        let mut runs = Vec::new();
        let mut position = 0;
        while position < len {
            let start = match seek(&self.file, SeekFrom::Data(position)) {
                Ok(start) if start < len => start,
                Ok(_) | Err(rustix::io::Errno::NXIO) => break,
                Err(_) => return Ok(whole),
            };
            let Ok(end) = seek(&self.file, SeekFrom::Hole(start)) else { return Ok(whole) };
            let end = end.min(len);
            if end <= start {
                return Ok(whole);
            }
            if runs.len() >= SPARSE_RUNS_MAX {
                return check_growth(len, on_disk).map(|()| whole);
            }
            runs.push((start, end));
            position = end;
        }
        Ok(runs)
    }
}

/// Refuses to have a file without its holes that is nearly all holes: a backup would read them for hours, and a restore
/// would fill the disk.
fn check_growth(len: u64, on_disk: u64) -> io::Result<()> {
    if len <= SPARSE_BYTES_MIN || len / SPARSE_GROWTH_MAX <= on_disk {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it has more than {SPARSE_RUNS_MAX} runs of data, and would be saved without its holes, as {len} bytes instead of \
         {on_disk}; exclude it, and save it with `larder create --command NAME -- tar --sparse -cf - FILE`"
    )))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::*;

    fn open<'a>(directory: &'a File, path: &'a Path) -> FileReader<'a> {
        let name = path.file_name().expect("a name").as_encoded_bytes();
        FileReader::open(&Place { directory: directory.as_fd(), name, path }).expect("open")
    }

    fn read_all(reader: &mut FileReader<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            match reader.read(&mut buffer).expect("read") {
                0 => return bytes,
                len => bytes.extend_from_slice(&buffer[..len]),
            }
        }
    }

    #[test]
    fn growing_is_told_from_being_cut_short_and_being_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (path, directory) = (folder.path().join("log"), File::open(folder.path()).expect("open"));
        std::fs::write(&path, b"one\n").expect("write");

        let mut reader = open(&directory, &path);
        let mut file = OpenOptions::new().append(true).open(&path).expect("open");
        assert_eq!(read_all(&mut reader), b"one\n");
        assert_eq!(reader.stability().expect("stat"), Stability::Stable);
        file.write_all(b"two\n").expect("append");
        assert_eq!(reader.stability().expect("stat"), Stability::Grew);

        let mut reader = open(&directory, &path);
        file.set_len(3).expect("cut");
        assert_eq!(read_all(&mut reader), b"one");
        assert_eq!(reader.stability().expect("stat"), Stability::Changed);

        let reader = open(&directory, &path);
        std::fs::write(folder.path().join("new"), b"one").expect("write");
        std::fs::rename(folder.path().join("new"), &path).expect("rename");
        assert_eq!(reader.stability().expect("stat"), Stability::Changed);
    }

    /// 274 MB that showed 4.3 TiB were read for hours, and filled the disk that they were restored to.
    #[test]
    fn a_file_that_is_nearly_all_holes_does_not_become_a_whole_one() {
        const GIB: u64 = 1 << 30;
        for (len, on_disk, is_taken) in [
            (4_400 * GIB, 274 << 20, false),
            (16 * GIB + 16, GIB, false),
            (16 * GIB, GIB, true),
            (GIB, 1, true),
            (GIB + 1, 1, false),
        ] {
            assert_eq!(check_growth(len, on_disk).is_ok(), is_taken, "{len} {on_disk}");
        }
    }

    #[test]
    fn holes_are_found_and_left_out() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (path, directory) = (folder.path().join("sparse"), File::open(folder.path()).expect("open"));
        let file = File::create(&path).expect("create");
        file.set_len(10 << 20).expect("grow");
        file.write_all_at(&[7; 4096], 4 << 20).expect("write");
        file.sync_all().expect("sync");
        let mut reader = open(&directory, &path);
        let holes = reader.holes();
        let hole_bytes: u64 = holes.iter().map(|hole| hole.len_bytes).sum();
        let data = read_all(&mut reader);
        assert_eq!(hole_bytes + data.len() as u64, 10 << 20);
        assert!(data.len() < 1 << 20, "{} bytes of data", data.len());
        assert!(data.windows(4096).any(|window| window == [7; 4096]));
    }
}
