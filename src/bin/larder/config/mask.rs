//! The file of `--mask`: which columns of which tables become what.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use larder::id::{derive_secret, random_bytes};
use larder::pipeline::{Mask, Rule};
use larder::rooted::Trust;
use serde::Deserialize;

use super::file::{FILE_BYTES_MAX, one_line};
use crate::error::UsageError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// With the same key the same values become the same again.
    key: Option<String>,
    #[serde(default)]
    tables: BTreeMap<String, BTreeMap<String, Rule>>,
}

/// Reads the rules of a mask.
pub(crate) fn read_mask(path: &Path, trust: &Trust) -> anyhow::Result<Mask> {
    let path = &std::path::absolute(path)?;
    let text = trust
        .read_named(path, FILE_BYTES_MAX)
        .map_err(std::io::Error::from)
        .with_context(|| format!("cannot read the mask {}", path.display()))?;
    let wrong = |why: String| UsageError::new(format!("the mask {}: {why}", path.display()));
    let file: File = toml::from_str(&text).map_err(|error| wrong(one_line(&text, &error)))?;
    if file.tables.values().all(BTreeMap::is_empty) {
        return Err(wrong(
            "it masks nothing: write [tables.\"schema.table\"] and below it column = \"rule\"".to_owned(),
        )
        .into());
    }
    let key = match &file.key {
        Some(key) => derive_secret("larder 2026 mask key", &[0; 32], key.as_bytes()),
        None => random_bytes()?,
    };
    Ok(Mask::new(key, file.tables))
}
