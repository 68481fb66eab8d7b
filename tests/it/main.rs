//! The program from outside: every test drives the real binary on folders of its own.

mod crash;
mod create_faults;
mod damage;
mod deltas;
mod export;
mod faults;
mod forgotten;
mod harm;
mod import;
mod kills;
mod limits;
mod metadata;
mod parity;
mod power;
mod prune;
mod prune_faults;
mod repair;
mod repair_faults;
mod restore_safety;
mod savings;
mod sources;
mod streams;
mod support;
mod together;
mod usage;
