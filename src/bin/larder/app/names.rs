//! Names of components, as lists that somebody has typed.

use crate::error::UsageError;

/// Splits lists of names at commas.
pub(crate) fn split_names(lists: &[String]) -> Vec<String> {
    let parts = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Refuses names that are not among those known.
pub(crate) fn check_names(names: &[String], known: &[String], place: &str) -> Result<(), UsageError> {
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            let message = format!("there is no component '{unknown}' {place}");
            let advice = if known.is_empty() {
                "name one in larder.toml".to_owned()
            } else {
                format!("one of {}", known.join(", "))
            };
            Err(UsageError::with_advice(message, advice))
        }
    }
}
