//! How a folder is rendered.

use crate::pipeline::Mask;

/// Where the files of a folder lie, and how they are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// As documented: `database.sql.gz`, and archives of volumes in `docker_volumes`.
    #[default]
    Documented,
    /// As the old tool wrote it, and reads it: everything in the folder itself, with stamps.
    Upstream,
    /// Both in one: archives have two names, which are hard links where the file system has them.
    Both,
}

/// How to render a folder.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions<'a> {
    /// Compress dumps and archives.
    pub compress: bool,
    /// Where files lie.
    pub layout: Layout,
    /// Replace a folder that is there already.
    pub replace: bool,
    /// How the rows of databases are masked.
    pub mask: Option<&'a Mask>,
}
