//! Values of options that several commands have.

/// Fewest digits that name a repository.
const ID_DIGITS_MIN: usize = 8;

/// A list of names with at least one: where a variable of a script is empty, what was meant is not known.
pub(super) fn name_list(text: &str) -> Result<String, String> {
    if text.split(',').all(|name| name.trim().is_empty()) {
        return Err("it has no name; leave the option out to mean all".to_owned());
    }
    Ok(text.to_owned())
}

/// The beginning of an id that tells it from others.
pub(super) fn repository_id(text: &str) -> Result<String, String> {
    let is_id = text.len() >= ID_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("it is at least {ID_DIGITS_MIN} hexadecimal digits"))
    }
}
