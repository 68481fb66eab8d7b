//! What is to be backed up and where: flags over `LARDER_…` over `larder.toml` over variables that other programs read too, over what is
//! found.

mod database;
mod directories;
mod effective;
mod engine;
mod environment;
mod file;
mod legacy;
mod mask;
mod overrides;
mod retention;
mod settings;
mod trust;

pub(crate) use database::{DATABASE, DatabasePlace, DatabaseSettings};
pub(crate) use directories::{Directory, decision_on_mount};
pub(crate) use effective::{Effective, effective};
pub(crate) use engine::{VOLUME_PREFIX, VolumeSettings, hold_of_label};
pub(crate) use environment::{is_system_of_environment, settings_of_environment, unknown_variables};
pub(crate) use file::{FILE_BYTES_MAX, FILE_NAME};
pub(crate) use legacy::convert;
pub(crate) use mask::read_mask;
pub(crate) use overrides::Overrides;
pub(crate) use retention::{RetentionTable, parse_size, parse_span};
pub(crate) use settings::{Believed, Parity, Settings};
pub(crate) use trust::{
    HOST_FILE, check_repository, mend_of_repository, of_run, parse_host_file, refused, repository_refused, scheduled,
    strange_folder_above, trusted_uids,
};
