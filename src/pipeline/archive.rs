//! The tree of a volume as a tar archive: for an exported folder, or for an engine that unpacks it.

use std::io::{self, Read, Write};

use super::Error;
use super::causes::with_causes;
use super::stream::ContentStream;
use crate::cancel::Cancelled;
use crate::model::{self, FirstNames, Name, Node, NodeKind, Step, Walk};
use crate::monitor::Monitor;
use crate::repo::{ChunkReader, Repository};
use crate::sink::{self, Holes, TarWriter};

/// Writes everything below a directory of a snapshot as a tar archive, holes as such; paths begin with its name. Returns how many sockets
/// were left out.
///
/// # Errors
/// [`Error::NotRendered`] for a file that cannot be read, [`Error::Model`], [`Error::Sink`], [`Error::Cancelled`].
pub fn write_archive(
    repository: &Repository,
    root: &Node,
    target: &mut dyn Write,
    monitor: &Monitor<'_>,
) -> Result<u64, Error> {
    write(repository, root, &root.name.to_text(), (target, Holes::Mapped), monitor).map(|(_, sockets)| sockets)
}

/// Writes everything below `root` into `target`; paths begin with `prefix`. Returns how many sockets were left out.
///
/// # Errors
/// [`Error::NotRendered`] for a file that cannot be read, [`Error::Model`], [`Error::Sink`], [`Error::Cancelled`].
pub(super) fn write<W: Write>(
    repository: &Repository,
    root: &Node,
    prefix: &str,
    (target, holes): (W, Holes),
    monitor: &Monitor<'_>,
) -> Result<(W, u64), Error> {
    let mut archive = TarWriter::new(target, holes);
    let (mut walker, mut reader) = (repository.reader()?, repository.reader()?);
    let mut walk = Walk::new(root.clone(), prefix.as_bytes());
    let mut names = FirstNames::default();
    let mut sockets = 0;
    while let Some(step) = walk.next(&mut walker)? {
        monitor.check()?;
        let Step::Entry(node) = step else { continue };
        let path = walk.path();
        if let Name::Again(first) = names.name(path, &node)? {
            archive.append_link(path, &node, &first).map_err(|source| failed(path, source))?;
            continue;
        }
        sockets += u64::from(!append(&mut archive, path, &node, &mut reader, monitor)?);
    }
    let target = archive.finish().map_err(|source| failed(prefix.as_bytes(), source))?;
    Ok((target, sockets))
}

fn append<W: Write>(
    archive: &mut TarWriter<W>,
    path: &[u8],
    node: &Node,
    reader: &mut ChunkReader,
    monitor: &Monitor<'_>,
) -> Result<bool, Error> {
    let appended = match &node.kind {
        NodeKind::File { content, .. } => {
            let stream = ContentStream::new(content, reader);
            archive.append(path, node, &mut Counted { stream, monitor })
        }
        _ => archive.append(path, node, &mut io::empty()),
    };
    appended.map_err(|source| if monitor.is_cancelled() { Cancelled.into() } else { failed(path, source) })
}

/// What the repository cannot give is told from what the target cannot take.
fn failed(path: &[u8], source: io::Error) -> Error {
    let path = model::show_path(path);
    match source.downcast::<model::Error>() {
        Ok(error) => {
            let damaged = error.is_damage();
            Error::NotRendered { path, why: with_causes(&error), damaged }
        }
        Err(source) => sink::Error::io("write", path, source).into(),
    }
}

struct Counted<'a> {
    stream: ContentStream<'a>,
    monitor: &'a Monitor<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.monitor.is_cancelled() {
            return Err(Cancelled::as_io());
        }
        let len = self.stream.read(target)?;
        self.monitor.advance(len as u64);
        Ok(len)
    }
}
