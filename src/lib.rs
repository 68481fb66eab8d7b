//! Larder backs up a whole running system as one named snapshot and gives any snapshot back.
//!
//! The modules are floors: each uses only those before it in this list, and `tests/layers.rs` holds them to it.
//! `docs/architecture.md` walks through them, `docs/format.md` has every byte that they write.

pub mod clock;
pub mod fields;
pub mod id;
pub mod limits;
pub mod progress;

pub mod storage;

pub mod chunk;

pub mod pack;

pub mod index;

pub mod repo;

pub mod model;

pub mod source;

pub mod sink;
