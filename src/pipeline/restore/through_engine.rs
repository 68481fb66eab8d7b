//! Writing a volume that only the engine reaches: as an archive that it unpacks.
//!
//! An archive takes nothing away, so what the snapshot does not have is removed first: where no container knows the
//! volume by making it anew, else by the `rm` of the image of a container that may write to it.

use std::ffi::OsStr;
use std::io::BufWriter;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::TreeOptions;
use super::report::ComponentRestore;
use super::volume_target::VolumeTarget;
use crate::docker::{EntryKind, Helper, VOLUME_FOLDER, Volume, VolumeCleaner};
use crate::model::{Component, NodeKind, Step, Walk, show_path};
use crate::monitor::Monitor;
use crate::pipeline::{Error, archive};
use crate::repo::Repository;
use crate::sink::Holes;

const BUFFER_BYTES: usize = 128 << 10;

/// What stands in a volume and is not in a component.
#[derive(Default)]
struct Extra {
    paths: Vec<Vec<u8>>,
    /// Whether there is something that has to stay although the component does not have it.
    excluded: bool,
}

/// Makes the volume have what the component has.
pub(super) fn write(
    repository: &Repository,
    component: &Component,
    target: &VolumeTarget,
    options: TreeOptions,
    result: &mut ComponentRestore,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let Some(root) = &component.root else { return Ok(()) };
    let extra =
        if options.make_equal { extra_entries(repository, component, target, monitor)? } else { Extra::default() };
    let removed = extra.paths.len() as u64;
    let done = |result: &mut ComponentRestore| {
        (result.removed, result.written, result.bytes_written) = (removed, component.files, component.bytes);
    };
    if options.dry_run {
        done(result);
        return Ok(());
    }
    if removed > 0 {
        remove(target, &extra, result, monitor)?;
        check_removed(repository, component, target, monitor)?;
    }
    let helper = Helper::create(&target.engine, &target.name)?;
    result.touched = true;
    let mut upload = helper.upload();
    let target = (BufWriter::with_capacity(BUFFER_BYTES, &mut upload), Holes::Filled);
    let written = archive::write(repository, root, VOLUME_FOLDER, target, monitor).and_then(|(target, sockets)| {
        target.into_inner().map_err(|error| Error::Refused(error.to_string()))?;
        Ok(sockets)
    });
    match written {
        Ok(sockets) => {
            if sockets > 0 {
                let text = "sockets are made by the programs that listen on them, and were left out";
                result.notes.push(format!("{text}: {sockets}"));
            }
            upload.finish()?;
            done(result);
            Ok(())
        }
        // Where the engine has given up, it says why.
        Err(error) => Err(upload.abort().map_or(error, Error::from)),
    }
}

/// What stands in the volume and the component does not have, without what lies in directories that are named
/// themselves. Both are walked in the order of their names.
fn extra_entries(
    repository: &Repository,
    component: &Component,
    target: &VolumeTarget,
    monitor: &Monitor<'_>,
) -> Result<Extra, Error> {
    let Some(root) = component.root.clone() else { return Ok(Extra::default()) };
    let helper = Helper::create(&target.engine, &target.name)?;
    let mut standing = helper.archive();
    let mut reader = repository.reader()?;
    let mut walk = Walk::new(root, b"");
    let mut wanted: Option<(Vec<Vec<u8>>, bool)> = None;
    let mut ended = false;
    let mut excluded = false;
    let mut extra: Vec<Vec<Vec<u8>>> = Vec::new();
    while let Some(entry) = standing.next_entry()? {
        monitor.check()?;
        if extra.last().is_some_and(|last| entry.path.starts_with(last)) {
            continue;
        }
        while !ended && wanted.as_ref().is_none_or(|(path, _)| *path < entry.path) {
            match walk.next(&mut reader)? {
                None => ended = true,
                Some(Step::Leave) => {}
                Some(Step::Entry(node)) => {
                    let path = walk.path().split(|byte| *byte == b'/').skip(1).map(<[u8]>::to_vec).collect();
                    wanted = Some((path, matches!(node.kind, NodeKind::Directory { .. })));
                }
            }
        }
        let is_directory = entry.kind == EntryKind::Directory;
        // An entry of another kind would not be replaced by unpacking over it.
        let stays = wanted.as_ref().is_some_and(|(path, directory)| *path == entry.path && *directory == is_directory);
        let joined = entry.path.join(&b'/');
        if target.excludes.matches(Path::new(OsStr::from_bytes(&joined))) {
            excluded = true;
        } else if !stays {
            extra.push(entry.path);
        }
    }
    Ok(Extra { paths: extra.into_iter().map(|path| path.join(&b'/')).collect(), excluded })
}

fn remove(
    target: &VolumeTarget,
    extra: &Extra,
    result: &mut ComponentRestore,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    if !target.users.is_empty() {
        let cancel = monitor.cancel();
        let cleaner = VolumeCleaner::new(&target.engine, &target.name, &target.users, cancel)?;
        let paths = cleaner.plan(&extra.paths)?;
        result.touched = true;
        return Ok(cleaner.remove(&paths, cancel)?);
    }
    if extra.excluded {
        let why = "has entries that are excluded, and others that cannot be removed without a container that mounts it";
        return Err(Error::Refused(format!("the volume {} {why}", target.name)));
    }
    let Some(volume) = target.engine.volume(&target.name)? else { return Ok(()) };
    let Volume { name, driver, options, labels, .. } = volume;
    result.touched = true;
    target.engine.remove_volume(&name)?;
    target.engine.create_volume(&name, &driver, options, labels)?;
    Ok(())
}

/// Looks again: the `rm` of an image may do anything, and what a driver mounts from elsewhere outlives its volume.
fn check_removed(
    repository: &Repository,
    component: &Component,
    target: &VolumeTarget,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let left = extra_entries(repository, component, target, monitor)?;
    let Some(first) = left.paths.first() else { return Ok(()) };
    let why = "is in the volume after what the snapshot does not have was removed, by the `rm` of an image or by making the volume anew. \
               Remove it by hand, and look who made it";
    Err(Error::Refused(format!("{} {why} ({})", show_path(first), target.name)))
}
