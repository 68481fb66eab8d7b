//! A directory, reached by descriptors: no link and no mount leads out of it, and no path is too long or too deep.
//!
//! Paths are relative to the root and made of bytes. The kernel resolves them beneath the root, through no link and onto no
//! other mount (`openat2`). The directories around the last path stay open, a bounded number of them, so that walking a tree
//! costs one step for each entry however deep it is.

mod access_list;
mod descent;
mod dir;
mod guarded;
mod kernel;
mod mounts;
mod open;
mod path;
mod refusal;
mod status;
mod trust;
mod way;

use std::os::fd::BorrowedFd;
use std::path::Path;

pub use access_list::access_list;
pub use descent::{Descent, Step};
pub use dir::{Held, RootedDir};
pub use guarded::Guarded;
pub use kernel::check_kernel;
pub use mounts::{is_in_memory, is_local_mount, is_mount_point, is_on_local_disk, mounts_below, place_of};
pub use open::{explain, find, names_in, open_beneath, open_directory, open_file};
pub use path::{join, split};
pub use refusal::Refusal;
pub use status::{Identity, Instant, Status};
pub use trust::Trust;

/// An entry by the open directory around it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub directory: BorrowedFd<'a>,
    /// The name in it.
    pub name: &'a [u8],
    /// The whole path, for messages.
    pub path: &'a Path,
}

/// An entry by itself: nobody can put another one in its place.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// A descriptor of it, which need not be open for reading.
    pub entry: BorrowedFd<'a>,
    /// The whole path, for messages.
    pub path: &'a Path,
}
