//! The documented folder of a snapshot: rendered beside its place and renamed when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::metadata::{Rendered, render};
use super::restore::{into_fresh_folder, with_causes};
use super::stream::ContentStream;
use super::{Error, archive};
use crate::id::hex;
use crate::model::{self, Component, Node, NodeKind, Snapshot, SnapshotPath, resolve};
use crate::progress::{self, Progress};
use crate::repo::Repository;
use crate::sink::{self, GzipWriter, Holes};
use crate::source::postgres::DUMP_FILE;

/// Where the archives of volumes lie in the folder.
const VOLUMES_FOLDER: &str = "docker_volumes";
/// What stands before the name of a volume in the name of its component.
const VOLUME_PREFIX: &str = "docker_volume_";
const METADATA_FILE: &str = "metadata.json";
const COPY_BUFFER_BYTES: usize = 256 << 10;

/// How to render a folder.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions {
    /// Compress the dump.
    pub compress: bool,
}

/// What was rendered.
#[derive(Debug)]
pub struct ExportReport {
    /// The folder.
    pub path: PathBuf,
    /// Bytes of files in it.
    pub bytes: u64,
    /// Components that the snapshot does not have and that are left out therefore.
    pub left_out: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// Renders a snapshot as the folder of its name in `parent`.
///
/// # Errors
/// [`Error::Refused`] when the folder is there already or a file is lost; [`Error::Sink`], [`Error::Model`],
/// [`Error::Cancelled`].
pub fn export(
    repository: &Repository,
    snapshot: &Snapshot,
    parent: &Path,
    options: ExportOptions,
    progress: &dyn Progress,
) -> Result<ExportReport, Error> {
    let path = parent.join(snapshot.name.as_str());
    if path.symlink_metadata().is_ok() {
        return Err(Error::Refused(format!("{} exists already", path.display())));
    }
    let failed = |action, source| Error::from(sink::Error::io(action, path.display().to_string(), source));
    fs::create_dir_all(parent).map_err(|source| failed("create the folder of", source))?;
    let prefix = format!(".{}-", snapshot.name);
    let partial =
        tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).map_err(|source| failed("create", source))?;
    let mut rendered = Vec::new();
    let mut report = ExportReport { path: path.clone(), bytes: 0, left_out: Vec::new(), notes: Vec::new() };
    for component in &snapshot.components {
        let Some(root) = &component.root else {
            report.left_out.push(component.name.to_string());
            continue;
        };
        progress.begin(&format!("exporting {}", component.name), Some(component.bytes));
        let entry = if component.database.is_some() {
            let node = resolve(&mut repository.reader()?, snapshot, &dump_path(component))?;
            file(repository, &node, partial.path(), DUMP_FILE, options.compress, progress)?
        } else if let Some(facts) = &component.volume {
            let folder = partial.path();
            volume(repository, (component, root, &facts.name), folder, options.compress, &mut report.notes, progress)?
        } else if root.is_directory() {
            directory(repository, component, partial.path(), progress)?
        } else {
            file(repository, root, partial.path(), component.name.as_str(), false, progress)?
        };
        rendered.push((component, entry));
    }
    let shown = path.display().to_string();
    let text = render(snapshot, &shown, &rendered);
    fs::write(partial.path().join(METADATA_FILE), text).map_err(|source| failed("write the metadata of", source))?;
    sync(partial.path()).map_err(|source| failed("sync", source))?;
    set_mode(partial.path()).map_err(|source| failed("set the mode of", source))?;
    fs::rename(partial.path(), &path).map_err(|source| failed("create", source))?;
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(|source| failed("sync the folder of", source))?;
    // Its folder has another name now, and there is nothing to remove.
    drop(partial.keep());
    let bytes = rendered.iter().map(|(_, entry)| match entry {
        Rendered::File { bytes, .. } | Rendered::Directory { bytes, .. } | Rendered::Volume { bytes, .. } => *bytes,
    });
    report.bytes = bytes.sum();
    Ok(report)
}

fn dump_path(component: &Component) -> SnapshotPath {
    SnapshotPath::new(format!("{}/{DUMP_FILE}", component.name).as_bytes())
}

fn directory(
    repository: &Repository,
    component: &Component,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Rendered, Error> {
    let result = into_fresh_folder(repository, component, folder, progress)?;
    if let Some((path, why)) = result.problems().next() {
        return Err(Error::NotRendered { path: path.clone(), why: why.clone(), damaged: result.damaged });
    }
    Ok(Rendered::Directory { files: component.files, bytes: component.bytes })
}

/// Writes the archive of a volume, compressed if so wanted, and hashes what lies there in the end.
fn volume(
    repository: &Repository,
    (component, root, engine_name): (&Component, &Node, &str),
    folder: &Path,
    compress: bool,
    notes: &mut Vec<String>,
    progress: &dyn Progress,
) -> Result<Rendered, Error> {
    let name = component.name.as_str();
    let short = name.strip_prefix(VOLUME_PREFIX).unwrap_or(name);
    let filename = format!("{VOLUMES_FOLDER}/{short}.tar{}", if compress { ".gz" } else { "" });
    let failed = |source| Error::from(sink::Error::io("write", filename.clone(), source));
    make_folder(&folder.join(VOLUMES_FOLDER)).map_err(failed)?;
    let target = HashingFile::create(&folder.join(&filename)).map_err(failed)?;
    let (target, sockets) = if compress {
        let gzip = GzipWriter::new(target).map_err(failed)?;
        let (gzip, sockets) = archive::write(repository, root, ".", (gzip, Holes::Mapped), progress)?;
        (gzip.finish().map_err(failed)?, sockets)
    } else {
        let target = BufWriter::with_capacity(COPY_BUFFER_BYTES, target);
        let (target, sockets) = archive::write(repository, root, ".", (target, Holes::Mapped), progress)?;
        (target.into_inner().map_err(|error| failed(error.into_error()))?, sockets)
    };
    if sockets > 0 {
        notes.push(format!("{name}: archives have no sockets, and it has {sockets}"));
    }
    let HashingFile { hasher, bytes, .. } = target;
    let (volume, sha256) = (engine_name.to_owned(), hex(&hasher.finalize()));
    Ok(Rendered::Volume { volume, filename, bytes, sha256, compressed: compress })
}

/// Writes a file, compressed if so wanted, and hashes what lies there in the end.
fn file(
    repository: &Repository,
    node: &Node,
    folder: &Path,
    name: &str,
    compress: bool,
    progress: &dyn Progress,
) -> Result<Rendered, Error> {
    let NodeKind::File { content, .. } = &node.kind else {
        return Err(Error::Path { path: name.to_owned(), why: "it is not a regular file".to_owned() });
    };
    let filename = if compress { format!("{name}.gz") } else { name.to_owned() };
    let failed = |source| Error::from(sink::Error::io("write", filename.clone(), source));
    let mut reader = repository.reader()?;
    let mut content = ContentStream::new(content, &mut reader)?;
    let target = HashingFile::create(&folder.join(&filename)).map_err(failed)?;
    let target = if compress {
        let mut gzip = GzipWriter::new(target).map_err(failed)?;
        copy(&mut content, &mut gzip, &filename, progress)?;
        gzip.finish().map_err(failed)?
    } else {
        let mut target = target;
        copy(&mut content, &mut target, &filename, progress)?;
        target
    };
    let HashingFile { hasher, bytes, .. } = target;
    let sha256 = hex(&hasher.finalize());
    Ok(Rendered::File { filename, bytes, sha256, compressed: compress })
}

fn copy(from: &mut ContentStream<'_>, to: &mut dyn Write, name: &str, progress: &dyn Progress) -> Result<(), Error> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        progress::check(progress)?;
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
        progress.advance(len as u64);
    }
}

struct HashingFile {
    file: File,
    hasher: Sha256,
    bytes: u64,
}

impl HashingFile {
    fn create(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, hasher: Sha256::new(), bytes: 0 })
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

fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

fn set_mode(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}
