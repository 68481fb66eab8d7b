//! The components of a snapshot as files of a folder, hashed while they are written.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::metadata::Rendered;
use super::options::{ExportOptions, Layout};
use crate::id::hex;
use crate::model::{self, Component, Node, NodeKind, Snapshot};
use crate::monitor::Monitor;
use crate::pipeline::causes::with_causes;
use crate::pipeline::database::SavedDatabase;
use crate::pipeline::filter::{Filtered, Wanted};
use crate::pipeline::restore::into_fresh_folder;
use crate::pipeline::stream::ContentStream;
use crate::pipeline::{Error, archive};
use crate::repo::Repository;
use crate::sink::{self, GzipWriter, Holes};
use crate::source::postgres::DUMP_FILE;

/// Where the archives of volumes lie in the documented folder.
pub(super) const VOLUMES_FOLDER: &str = "docker_volumes";
/// What stands before the name of a volume in the name of its component.
const VOLUME_PREFIX: &str = "docker_volume_";
/// The component whose dump has the documented name.
const MAIN_DATABASE: &str = "database";
const COPY_BUFFER_BYTES: usize = 256 << 10;

/// Renders components into a folder.
pub(super) struct Renderer<'a> {
    pub(super) repository: &'a Repository,
    pub(super) snapshot: &'a Snapshot,
    pub(super) folder: &'a Path,
    pub(super) options: ExportOptions<'a>,
    pub(super) notes: &'a mut Vec<String>,
    pub(super) monitor: &'a Monitor<'a>,
}

impl Renderer<'_> {
    /// Renders a component with this root.
    pub(super) fn component(&mut self, component: &Component, root: &Node) -> Result<Rendered, Error> {
        if component.database.is_some() {
            let mut reader = self.repository.reader()?;
            let saved = SavedDatabase::find(&mut reader, component)?;
            saved.check_mask(self.options.mask)?;
            let mut dump: Box<dyn Read + '_> = Box::new(ContentStream::of_segments(saved.plain()?, &mut reader));
            if self.options.mask.is_some() {
                let wanted = Wanted { mask: self.options.mask, index: saved.index(), ..Wanted::default() };
                dump = Box::new(Filtered::script(dump, wanted));
            }
            self.file(&mut dump, &self.dump_name(component), self.options.compress)
        } else if let Some(facts) = &component.volume {
            self.volume(component, root, &facts.name)
        } else if root.is_directory() {
            self.directory(component)
        } else {
            let name = component.name.as_str();
            let NodeKind::File { content, .. } = &root.kind else {
                return Err(Error::Path { path: name.to_owned(), why: "it is not a regular file".to_owned() });
            };
            self.file(&mut ContentStream::new(content, &mut self.repository.reader()?), name, false)
        }
    }

    fn directory(&self, component: &Component) -> Result<Rendered, Error> {
        let result = into_fresh_folder(self.repository, component, self.folder, self.monitor)?;
        if let Some((path, why)) = result.problems().next() {
            return Err(Error::NotRendered { path: path.clone(), why: why.clone(), damaged: result.damaged });
        }
        Ok(Rendered::Directory { files: component.files, bytes: component.bytes })
    }

    /// Writes the archive of a volume, compressed if so wanted, and hashes what lies there in the end.
    fn volume(&mut self, component: &Component, root: &Node, engine_name: &str) -> Result<Rendered, Error> {
        let name = component.name.as_str();
        let short = name.strip_prefix(VOLUME_PREFIX).unwrap_or(name);
        let compress = self.options.compress;
        let ending = if compress { ".tar.gz" } else { ".tar" };
        let documented = format!("{VOLUMES_FOLDER}/{short}{ending}");
        let stamped = format!("{short}_{}{ending}", self.snapshot.time.stamp());
        let filename = if self.options.layout == Layout::Documented { &documented } else { &stamped };
        let failed = |source| Error::from(sink::Error::io("write", filename.clone(), source));
        if self.options.layout != Layout::Upstream {
            make_folder(&self.folder.join(VOLUMES_FOLDER)).map_err(failed)?;
        }
        let target = HashingFile::create(&self.folder.join(filename)).map_err(failed)?;
        let (target, sockets) = if compress {
            let gzip = GzipWriter::new(target).map_err(failed)?;
            let (gzip, sockets) = archive::write(self.repository, root, ".", (gzip, Holes::Mapped), self.monitor)?;
            (gzip.finish().map_err(failed)?, sockets)
        } else {
            let target = BufWriter::with_capacity(COPY_BUFFER_BYTES, target);
            let (target, sockets) = archive::write(self.repository, root, ".", (target, Holes::Mapped), self.monitor)?;
            (target.into_inner().map_err(|error| failed(error.into_error()))?, sockets)
        };
        if sockets > 0 {
            self.notes.push(format!("{name}: archives have no sockets, and it has {sockets}"));
        }
        let (bytes, sha256) = target.finish(self.snapshot).map_err(failed)?;
        if self.options.layout == Layout::Both {
            self.link(&stamped, &documented).map_err(failed)?;
        }
        let (volume, filename) = (engine_name.to_owned(), filename.clone());
        Ok(Rendered::Volume { volume, filename, bytes, sha256, compressed: compress })
    }

    /// A second name of a file; a copy where the file system has no hard links.
    fn link(&mut self, file: &str, name: &str) -> io::Result<()> {
        let [from, to] = [file, name].map(|name| self.folder.join(name));
        match fs::hard_link(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                let mut copy = create(&to)?;
                io::copy(&mut File::open(&from)?, &mut copy)?;
                copy.set_modified(modified(self.snapshot))?;
                self.notes.push(format!("{name} is a copy: the file system has no hard links"));
                Ok(())
            }
            linked => linked,
        }
    }

    /// Writes a file, compressed if so wanted, and hashes what lies there in the end.
    fn file(&self, content: &mut dyn Read, name: &str, compress: bool) -> Result<Rendered, Error> {
        let filename = if compress { format!("{name}.gz") } else { name.to_owned() };
        let failed = |source| Error::from(sink::Error::io("write", filename.clone(), source));
        let mut target = HashingFile::create(&self.folder.join(&filename)).map_err(failed)?;
        if compress {
            let mut gzip = GzipWriter::new(target).map_err(failed)?;
            copy(content, &mut gzip, &filename, self.monitor)?;
            target = gzip.finish().map_err(failed)?;
        } else {
            copy(content, &mut target, &filename, self.monitor)?;
        }
        let (bytes, sha256) = target.finish(self.snapshot).map_err(failed)?;
        Ok(Rendered::File { filename, bytes, sha256, compressed: compress })
    }

    /// The name of a dump, before it is compressed.
    fn dump_name(&self, component: &Component) -> String {
        let name = component.name.as_str();
        let database = component.database.as_ref().map_or(name, |facts| facts.name.as_str());
        match (self.options.layout, name) {
            (Layout::Documented | Layout::Both, MAIN_DATABASE) => DUMP_FILE.to_owned(),
            (Layout::Upstream, MAIN_DATABASE) if is_plain(database) => {
                format!("{database}_backup_{}.sql", self.snapshot.time.stamp())
            }
            _ => format!("{name}.sql"),
        }
    }
}

/// Whether a name can be a part of the name of a file anywhere.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-'))
}

/// When files that are made for an export were changed: with the snapshot, so that they are the same each time.
pub(super) fn modified(snapshot: &Snapshot) -> SystemTime {
    let micros = u64::try_from(snapshot.time.unix_micros).unwrap_or(0);
    UNIX_EPOCH + Duration::from_micros(micros)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, name: &str, monitor: &Monitor<'_>) -> Result<(), Error> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        monitor.check()?;
        let len = from.read(&mut buffer).map_err(|error| {
            let why = with_causes(&error);
            let damaged = error.downcast::<model::Error>().is_ok_and(|error| error.is_damage());
            Error::NotRendered { path: name.to_owned(), why, damaged }
        })?;
        if len == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..len).unwrap_or_default())
            .map_err(|source| Error::from(sink::Error::io("write", name, source)))?;
        monitor.advance(len as u64);
    }
}

struct HashingFile {
    file: File,
    hasher: Sha256,
    bytes: u64,
}

impl HashingFile {
    fn create(path: &Path) -> io::Result<Self> {
        let file = create(path)?;
        Ok(Self { file, hasher: Sha256::new(), bytes: 0 })
    }
}

impl HashingFile {
    /// The length of what was written, and its SHA-256.
    fn finish(self, snapshot: &Snapshot) -> io::Result<(u64, String)> {
        self.file.set_modified(modified(snapshot))?;
        Ok((self.bytes, hex(&self.hasher.finalize())))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..len).unwrap_or_default());
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes a file where there is nothing yet. What a component has put there may lead anywhere.
pub(super) fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
