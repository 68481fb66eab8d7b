//! Asking a Redis server in a container to write its data to its volume.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Container, Engine, Error, Exec, ExecOptions};
use crate::cancel::Cancel;

const IMAGES: [&str; 4] = ["redis", "valkey", "keydb", "redis-stack-server"];
const CLIENT: &str = "redis-cli";
const PASSWORD_OPTION: &str = "--requirepass";
const PAUSE: Duration = Duration::from_millis(20);

/// Whether a container runs Redis, or a server that is asked to save in the same way.
#[must_use]
pub fn is_redis(container: &Container) -> bool {
    container.runs(&["redis-server", "valkey-server", "keydb-server"]) || IMAGES.contains(&container.image_name())
}

/// Has the server save everything that it has now, and waits until it has.
///
/// # Errors
/// [`Error::Refused`] when the server cannot be asked or cannot save; [`Error::NotReady`] when it takes longer than
/// `limit`; [`Error::Broken`], also when it was cancelled.
pub fn save(engine: &Arc<Engine>, container: &Container, limit: Duration, cancel: &Cancel) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    let ask = |words: &[&str]| -> Result<String, Error> {
        let command = std::iter::once(CLIENT).chain(words.iter().copied()).map(str::to_owned).collect();
        let variables = password(container).map(|password| ("REDISCLI_AUTH".to_owned(), password.to_owned()));
        let options = ExecOptions { command, variables: variables.into_iter().collect(), with_input: false };
        let left = deadline.saturating_duration_since(Instant::now());
        Exec::run(engine, &container.id, options, left, cancel)
    };
    let refused = |why: &str| Error::Refused {
        action: format!("have Redis in the container {} save", container.name),
        why: why.trim().to_owned(),
        missing: false,
    };
    wait_for_save(&ask, deadline, limit, container)?;
    let answer = ask(&["BGSAVE"])?;
    // Another one may have been begun meanwhile by the server itself, which is as good.
    if !answer.starts_with("Background sav") && !answer.contains("in progress") {
        return Err(refused(&answer));
    }
    let status = wait_for_save(&ask, deadline, limit, container)?;
    if status.contains("rdb_last_bgsave_status:ok") { Ok(()) } else { Err(refused("its last save failed")) }
}

fn wait_for_save(
    ask: &dyn Fn(&[&str]) -> Result<String, Error>,
    deadline: Instant,
    limit: Duration,
    container: &Container,
) -> Result<String, Error> {
    loop {
        let status = ask(&["INFO", "persistence"])?;
        if !status.contains("rdb_bgsave_in_progress:") {
            let action = format!("have Redis in the container {} save", container.name);
            return Err(Error::Refused { action, why: status.trim().to_owned(), missing: false });
        }
        if !status.contains("rdb_bgsave_in_progress:1") {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            let what = format!("Redis in the container {} is still saving", container.name);
            return Err(Error::NotReady { secs: limit.as_secs(), what });
        }
        std::thread::sleep(PAUSE);
    }
}

fn password(container: &Container) -> Option<&str> {
    let mut words = container.command.iter().map(String::as_str);
    let option = words.find(|word| *word == PASSWORD_OPTION).and_then(|_| words.next());
    option.or_else(|| container.variable(&["REDISCLI_AUTH", "REDIS_PASSWORD"]))
}
