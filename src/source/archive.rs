//! A tar archive that lies in a file, as the tree that it was made of: GNU tar unpacks it, and the result is read like any
//! directory.
//!
//! The entries of an archive may come in any order, and a tree is stored in the order of its names. GNU tar leaves no path
//! out of its folder, follows no link out of it, and knows every kind of archive.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::OnceLock;

use super::{DirSource, Error, Excludes, StoredFile, Visitor};
use crate::model::VolumeFacts;
use crate::monitor::Monitor;
use crate::process::{Place, Program};
use crate::temporary::TemporaryFolder;

const BUFFER_BYTES: usize = 256 << 10;
/// How much is unpacked before it is looked again whether there is room.
const LOOK_BYTES: usize = 16 << 20;
/// Room that is left on the file system of temporary files.
const ROOM_BYTES_MIN: u64 = 64 << 20;

/// Where in a volume a PostgreSQL server keeps its data: the root, or what images make of it.
const SERVER_DATA: [&str; 4] = ["", "data", "pgdata", "pg_data"];

/// A volume as an archive in a file.
#[derive(Debug)]
pub struct ArchiveFile {
    file: StoredFile,
    facts: VolumeFacts,
    problems: Vec<String>,
    /// Where in it the data of a PostgreSQL server lies, once that was seen.
    server_data: OnceLock<String>,
}

impl ArchiveFile {
    /// The archive in `file`, of a volume of which this is known.
    #[must_use]
    pub const fn new(file: StoredFile, facts: VolumeFacts) -> Self {
        Self { file, facts, problems: Vec::new(), server_data: OnceLock::new() }
    }

    /// Reports problems that are known before it is read, as errors of the component.
    #[must_use]
    pub fn reporting(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &StoredFile {
        &self.file
    }

    /// What is known of the volume; when it was read, also whether a server keeps its data in it.
    #[must_use]
    pub fn facts(&self) -> VolumeFacts {
        VolumeFacts { server_data: self.server_data.get().cloned(), ..self.facts.clone() }
    }

    /// Shows everything to `visitor`; the root is called `name`. What is unpacked lies in the folder of temporary files
    /// meanwhile.
    ///
    /// # Errors
    /// [`Error::Stream`] when the file cannot be read or there is no room, [`Error::Process`] when it is no archive,
    /// [`Error::Process`] without GNU tar, [`Error::Stop`].
    pub fn visit(&self, name: &str, visitor: &mut dyn Visitor, monitor: &Monitor<'_>) -> Result<(), Error> {
        let failed = |source| Error::Stream { what: self.file.path().display().to_string(), source };
        let folder = TemporaryFolder::new("larder-unpacked-").map_err(failed)?;
        let root = folder.path().join("root");
        std::fs::create_dir(&root).map_err(failed)?;
        self.unpack(&root, monitor)?;
        if let Some(data) = SERVER_DATA.iter().find(|data| root.join(data).join("PG_VERSION").is_file()) {
            // It is read once.
            let _ = self.server_data.set((*data).to_owned());
        }
        self.problems.iter().for_each(|problem| visitor.error(problem.clone()));
        if !rustix::process::geteuid().is_root() {
            visitor.note("unpacked by a user who is not root: owners are not those of the archive".to_owned());
        }
        DirSource::new(&root, Excludes::default()).with_caches().visit(name, visitor)
    }

    fn unpack(&self, root: &Path, monitor: &Monitor<'_>) -> Result<(), Error> {
        let failed = |source| Error::Stream { what: self.file.path().display().to_string(), source };
        let mut archive = self.file.open().map_err(failed)?;
        let mut program = Program::new("tar", Place::Here);
        program.args([
            "--extract",
            "--file=-",
            "--numeric-owner",
            "--preserve-permissions",
            "--delay-directory-restore",
        ]);
        program.args(["--xattrs", "--xattrs-include=*", "--directory"]).arg(root);
        let (input, process) = program.start(true)?;
        let mut input = input.expect("it was started with an input");
        let fed = feed(archive.as_mut(), &mut input, root, monitor);
        drop(input);
        let ended = process.finish();
        match fed {
            Err(Feed::Stop(stop)) => Err(stop),
            Err(Feed::Read(source)) => Err(failed(source)),
            // An archive may be followed by zeros, which nobody reads.
            Ok(()) | Err(Feed::Write) => Ok(ended?),
        }
    }
}

enum Feed {
    Stop(Error),
    Read(io::Error),
    Write,
}

fn feed(archive: &mut dyn Read, input: &mut dyn Write, root: &Path, monitor: &Monitor<'_>) -> Result<(), Feed> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut unlooked = 0;
    loop {
        monitor.check().map_err(|cancelled| Feed::Stop(super::Stop::from(cancelled).into()))?;
        let len = archive.read(&mut buffer).map_err(Feed::Read)?;
        if len == 0 {
            return Ok(());
        }
        unlooked += len;
        if unlooked >= LOOK_BYTES {
            unlooked = 0;
            let room = rustix::fs::statvfs(root).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
            if room < ROOM_BYTES_MIN {
                let why = format!("there is no room to unpack it below {}: TMPDIR says where", root.display());
                return Err(Feed::Read(io::Error::new(io::ErrorKind::StorageFull, why)));
            }
        }
        input.write_all(buffer.get(..len).unwrap_or_default()).map_err(|_| Feed::Write)?;
    }
}
