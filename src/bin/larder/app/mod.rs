//! What a command does from beginning to end, whoever gives it: it prints nothing, and knows neither arguments nor a terminal.
//!
//! A command is a request, and becomes an outcome with an exit status; what happens meanwhile is told as events.

pub(crate) mod advice;
pub(crate) mod believed;
pub(crate) mod browse;
pub(crate) mod chart_file;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod create;
pub(crate) mod discovery;
pub(crate) mod expected;
pub(crate) mod export;
pub(crate) mod folder_as_snapshot;
pub(crate) mod forget;
pub(crate) mod hold_recovery;
pub(crate) mod identity;
pub(crate) mod import;
pub(crate) mod import_config;
pub(crate) mod import_origin;
pub(crate) mod invocation;
pub(crate) mod known_newest;
pub(crate) mod names;
pub(crate) mod plan;
pub(crate) mod plan_repository;
pub(crate) mod prune;
pub(crate) mod refusals;
pub(crate) mod repair;
pub(crate) mod repository;
pub(crate) mod restore;
pub(crate) mod restore_paths;
pub(crate) mod restore_plan;
pub(crate) mod restoring;
pub(crate) mod run_options;
pub(crate) mod savings;
pub(crate) mod schedule;
pub(crate) mod selection;
pub(crate) mod simulation;
pub(crate) mod snapshots;
pub(crate) mod verify;
pub(crate) mod write_place;
