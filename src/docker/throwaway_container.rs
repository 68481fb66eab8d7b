//! A container for a while: made from an image, without a network, without anything of the stack. It is removed when it is
//! dropped, with the volumes that its image asks for, and when its process was killed, by the next one that is made.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{CreateContainerOptions, LogsOptions};
use futures_util::StreamExt;

use super::helper::remove_orphans;
use super::owner::{CONTAINER_LABEL, Kind, owner, unique_name};
use super::{Engine, Error};
use crate::limits::STDERR_BYTES_MAX;

/// What the entry point of an image may do: give its data to its user, and become that user.
const CAPABILITIES: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];
const LINES: &str = "5";

/// What a container for a while is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThrowawayOptions<'a> {
    /// The image.
    pub image: &'a str,
    /// Further environment.
    pub variables: &'a [(&'a str, &'a str)],
    /// What its entry point is given; what the image says when there is nothing.
    pub command: &'a [String],
    /// A volume, and where the container has it.
    pub volume: Option<(&'a str, &'a str)>,
}

/// A container that nobody else uses.
#[derive(Debug)]
pub struct ThrowawayContainer {
    engine: Arc<Engine>,
    name: String,
}

impl ThrowawayContainer {
    /// Starts it.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such image, or it cannot be run; [`Error::Broken`].
    pub fn start(engine: &Arc<Engine>, options: ThrowawayOptions<'_>) -> Result<Self, Error> {
        remove_orphans(engine);
        let ThrowawayOptions { image, variables, command, volume } = options;
        let mount = volume.map(|(name, target)| Mount {
            target: Some(target.to_owned()),
            source: Some(name.to_owned()),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Default::default()
        });
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: (!command.is_empty()).then(|| command.to_vec()),
            env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(HashMap::from([(CONTAINER_LABEL.to_owned(), owner())])),
            host_config: Some(HostConfig {
                mounts: Some(mount.into_iter().collect()),
                network_mode: Some("none".to_owned()),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let name = unique_name(Kind::TestServer)?;
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        let action = format!("make a container of the image {image}");
        engine.block(&action, engine.docker.create_container(Some(options), body))?;
        let container = Self { engine: Arc::clone(engine), name };
        engine.start(&container.name)?;
        Ok(container)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn is_up(&self) -> Result<bool, Error> {
        Ok(self.engine.container(&self.name)?.is_up())
    }

    /// The last lines that it said, as far as they can be had.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let options = LogsOptions { stdout: true, stderr: true, tail: LINES.to_owned(), ..Default::default() };
        let mut logs = self.engine.docker.logs(&self.name, Some(options));
        let mut text = Vec::new();
        self.engine.runtime.block_on(async {
            while let Some(Ok(LogOutput::StdErr { message } | LogOutput::StdOut { message })) = logs.next().await {
                let room = STDERR_BYTES_MAX.saturating_sub(text.len()).min(message.len());
                text.extend_from_slice(message.get(..room).unwrap_or_default());
            }
        });
        String::from_utf8_lossy(&text).trim().lines().collect::<Vec<_>>().join("; ")
    }
}

impl Drop for ThrowawayContainer {
    fn drop(&mut self) {
        // The next one takes it away when the engine does not answer now.
        let _ = self.engine.remove_container(&self.name);
    }
}
