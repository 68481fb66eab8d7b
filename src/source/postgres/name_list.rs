//! A list of names in a note: the first ones, and how many more there are.

/// How many are named.
const NAMES_SHOWN: usize = 5;

/// The first ones of these, each in words.
pub(super) fn first_names<T>(all: &[T], in_words: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = all.iter().take(NAMES_SHOWN).map(in_words).collect();
    let more = all.len().saturating_sub(NAMES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
