//! The archive of a volume as it arrives from the engine, and the one that is sent there.
//!
//! What arrives is not trusted: every path lies below the volume, every length is bounded, and an archive that ends
//! without its end mark is not complete. Nothing is ever unpacked here.

use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_tar::EntryType;

use super::engine::failed;
use super::{Error, VOLUME_FOLDER};
use crate::limits::{ARCHIVE_HEADERS_BYTES_MAX, ARCHIVE_PATH_BYTES_MAX, XATTRS_BYTES_MAX};

const BLOCK_BYTES: u64 = 512;
const XATTR_PREFIX: &str = "SCHILY.xattr.";
/// Bytes that are sent to the engine at once.
const PART_BYTES: usize = 128 << 10;

type Entry = tokio_tar::Entry<tokio_tar::Archive<Incoming>>;
pub(super) type Parts = Receiver<io::Result<Bytes>>;

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
    /// Parts that may be on their way.
    pub(super) const PARTS_IN_FLIGHT: usize = 32;

    pub(super) fn new(runtime: Handle, parts: Parts, action: &str) -> Self {
        let feed = Feed { parts, pending: Bytes::new(), allowed: 0, zeros: 0 };
        let feed = Arc::new(Mutex::new(feed));
        let mut archive = tokio_tar::Archive::new(Incoming(Arc::clone(&feed)));
        let entries = archive.entries().expect("nothing has been read of it");
        Self { runtime, action: action.to_owned(), entries, current: None, left: 0, padding: 0, feed }
    }

    /// The next entry; `None` at the end. What was not read of the last one is skipped.
    ///
    /// # Errors
    /// [`Error::Broken`] when the connection breaks, or the archive is none that an engine makes.
    pub fn next_entry(&mut self) -> Result<Option<ArchiveEntry>, Error> {
        let mut skipped = [0; 16 << 10];
        while self.current.is_some() && self.read(&mut skipped).map_err(|error| self.broken(&error.to_string()))? > 0 {}
        self.current = None;
        {
            let mut feed = lock(&self.feed);
            feed.allowed = ARCHIVE_HEADERS_BYTES_MAX;
            feed.zeros = 0;
        }
        let Some(entry) = self.runtime.block_on(self.entries.next()) else { return self.end().map(|()| None) };
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
        while self.runtime.block_on(incoming.read(&mut rest)).map_err(|error| self.broken(&error.to_string()))? > 0 {}
        Ok(())
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
                let len = self.runtime.block_on(entry.read(target))?;
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
    Ok(names)
}

/// An archive that is sent to the engine while it is written.
pub struct Upload {
    runtime: Handle,
    action: String,
    parts: Option<Sender<io::Result<Bytes>>>,
    buffer: BytesMut,
    call: Option<JoinHandle<Result<(), bollard::errors::Error>>>,
}

impl Upload {
    pub(super) fn new<F>(runtime: Handle, action: &str, call: impl FnOnce(Parts) -> F) -> Self
    where
        F: Future<Output = Result<(), bollard::errors::Error>> + Send + 'static,
    {
        let (sender, receiver) = channel::<io::Result<Bytes>>(Archive::PARTS_IN_FLIGHT);
        let call = runtime.spawn(call(receiver));
        let buffer = BytesMut::with_capacity(PART_BYTES);
        Self { runtime, action: action.to_owned(), parts: Some(sender), buffer, call: Some(call) }
    }

    /// Sends what is left and waits until the engine has unpacked everything.
    ///
    /// # Errors
    /// [`Error::Refused`] with what the engine said, [`Error::Broken`].
    pub fn finish(mut self) -> Result<(), Error> {
        let sent = self.flush();
        self.parts = None;
        self.outcome()?;
        sent.map_err(|error| Error::Broken { action: self.action.clone(), why: error.to_string() })
    }

    /// Breaks the archive off, so that the engine sees that it is not complete. Returns what the engine said before
    /// that, if it was the one that failed.
    pub fn abort(mut self) -> Option<Error> {
        let ended_before = self.parts.as_ref().is_none_or(Sender::is_closed);
        if let Some(parts) = self.parts.take() {
            let _ = parts.blocking_send(Err(io::Error::other("the archive was broken off")));
        }
        self.outcome().err().filter(|_| ended_before)
    }

    fn outcome(&mut self) -> Result<(), Error> {
        let Some(call) = self.call.take() else { return Ok(()) };
        let broken = |why: String| Error::Broken { action: self.action.clone(), why };
        let ended = self.runtime.block_on(call).map_err(|error| broken(error.to_string()))?;
        ended.map_err(|error| failed(&self.action, &error))
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let part = self.buffer.split().freeze();
        let parts = self.parts.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        parts.blocking_send(Ok(part)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
