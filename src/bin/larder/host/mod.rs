//! This host and this process: what is remembered between runs, files that are written for others, bounds.

pub(crate) mod bounds;
pub(crate) mod machine;
pub(crate) mod new_file;
pub(crate) mod places;
pub(crate) mod real_path;
pub(crate) mod remembered;
pub(crate) mod secrecy;
pub(crate) mod shell;
pub(crate) mod state;
