//! The phases of long work in words, as they stand beside a progress bar.

use larder::events::Phase;

/// What is under way.
pub(crate) fn describe(phase: &Phase<'_>) -> String {
    let text = match *phase {
        Phase::BackingUp { component } => component,
        Phase::CheckingImport { path } => return format!("checking {}", path.display()),
        Phase::ComparingRows { table } => return format!("comparing {table}"),
        Phase::Exporting { component } => return format!("exporting {component}"),
        Phase::Restoring { component } => return format!("restoring {component}"),
        Phase::SavingServer { container } => return format!("{container} is saving"),
        Phase::SimulatingNight { night, nights } => return format!("night {night} of {nights}"),
        Phase::TestRestoring { component } => return format!("restoring {component} for a test"),
        Phase::AddingUpSavings => "adding up what the nights take",
        Phase::AdoptingPacks => "checking packs that no run has listed",
        Phase::CheckingPresence => "proving that everything is there",
        Phase::DecodingBlocks => "decoding the blocks",
        Phase::DeletingGarbage => "deleting what nothing needs",
        Phase::ListingPacks => "listing the packs",
        Phase::MakingUpSystem => "making up a system",
        Phase::MarkingUsed => "looking for what is in use",
        Phase::ReadingBack => "checking what was written",
        Phase::ReadingIndex => "reading the index",
        Phase::ReadingManifests => "reading the manifests",
        Phase::ReadingPacks => "reading the packs",
        Phase::RecreatingTables => "making tables that are gone",
        Phase::ReplacingDatabase => "putting the database in its place",
        Phase::RestoringWithParity => "restoring with parity",
        Phase::RewritingPacks => "writing packs anew",
        Phase::SalvagingPacks => "looking for whole blocks in broken packs",
        Phase::SearchingLiveFiles => "looking for lost data in live files",
        Phase::StartingContainers => "starting the containers again",
        Phase::StoppingContainers => "stopping the containers that use the volumes",
        Phase::WaitingUntilAlone => "waiting until nobody else uses the repository",
        Phase::WalkingSnapshots => "walking the snapshots",
        Phase::WritingArchive => "writing the archive",
        Phase::WritingParity => "writing parity",
        // Of a later version of the library.
        _ => "working",
    };
    text.to_owned()
}
