//! What Larder needs of the kernel that it runs on: mounts that can be told from directories, and `/proc`.

use std::fs::File;
use std::path::Path;

use rustix::io::Errno;

use super::Status;

/// Where the kernel has the descriptors of this process.
pub(super) const DESCRIPTORS: &str = "/proc/self/fd";

/// Refuses kernels that do not tell mounts from directories, and a system where `/proc` is not mounted: what was looked at
/// is opened by it.
///
/// # Errors
/// A sentence that says what is needed, and what there is or what to do.
pub fn check_kernel() -> std::result::Result<(), String> {
    let root = File::open("/").map_err(|error| format!("cannot open /: {error}"))?;
    match Status::of(&root) {
        Err(Errno::NOSYS) => {
            let release = rustix::system::uname().release().to_string_lossy().into_owned();
            Err(format!("Larder needs Linux 5.8 or newer, to tell mounts from directories; this is {release}"))
        }
        _ if !Path::new(DESCRIPTORS).exists() => {
            Err("Larder needs /proc, and it is not mounted: `mount -t proc proc /proc` does that".to_owned())
        }
        _ => Ok(()),
    }
}
