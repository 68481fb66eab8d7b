//! Backups and restores of a live stack of containers, by the real binary.
//!
//! The Docker Engine is the one that `tests/run` starts and names in `LARDER_TEST_DOCKER_HOST`. Every test has a compose
//! project of its own there.

mod bound;
#[path = "../common/mod.rs"]
mod common;
mod databases;
mod drills;
mod elsewhere;
mod engine_gone;
mod failures;
mod forged;
mod holding;
mod interrupted;
mod looks;
mod methods;
mod nights;
mod possession;
mod procedures;
mod projects;
mod proxy;
mod secrets;
mod support;
mod tables;
mod volumes;
