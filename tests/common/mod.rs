//! What all tests of the program share: how it is run, what a run said, documents, data.
#![allow(dead_code, reason = "each group of tests uses a part of it")]

pub(crate) mod data;
pub(crate) mod document;
pub(crate) mod program;
pub(crate) mod run;
pub(crate) mod terminal;
