//! Who made something in the engine that is to be gone when its process is.

use std::fs::File;
use std::io::Read;

use super::Error;
use crate::id::hex;

/// What tells this process from every other one of this host: its number and when it was started.
pub(super) fn owner() -> String {
    let pid = std::process::id();
    format!("{}/{pid}/{}", hostname(), started(pid).unwrap_or_default())
}

/// A name that nothing else has. Process numbers do not make one: in a container it is always 1.
pub(super) fn unique_name(kind: &str) -> Result<String, Error> {
    const RANDOM: &str = "/dev/urandom";
    let mut bytes = [0; 8];
    let read = File::open(RANDOM).and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|source| Error::Io { action: "read", path: RANDOM.to_owned(), source })?;
    Ok(format!("{kind}-{}", hex(&bytes)))
}

/// Whether the process that made something on this host has ended.
pub(super) fn is_gone(owner: &str) -> bool {
    let mut parts = owner.rsplitn(3, '/');
    let (Some(start), Some(Ok(pid)), Some(host)) = (parts.next(), parts.next().map(str::parse), parts.next()) else {
        return false;
    };
    host == hostname() && started(pid).as_deref() != Some(start)
}

pub(super) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The start of a process in ticks since the host was started: the 22nd field, the 20th after the name in brackets.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_alike() {
        let names = [(); 2].map(|()| unique_name("larder-helper").expect("random bytes"));
        assert_ne!(names[0], names[1]);
        assert!(names[0].starts_with("larder-helper-") && names[0].len() == 30, "{}", names[0]);
    }

    #[test]
    fn what_a_process_made_is_its_own_while_it_runs() {
        let own = owner();
        assert!(!is_gone(&own));
        let (rest, _) = own.rsplit_once('/').expect("three parts");
        assert!(is_gone(&format!("{rest}/1")), "another process has had the same number");
        assert!(!is_gone(&format!("elsewhere/{own}")), "of another host nothing is known");
        assert!(!is_gone("made by hand"));
    }
}
