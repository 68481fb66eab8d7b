//! A container that is never started and only mounts a volume, so that the engine makes archives of it or unpacks them.
//!
//! Its image is empty and made here: no registry is asked. It is removed when it is dropped, and when its process was
//! killed, by the next one that is made.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, CreateContainerOptions, CreateImageOptions, DownloadFromContainerOptions,
    ListContainersOptions, UploadToContainerOptions,
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use tokio::sync::mpsc::Sender;

use super::engine::failed;
use super::owner::{CONTAINER_LABEL, Kind, container_owner, is_gone, owner, unique_name};
use super::parts::{PART_BYTES, PARTS_IN_FLIGHT};
use super::{Archive, Engine, Error, Upload, VOLUME_FOLDER};
use crate::cancel::Cancel;

/// How long an engine may send nothing of an archive. Containers may be held meanwhile.
const SILENCE_MAX: Duration = Duration::from_mins(1);
const IMAGE: &str = "larder-helper";
const TAG: &str = "empty";
/// An archive without entries.
const EMPTY_ARCHIVE: [u8; 10_240] = [0; 10_240];

/// A helper container for one volume.
#[derive(Debug)]
pub struct Helper {
    engine: Arc<Engine>,
    id: String,
    volume: String,
}

impl Helper {
    /// Makes a helper for a volume that is there.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn create(engine: &Arc<Engine>, volume: &str) -> Result<Self, Error> {
        remove_orphans(engine);
        make_image(engine)?;
        let mount = Mount {
            target: Some(format!("/{VOLUME_FOLDER}")),
            source: Some(volume.to_owned()),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: Some(format!("{IMAGE}:{TAG}")),
            cmd: Some(vec!["never-started".to_owned()]),
            labels: Some(HashMap::from([(CONTAINER_LABEL.to_owned(), owner())])),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount]),
                network_mode: Some("none".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let name = Some(unique_name(Kind::Helper)?);
        let options = CreateContainerOptions { name, ..Default::default() };
        let action = format!("make a helper container for the volume {volume}");
        let created = engine.block(&action, engine.docker.create_container(Some(options), body))?;
        Ok(Self { engine: Arc::clone(engine), id: created.id, volume: volume.to_owned() })
    }

    /// Everything in the volume, as the engine reads it.
    #[must_use]
    pub fn archive(&self) -> Archive {
        self.archive_until(&Cancel::new())
    }

    /// The same, until it is cancelled.
    #[must_use]
    pub fn archive_until(&self, cancel: &Cancel) -> Archive {
        let (sender, receiver) = tokio::sync::mpsc::channel(PARTS_IN_FLIGHT);
        let (docker, id) = (self.engine.docker.clone(), self.id.clone());
        let action = format!("archive the volume {}", self.volume);
        let download = action.clone();
        self.engine.runtime.spawn(async move {
            let options = DownloadFromContainerOptions { path: format!("/{VOLUME_FOLDER}") };
            let frames = docker.download_from_container(&id, Some(options));
            let frames = frames.map_err(|error| failed(&download, &error));
            forward(Box::pin(frames), sender, SILENCE_MAX, &download).await;
        });
        Archive::new(self.engine.runtime.clone(), receiver, &action, cancel)
    }

    /// Whether something is at a path of the volume.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn has(&self, path: &str) -> Result<bool, Error> {
        let options = ContainerArchiveInfoOptions { path: format!("/{VOLUME_FOLDER}/{path}") };
        let found = self.engine.docker.get_container_archive_info(&self.id, Some(options));
        match self.engine.block(&format!("look into the volume {}", self.volume), found) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Unpacks the archive that is written to the result. Its paths begin with [`VOLUME_FOLDER`]; only so do mode and
    /// owner of the volume itself reach it.
    #[must_use]
    pub fn upload(&self) -> Upload {
        let (docker, id) = (self.engine.patient(), self.id.clone());
        let action = format!("unpack into the volume {}", self.volume);
        Upload::new(self.engine.runtime.clone(), &action, move |parts| async move {
            let parts =
                futures_util::stream::unfold(
                    parts,
                    |mut parts| async move { parts.recv().await.map(|part| (part, parts)) },
                );
            let body = bollard::body_try_stream(parts);
            let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
            docker.upload_to_container(&id, Some(options), body).await
        })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The next helper takes it away when the engine does not answer now.
        let _ = self.engine.remove_container(&self.id);
    }
}

/// Sends on what arrives in larger parts, and at its end the error that ended it. That nothing arrives for `limit` is one.
async fn forward<S>(mut frames: S, parts: Sender<io::Result<Bytes>>, limit: Duration, action: &str)
where
    S: Stream<Item = Result<Bytes, Error>> + Unpin,
{
    let silent = |_| {
        let why = format!("it has sent nothing for {} s", limit.as_secs());
        Err(Error::Broken { action: action.to_owned(), why })
    };
    let mut part = BytesMut::with_capacity(PART_BYTES);
    loop {
        let frame = tokio::time::timeout(limit, frames.try_next()).await.unwrap_or_else(silent);
        let ended = !matches!(frame, Ok(Some(_)));
        if let Ok(Some(frame)) = &frame {
            part.extend_from_slice(frame);
        }
        // Waking the reader for every frame would cost more than what is in it.
        if part.len() >= PART_BYTES || ended {
            let full = std::mem::replace(&mut part, BytesMut::with_capacity(PART_BYTES));
            if parts.send(Ok(full.freeze())).await.is_err() {
                return;
            }
        }
        if let Err(error) = frame {
            // The reader may have given up before.
            let _ = parts.send(Err(io::Error::other(error))).await;
        }
        if ended {
            return;
        }
    }
}

fn make_image(engine: &Engine) -> Result<(), Error> {
    let name = format!("{IMAGE}:{TAG}");
    if engine.block("look at an image", engine.docker.inspect_image(&name)).is_ok() {
        return Ok(());
    }
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(IMAGE.to_owned()),
        tag: Some(TAG.to_owned()),
        ..Default::default()
    };
    let body = bollard::body_full(Bytes::from_static(&EMPTY_ARCHIVE));
    let made = engine.docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>();
    engine.block("make an empty image", made).map(drop)
}

/// Removes helpers and other containers for a while that killed processes of this host left. Best effort: nothing of worth is
/// in them.
pub(super) fn remove_orphans(engine: &Engine) {
    let filters = HashMap::from([("label".to_owned(), vec![CONTAINER_LABEL.to_owned()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let listed = engine.block("list its containers", engine.docker.list_containers(Some(options)));
    for container in listed.unwrap_or_default() {
        if container_owner(&container).is_some_and(is_gone)
            && let Some(id) = container.id
        {
            let _ = engine.remove_container(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_stops_arriving_is_an_error() {
        let runtime = crate::runtime::handle().expect("a runtime");
        let first = futures_util::stream::iter([Ok(Bytes::from_static(b"first"))]);
        let frames = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        let (sender, mut parts) = tokio::sync::mpsc::channel(PARTS_IN_FLIGHT);
        runtime.block_on(forward(frames, sender, Duration::ZERO, "archive the volume x"));
        assert_eq!(parts.blocking_recv().expect("what came is kept").expect("no error"), "first");
        let error = parts.blocking_recv().expect("the end").expect_err("it must not look like the end");
        assert!(error.to_string().contains("archive the volume x: it has sent nothing"), "{error}");
        assert!(parts.blocking_recv().is_none());
    }
}
