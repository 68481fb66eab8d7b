//! Who made something in the engine that is to be gone when its process is.
//!
//! A label says it. Labels alone are not believed, because a container has those of its image too: what is Larder's own
//! has a name of Larder's, which no image gives, and a helper was never started.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as ListedState};

use super::Error;
use crate::id::hex;

/// Label of containers of our own, with who made them.
pub(super) const CONTAINER_LABEL: &str = "larder.helper";
/// Label of volumes of our own, with who made them.
pub(super) const VOLUME_LABEL: &str = "larder.throwaway";
/// Bytes of chance in a name.
const NAME_BYTES: usize = 8;

/// What Larder makes for a while: the beginning of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A container that is never started.
    Helper,
    /// A container that removes entries of a volume.
    Remover,
    /// A container with a server.
    TestServer,
    /// A volume.
    Volume,
}

impl Kind {
    const CONTAINERS: [Self; 3] = [Self::Helper, Self::Remover, Self::TestServer];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Helper => "larder-helper-",
            Self::Remover => "larder-remover-",
            Self::TestServer => "larder-test-server-",
            Self::Volume => "larder-throwaway-",
        }
    }

    fn has_name(self, name: &str) -> bool {
        let random = name.strip_prefix(self.prefix());
        random.is_some_and(|text| text.len() == 2 * NAME_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// Who made a container of Larder's own; `None` for every other one.
pub(super) fn container_owner(listed: &ContainerSummary) -> Option<&str> {
    let name = listed.names.as_ref()?.first()?.trim_start_matches('/');
    let kind = Kind::CONTAINERS.into_iter().find(|kind| kind.has_name(name))?;
    let was_started = matches!(
        listed.state?,
        ListedState::RUNNING | ListedState::PAUSED | ListedState::RESTARTING | ListedState::EXITED
    );
    if kind == Kind::Helper && was_started {
        return None;
    }
    listed.labels.as_ref()?.get(CONTAINER_LABEL).map(String::as_str)
}

/// Who made a volume of Larder's own; `None` for every other one.
pub(super) fn volume_owner<'a>(name: &str, labels: &'a HashMap<String, String>) -> Option<&'a str> {
    if Kind::Volume.has_name(name) { labels.get(VOLUME_LABEL).map(String::as_str) } else { None }
}

/// What tells this process from every other one of this host: its number and when it was started.
pub(super) fn owner() -> String {
    let pid = std::process::id();
    format!("{}/{pid}/{}", hostname(), started(pid).unwrap_or_default())
}

/// A name that nothing else has. Process numbers do not make one: in a container it is always 1.
pub(super) fn unique_name(kind: Kind) -> Result<String, Error> {
    const RANDOM: &str = "/dev/urandom";
    let mut bytes = [0; NAME_BYTES];
    let read = File::open(RANDOM).and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|source| Error::Io { action: "read", path: RANDOM.to_owned(), source })?;
    Ok(format!("{}{}", kind.prefix(), hex(&bytes)))
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
        let names = [(); 2].map(|()| unique_name(Kind::Helper).expect("random bytes"));
        assert_ne!(names[0], names[1]);
        assert!(names[0].starts_with("larder-helper-") && names[0].len() == 30, "{}", names[0]);
    }

    /// Containers of any image with the label were removed with their volumes, and not held while a volume was read.
    #[test]
    fn a_label_of_an_image_makes_no_container_ours() {
        let name = |kind| unique_name(kind).expect("random bytes");
        let listed = |name: &str, state: ListedState, labels: &[(&str, &str)]| ContainerSummary {
            names: Some(vec![format!("/{name}")]),
            state: Some(state),
            labels: Some(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
            ..ContainerSummary::default()
        };
        let label = [(CONTAINER_LABEL, "host/99999/1")];
        let is_own = |name: &str, state, labels: &[_]| container_owner(&listed(name, state, labels)).is_some();
        for state in [ListedState::RUNNING, ListedState::EXITED, ListedState::CREATED] {
            for name in ["shop_web_1", "larder-helper-web-1", "larder-helper", "larder-test-server-0123456789abcdeg"] {
                assert!(!is_own(name, state, &label), "{name} {state:?}");
            }
            for kind in [Kind::TestServer, Kind::Remover] {
                assert!(is_own(&name(kind), state, &label), "{kind:?} {state:?}");
                assert!(!is_own(&name(kind), state, &[]), "{kind:?} {state:?}");
            }
        }
        assert!(is_own(&name(Kind::Helper), ListedState::CREATED, &label));
        for state in [ListedState::RUNNING, ListedState::PAUSED, ListedState::RESTARTING, ListedState::EXITED] {
            assert!(!is_own(&name(Kind::Helper), state, &label), "{state:?}");
        }
    }

    #[test]
    fn a_volume_is_ours_by_its_name_and_its_label() {
        let labels = HashMap::from([(VOLUME_LABEL.to_owned(), "host/99999/1".to_owned())]);
        let own = unique_name(Kind::Volume).expect("random bytes");
        assert_eq!(volume_owner(&own, &labels), Some("host/99999/1"));
        assert_eq!(volume_owner("shop_data", &labels), None);
        assert_eq!(volume_owner(&own, &HashMap::new()), None);
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
