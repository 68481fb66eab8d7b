//! The program while the world around it changes: variables that are forgotten, disks that are not mounted, hosts with other names,
//! clocks that are wrong. Each test is named after what went wrong once. Run by `tests/run`, with a PostgreSQL server.

mod clocks;
#[path = "../common/mod.rs"]
mod common;
mod configuration;
mod disks;
mod expected;
mod scheduled;
mod streams;
mod support;
mod systems;
