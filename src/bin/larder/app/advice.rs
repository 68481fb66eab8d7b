//! What an error means for whoever gave the command: its exit status, and what to do.

use larder::cancel::Cancelled;
use larder::pipeline::Error;
use larder::{docker, postgres, process, repo, sink, source, storage};

use crate::error::{BusyError, UsageError};
use crate::exit::Exit;

/// The exit status of a command that ended with an error, and what to do about it.
pub(crate) fn classify(error: &anyhow::Error) -> (Exit, Option<&str>) {
    if let Some(usage) = error.downcast_ref::<UsageError>() {
        return (Exit::Usage, usage.advice.as_deref());
    }
    if let Some(busy) = error.downcast_ref::<BusyError>() {
        return (Exit::Locked, Some(busy.advice));
    }
    if let Some(error) = error.downcast_ref::<Error>() {
        return classify_pipeline(error);
    }
    if let Some(error) = error.downcast_ref::<repo::Error>() {
        return classify_repo(error);
    }
    if let Some(error) = error.downcast_ref::<docker::Error>() {
        return (Exit::Failed, docker_advice(error));
    }
    if let Some(error) = error.downcast_ref::<postgres::Error>() {
        return classify_postgres(error);
    }
    match error.downcast_ref::<source::Error>() {
        Some(source::Error::Docker(error)) => (Exit::Failed, docker_advice(error)),
        Some(source::Error::Postgres(error)) => classify_postgres(error),
        Some(source::Error::Pattern { .. }) => (Exit::Usage, None),
        _ => (Exit::Failed, None),
    }
}

const fn classify_postgres(error: &postgres::Error) -> (Exit, Option<&'static str>) {
    match error {
        postgres::Error::Settings(_) | postgres::Error::Parameter(_) => (Exit::Usage, None),
        postgres::Error::Process(process::Error::Docker(error)) => (Exit::Failed, docker_advice(error)),
        _ => (Exit::Failed, None),
    }
}

fn classify_pipeline(error: &Error) -> (Exit, Option<&'static str>) {
    match error {
        Error::NoSuchSnapshot { .. } => (Exit::NoSuchSnapshot, Some("`larder list` shows the snapshots there are")),
        Error::NoSnapshots => (Exit::NoSuchSnapshot, Some("`larder create` makes the first one")),
        Error::NoName => {
            (Exit::Usage, Some("name a snapshot, or `latest`; where it came from a variable, that is empty"))
        }
        Error::OtherSystems { .. } => (Exit::NoSuchSnapshot, Some("name one of them with `--system`")),
        Error::Ambiguous { .. } => (Exit::NoSuchSnapshot, Some("give more of the name")),
        Error::NoSuchComponent { .. } => (Exit::Usage, None),
        Error::Pattern { .. } => {
            (Exit::Usage, Some("`*`, `?`, `[…]` and `{…,…}` have a meaning; a `\\` before one takes it away"))
        }
        Error::Path { .. } | Error::Model(larder::model::Error::NotFound { .. }) => {
            (Exit::Failed, Some("`larder ls NAME` shows what a snapshot has"))
        }
        Error::NoBackup { .. } => (
            Exit::Failed,
            Some("give a folder or a dump of the old tool, an exported folder, or a directory that has some"),
        ),
        Error::NothingSaved { .. } => (Exit::Failed, Some("nothing was written; earlier snapshots are as they were")),
        Error::Cancelled(Cancelled) => {
            (Exit::Interrupted, Some("nothing is lost: run the command again, and it goes on from what is there"))
        }
        Error::NotSafe { .. } => {
            (Exit::Failed, Some("mend that, or restore with `--no-snapshot`; nothing was touched"))
        }
        Error::Manifest { source, .. } | Error::Lost { source, .. } | Error::Model(source) if source.is_newer() => {
            (Exit::Failed, Some("use a newer larder"))
        }
        Error::Repo(error) => classify_repo(error),
        Error::Docker(error) | Error::Source(source::Error::Docker(error)) => (Exit::Failed, docker_advice(error)),
        Error::Sink(sink::Error::Database { .. } | sink::Error::Rows { .. }) => {
            (Exit::Failed, Some("look whether the server runs and the settings are right; the database is as it was"))
        }
        error if error.is_damage() => (
            Exit::Damage,
            Some("`larder verify --read-data` shows all that is damaged, `larder repair` mends what can be mended"),
        ),
        _ => (Exit::Failed, None),
    }
}

/// What to do about an error of the engine.
pub(crate) const fn docker_advice(error: &docker::Error) -> Option<&'static str> {
    match error {
        docker::Error::Unreachable { .. } => Some("start the engine, or say where it is with DOCKER_HOST"),
        docker::Error::Forbidden { .. } => Some("run as root, or as a member of the group that owns the socket"),
        docker::Error::Broken { .. } => Some("look whether the engine runs, and run the command again"),
        docker::Error::NotReady { .. } => Some("`docker logs` of the container says why"),
        _ => None,
    }
}

fn classify_repo(error: &repo::Error) -> (Exit, Option<&'static str>) {
    match error {
        repo::Error::Storage(storage::Error::Locked { .. }) => {
            (Exit::Locked, Some("wait for the other command to end, then try again"))
        }
        repo::Error::Storage(storage::Error::LockLost { .. }) => (
            Exit::Failed,
            Some(
                "run the command again; files in `locks/` are never in the way, and may be removed only when nothing runs",
            ),
        ),
        repo::Error::Storage(storage::Error::UnknownScheme { .. }) => {
            (Exit::Usage, Some("name a folder; one whose name has a colon with its directory, like `./a:b`"))
        }
        repo::Error::NotFound { .. } => (
            Exit::Failed,
            Some(
                "mount its disk, if it lies on one; `--backup-dir` or `-C` name another place; where there never was one, `larder create` \
                     makes it",
            ),
        ),
        repo::Error::Occupied { .. } => (
            Exit::Usage,
            Some(
                "name another folder, or one that is not there; where the config of a repository is lost, `larder repair` makes it anew",
            ),
        ),
        repo::Error::OlderVersion { .. } => (
            Exit::Failed,
            Some(
                "keep the larder that wrote it: with that, `larder export --all --to DIR`; then, with this one and another \
                     `--backup-dir`, `larder import DIR`",
            ),
        ),
        repo::Error::NewerVersion { .. }
        | repo::Error::UnknownConfig { .. }
        | repo::Error::UnknownPack { .. }
        | repo::Error::UnknownFeature { .. } => (Exit::Failed, Some("use a newer larder")),
        repo::Error::BadConfig { .. } => (
            Exit::Damage,
            Some("`larder repair` makes it anew; if this is no repository, name another place with `--backup-dir`"),
        ),
        repo::Error::Storage(storage::Error::Full { .. })
        | repo::Error::Pack(larder::pack::Error::Storage(storage::Error::Full { .. })) => {
            (Exit::Failed, Some("make room and run the command again: what was stored so far is used"))
        }
        repo::Error::Storage(error) | repo::Error::Pack(larder::pack::Error::Storage(error))
            if error.is_forbidden() =>
        {
            (
                Exit::Failed,
                Some(
                    "run it as the owner of the repository, or with sudo; or give him what others have put there: `chown -R`",
                ),
            )
        }
        error if error.is_damage() => (
            Exit::Damage,
            Some("`larder verify --read-data` shows all that is damaged, `larder repair` mends what can be mended"),
        ),
        _ => (Exit::Failed, None),
    }
}
