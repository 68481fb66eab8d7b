//! Backups and prunes that are killed at any moment, again and again: what was reported stays, and stays whole.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::support::{Numbers, System, noise, scatter};

const KILLS: usize = 300;
/// After so many kills everything is read.
const KILLS_BETWEEN_LOOKS: usize = 25;
/// Snapshots that a prune keeps.
const KEPT: usize = 3;
const CREATE: &[&str] = &["create", "--json"];
const PRUNE: &[&str] =
    &["prune", "--force", "--daily", "0", "--weekly", "0", "--monthly", "0", "--keep-last", "3", "--json"];

struct Killing {
    system: System,
    numbers: Numbers,
    data: Vec<u8>,
    /// What each snapshot has in its file.
    snapshots: BTreeMap<String, Vec<u8>>,
}

/// A command, and the microseconds within which it is killed: so many that one run of six or so comes to its end.
struct Victim {
    arguments: &'static [&'static str],
    within: usize,
}

impl Victim {
    const fn adapt(&mut self, is_killed: bool) {
        let percent = if is_killed { 102 } else { 90 };
        self.within = self.within * percent / 100 + 1;
    }
}

impl Killing {
    /// Files that change a little and files that are new.
    fn change(&mut self) {
        let seed = self.numbers.below(1 << 30) as u64;
        scatter(&mut self.data, seed);
        self.system.write("models/data", &self.data);
        self.system.write("models/fresh", noise(300_000, seed));
    }

    /// Runs a command and kills it when so much time has passed. Whether that was before its end.
    fn is_killed(&self, arguments: &[&str], after: Duration) -> bool {
        let mut command = self.system.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start");
        std::thread::sleep(after);
        child.kill().expect("kill");
        let output = child.wait_with_output().expect("wait");
        let is_killed = output.status.signal() == Some(9);
        assert!(is_killed || output.status.success(), "{arguments:?}: {output:?}");
        is_killed
    }

    /// The snapshots that are there now; new ones have what there is now.
    fn look(&mut self) -> Vec<String> {
        let list = self.system.json(&["list"]);
        let names =
            list.as_array().expect("snapshots").iter().map(|one| one["name"].as_str().expect("a name").to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        for name in &names {
            self.snapshots.entry(name.clone()).or_insert_with(|| self.data.clone());
        }
        self.snapshots.retain(|name, _| names.contains(name));
        names
    }

    fn assert_whole(&self) {
        self.system.ok(&["verify", "--all", "--read-data"]);
        for (name, data) in &self.snapshots {
            let found =
                self.system.command(&["cat", &format!("{name}:models/data")]).output().expect("the binary runs");
            assert!(found.stdout == *data, "{name} has what was backed up");
        }
    }
}

#[test]
fn killed_three_hundred_times_nothing_that_was_reported_is_lost() {
    let system = System::new();
    let mut killing = Killing { system, numbers: Numbers(5), data: noise(1_500_000, 1), snapshots: BTreeMap::new() };
    let started = Instant::now();
    for _ in 0..4 {
        killing.change();
        killing.system.create();
        killing.look();
    }
    let within = usize::try_from(started.elapsed().as_micros()).expect("less than an hour") / 4;
    let mut victims = [Victim { arguments: CREATE, within }, Victim { arguments: PRUNE, within }];
    let mut kills = 0;
    for round in 0.. {
        let victim = &mut victims[usize::from(round % 3 == 2)];
        let arguments = victim.arguments;
        let before = killing.look();
        killing.change();
        let after = killing.numbers.below(victim.within);
        let is_killed = killing.is_killed(arguments, Duration::from_micros(after as u64));
        victim.adapt(is_killed);
        let now = killing.look();
        let stay = if arguments == PRUNE { KEPT } else { before.len() };
        let lost: Vec<_> = before.iter().rev().take(stay).filter(|name| !now.contains(name)).collect();
        assert!(lost.is_empty(), "{arguments:?} in round {round}: {lost:?}");
        assert!(is_killed || arguments == PRUNE || now.len() > before.len(), "a finished backup is there: {now:?}");
        killing.system.ok(&["verify", "--all"]);
        kills += usize::from(is_killed);
        if is_killed && kills % KILLS_BETWEEN_LOOKS == 0 {
            killing.assert_whole();
        }
        if kills == KILLS {
            break;
        }
    }
    killing.system.create();
    killing.look();
    killing.system.ok(PRUNE);
    assert_eq!(killing.look().len(), KEPT);
    killing.assert_whole();
}
