//! The terminal: standard output, standard error, questions, progress, tables.

pub(crate) mod colour;
pub(crate) mod console;
pub(crate) mod output;
pub(crate) mod table;
