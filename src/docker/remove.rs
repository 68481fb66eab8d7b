//! Taking entries out of a volume that only the engine reaches: by a container that has what a user of the volume has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::CreateContainerOptions;

use super::{Container, Engine, Error, State};

/// Paths that one container removes.
const PATHS_AT_ONCE: usize = 500;
/// How long it may take for them.
const LIMIT: Duration = Duration::from_mins(10);
const PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Removes paths below the root of a volume with the `rm` of a container that mounts it. That container itself is
    /// not touched.
    ///
    /// # Errors
    /// [`Error::Refused`] when the image has no `rm`, or it fails; [`Error::NotReady`], [`Error::Broken`].
    pub fn remove_from_volume(
        self: &Arc<Self>,
        volume: &str,
        user: &Container,
        paths: &[Vec<u8>],
    ) -> Result<(), Error> {
        let destination = user.mount(volume).map(|mount| mount.destination.clone()).unwrap_or_default();
        for paths in paths.chunks(PATHS_AT_ONCE) {
            let full = paths.iter().map(|path| format!("{destination}/{}", String::from_utf8_lossy(path)));
            let command = ["rm", "-rf", "--"].map(str::to_owned).into_iter().chain(full).collect();
            self.run_like(user, command, &format!("remove what is too much from the volume {volume}"))?;
        }
        Ok(())
    }

    fn run_like(&self, user: &Container, command: Vec<String>, action: &str) -> Result<(), Error> {
        let body = ContainerCreateBody {
            image: Some(user.image.clone()),
            entrypoint: Some(Vec::new()),
            cmd: Some(command),
            user: Some("0:0".to_owned()),
            host_config: Some(HostConfig {
                volumes_from: Some(vec![user.id.clone()]),
                network_mode: Some("none".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let id = self.block(action, self.docker.create_container(None::<CreateContainerOptions>, body))?.id;
        let ran = self.start(&id).and_then(|()| self.wait_for_end(&id, action));
        // A container that stays is idle, and says by its command what it was for.
        let removed = self.remove_container(&id);
        ran.and(removed)
    }

    fn wait_for_end(&self, id: &str, action: &str) -> Result<(), Error> {
        let deadline = Instant::now() + LIMIT;
        while self.container(id)?.state != State::Stopped {
            if Instant::now() >= deadline {
                let what = format!("the engine is still to {action}");
                return Err(Error::NotReady { secs: LIMIT.as_secs(), what });
            }
            std::thread::sleep(PAUSE);
        }
        let found = self.block(action, self.docker.inspect_container(id, None))?;
        match found.state.and_then(|state| state.exit_code) {
            Some(0) => Ok(()),
            status => {
                let why = format!("exit status {}", status.unwrap_or(-1));
                Err(Error::Refused { action: action.to_owned(), why, missing: false })
            }
        }
    }
}
