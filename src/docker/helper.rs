//! A container that is never started and only mounts a volume, so that the engine makes archives of it or unpacks them.
//!
//! Its image is empty and made here: no registry is asked. It is removed when it is dropped, and when its process was
//! killed, by the next one that is made.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    ContainerArchiveInfoOptions, CreateContainerOptions, CreateImageOptions, DownloadFromContainerOptions,
    ListContainersOptions, UploadToContainerOptions,
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;

use super::archive::{Archive, PART_BYTES, PARTS_IN_FLIGHT};
use super::container::HELPER;
use super::engine::failed;
use super::owner::{is_gone, owner};
use super::{Engine, Error, Upload};

/// Where the volume is in the helper: the first part of every path in its archives.
pub const VOLUME_FOLDER: &str = "v";
const IMAGE: &str = "larder-helper";
const TAG: &str = "empty";
/// An archive without entries.
const EMPTY_ARCHIVE: [u8; 10_240] = [0; 10_240];

static NEXT: AtomicU32 = AtomicU32::new(0);

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
            labels: Some(HashMap::from([(HELPER.to_owned(), owner())])),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount]),
                network_mode: Some("none".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("larder-helper-{}-{number}", std::process::id());
        let options = CreateContainerOptions { name: Some(name), ..Default::default() };
        let action = format!("make a helper container for the volume {volume}");
        let created = engine.block(&action, engine.docker.create_container(Some(options), body))?;
        Ok(Self { engine: Arc::clone(engine), id: created.id, volume: volume.to_owned() })
    }

    /// Everything in the volume, as the engine reads it.
    #[must_use]
    pub fn archive(&self) -> Archive {
        let (sender, receiver) = tokio::sync::mpsc::channel(PARTS_IN_FLIGHT);
        let (docker, id) = (self.engine.docker.clone(), self.id.clone());
        self.engine.runtime.spawn(async move {
            let options = DownloadFromContainerOptions { path: format!("/{VOLUME_FOLDER}") };
            let mut frames = Box::pin(docker.download_from_container(&id, Some(options)));
            let mut part = BytesMut::with_capacity(PART_BYTES);
            loop {
                let frame = frames.try_next().await;
                let ended = !matches!(frame, Ok(Some(_)));
                if let Ok(Some(frame)) = &frame {
                    part.extend_from_slice(frame);
                }
                // Waking the reader for every frame would cost more than what is in it.
                if part.len() >= PART_BYTES || ended {
                    let full = std::mem::replace(&mut part, BytesMut::with_capacity(PART_BYTES));
                    if sender.send(Ok(full.freeze())).await.is_err() {
                        return;
                    }
                }
                if let Err(error) = frame {
                    let error = std::io::Error::other(failed("archive a volume", &error));
                    // The reader may have given up before.
                    let _ = sender.send(Err(error)).await;
                }
                if ended {
                    return;
                }
            }
        });
        Archive::new(self.engine.runtime.handle().clone(), receiver, &format!("archive the volume {}", self.volume))
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
        Upload::new(self.engine.runtime.handle().clone(), &action, move |parts| async move {
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

/// Removes helpers that killed processes of this host left. Best effort: they hold nothing but their volume's name.
fn remove_orphans(engine: &Engine) {
    let filters = HashMap::from([("label".to_owned(), vec![HELPER.to_owned()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let listed = engine.block("list its containers", engine.docker.list_containers(Some(options)));
    for container in listed.unwrap_or_default() {
        let owner = container.labels.unwrap_or_default().remove(HELPER).unwrap_or_default();
        if is_gone(&owner)
            && let Some(id) = container.id
        {
            let _ = engine.remove_container(&id);
        }
    }
}
