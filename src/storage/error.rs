//! What can go wrong with a storage: the object, the cause, and whether it is missing, in the way or out of space.

use std::io;

/// An operation on one object of a storage failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is not there.
    #[error("{object} is missing")]
    Missing {
        /// Where the object should be.
        object: String,
    },
    /// The object is there already and must not be replaced.
    #[error("{object} exists already")]
    Exists {
        /// Where the object is.
        object: String,
    },
    /// The object is shorter or longer than it may be.
    #[error("{object} has {found} bytes where {expected} were expected")]
    Length {
        /// Where the object is.
        object: String,
        /// Bytes that were expected.
        expected: u64,
        /// Bytes that were found.
        found: u64,
    },
    /// What stands in the place of the object is something else, like a link or a pipe.
    #[error("{object} is not a regular file")]
    NotAFile {
        /// Where the object should be.
        object: String,
    },
    /// The storage has no room left.
    #[error("no space left for {object} ({needed} bytes more were to be written)")]
    Full {
        /// Where the object was to be.
        object: String,
        /// Bytes of the write that failed.
        needed: u64,
    },
    /// Another process has the storage, or shares it, for too long.
    #[error("the repository in {place} is locked by another process")]
    Locked {
        /// Where it lies.
        place: String,
    },
    /// A lock cannot be used.
    #[error("cannot lock {place}")]
    Lock {
        /// The lock.
        place: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The lock was removed or exchanged while it was held, so that it kept nobody out.
    #[error("the lock of the repository in {place} was removed or exchanged while it was held")]
    LockLost {
        /// Where it lies.
        place: String,
    },
    /// There is no storage of this kind.
    #[error("{location} is no place for a repository that this version knows: `{scheme}:` is not known")]
    UnknownScheme {
        /// What was given.
        location: String,
        /// What it begins with.
        scheme: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {object}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where the object is.
        object: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// The error for an operating system's refusal of `action` on `object`.
    pub(super) fn from_io(action: &'static str, object: impl Into<String>, source: io::Error) -> Self {
        let object = object.into();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { object },
            io::ErrorKind::AlreadyExists => Self::Exists { object },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { object, needed: 0 },
            _ => Self::Io { action, object, source },
        }
    }

    /// The error for a failed write of `needed` bytes.
    pub(super) fn from_write(object: impl Into<String>, needed: u64, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { object: object.into(), needed },
            _ => Self::Io { action: "write", object: object.into(), source },
        }
    }

    /// Whether the operating system does not let this user do that. What is not believed says by itself what to do.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let is_of_system = |source: &io::Error| source.raw_os_error().is_some();
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied && is_of_system(source))
    }

    /// Whether the object is not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// Whether the object was there already.
    #[must_use]
    pub const fn is_exists(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }

    /// Whether this says that an object is damaged, and not that the storage cannot be used.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Length { .. } | Self::NotAFile { .. })
    }

    /// Whether something else stands in the place of the object.
    #[must_use]
    pub const fn is_not_a_file(&self) -> bool {
        matches!(self, Self::NotAFile { .. })
    }
}
