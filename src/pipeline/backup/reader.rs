//! The reading side: shown the sources, it opens what changed, cuts it, and sends it on in batches.

use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender};

use super::batch::{Batch, Ending, Facts, HashedBatch, Step};
use super::parent::Parents;
use crate::chunk::Chunker;
use crate::clock::Stopwatch;
use crate::id::IdScheme;
use crate::model::{Node, NodeKind, Xattr, show_path};
use crate::monitor::Monitor;
use crate::pipeline::causes::with_causes;
use crate::rooted::{Found, Place};
use crate::source::{self, FileReader, Owners, Stability, Stop, Visitor, xattrs_at};

/// Bytes that are read at once: enough to be cheap, few enough to be cut while they are in the cache.
const READ_BYTES: usize = 256 << 10;
/// Files of a component that are written back one by one; for more it is the whole file system, once.
const WRITTEN_BACK_ALONE_MAX: u32 = 32;
/// How often a file that changes meanwhile is read.
const READ_TRIES: u32 = 2;

/// Why a content could not be read to its end.
enum FeedError {
    Stop(Stop),
    Read(io::Error),
}

impl From<Stop> for FeedError {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Whether the root of the current component has been shown.
enum Root {
    ToCome(Option<Box<Node>>),
    Passed,
}

pub(super) struct BatchReader<'a> {
    chunker: Chunker,
    ids: IdScheme,
    free: Receiver<Batch>,
    sender: Sender<HashedBatch>,
    batch: Batch,
    parents: Parents,
    /// The root of the component is still to come; this is its parent.
    root: Root,
    ending: Ending,
    /// Whether files that change meanwhile are read again later.
    lenient: bool,
    /// When the file system of the component began to write back all that programs had written, if it did.
    written_back: Option<SystemTime>,
    /// Files that were written back one by one.
    written_back_alone: u32,
    owners: Owners,
    monitor: &'a Monitor<'a>,
}

impl<'a> BatchReader<'a> {
    pub(super) fn new(
        chunker: Chunker,
        ids: IdScheme,
        (free, sender): (Receiver<Batch>, Sender<HashedBatch>),
        parents: Parents,
        monitor: &'a Monitor<'a>,
    ) -> Self {
        let batch = Batch::new();
        let (ending, owners) = (Ending::default(), Owners::of_system());
        Self {
            chunker,
            ids,
            free,
            sender,
            batch,
            parents,
            root: Root::Passed,
            ending,
            lenient: false,
            written_back: None,
            written_back_alone: 0,
            owners,
            monitor,
        }
    }

    /// Reads one component, by its number and name; `read` is given this as the visitor. What goes wrong with the component is told at its
    /// end; an error says that the run is over. Where it `is_read_again`, files that change meanwhile are left to that.
    pub(super) fn component(
        &mut self,
        (number, name): (usize, &str),
        is_read_again: bool,
        read: impl FnOnce(&mut Self) -> Result<Facts, source::Error>,
    ) -> Result<(), Stop> {
        let reading = Stopwatch::start();
        self.lenient = is_read_again;
        (self.written_back, self.written_back_alone) = (None, 0);
        self.step(Step::Begin { number })?;
        self.ending = Ending::default();
        self.root = Root::ToCome(self.parents.begin(name).map(Box::new));
        let result = read(self);
        if let Err(error) = &result {
            if matches!(error, source::Error::Stop(_)) {
                return Err(Stop);
            }
            self.ending.failed = true;
            self.ending.errors.push(with_causes(error));
        }
        let mut ending = std::mem::take(&mut self.ending);
        ending.facts = result.unwrap_or_default();
        ending.timing = reading.timing();
        self.step(Step::End(Box::new(ending)))?;
        self.send()
    }

    /// How long a component was in the parent.
    pub(super) fn parents_bytes(&self, name: &str) -> Option<u64> {
        self.parents.bytes_of(name)
    }

    /// A directory of a tree that has been stored already.
    pub(super) fn enter_again(&mut self, node: Node) -> Result<(), Stop> {
        self.step(Step::Enter { node: Box::new(node), previous: None })
    }

    /// An entry of a tree that has been stored already, with its content.
    pub(super) fn again(&mut self, node: Node) -> Result<(), Stop> {
        self.ending.files += u64::from(node.is_file());
        self.ending.bytes += node.metadata.size_bytes;
        self.step(Step::Entry(Box::new(node)))
    }

    /// The node of the parent that stands where this one is shown.
    fn parent_node(&mut self, name: &[u8]) -> Option<Node> {
        match std::mem::replace(&mut self.root, Root::Passed) {
            Root::ToCome(parent) => parent.map(|parent| *parent),
            Root::Passed => self.parents.find_node(name),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Stop> {
        self.batch.steps.push(step);
        if self.batch.is_full() { self.send() } else { Ok(()) }
    }

    /// Sends the batch and goes on in a free one, which begins with the bytes that are not cut yet.
    fn send(&mut self) -> Result<(), Stop> {
        self.monitor.check()?;
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut next = self.free.recv().map_err(|_| Stop)?;
        next.clear();
        let uncut = self.batch.uncut();
        next.buffer.get_mut(..uncut.len()).expect("a batch is longer than a chunk").copy_from_slice(uncut);
        next.filled = uncut.len();
        let batch = std::mem::replace(&mut self.batch, next);
        self.sender.send(batch.hash(self.ids)).map_err(|_| Stop)
    }

    /// Cuts everything that `read` gives into chunks of the current file, and returns its length.
    fn feed(&mut self, read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> Result<u64, FeedError> {
        let mut total = 0;
        loop {
            if self.batch.is_full() {
                self.send()?;
            }
            let end = (self.batch.filled + READ_BYTES).min(self.batch.buffer.len());
            let target = self.batch.buffer.get_mut(self.batch.filled..end).expect("filled lies within the buffer");
            let len = match read(target) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.batch.filled = self.batch.cut;
                    return Err(FeedError::Read(error));
                }
            };
            self.batch.filled += len;
            total += len as u64;
            self.monitor.advance(len as u64);
            while let Some(chunk_len) = self.chunker.cut(self.batch.uncut(), len == 0) {
                self.batch.add_chunk(chunk_len);
            }
            if len == 0 {
                self.ending.bytes_read += total;
                return Ok(total);
            }
        }
    }

    /// Reads a file until it holds still, and sends it.
    fn read_file(&mut self, node: &mut Node, place: &Place<'_>, parent: Option<&Node>) -> Result<(), Stop> {
        let path = place.path;
        for attempt in 1..=READ_TRIES {
            self.follow(parent)?;
            let mut file = match FileReader::open(place) {
                Ok(file) => file,
                Err(error) => return self.unreadable(path, &error),
            };
            // What was opened may be another file than the one that was listed.
            self.owners.update(node, file.status());
            self.take_xattrs(node, file.xattrs(), path);
            let written_back = self.write_back(&file);
            match self.feed(&mut |target| file.read(target)) {
                Ok(_) => {}
                Err(FeedError::Stop(stop)) => return Err(stop),
                Err(FeedError::Read(error)) => return self.unreadable(path, &error),
            }
            let stability = match file.stability() {
                Ok(stability) => stability,
                Err(error) => return self.unreadable(path, &error),
            };
            match stability {
                // Where another write would leave no trace, the file is read again next time.
                Stability::Stable => node.metadata.changed = file.is_fresh(written_back),
                Stability::Grew | Stability::Changed if self.lenient => node.metadata.changed = true,
                Stability::Changed if attempt < READ_TRIES => {
                    self.step(Step::Restart)?;
                    continue;
                }
                Stability::Grew => {
                    node.metadata.changed = true;
                    self.ending
                        .notes
                        .push(format!("{} grew while it was read: it is saved as it was before", show(path)));
                }
                Stability::Changed => {
                    node.metadata.changed = true;
                    self.ending.errors.push(format!("{} changed while it was read, twice", show(path)));
                }
            }
            node.metadata.size_bytes = file.size_bytes();
            return self.send_file(node, file.holes());
        }
        Ok(())
    }

    /// Has the kernel write back what programs have written to a file that was touched lately, and says when that began: what stays
    /// dirty in a mapping can be written to again without the file's times changing. After some files it is everything.
    fn write_back(&mut self, file: &FileReader<'_>) -> Option<SystemTime> {
        if self.written_back.is_some() || !file.may_be_dirty() {
            return self.written_back;
        }
        let now = SystemTime::now();
        self.written_back_alone += 1;
        let written = if self.written_back_alone <= WRITTEN_BACK_ALONE_MAX {
            file.write_back()
        } else {
            self.written_back = Some(now);
            file.write_all_back()
        };
        // Where it cannot, every file counts as one that may be written to without a trace.
        if let Err(error) = written {
            self.written_back = Some(SystemTime::UNIX_EPOCH);
            self.ending.notes.push(format!("the file system could not write back what programs have written: {error}"));
            return self.written_back;
        }
        Some(now)
    }

    /// Says what the file that comes now was before.
    fn follow(&mut self, parent: Option<&Node>) -> Result<(), Stop> {
        match parent.map(|node| &node.kind) {
            Some(NodeKind::File { content, .. }) => self.step(Step::Previous(Box::new(content.clone()))),
            _ => Ok(()),
        }
    }

    fn send_file(&mut self, node: &Node, holes: Vec<crate::model::Hole>) -> Result<(), Stop> {
        self.ending.files += 1;
        self.ending.bytes += node.metadata.size_bytes;
        self.step(Step::File { node: Box::new(node.clone()), holes })
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) -> Result<(), Stop> {
        let message = format!("cannot read {}: {error}", show(path));
        if error.kind() == io::ErrorKind::NotFound {
            self.ending.notes.push(format!("{} vanished before it was read", show(path)));
        } else {
            self.ending.errors.push(message);
        }
        self.step(Step::Restart)
    }

    fn take_xattrs(&mut self, node: &mut Node, xattrs: io::Result<Vec<Xattr>>, path: &Path) {
        match xattrs {
            Ok(xattrs) => node.metadata.xattrs = xattrs,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.ending.errors.push(format!("cannot read the attributes of {}: {error}", show(path))),
        }
    }
}

impl Visitor for BatchReader<'_> {
    fn enter(&mut self, mut node: Node, found: Option<&Found<'_>>) -> Result<(), Stop> {
        let is_root = matches!(self.root, Root::ToCome(_));
        let parent = self.parent_node(&node.name);
        if !is_root {
            self.parents.enter(parent.as_ref());
        }
        let previous = parent.as_ref().and_then(|parent| match &parent.kind {
            NodeKind::Directory { tree } => Some(Box::new(tree.clone())),
            _ => None,
        });
        match (parent, found) {
            (_, None) => {}
            (Some(parent), _)
                if parent.is_directory()
                    && parent.metadata.ctime == node.metadata.ctime
                    && parent.metadata.inode == node.metadata.inode =>
            {
                node.metadata.xattrs = parent.metadata.xattrs;
            }
            (_, Some(found)) => self.take_xattrs(&mut node, xattrs_at(found), found.path),
        }
        self.step(Step::Enter { node: Box::new(node), previous })
    }

    fn leave(&mut self) -> Result<(), Stop> {
        self.parents.leave();
        self.step(Step::Leave)
    }

    fn file(&mut self, mut node: Node, place: &Place<'_>) -> Result<(), Stop> {
        let parent = self.parent_node(&node.name);
        if let Some(parent) = parent.as_ref().filter(|parent| parent.is_unchanged(&node))
            && self.parents.is_whole(parent)
        {
            let parent = parent.clone();
            node.kind = parent.kind;
            node.metadata.xattrs = parent.metadata.xattrs;
            self.ending.files += 1;
            self.ending.bytes += node.metadata.size_bytes;
            self.monitor.advance(node.metadata.size_bytes);
            return self.step(Step::Entry(Box::new(node)));
        }
        self.read_file(&mut node, place, parent.as_ref())
    }

    fn special(&mut self, mut node: Node, found: Option<&Found<'_>>) -> Result<(), Stop> {
        if let Some(found) = found {
            self.take_xattrs(&mut node, xattrs_at(found), found.path);
        }
        self.step(Step::Entry(Box::new(node)))
    }

    fn stream(&mut self, mut node: Node, reader: &mut dyn Read) -> Result<(), source::Error> {
        let parent = self.parent_node(&node.name);
        self.follow(parent.as_ref())?;
        match self.feed(&mut |target| reader.read(target)) {
            Ok(bytes) => node.metadata.size_bytes = bytes,
            Err(FeedError::Stop(stop)) => return Err(stop.into()),
            Err(FeedError::Read(_)) if self.monitor.is_cancelled() => return Err(Stop.into()),
            Err(FeedError::Read(source)) => {
                return Err(source::Error::Stream { what: node.name.to_text(), source });
            }
        }
        Ok(self.send_file(&node, Vec::new())?)
    }

    fn vanished(&mut self, name: &[u8], shown: &str) {
        // Files come and go. What has been a directory for longer may have been moved to where its turn has passed.
        if self.parent_node(name).is_some_and(|parent| parent.is_directory()) {
            let text = "vanished before it was read: if it was moved, nothing of it is saved";
            self.ending.errors.push(format!("the directory {shown} {text}"));
        } else {
            self.ending.notes.push(format!("{shown} vanished before it was read"));
        }
    }

    fn error(&mut self, message: String) {
        self.ending.errors.push(message);
    }

    fn note(&mut self, message: String) {
        self.ending.notes.push(message);
    }
}

fn show(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    show_path(path.as_os_str().as_bytes())
}
