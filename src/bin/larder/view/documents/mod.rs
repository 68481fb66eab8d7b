//! The documents of `--json`, which other programs read: each is a struct here, and nowhere else. What they mean is in `docs/cli.md`.

pub(crate) mod browse;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod damage;
pub(crate) mod error;
pub(crate) mod export;
pub(crate) mod forget;
pub(crate) mod import;
pub(crate) mod plan;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod savings;
pub(crate) mod schedule;
pub(crate) mod snapshot;
pub(crate) mod stats;
pub(crate) mod verify;
