//! Why something is not believed, and the command that mends it.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why something is not believed, or could not be opened.
#[derive(Debug)]
pub enum Refusal {
    /// The operating system refused.
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link on the way belongs to somebody who is not believed.
    Link {
        /// The link.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// A link on the way lies where a container may write.
    OfContainer {
        /// The link.
        path: PathBuf,
    },
    /// It belongs to somebody who is not believed.
    Owner {
        /// The path.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its mode, where others could write to it if it belonged to whoever runs Larder.
        mode: Option<u32>,
    },
    /// Others than the owner may write to it.
    Writable {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl Refusal {
    pub(super) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), source: source.into() }
    }

    /// Whether there is nothing at the path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The user who is not believed.
    #[must_use]
    pub const fn owner(&self) -> Option<u32> {
        match self {
            Self::Link { uid, .. } | Self::Owner { uid, .. } => Some(*uid),
            Self::Io { .. } | Self::OfContainer { .. } | Self::Writable { .. } => None,
        }
    }

    /// The command that mends it, where whoever runs Larder knows that it is as it should be.
    #[must_use]
    pub fn mend(&self) -> Option<String> {
        let own = rustix::process::geteuid().as_raw();
        let quoted =
            |path: &Path| format!("'{}'", String::from_utf8_lossy(path.as_os_str().as_bytes()).replace('\'', "'\\''"));
        match self {
            Self::Io { .. } | Self::OfContainer { .. } => None,
            Self::Link { path, .. } => Some(format!("chown -h {own} {}", quoted(path))),
            Self::Owner { path, mode: None, .. } => Some(format!("chown {own} {}", quoted(path))),
            Self::Owner { path, .. } => Some(format!("chown {own} {0} && chmod go-w {0}", quoted(path))),
            Self::Writable { path, .. } => Some(format!("chmod go-w {}", quoted(path))),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| path.as_os_str().as_bytes().escape_ascii().to_string();
        match self {
            Self::Io { path, source } => write!(formatter, "cannot open {}: {source}", shown(path)),
            Self::Link { path, uid } => {
                write!(formatter, "{} is a link of user {uid}, who is not trusted", shown(path))
            }
            Self::OfContainer { path } => {
                let why = "lies where a container may write, or could while it was there, and anybody who is root in it could have made it: name what it leads to, or use \
                           --trust-files";
                write!(formatter, "the link {} {why}", shown(path))
            }
            Self::Owner { path, uid, mode } => {
                write!(formatter, "{} belongs to user {uid}, who is not trusted", shown(path))?;
                mode.map_or(Ok(()), |mode| write!(formatter, ", and others may write to it (mode {mode:o})"))
            }
            Self::Writable { path, mode } => {
                write!(formatter, "others than its owner may write to {} (mode {mode:o})", shown(path))
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Io { source, .. } => source,
            refusal => {
                let mend = refusal.mend().map(|mend| format!(": `{mend}` if that is right")).unwrap_or_default();
                Self::new(io::ErrorKind::PermissionDenied, format!("{refusal}{mend}"))
            }
        }
    }
}
