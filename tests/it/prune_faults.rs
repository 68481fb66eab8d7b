//! A prune whose storage fails, or fills up, at any step, and a prune that others come before: what is kept stays whole.

use std::collections::BTreeSet;

use larder::cancel::Cancel;
use larder::model::Retention;
use larder::monitor::Monitor;
use larder::pipeline::Error;
use larder::pipeline::prune::{self, PruneOptions, PrunePlan, PruneReport};
use larder::repo::Repository;
use larder::storage::{Area, Storage};

use super::faults::{Failure, Fault, Faulty, History, assert_clean, open, packs_bytes};
use super::support::noise;

fn plan(repository: &Repository, last: u32) -> PrunePlan {
    let retention = Retention { last, ..Retention::NONE };
    prune::plan(repository, &PruneOptions { retention, ..PruneOptions::default() }, &Monitor::unheard(&Cancel::new()))
        .expect("a plan")
}

fn pruned(repository: &Repository, last: u32) -> Result<PruneReport, Error> {
    prune::execute(repository, plan(repository, last), &Monitor::unheard(&Cancel::new()))
}

/// Lets the storage fail after each number of operations, and prunes again then.
fn sweep(failure: Failure) {
    let full = failure == Failure::Full;
    let history = History::nights(6);
    let undisturbed = history.copy();
    let report = pruned(&open(undisturbed.clone()), 3).expect("a prune");
    assert!(report.collected.written.0 > 0 && report.collected.deleted.0 > 3, "there is something to it: {report:?}");
    let least = packs_bytes(&undisturbed);
    for operations in 0.. {
        let what = format!("{operations} operations, {failure:?}");
        let (storage, fault) = (history.copy(), Fault::after(operations, failure));
        let result = pruned(&open(Faulty { inner: storage.clone(), fault: fault.clone() }), 3);
        if full {
            assert!(result.is_ok(), "{what}: {result:?}");
        }
        history.assert_whole(&storage, 3, &what);
        history.assert_forgotten_come_back(&storage, &what);
        assert_clean(&storage, &what);
        let again = pruned(&open(storage.clone()), 3);
        assert!(again.is_ok(), "{what}: {again:?}");
        history.assert_whole(&storage, 3, &what);
        assert_clean(&storage, &what);
        assert!(storage.list(Area::Forgotten).expect("list").is_empty(), "{what}");
        assert!(packs_bytes(&storage) <= least + least / 10, "{what}: garbage is left");
        if !fault.was_hit() {
            assert!(operations > 10, "{what}: the sweep went through a prune");
            return;
        }
        assert!(full || result.is_err(), "{what}: a failure is told");
    }
}

/// All snapshots that were to go were deleted before anything else was heard.
#[test]
fn a_prune_that_is_interrupted_at_any_step_stops_there_and_leaves_what_is_kept_whole() {
    let history = History::nights(6);
    let (mut stopped_at, mut last) = (BTreeSet::new(), None);
    for operations in 0.. {
        let (storage, what, cancel) = (history.copy(), format!("{operations} operations"), Cancel::new());
        let fault = Fault::cancelling_after(operations, &cancel);
        let repository = open(Faulty { inner: storage.clone(), fault });
        let result = prune::execute(&repository, plan(&repository, 3), &Monitor::unheard(&cancel));
        drop(repository);
        let left = [Area::Snapshots, Area::Forgotten, Area::Packs, Area::Trees]
            .map(|area| storage.list(area).expect("list").len());
        history.assert_whole(&storage, 3, &what);
        history.assert_forgotten_come_back(&storage, &what);
        assert_clean(&storage, &what);
        pruned(&open(storage.clone()), 3).unwrap_or_else(|error| panic!("{what}: {error}"));
        history.assert_whole(&storage, 3, &what);
        assert!(storage.list(Area::Forgotten).expect("list").is_empty(), "{what}");
        match result {
            Err(Error::Cancelled(_)) => stopped_at.insert(left),
            result => {
                result.expect("a prune");
                last = Some(left);
                break;
            }
        };
    }
    let places = |number: usize| stopped_at.iter().map(|left| left[number]).collect::<BTreeSet<_>>().len();
    assert!(places(0) >= 3, "between the snapshots: {stopped_at:?}");
    assert!(places(1) >= 3, "between their copies: {stopped_at:?}");
    assert!(places(2) >= 3, "between the packs: {stopped_at:?}, {last:?}");
}

#[test]
fn a_prune_that_fails_at_any_step_leaves_what_is_kept_whole() {
    sweep(Failure::Before);
    sweep(Failure::After);
}

#[test]
fn a_storage_that_is_full_at_any_step_is_pruned_all_the_same() {
    sweep(Failure::Full);
}

/// A backup between plan and execution finds its data in what was about to go.
#[test]
fn what_appears_after_the_plan_keeps_what_it_needs() {
    let mut history = History::nights(6);
    let storage = history.storage.clone();
    let repository = open(storage.clone());
    let plan = plan(&repository, 2);
    // Nothing that is kept has it any more.
    history.write("gone", &noise(150_000, 2));
    let before = packs_bytes(&storage);
    history.backup();
    assert!(packs_bytes(&storage) < before + 100_000, "its data is that of the first nights");
    let report = prune::execute(&repository, plan, &Monitor::unheard(&Cancel::new())).expect("a prune");
    assert!(report.collected.rescued > 0, "{report:?}");
    history.assert_whole(&storage, 3, "a backup came between");
    assert_clean(&storage, "a backup came between");
}

/// Two plans of one moment are carried out one after the other. The second one failed when the first had written packs
/// anew that it meant to keep.
#[test]
fn a_prune_that_another_one_comes_before_deletes_nothing_that_is_needed() {
    let history = History::nights(6);
    let (mut waited, mut rounds) = (0, 0);
    // Both wait until they are alone, and either may come first.
    while waited == 0 && rounds < 20 {
        for (first, second) in [(4, 2), (2, 4), (3, 3)] {
            let storage = history.copy();
            let (one, other) = (open(storage.clone()), open(storage.clone()));
            let plans = (plan(&one, first), plan(&other, second));
            let execute = |repository: Repository, plan: PrunePlan| {
                let report = prune::execute(&repository, plan, &Monitor::unheard(&Cancel::new()));
                u32::from(report.expect("the first one is no failure of the second").collected.is_waiting)
            };
            waited += std::thread::scope(|scope| {
                let threads = [(one, plans.0), (other, plans.1)]
                    .map(|(repository, plan)| scope.spawn(move || execute(repository, plan)));
                threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<u32>()
            });
            let what = format!("{first} and {second}");
            history.assert_whole(&storage, 2, &what);
            pruned(&open(storage.clone()), 2).expect("a prune");
            history.assert_whole(&storage, 2, &what);
            assert_clean(&storage, &what);
        }
        rounds += 1;
    }
    assert!(waited > 0, "a plan was overtaken");
}
