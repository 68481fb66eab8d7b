//! Larder backs up a whole running system as one named snapshot and gives any snapshot back.
//!
//! The modules lie in layers: each uses only those before it in this list, and `tests/layers/` holds them to it.
//! `docs/architecture.md` walks through them, `docs/format.md` has every byte that they write.
//!
//! ```
//!
//! use larder::cancel::Cancel;
//! use larder::docker::Journals;
//! use larder::model::SnapshotKind;
//! use larder::monitor::Monitor;
//! use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
//! use larder::pipeline::restore::{self, Destination, RestoreJob, RestoreOptions, Safety};
//! use larder::repo::Repository;
//! use larder::rooted::Trust;
//! use larder::source::{DirSource, Excludes};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (models, backups, target) = (folder.path().join("models"), folder.path().join("backups"), folder.path().join("target"));
//! # std::fs::create_dir(&models)?;
//! # std::fs::write(models.join("filter.pkl"), b"weights")?;
//! let storage = larder::storage::open(&backups.to_string_lossy(), &Trust::default())?;
//! let repository = Repository::open_or_create(storage)?;
//!
//! let origin = Origin::Directory(DirSource::new(&models, Excludes::default()));
//! let sources = [ComponentSource { name: "models".parse()?, origin }];
//! let options = BackupOptions::new(SnapshotKind::Files, "example", "example");
//! let cancel = Cancel::new();
//! let monitor = Monitor::unheard(&cancel);
//! let report = backup::run(&repository, backup::reserve(&repository)?, &sources, &options, &monitor)?;
//!
//! let component = report.snapshot.component("models").ok_or("it was just saved")?;
//! let jobs = [RestoreJob { component, destination: Destination::Folder { folder: target.clone(), trust: Trust::default() }, parts: None }];
//! let report = restore::run(&repository, &report.snapshot, &jobs, Safety::default(), RestoreOptions::default(), &monitor)?;
//! assert!(report.components.iter().all(|result| result.failed.is_empty()));
//! assert_eq!(std::fs::read(target.join("models/filter.pkl"))?, b"weights");
//! # Ok(())
//! # }
//! ```

pub mod cancel;
pub mod clock;
pub mod events;
pub mod id;
pub mod limits;
pub mod little_endian;
pub mod monitor;
pub mod rooted;
pub mod runtime;
pub mod temporary;

pub mod storage;

pub mod chunk;
pub mod parity;

pub mod pack;

pub mod index;

pub mod repo;

pub mod model;

pub mod docker;

pub mod process;

pub mod postgres;

pub mod source;

pub mod sink;

pub mod pipeline;
