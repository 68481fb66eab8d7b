//! The archive of a volume as it arrives from the engine.
//!
//! What arrives is not trusted: every path lies below the volume, every length is bounded, and an archive that ends
//! without its end mark is not complete. Nothing is ever unpacked here.

use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::runtime::Handle;
use tokio_tar::EntryType;

use super::{Error, Parts};
use crate::cancel::{Cancel, Cancelled, POLL};
use crate::limits::{
    ARCHIVE_HEADERS_BYTES_MAX, ARCHIVE_NAME_BYTES_MAX, ARCHIVE_PATH_BYTES_MAX, ARCHIVE_TARGET_BYTES_MAX,
    TREE_DEPTH_MAX, XATTRS_BYTES_MAX,
};

/// Where the volume is in the helper: the first part of every path in its archives.
pub const VOLUME_FOLDER: &str = "v";
const BLOCK_BYTES: u64 = 512;
const XATTR_PREFIX: &str = "SCHILY.xattr.";

type Entry = tokio_tar::Entry<tokio_tar::Archive<Incoming>>;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, whose data can be read.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points.
    Symlink(Vec<u8>),
    /// Another name of the file at this path.
    HardLink(Vec<Vec<u8>>),
    /// A named pipe.
    Fifo,
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// The names that lead to it from the root of the volume; none for the root itself.
    pub path: Vec<Vec<u8>>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Name of the owner, where the engine's host knows one.
    pub user: String,
    /// Name of the group.
    pub group: String,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Length of a file.
    pub size_bytes: u64,
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An archive that is arriving.
pub struct Archive {
    runtime: Handle,
    cancel: Cancel,
    action: String,
    entries: tokio_tar::Entries<Incoming>,
    current: Option<Entry>,
    /// Bytes of the current entry that have not been read.
    left: u64,
    /// Zeros that fill the last block of the current entry.
    padding: u64,
    feed: Arc<Mutex<Feed>>,
}

impl Archive {
    /// The archive that arrives in these parts, for the sake of `action`, until it is cancelled.
    #[must_use]
    pub fn new(runtime: Handle, parts: Parts, action: &str, cancel: &Cancel) -> Self {
        let feed = Feed { parts, pending: Bytes::new(), allowed: 0, zeros: 0 };
        let feed = Arc::new(Mutex::new(feed));
        let mut archive = tokio_tar::Archive::new(Incoming(Arc::clone(&feed)));
        let entries = archive.entries().expect("nothing has been read of it");
        Self {
            runtime,
            cancel: cancel.clone(),
            action: action.to_owned(),
            entries,
            current: None,
            left: 0,
            padding: 0,
            feed,
        }
    }

    /// The next entry; `None` at the end. What was not read of the last one is skipped.
    ///
    /// # Errors
    /// [`Error::Broken`] when the connection breaks, the archive is none that an engine makes, or it is cancelled.
    pub fn next_entry(&mut self) -> Result<Option<ArchiveEntry>, Error> {
        let mut skipped = [0; 16 << 10];
        while self.current.is_some() && self.read(&mut skipped).map_err(|error| self.broken(&error.to_string()))? > 0 {}
        self.current = None;
        {
            let mut feed = lock(&self.feed);
            feed.allowed = ARCHIVE_HEADERS_BYTES_MAX;
            feed.zeros = 0;
        }
        let entry = wait(&self.runtime, &self.cancel, self.entries.next());
        let Some(entry) = entry.map_err(|error| self.broken(&error.to_string()))? else {
            return self.end().map(|()| None);
        };
        let mut entry = entry.map_err(|error| self.broken(&error.to_string()))?;
        let described = self.runtime.block_on(describe(&mut entry)).map_err(|why| self.broken(&why))?;
        let data_bytes = entry.effective_size();
        let blocks =
            data_bytes.checked_next_multiple_of(BLOCK_BYTES).ok_or_else(|| self.broken("an entry is endless"))?;
        self.padding = blocks - data_bytes;
        self.left = data_bytes;
        lock(&self.feed).allowed = blocks.saturating_add(ARCHIVE_HEADERS_BYTES_MAX);
        self.current = Some(entry);
        Ok(Some(described))
    }

    /// The archive must have its end mark, and the connection must end as it should.
    fn end(&mut self) -> Result<(), Error> {
        if lock(&self.feed).zeros < self.padding + BLOCK_BYTES {
            return Err(self.broken("the archive ends in its middle"));
        }
        let mut rest = [0; 16 << 10];
        let mut incoming = Incoming(Arc::clone(&self.feed));
        loop {
            let read = wait(&self.runtime, &self.cancel, incoming.read(&mut rest)).flatten();
            if read.map_err(|error| self.broken(&error.to_string()))? == 0 {
                return Ok(());
            }
        }
    }

    fn broken(&self, why: &str) -> Error {
        Error::Broken { action: self.action.clone(), why: why.to_owned() }
    }
}

impl Read for Archive {
    /// Data of the entry that came last; 0 at its end.
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match &mut self.current {
            None => Ok(0),
            Some(entry) => {
                let len = wait(&self.runtime, &self.cancel, entry.read(target))??;
                self.left = self.left.saturating_sub(len as u64);
                if len == 0 && self.left > 0 && !target.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in its middle"));
                }
                Ok(len)
            }
        }
    }
}

/// What arrives, and how much of it may be consumed before the next look at it.
struct Feed {
    parts: Parts,
    pending: Bytes,
    allowed: u64,
    /// Zeros that were consumed last.
    zeros: u64,
}

/// The reading end for the parser. The archive keeps the other one.
struct Incoming(Arc<Mutex<Feed>>);

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, target: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut feed = lock(&self.0);
        while feed.pending.is_empty() {
            match feed.parts.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok(part))) => feed.pending = part,
            }
        }
        let len = feed.pending.len().min(target.remaining());
        feed.allowed = match feed.allowed.checked_sub(len as u64) {
            Some(left) => left,
            None => return Poll::Ready(Err(io::Error::other("the archive has more between its entries than any has"))),
        };
        let bytes = feed.pending.split_to(len);
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        feed.zeros = if zeros == len { feed.zeros + len as u64 } else { zeros as u64 };
        target.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

/// Waits for what is to come, until it is cancelled.
fn wait<T>(runtime: &Handle, cancel: &Cancel, coming: impl Future<Output = T>) -> io::Result<T> {
    let mut coming = pin!(coming);
    while !cancel.is_cancelled() {
        if let Ok(came) = runtime.block_on(async { tokio::time::timeout(POLL, &mut coming).await }) {
            return Ok(came);
        }
    }
    Err(Cancelled::as_io())
}

fn lock(feed: &Mutex<Feed>) -> MutexGuard<'_, Feed> {
    feed.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn describe(entry: &mut Entry) -> Result<ArchiveEntry, String> {
    let text = |error: io::Error| error.to_string();
    let path = names(&entry.path_bytes().map_err(text)?)?;
    let shown = String::from_utf8_lossy(&path.join(&b'/')).escape_debug().to_string();
    let header = entry.header().clone();
    let size_bytes = entry.effective_size();
    let target = entry.link_name_bytes().map_err(text)?.map(|target| target.to_vec()).unwrap_or_default();
    let name = |name: Option<&[u8]>| String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
    let (user, group) = (name(entry.username_bytes()), name(entry.groupname_bytes()));
    let number = |value: io::Result<u64>| {
        value
            .ok()
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| format!("a number of {shown} is not valid"))
    };
    let device = || -> Result<(u32, u32), String> {
        let part = |value: io::Result<Option<u32>>| {
            value.ok().flatten().ok_or(format!("{shown} is a device without a number"))
        };
        Ok((part(header.device_major())?, part(header.device_minor())?))
    };
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => EntryKind::File,
        EntryType::Directory => EntryKind::Directory,
        EntryType::Symlink if target.len() > ARCHIVE_TARGET_BYTES_MAX || target.contains(&0) => {
            return Err(format!("{shown} points to what no link can point to"));
        }
        EntryType::Symlink => EntryKind::Symlink(target),
        EntryType::Link => EntryKind::HardLink(names(&target)?),
        EntryType::Fifo => EntryKind::Fifo,
        EntryType::Char => device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?,
        EntryType::Block => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
        other => return Err(format!("{shown} is of a type that no volume has: {:?}", char::from(other.as_byte()))),
    };
    let mtime = header.mtime().ok().and_then(|secs| i64::try_from(secs).ok()).map(|secs| (secs, 0));
    let mut described = ArchiveEntry {
        path,
        mode: header.mode().map_err(text)? & 0o7777,
        uid: number(header.uid())?,
        gid: number(header.gid())?,
        user,
        group,
        mtime: mtime.ok_or_else(|| format!("the time of {shown} is not valid"))?,
        size_bytes: if kind == EntryKind::File { size_bytes } else { 0 },
        xattrs: Vec::new(),
        kind,
    };
    if let Some(records) = entry.pax_extensions().await.map_err(text)? {
        for record in records {
            let record = record.map_err(text)?;
            apply_record(&mut described, record.key_bytes(), record.value_bytes())?;
        }
    }
    Ok(described)
}

/// Applies what a PAX record says beyond what the parser has taken from it.
fn apply_record(entry: &mut ArchiveEntry, key: &[u8], value: &[u8]) -> Result<(), String> {
    let key = std::str::from_utf8(key).map_err(|_| "a PAX record has a name that is no text".to_owned())?;
    let text = std::str::from_utf8(value).unwrap_or_default();
    let bad = || format!("the PAX record {key} cannot be understood");
    match key {
        "uid" => entry.uid = text.parse().map_err(|_| bad())?,
        "gid" => entry.gid = text.parse().map_err(|_| bad())?,
        "mtime" => entry.mtime = parse_time(text).ok_or_else(bad)?,
        _ if key.starts_with("GNU.sparse") => return Err("it has a sparse file, which no engine sends".to_owned()),
        _ => {
            if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                let bytes: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
                if bytes + name.len() + value.len() > XATTRS_BYTES_MAX {
                    return Err("extended attributes are larger than this program allows".to_owned());
                }
                entry.xattrs.push((name.as_bytes().to_vec(), value.to_vec()));
            }
        }
    }
    Ok(())
}

/// Seconds with a fraction, which counts upwards for negative ones too.
fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let secs: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        Some((secs.checked_sub(1)?, 1_000_000_000 - nanos))
    } else {
        Some((secs, nanos))
    }
}

/// The names of a path below the volume. Anything that could lead elsewhere is refused.
fn names(path: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let shown = || String::from_utf8_lossy(path.get(..200).unwrap_or(path)).escape_debug().to_string();
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let mut names = trimmed.split(|byte| *byte == b'/');
    let first = names.next();
    let names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    let odd = |name: &Vec<u8>| name.is_empty() || name == b"." || name == b".." || name.contains(&0);
    if first != Some(VOLUME_FOLDER.as_bytes()) || path.len() > ARCHIVE_PATH_BYTES_MAX || names.iter().any(odd) {
        return Err(format!("it has the path '{}', which is not below the volume", shown()));
    }
    // The root is one level, too.
    if names.len() >= TREE_DEPTH_MAX || names.iter().any(|name| name.len() > ARCHIVE_NAME_BYTES_MAX) {
        return Err(format!("it has the path '{}', which is longer or deeper than any that a volume has", shown()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::mpsc::channel;

    use super::*;

    fn with_archive<T>(bytes: &[u8], work: impl FnOnce(&mut Archive) -> T) -> T {
        let (runtime, (sender, parts)) = (crate::runtime::handle().expect("a runtime"), channel(4));
        let bytes = Bytes::copy_from_slice(bytes);
        runtime.spawn(async move {
            for part in bytes.chunks(1000) {
                if sender.send(Ok(Bytes::copy_from_slice(part))).await.is_err() {
                    return;
                }
            }
        });
        work(&mut Archive::new(runtime.clone(), parts, "test", &Cancel::new()))
    }

    #[test]
    fn an_archive_that_does_not_arrive_can_be_given_up() {
        let (runtime, (_sender, parts)) = (crate::runtime::handle().expect("a runtime"), channel(4));
        let cancel = Cancel::new().child_until(Instant::now() + POLL / 2);
        let error = Archive::new(runtime.clone(), parts, "test", &cancel).next_entry().expect_err("nothing came");
        assert!(error.to_string().contains("interrupted"), "{error}");
    }

    fn entries(bytes: &[u8]) -> Result<Vec<(ArchiveEntry, Vec<u8>)>, String> {
        with_archive(bytes, |archive| {
            let mut found = Vec::new();
            while let Some(entry) = archive.next_entry().map_err(|error| error.to_string())? {
                let mut data = Vec::new();
                Read::by_ref(archive).take(1 << 20).read_to_end(&mut data).map_err(|error| error.to_string())?;
                found.push((entry, data));
            }
            Ok(found)
        })
    }

    fn header(name: &str, kind: u8, size: u64) -> Vec<u8> {
        let mut header = tokio_tar::Header::new_ustar();
        let field = header.as_ustar_mut().expect("of this kind");
        field.name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(EntryType::new(kind));
        header.set_size(size);
        header.set_mode(0o640);
        header.set_uid(5);
        header.set_gid(6);
        header.set_mtime(7);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn file(name: &str, data: &[u8]) -> Vec<u8> {
        padded(header(name, b'0', data.len() as u64), data)
    }

    fn pax(records: &[u8]) -> Vec<u8> {
        padded(header("pax", b'x', records.len() as u64), records)
    }

    /// A record, whose length counts its own digits.
    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let digits = if rest.len() + 2 < 100 { 2 } else { 3 };
        [(rest.len() + digits).to_string().as_bytes(), &rest].concat()
    }

    fn padded(mut bytes: Vec<u8>, data: &[u8]) -> Vec<u8> {
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
        [parts.concat(), vec![0; 1024]].concat()
    }

    #[test]
    fn entries_come_with_what_pax_records_say() {
        let attribute = record("SCHILY.xattr.user.a", b"b\nc\0d=e");
        let records = [record("uid", b"3000"), record("mtime", b"-1.25000001"), attribute].concat();
        let bytes = archive(&[header("v/", b'5', 0), pax(&records), file("v/a", &[1; 5000]), file("v/b", b"")]);
        let found = entries(&bytes).expect("a good archive");
        let (root, _) = &found[0];
        assert_eq!((root.path.len(), &root.kind, root.mode, root.uid), (0, &EntryKind::Directory, 0o640, 5));
        let (first, data) = &found[1];
        assert_eq!((first.path.as_slice(), first.uid, first.gid), ([b"a".to_vec()].as_slice(), 3000, 6));
        assert_eq!((first.mtime, data.as_slice()), ((-2, 749_999_990), [1; 5000].as_slice()));
        assert_eq!(first.xattrs, [(b"user.a".to_vec(), b"b\nc\0d=e".to_vec())]);
        assert_eq!((found[2].0.mtime, found.len()), ((7, 0), 3));
    }

    #[test]
    fn paths_that_lead_out_of_the_volume_are_refused() {
        for name in ["/v/a", "v/../a", "v/./a", "v//a", "a", "../v/a", "vv/a", ""] {
            let error = entries(&archive(&[header("v/", b'5', 0), file(name, b"x")])).expect_err(name);
            assert!(error.contains("not below the volume"), "{name}: {error}");
        }
        let mut link = header("v/l", b'1', 0);
        link[157..163].copy_from_slice(b"../etc");
        let mut fixed = tokio_tar::Header::from_byte_slice(&link).clone();
        fixed.set_cksum();
        assert!(entries(&archive(&[fixed.as_bytes().to_vec()])).is_err(), "a hard link out of the volume");
    }

    fn long(kind: u8, text: &[u8]) -> Vec<u8> {
        let text = [text, b"\0"].concat();
        padded(header("long", kind, text.len() as u64), &text)
    }

    #[test]
    fn what_no_file_system_has_is_refused() {
        let read = |parts: Vec<Vec<u8>>| entries(&archive(&[vec![header("v/", b'5', 0)], parts].concat()));
        let name = |len: usize| read(vec![long(b'L', &[b"v/", vec![b'n'; len].as_slice()].concat()), file("v/n", b"")]);
        assert_eq!(name(255).expect("the longest name")[1].0.path[0].len(), 255);
        assert!(name(256).expect_err("a name is too long").contains("longer or deeper"));
        let path =
            |depth: usize| read(vec![long(b'L', &[b"v", b"/n".repeat(depth).as_slice()].concat()), file("v/n", b"")]);
        assert_eq!(path(TREE_DEPTH_MAX - 1).expect("the deepest")[1].0.path.len(), TREE_DEPTH_MAX - 1);
        assert!(path(TREE_DEPTH_MAX).expect_err("a path is too deep").contains("longer or deeper"));
        let link = |target: &[u8]| read(vec![long(b'K', target), header("v/l", b'2', 0)]);
        assert_eq!(link(&[b't'; 4096]).expect("the longest link")[1].0.kind, EntryKind::Symlink(vec![b't'; 4096]));
        let nul = read(vec![pax(&record("linkpath", b"a\0b")), header("v/l", b'2', 0)]);
        for found in [link(&[b't'; 4097]), link(&vec![b't'; 8 << 20]), nul] {
            assert!(found.expect_err("a bad target").contains("no link can point to"));
        }
    }

    #[test]
    fn an_archive_that_ends_early_is_not_complete() {
        let whole = archive(&[header("v/", b'5', 0), file("v/zeros", &[0; 4096])]);
        assert!(entries(&whole).is_ok());
        for len in [511, 512, 700, 1024, 2048, 3072, 4096, 5120, 5121] {
            assert!(entries(&whole[..len]).is_err(), "{len} of {} bytes", whole.len());
        }
    }

    #[test]
    fn headers_without_end_and_odd_records_are_refused() {
        let (owner, size) = (record("uid", b"evil"), record("size", b"-12"));
        for records in [b"5 a\n", &b"99999999999999999999 a=b\n"[..], &owner, &size, b"x\n"] {
            assert!(entries(&archive(&[pax(records), file("v/a", b"x")])).is_err(), "{records:?}");
        }
        // Ten gigabytes of a name, of which only some arrive before it is given up.
        let mut endless = header("v/l", b'L', 10 << 30);
        endless.resize(64 << 20, b'a');
        let error = entries(&endless).expect_err("a name without end");
        assert!(error.contains("more between its entries"), "{error}");
        let sparse = [("major", "1"), ("minor", "0"), ("realsize", "10000000000"), ("name", "v/s")];
        let sparse = sparse.map(|(key, value)| record(&format!("GNU.sparse.{key}"), value.as_bytes())).concat();
        let map = padded(b"1\n10000000000\n0\n".to_vec(), b"");
        let error = entries(&archive(&[pax(&sparse), file("v/s", &map)])).expect_err("a sparse file");
        assert!(error.contains("sparse"), "{error}");
        assert!(entries(&archive(&[header("v/s", b'S', 0)])).is_err(), "an old sparse file");
        assert!(entries(&archive(&[file("v/a", b"x"), vec![9; 512]])).is_err(), "no header at all");
    }
}
