//! What a folder of the repository has while others write to it.

use larder::cancel::Cancel;
use larder::monitor::Monitor;
use larder::pipeline::verify::{VerifyOptions, verify};
use larder::repo::Repository;
use larder::rooted::Trust;

use super::support::{System, noise};

/// A segment that was merged away between the reading of its name and the look at it left a listing without either, and a
/// check told of chunks that were lost. They stay as long as anybody has the repository open.
#[test]
fn segments_stay_as_long_as_somebody_reads_them() {
    let system = System::with_model(noise(40_000, 1));
    for night in 0..4 {
        system.write("models/new.bin", noise(30_000, 2 + night));
        system.create();
    }
    let storage = larder::storage::open(&system.path("backups").to_string_lossy(), &Trust::default());
    let reading = Repository::open(storage.expect("a folder")).expect("a repository");
    let before = system.objects("index");
    system.write("models/new.bin", noise(30_000, 9));
    system.create();
    assert!(before.iter().all(|segment| segment.exists()), "nothing was merged");
    let report = verify(&reading, None, VerifyOptions::default(), &Monitor::unheard(&Cancel::new())).expect("a check");
    assert!(report.is_clean(), "{report:?}");
    drop(reading);
    system.write("models/new.bin", noise(30_000, 10));
    system.create();
    assert!(system.objects("index").len() < before.len(), "segments were merged");
}
