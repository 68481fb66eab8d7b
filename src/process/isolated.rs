//! A user that owns nothing, for programs that run code of others.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Numbers of users that no account has and nothing is owned by: those that service managers give to services for a while.
const FIRST: u32 = 61_184;
const LAST: u32 = 65_519;

/// A user that has no account, and no process at this moment; another one for each call. `None` when we are not root.
#[must_use]
pub fn isolated_user() -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let taken: HashSet<u32> = accounts().chain(owners_of_processes()).collect();
    let count = LAST - FIRST + 1;
    // Where to look first is left to chance, so that two of us do not take the same.
    let random = crate::id::random_bytes()
        .map_or_else(|_| std::process::id(), |key| key.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)));
    (0..count).map(|step| FIRST + (random % count + step) % count).find(|user| !taken.contains(user))
}

fn accounts() -> impl Iterator<Item = u32> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let numbers: Vec<u32> = passwd.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok()).collect();
    numbers.into_iter()
}

fn owners_of_processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.uid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_owns_nothing_has_no_account() {
        let Some(user) = isolated_user() else { return };
        assert!((FIRST..=LAST).contains(&user) && !accounts().any(|account| account == user));
    }
}
