//! What roles of a database server, and writers of dumps and repositories, try to become by a backup, a restore or a test
//! restore: each class of it against a real server, by the real binary.
//!
//! Every test has a role without rights that makes a trap, a superuser whose Larder walks into it, and a look at whether the
//! role has gained anything.

mod attacker;
mod casts;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod databases;
mod dumps;
mod extensions;
mod foreign;
mod gone;
mod keys;
mod limits;
mod others;
mod overloads;
mod privileges;
mod races;
mod roles;
mod rows;
mod sandbox;
mod settings;
mod shape;
mod stages;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "it is made for the tests of whole systems, which use all of it")]
mod support;
mod syntax;
mod tables;
