//! The folder of a snapshot, which needs no Larder: rendered beside its place and renamed when it is complete.

mod metadata;
mod options;
mod render;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Error, Mask};
use crate::events::Phase;
use crate::model::{Component, Snapshot};
use crate::monitor::Monitor;
use crate::process::{Place, Program, Watched};
use crate::repo::Repository;
use crate::sink;
use crate::temporary::TemporaryFolder;

pub use options::{ExportOptions, Layout};

use metadata::Rendered;
use render::{Renderer, modified};

const METADATA_FILE: &str = "metadata.json";
const COPY_BUFFER_BYTES: usize = 256 << 10;

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

/// Renders a snapshot as the folder of its name in `parent`. One that is there is replaced in one step, or stays as it is.
///
/// # Errors
/// [`Error::Refused`] when the folder is there already and is not to be replaced, [`Error::NotRendered`] when a file is
/// lost; [`Error::Sink`], [`Error::Model`], [`Error::Cancelled`].
pub fn export(
    repository: &Repository,
    snapshot: &Snapshot,
    parent: &Path,
    options: ExportOptions<'_>,
    monitor: &Monitor<'_>,
) -> Result<ExportReport, Error> {
    let path = parent.join(snapshot.name.as_str());
    let failed = |action, source| Error::from(sink::Error::io(action, path.display().to_string(), source));
    if path.symlink_metadata().is_ok() && !options.replace {
        return Err(Error::Refused(format!("{} exists already (`--force` replaces it)", path.display())));
    }
    fs::create_dir_all(parent).map_err(|source| failed("create the folder of", source))?;
    let prefix = format!(".{}-", snapshot.name);
    let partial = TemporaryFolder::new_in(parent, &prefix).map_err(|source| failed("create", source))?;
    let mut report = render(repository, snapshot, (partial.path(), &path), options, monitor)?;
    sync(partial.path()).map_err(|source| failed("sync", source))?;
    put_in_place(partial, &path).map_err(|source| failed("create", source))?;
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(|source| failed("sync the folder of", source))?;
    report.path = path;
    Ok(report)
}

/// Writes the folder of a snapshot as a tar archive. It is rendered in the folder of temporary files before.
///
/// # Errors
/// Those of [`export`]; [`Error::Source`] without GNU tar.
pub fn export_tar(
    repository: &Repository,
    snapshot: &Snapshot,
    target: &mut dyn Write,
    options: ExportOptions<'_>,
    monitor: &Monitor<'_>,
) -> Result<ExportReport, Error> {
    let name = snapshot.name.as_str();
    let failed = |source| Error::from(sink::Error::io("write", "the archive", source));
    let parent = TemporaryFolder::new("larder-export-").map_err(failed)?;
    let folder = parent.path().join(name);
    fs::create_dir(&folder).map_err(failed)?;
    let report = render(repository, snapshot, (&folder, Path::new(name)), options, monitor)?;
    monitor.begin(Phase::WritingArchive, Some(report.bytes));
    let mut program = Program::new("tar", Place::Here);
    program.args(["--create", "--file=-", "--sparse", "--sort=name", "--format=posix", "--numeric-owner"]);
    program.arg("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime");
    program.args(["--xattrs", "--xattrs-include=*", "--directory"]).arg(parent.path()).arg(name);
    let mut archive = Watched::start(&program, monitor.cancel())?;
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        monitor.check()?;
        let len = archive.read(&mut buffer).map_err(failed)?;
        if len == 0 {
            break;
        }
        target.write_all(buffer.get(..len).unwrap_or_default()).map_err(failed)?;
        monitor.advance(len as u64);
    }
    archive.finish()?;
    target.flush().map_err(failed)?;
    Ok(report)
}

/// Renders everything into an empty folder, which is called `shown` in its metadata.
fn render(
    repository: &Repository,
    snapshot: &Snapshot,
    (folder, shown): (&Path, &Path),
    options: ExportOptions<'_>,
    monitor: &Monitor<'_>,
) -> Result<ExportReport, Error> {
    let failed = |action, source| Error::from(sink::Error::io(action, shown.display().to_string(), source));
    check_names(snapshot, options.layout)?;
    options.mask.into_iter().for_each(Mask::begin);
    let mut rendered = Vec::new();
    let mut report = ExportReport { path: shown.to_owned(), bytes: 0, left_out: Vec::new(), notes: Vec::new() };
    let mut renderer = Renderer { repository, snapshot, folder, options, notes: &mut report.notes, monitor };
    for component in &snapshot.components {
        let Some(root) = &component.root else {
            report.left_out.push(component.name.to_string());
            continue;
        };
        if options.mask.is_some() && component.volume.as_ref().is_some_and(|facts| facts.server_data.is_some()) {
            let why = "it holds the rows of a database, which are not masked there";
            renderer.notes.push(format!("{} is left out: {why}", component.name));
            continue;
        }
        monitor.begin(Phase::Exporting { component: component.name.as_str() }, Some(component.bytes));
        rendered.push((component, renderer.component(component, root)?));
    }
    if let Some(missing) = options.mask.and_then(Mask::missing) {
        return Err(Error::Refused(missing));
    }
    let pinned = repository.pins()?.contains(snapshot.name.as_str());
    let text = metadata::render(snapshot, &shown.display().to_string(), &rendered, options.mask, pinned);
    let path = folder.join(METADATA_FILE);
    let written = render::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_modified(render::modified(snapshot))
    });
    written.map_err(|source| failed("write the metadata of", source))?;
    finish_folder(folder, snapshot).map_err(|source| failed("finish", source))?;
    let bytes = rendered.iter().map(|(_, entry)| match entry {
        Rendered::File { bytes, .. } | Rendered::Directory { bytes, .. } | Rendered::Volume { bytes, .. } => *bytes,
    });
    report.bytes = bytes.sum();
    Ok(report)
}

/// Refuses a component in whose place the archives of volumes would lie: one of them would be lost.
fn check_names(snapshot: &Snapshot, layout: Layout) -> Result<(), Error> {
    let mut components = snapshot.components.iter();
    let has_volumes = components.clone().any(|component| component.volume.is_some());
    let is_in_the_way =
        |component: &Component| component.volume.is_none() && component.name.as_str() == render::VOLUMES_FOLDER;
    if layout != Layout::Upstream && has_volumes && components.any(is_in_the_way) {
        let name = render::VOLUMES_FOLDER;
        let why = "is where the archives of volumes lie: --layout upstream has another place for them";
        return Err(Error::Refused(format!("the component {name} cannot be exported with volumes: {name}/ {why}")));
    }
    Ok(())
}

/// Gives the folder, and that of volumes, their mode and the time of the snapshot.
fn finish_folder(folder: &Path, snapshot: &Snapshot) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let volumes = folder.join(render::VOLUMES_FOLDER);
    if volumes.is_dir()
        && !snapshot.components.iter().any(|component| component.name.as_str() == render::VOLUMES_FOLDER)
    {
        set_modified(&volumes, snapshot)?;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    set_modified(folder, snapshot)
}

fn set_modified(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    File::open(path)?.set_modified(modified(snapshot))
}

/// Gives a folder its name. What had it is deleted afterwards.
fn put_in_place(partial: TemporaryFolder, path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        match renameat_with(CWD, partial.path(), CWD, path, RenameFlags::EXCHANGE) {
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                // The file system cannot exchange names: for a moment there is none.
                let aside = partial.path().with_extension("old");
                fs::rename(path, &aside)?;
                fs::rename(partial.path(), path)?;
                fs::rename(aside, partial.path())?;
            }
            exchanged => exchanged?,
        }
        // What was there has the name of the temporary folder now, and is removed with it.
        let replaced = partial.keep();
        return if replaced.is_dir() { fs::remove_dir_all(replaced) } else { fs::remove_file(replaced) };
    }
    fs::rename(partial.path(), path)?;
    // Its folder has another name now, and there is nothing to remove.
    drop(partial.keep());
    Ok(())
}

fn sync(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}
