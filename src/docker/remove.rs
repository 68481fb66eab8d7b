//! Taking entries out of a volume that only the engine reaches: by the `rm` of an image whose container mounts nothing
//! but that volume.
//!
//! The containers that use the volume are not touched, and what else they mount is not seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions, WaitContainerOptions};
use futures_util::StreamExt;

use super::engine::failed;
use super::owner::{CONTAINER_LABEL, Kind, owner, unique_name};
use super::{Container, Engine, Error, VOLUME_FOLDER};
use crate::cancel::{Cancel, Cancelled, POLL};

/// Paths that one container removes, and how long they are together.
const PATHS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 64 << 10;
/// How long it may take for them.
const LIMIT: Duration = Duration::from_mins(10);
/// How long `rm` may take for nothing.
const NOTHING_LIMIT: Duration = Duration::from_secs(30);

/// Removes entries of one volume.
#[derive(Debug)]
pub struct VolumeCleaner {
    engine: Arc<Engine>,
    volume: String,
    /// Id of an image that has `rm`.
    image: String,
}

/// Paths that are to be removed, as many together as one call takes.
#[derive(Debug)]
pub struct Removal(Vec<Vec<String>>);

impl VolumeCleaner {
    /// Finds `rm` in the image of one of the containers that may write to the volume: those of others get nothing that they could
    /// write to. Nothing is removed.
    ///
    /// # Errors
    /// [`Error::Refused`] when no image has it; [`Error::NotReady`] when none has one that ends; [`Error::Broken`], also when
    /// it was cancelled.
    pub fn new(engine: &Arc<Engine>, volume: &str, users: &[Container], cancel: &Cancel) -> Result<Self, Error> {
        let mut failed = None;
        let may_write = |user: &&Container| user.mount(volume).is_some_and(|mount| mount.writable);
        for user in users.iter().filter(may_write) {
            let action = format!("look at the container {}", user.name);
            let found = engine.block(&action, engine.docker.inspect_container(&user.id, None));
            let cleaner = found.and_then(|found| {
                let (engine, image) = (Arc::clone(engine), found.image.unwrap_or_default());
                let cleaner = Self { engine, volume: volume.to_owned(), image };
                cleaner.run(&[], NOTHING_LIMIT, cancel).map(|()| cleaner)
            });
            match cleaner {
                Ok(cleaner) => return Ok(cleaner),
                Err(error @ (Error::Refused { .. } | Error::NotReady { .. })) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or_else(|| refused(volume, "no container may write to it whose image has `rm`")))
    }

    /// Prepares the removal of paths below the root of the volume. Nothing is removed.
    ///
    /// # Errors
    /// [`Error::Refused`] when a path is not in UTF-8.
    pub fn plan(&self, paths: &[Vec<u8>]) -> Result<Removal, Error> {
        Ok(Removal(batches(&self.volume, paths)?))
    }

    /// Removes them, with everything in them.
    ///
    /// # Errors
    /// [`Error::Refused`] when `rm` fails; [`Error::NotReady`] when it does not end; [`Error::Broken`], also when it was
    /// cancelled.
    pub fn remove(&self, removal: &Removal, cancel: &Cancel) -> Result<(), Error> {
        removal.0.iter().try_for_each(|paths| self.run(paths, LIMIT, cancel))
    }

    fn run(&self, paths: &[String], limit: Duration, cancel: &Cancel) -> Result<(), Error> {
        let action = action(&self.volume);
        let mount = Mount {
            target: Some(format!("/{VOLUME_FOLDER}")),
            source: Some(self.volume.clone()),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Default::default()
        };
        let command = ["rm", "-rf", "--"].map(str::to_owned).into_iter();
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(Vec::new()),
            cmd: Some(command.chain(paths.iter().cloned()).collect()),
            user: Some("0:0".to_owned()),
            labels: Some(HashMap::from([(CONTAINER_LABEL.to_owned(), owner())])),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount]),
                network_mode: Some("none".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let engine = &self.engine;
        let options = CreateContainerOptions { name: Some(unique_name(Kind::Remover)?), ..Default::default() };
        let id = engine.block(&action, engine.docker.create_container(Some(options), body))?.id;
        let ran = engine.start(&id).and_then(|()| self.wait_for_end(&id, limit, cancel));
        // With the volumes that its image asks for.
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let removed = engine.block(&action, engine.docker.remove_container(&id, Some(options)));
        ran.and(removed)
    }

    fn wait_for_end(&self, id: &str, limit: Duration, cancel: &Cancel) -> Result<(), Error> {
        let (action, begun) = (action(&self.volume), Instant::now());
        let docker = self.engine.patient();
        let mut ends = docker.wait_container(id, None::<WaitContainerOptions>);
        let end = loop {
            match self.engine.runtime.block_on(async { tokio::time::timeout(POLL, ends.next()).await }) {
                Ok(end) => break end,
                Err(_) if cancel.is_cancelled() => return Err(Error::Broken { action, why: Cancelled.to_string() }),
                Err(_) if begun.elapsed() >= limit => {
                    let what = format!("the `rm` of an image still did not {action}");
                    return Err(Error::NotReady { secs: limit.as_secs(), what });
                }
                Err(_) => {}
            }
        };
        let status = match end {
            Some(Ok(end)) => end.status_code,
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => return Err(failed(&action, &error)),
            None => return Err(Error::Broken { action, why: "the engine hung up".to_owned() }),
        };
        if status == 0 { Ok(()) } else { Err(refused(&self.volume, &format!("`rm` ended with status {status}"))) }
    }
}

fn action(volume: &str) -> String {
    format!("remove what is too much from the volume {volume}")
}

fn refused(volume: &str, why: &str) -> Error {
    Error::Refused { action: action(volume), why: why.to_owned(), missing: false }
}

/// The paths as the container sees them, as many at once as it is given.
fn batches(volume: &str, paths: &[Vec<u8>]) -> Result<Vec<Vec<String>>, Error> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for path in paths {
        let text = std::str::from_utf8(path).map_err(|_| {
            let shown = String::from_utf8_lossy(path).escape_debug().to_string();
            refused(
                volume,
                &format!("the name '{shown}' is not in UTF-8, and the engine takes no other: remove it by hand"),
            )
        })?;
        let text = format!("/{VOLUME_FOLDER}/{text}");
        bytes += text.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < PATHS_AT_ONCE && bytes <= BYTES_AT_ONCE => batch.push(text),
            _ => {
                bytes = text.len();
                batches.push(vec![text]);
            }
        }
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_too_long_and_every_path_is_in_one() {
        let paths: Vec<Vec<u8>> = (0..2_000).map(|n| format!("{n}/{}", "x".repeat(n)).into_bytes()).collect();
        let batches = batches("v", &paths).expect("all are text");
        assert!(batches.iter().all(|batch| batch.len() <= PATHS_AT_ONCE));
        assert!(batches.iter().all(|batch| batch.iter().map(String::len).sum::<usize>() <= BYTES_AT_ONCE));
        let back: Vec<Vec<u8>> = batches.concat().iter().map(|path| path.as_bytes()[3..].to_vec()).collect();
        assert_eq!(back, paths);
    }

    #[test]
    fn a_name_that_cannot_be_passed_on_is_refused_before_anything_goes() {
        let error = batches("v", &[b"a".to_vec(), b"\xff".to_vec()]).expect_err("it is not text");
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }
}
