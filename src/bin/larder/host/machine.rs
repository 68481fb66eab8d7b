//! Which host this is.

use larder::id::Digest;

/// Hexadecimal digits of the id that a machine was installed with.
const MACHINE_ID_DIGITS: usize = 32;
/// Bytes of the digest of it that are kept.
const MACHINE_BYTES: usize = 16;

/// The name of this host.
pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// What tells this machine from others that are called alike: a digest of the id that it was installed with, which is kept to itself.
pub(crate) fn machine() -> Option<Vec<u8>> {
    let id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    let is_id = id.len() == MACHINE_ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest = is_id.then(|| Digest::of(format!("larder machine {id}").as_bytes()))?;
    Some(digest.as_bytes().iter().copied().take(MACHINE_BYTES).collect())
}
