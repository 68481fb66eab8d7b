//! Packs and segments that somebody has put into a repository and that lie: under their right names, with every checksum
//! right. Whatever is done then, nothing true is lost, and what cannot be had is told.

use std::fs;
use std::sync::Arc;

use larder::chunk::ChunkRef;
use larder::id::{ChunkId, IdScheme, PackId};
use larder::index::{Index, SegmentBuilder, merge_full_tiers};
use larder::limits::BASE_ID_BYTES;
use larder::pack::{
    BlockEncoder, Directory, EncodedBlock, Encoding, FinishedPack, PackKind, PackReader, PackWriter, Prefix, RawBlock,
};
use larder::repo::Repository;
use larder::rooted::Trust;
use larder::storage::{Area, Key, Storage};

use super::support::{DAMAGE, Run, System, files_below, noise, scatter};

const FILE: &str = "models/data";
const STEADY: &str = "models/steady";
const PRUNE: [&str; 9] = ["prune", "--force", "--keep-last", "2", "--daily", "0", "--weekly", "0", "--monthly"];

/// Nights of a file that changes, encoded against the one before.
struct Nights {
    system: System,
    saved: Vec<(String, Vec<u8>)>,
}

/// What is put into a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forged {
    /// A pack with other bytes under the ids of all chunks, in as few blocks as there can be.
    Pack,
    /// The same, encoded against a chunk that is there.
    DeltaPack,
    /// The first one, and a segment that lists it.
    ListedPack,
    /// The second one, and a segment that lists it.
    ListedDeltaPack,
    /// Packs with other bytes under ids that begin as those of all chunks do, as far as a base names one, and a segment that lists
    /// them.
    ListedTwins,
    /// A segment that lists the true packs with the chunks of each block at other places in it.
    Places,
    /// The same with other lengths.
    Lengths,
    /// A segment by which every chunk of a pack lies in another pack.
    Packs,
    /// A segment by which deltas are encoded against other chunks.
    Bases,
    /// A segment by which every pack is longer than anything.
    PackLengths,
}

const ALL: [Forged; 10] = [
    Forged::Pack,
    Forged::DeltaPack,
    Forged::ListedPack,
    Forged::ListedDeltaPack,
    Forged::ListedTwins,
    Forged::Places,
    Forged::Lengths,
    Forged::Packs,
    Forged::Bases,
    Forged::PackLengths,
];

impl Nights {
    fn new() -> Self {
        let system = System::new();
        system.write(STEADY, noise(120_000, 5));
        let mut bytes = noise(300_000, 1);
        let mut saved = Vec::new();
        for night in 0..4 {
            system.write(FILE, &bytes);
            saved.push((system.create(), bytes.clone()));
            scatter(&mut bytes[..150_000], night);
        }
        Self { system, saved }
    }

    fn storage(&self) -> Arc<dyn Storage> {
        larder::storage::open(&self.system.path("backups").to_string_lossy(), &Trust::default()).expect("a folder")
    }

    /// Asserts that each snapshot comes back as it was.
    fn assert_whole(&self, what: &str) {
        for (name, bytes) in &self.saved {
            let out = self.system.path("saved");
            let _ = fs::remove_dir_all(&out);
            let run = self.system.run(&["restore", name, "--target", &out.to_string_lossy()]);
            assert_eq!(run.code, 0, "{what}, {name}: {run:?}");
            assert!(self.system.read(format!("saved/{FILE}")) == *bytes, "{what}: {name} is another one");
            assert!(self.system.read(format!("saved/{STEADY}")) == noise(120_000, 5), "{what}: {name}");
        }
    }

    fn create(&mut self, bytes: Vec<u8>) -> Run {
        self.system.write(FILE, &bytes);
        let run = self.system.run(&["create", "--json"]);
        assert_eq!(run.code, 0, "{run:?}");
        self.saved.push((run.json()["name"].as_str().expect("a name").to_owned(), bytes));
        run
    }

    /// Deletes all snapshots but the last two, and frees the space.
    fn prune(&mut self) -> Run {
        let run = self.system.run(&[&PRUNE[..], &["0"]].concat());
        let listed = self.system.json(&["list"]);
        let names: Vec<_> = listed.as_array().expect("a list").iter().map(|snapshot| &snapshot["name"]).collect();
        self.saved.retain(|(saved, _)| names.iter().any(|name| *name == saved));
        assert!(!self.saved.is_empty(), "{run:?}");
        run
    }
}

/// The packs that a repository has.
fn packs(storage: &dyn Storage) -> Vec<(PackId, Directory)> {
    let listed = larder::pack::list(storage).expect("list");
    listed
        .iter()
        .map(|pack| pack.id)
        .map(|id| (id, PackReader::open(storage, id).and_then(|pack| pack.directory()).expect("whole")))
        .collect()
}

/// Packs that lie about these chunks, one of each kind; with a base, encoded against that.
fn forge_packs(
    storage: &Arc<dyn Storage>,
    kinds: &[(PackKind, Vec<ChunkRef>)],
    base: Option<ChunkRef>,
) -> Vec<FinishedPack> {
    let mut forged = Vec::new();
    for (kind, chunks) in kinds {
        let mut writer = PackWriter::new(storage.as_ref(), *kind).expect("a pack");
        match base {
            None => chunks.chunks(8).for_each(|chunks| _ = writer.add(lying(chunks)).expect("written")),
            Some(base) => {
                let others = chunks.iter().filter(|chunk| **chunk != base);
                others.for_each(|chunk| _ = writer.add(lying_delta(storage, *chunk, base)).expect("written"));
            }
        }
        forged.push(writer.finish().expect("written"));
    }
    forged
}

fn lying(chunks: &[ChunkRef]) -> EncodedBlock {
    let raw_bytes = chunks.iter().map(|chunk| chunk.len_bytes).sum();
    let payload = noise(raw_bytes as usize, 77);
    EncodedBlock { encoding: Encoding::Raw, depth: 0, bases: Vec::new(), payload, raw_bytes, chunks: chunks.to_vec() }
}

fn lying_delta(storage: &Arc<dyn Storage>, chunk: ChunkRef, base: ChunkRef) -> EncodedBlock {
    let repository = Repository::open(Arc::clone(storage)).expect("a repository");
    let base_bytes = repository.reader().expect("a reader").read(base.id).expect("whole").to_vec();
    let wrong: Vec<u8> = base_bytes.iter().copied().cycle().take(chunk.len_bytes as usize).collect();
    let mut block = RawBlock::default();
    block.push((chunk.id, &wrong), 0);
    let prefix = Prefix { bases: vec![base.id.into()], bytes: base_bytes, depth: 1, far: false };
    BlockEncoder::new(larder::pack::LEVEL).expect("an encoder").encode_against(block, prefix).expect("encoded")
}

/// Another id that a base names by the same bytes.
fn twin_of(id: ChunkId) -> ChunkId {
    let mut bytes = *id.as_bytes();
    bytes[BASE_ID_BYTES..].fill(0xFF);
    ChunkId::from_bytes(bytes)
}

fn chunks_of(packs: &[(PackId, Directory)]) -> Vec<(PackKind, Vec<ChunkRef>)> {
    let of_kind = |kind| {
        let packs = packs.iter().filter(move |(_, directory)| directory.kind == kind);
        let blocks = packs.flat_map(|(_, directory)| &directory.blocks);
        (kind, blocks.flat_map(|block| block.chunks.clone()).collect())
    };
    vec![of_kind(PackKind::Data), of_kind(PackKind::Tree)]
}

/// Puts it into the repository, after whatever else it has.
fn forge(storage: &Arc<dyn Storage>, what: Forged) {
    let mut found = packs(storage.as_ref());
    let len_bytes = |id: &PackId| PackReader::open(storage.as_ref(), *id).expect("there").len_bytes();
    let mut builder = SegmentBuilder::default();
    match what {
        Forged::ListedTwins => {
            let mut kinds = chunks_of(&found);
            kinds.iter_mut().flat_map(|(_, chunks)| chunks).for_each(|chunk| chunk.id = twin_of(chunk.id));
            for pack in forge_packs(storage, &kinds, None) {
                builder.add(pack.id, pack.len_bytes, &pack.directory);
            }
        }
        Forged::Pack | Forged::DeltaPack | Forged::ListedPack | Forged::ListedDeltaPack => {
            let is_delta = matches!(what, Forged::DeltaPack | Forged::ListedDeltaPack);
            let mut blocks = found.iter().flat_map(|(_, directory)| &directory.blocks);
            let base = blocks.find(|block| block.depth == 0).map(|block| block.chunks[0]).filter(|_| is_delta);
            let forged = forge_packs(storage, &chunks_of(&found), base);
            if matches!(what, Forged::Pack | Forged::DeltaPack) {
                return;
            }
            for pack in forged {
                builder.add(pack.id, pack.len_bytes, &pack.directory);
            }
        }
        Forged::Packs => {
            found.sort_by_key(|(_, directory)| directory.kind.number());
            let shifted: Vec<Directory> = found.iter().map(|(_, directory)| directory.clone()).collect();
            for ((id, directory), other) in found.iter().zip(shifted.iter().cycle().skip(1)) {
                builder.add(*id, len_bytes(id), if directory.kind == other.kind { other } else { directory });
            }
        }
        Forged::PackLengths => {
            for (id, directory) in &found {
                builder.add(*id, u64::MAX, directory);
            }
        }
        Forged::Places | Forged::Lengths | Forged::Bases => {
            let all: Vec<ChunkRef> = chunks_of(&found).into_iter().flat_map(|(_, chunks)| chunks).collect();
            for block in found.iter_mut().flat_map(|(_, directory)| &mut directory.blocks) {
                match what {
                    Forged::Places => block.chunks.reverse(),
                    Forged::Lengths => block.chunks.iter_mut().for_each(|chunk| chunk.len_bytes -= 1),
                    _ => block.bases.iter_mut().for_each(|base| *base = all[0].id.into()),
                }
            }
            for (id, directory) in &found {
                builder.add(*id, len_bytes(id), directory);
            }
        }
    }
    builder.write(storage.as_ref()).expect("a segment");
}

/// The depth that the deepest block of a repository has.
fn depth(storage: &dyn Storage) -> u8 {
    let packs = packs(storage);
    packs.iter().flat_map(|(_, directory)| &directory.blocks).map(|block| block.depth).max().unwrap_or(0)
}

/// An unlisted pack under the ids of all chunks was taken over by the next backup without being read, preferred by the next
/// prune because it needs fewer blocks, and all snapshots had lost their data.
#[test]
fn a_backup_believes_nothing_that_was_forged() {
    for what in ALL {
        let mut nights = Nights::new();
        let storage = nights.storage();
        assert!(depth(storage.as_ref()) >= 1, "some nights are encoded against others");
        forge(&storage, what);
        let run = nights.create(noise(300_000, 2));
        if matches!(what, Forged::Pack | Forged::DeltaPack) {
            run.says("is not what it says");
            let report = run.json();
            let notes = report["notes"].as_array().expect("a list");
            assert!(notes.iter().any(|note| note.to_string().contains("quarantine/packs-")), "{report}");
            let again = nights.system.json(&["create"]);
            assert_eq!(again["notes"], serde_json::json!([]), "it is not looked at again: {again}");
        }
        nights.assert_whole(&format!("{what:?}, then create"));
        nights.prune();
        nights.assert_whole(&format!("{what:?}, then create and prune"));
    }
}

/// What a segment says of a chunk that is new was believed: it was not stored, and the snapshot had lost it.
#[test]
fn what_is_new_is_stored_whatever_a_segment_says() {
    let mut nights = Nights::new();
    let storage = nights.storage();
    let repository = Repository::open(Arc::clone(&storage)).expect("a repository");
    let new = noise(300_000, 3);
    let (mut rest, mut chunks) = (new.as_slice(), Vec::new());
    while let Some(len) = repository.chunker().cut(rest, true) {
        let (chunk, after) = rest.split_at(len);
        let len_bytes = u32::try_from(len).expect("a chunk");
        chunks.push(ChunkRef { id: repository.ids().chunk_id(chunk), len_bytes });
        rest = after;
    }
    drop(repository);
    let (id, mut directory) =
        packs(storage.as_ref()).into_iter().max_by_key(|(_, pack)| pack.blocks.len()).expect("one");
    directory.blocks[0].chunks = chunks;
    let mut builder = SegmentBuilder::default();
    builder.add(id, PackReader::open(storage.as_ref(), id).expect("there").len_bytes(), &directory);
    builder.write(storage.as_ref()).expect("a segment");
    nights.system.run(&["verify", "--all"]).ended(DAMAGE).shows("where their packs do not have them");
    nights.create(new).says("larder repair");
    nights.assert_whole("a segment with what is new");
    let _ = nights.system.run(&["repair"]);
    nights.system.ok(&["verify", "--all", "--read-data"]);
    nights.assert_whole("after the repair");
}

/// Of several places of a chunk the one that needs the fewest blocks was kept, whether it had the chunk or not.
#[test]
fn a_prune_frees_nothing_for_what_was_forged() {
    for what in ALL {
        let mut nights = Nights::new();
        forge(&nights.storage(), what);
        let run = nights.prune();
        assert!(matches!(run.code, 0 | DAMAGE), "{what:?}: {run:?}");
        if matches!(what, Forged::ListedPack | Forged::ListedDeltaPack) {
            run.ended(DAMAGE).says("is not what the index says, and something else is used");
        }
        nights.assert_whole(&format!("{what:?}, then prune"));
        nights.create(noise(300_000, 4));
        nights.assert_whole(&format!("{what:?}, then prune and create"));
        let _ = nights.system.run(&["repair"]);
        nights.system.ok(&["verify", "--all", "--read-data"]);
        nights.prune().ended(0);
        nights.assert_whole(&format!("{what:?}, then everything"));
    }
}

#[test]
fn a_repair_takes_away_what_was_forged_and_nothing_else() {
    for what in ALL {
        let nights = Nights::new();
        let before = files_below(&nights.system.path("backups/packs"));
        forge(&nights.storage(), what);
        // What nothing lists is a note, what is listed is damage.
        if !matches!(what, Forged::Pack | Forged::DeltaPack) {
            let run = nights.system.run(&["verify", "--all", "--read-data"]);
            assert_eq!(run.code, DAMAGE, "{what:?}: {run:?}");
        }
        let run = nights.system.run(&["repair"]);
        run.ended(0).shows("quarantine/");
        let mut after = files_below(&nights.system.path("backups/packs"));
        if what == Forged::ListedTwins {
            // Ids that nothing else has: what lies there is kept under its own.
            after.retain(|file| before.contains(file));
        }
        assert_eq!(after, before, "{what:?}: {run:?}");
        nights.assert_whole(&format!("{what:?}, then repair"));
        nights.system.ok(&["verify", "--all", "--read-data"]);
        nights.system.ok(&["repair"]).shows("nothing to repair");
    }
}

/// A pack that several segments list was taken from the first: what a forged one said took the place of what was true.
#[test]
fn a_merge_of_segments_keeps_what_is_true() {
    for what in ALL {
        let mut nights = Nights::new();
        let storage = nights.storage();
        forge(&storage, what);
        let index = Index::open(storage.as_ref()).expect("the index");
        let segments: Vec<_> = index.segments().iter().cloned().chain(index.segments().iter().cloned()).collect();
        let lease = storage.lease(&|| {}).expect("nobody else is there");
        lease.when_alone(|alone| merge_full_tiers(storage.as_ref(), &segments, alone)).expect("merged");
        drop(lease);
        nights.assert_whole(&format!("{what:?}, then a merge"));
        nights.create(noise(300_000, 4));
        nights.assert_whole(&format!("{what:?}, then a merge and create"));
        nights.prune();
        nights.assert_whole(&format!("{what:?}, then a merge, create and prune"));
    }
}

/// Where the index had a lie for what is in them, the true packs were deleted as those that nothing lists.
#[test]
fn a_prune_deletes_no_pack_for_another_one_that_only_says_the_same() {
    let nights = Nights::new();
    let storage = nights.storage();
    let found = packs(storage.as_ref());
    let mut builder = SegmentBuilder::default();
    for (id, directory) in found.iter().filter(|(_, directory)| directory.kind == PackKind::Tree) {
        builder.add(*id, PackReader::open(storage.as_ref(), *id).expect("there").len_bytes(), directory);
    }
    let (kind, mut data) = chunks_of(&found).swap_remove(0);
    data.sort_by_key(|chunk| chunk.id);
    data.dedup();
    for pack in forge_packs(&storage, &[(kind, data)], None) {
        builder.add(pack.id, pack.len_bytes, &pack.directory);
    }
    for segment in storage.list(Area::Index).expect("list") {
        remove(storage.as_ref(), &Key::new(Area::Index, segment.name));
    }
    builder.write(storage.as_ref()).expect("a segment");
    nights.system.run(&[&PRUNE[..], &["0"]].concat()).ended(DAMAGE).says("has other content");
    nights.system.run(&["verify", "--all", "--read-data"]).ended(DAMAGE).shows("LOST");
    nights.system.ok(&["repair"]);
    nights.assert_whole("lies in place of the index");
}

/// Removes an object that is ours.
fn remove(storage: &dyn Storage, key: &Key) {
    let lease = storage.lease(&|| {}).expect("nobody has it alone");
    lease.when_alone(|alone| storage.delete(key, alone)).expect("no failure").expect("nobody else is there");
}

/// The only copy of something is a lie.
#[test]
fn what_only_a_lie_has_is_told() {
    let nights = Nights::new();
    let storage = nights.storage();
    let (id, directory) =
        packs(storage.as_ref()).into_iter().max_by_key(|(_, pack)| pack.blocks.len()).expect("a pack");
    let chunks = directory.blocks.iter().flat_map(|block| block.chunks.clone()).collect();
    let forged = forge_packs(&storage, &[(directory.kind, chunks)], None);
    let mut builder = SegmentBuilder::default();
    for pack in forged {
        builder.add(pack.id, pack.len_bytes, &pack.directory);
    }
    builder.write(storage.as_ref()).expect("a segment");
    remove(storage.as_ref(), &larder::pack::key(id));
    // The pack that is missing is found, and nothing goes.
    nights.system.run(&["verify", "--all"]).ended(DAMAGE).shows(&id.to_string());
    nights.system.run(&["verify", "--all", "--read-data"]).ended(DAMAGE).shows("LOST");
    nights.system.run(&["repair"]).ended(DAMAGE).shows("LOST");
    let out = nights.system.path("out").to_string_lossy().into_owned();
    let restored = nights.saved.iter().filter(|(name, bytes)| {
        let run = nights.system.run(&["restore", name, "--target", &out]);
        run.code == 0 && nights.system.read(format!("out/{FILE}")) == *bytes || run.code == DAMAGE
    });
    assert_eq!(restored.count(), nights.saved.len(), "each comes back as it was, or is told to be damaged");
}

/// A pack whose name stood in another folder too was deleted at its own place, and counted as there for ever after.
#[test]
fn a_pack_is_only_where_its_name_says() {
    let mut nights = Nights::new();
    let packs = nights.system.path("backups/packs");
    for (number, pack) in files_below(&packs).into_iter().enumerate() {
        let folder = packs.join(["old", "00", "zz", ".hid"][number % 4]);
        fs::create_dir_all(&folder).expect("ours");
        let name = std::path::Path::new(&pack).file_name().expect("a name").to_owned();
        fs::copy(packs.parent().expect("it lies in one").join(&pack), folder.join(name)).expect("a copy");
    }
    nights.system.ok(&["prune", "--force", "--keep-last", "99"]);
    nights.assert_whole("copies in other folders, then prune");
    nights.create(noise(300_000, 4)).ended(0);
    nights.assert_whole("copies in other folders, then prune and create");
    nights.system.ok(&["verify", "--all", "--read-data"]);
}

/// True copies of what blocks are encoded against, each against hundreds of others, were relied on: what was true needed more blocks
/// than a reader decodes.
#[test]
fn a_copy_that_needs_many_others_is_not_relied_on() {
    let mut nights = Nights::new();
    let storage = nights.storage();
    let found = packs(storage.as_ref());
    let bases: Vec<_> = found.iter().flat_map(|(_, pack)| &pack.blocks).flat_map(|block| block.bases.clone()).collect();
    let chunks =
        chunks_of(&found).into_iter().flat_map(|(kind, chunks)| chunks.into_iter().map(move |chunk| (kind, chunk)));
    let repository = Repository::open(Arc::clone(&storage)).expect("a repository");
    let mut reader = repository.reader().expect("a reader");
    let mut builder = SegmentBuilder::default();
    // Each of the small ones lies in a block of its own.
    let mut writer = PackWriter::new(storage.as_ref(), PackKind::Data).expect("a pack");
    let small: Vec<ChunkRef> = (0..900_u16).map(|number| small_chunk(number).1).collect();
    for number in 0..900 {
        let (bytes, chunk) = small_chunk(number);
        let block = EncodedBlock { payload: bytes, ..lying(&[chunk]) };
        writer.add(block).expect("written");
    }
    let pack = writer.finish().expect("written");
    builder.add(pack.id, pack.len_bytes, &pack.directory);
    let many: Vec<u8> = (0..900).flat_map(|number| small_chunk(number).0).collect();
    for (kind, chunk) in chunks.filter(|(_, chunk)| bases.contains(&chunk.id.into())) {
        let mut block = RawBlock::default();
        let bytes = reader.read(chunk.id).expect("whole").to_vec();
        block.push((chunk.id, &bytes), 0);
        let bases = small.iter().map(|chunk| chunk.id.into()).collect();
        let prefix = Prefix { bases, bytes: many.clone(), depth: 1, far: false };
        let block =
            BlockEncoder::new(larder::pack::LEVEL).expect("an encoder").encode_against(block, prefix).expect("encoded");
        let mut writer = PackWriter::new(storage.as_ref(), kind).expect("a pack");
        writer.add(block).expect("written");
        let pack = writer.finish().expect("written");
        builder.add(pack.id, pack.len_bytes, &pack.directory);
    }
    builder.write(storage.as_ref()).expect("a segment");
    drop((reader, repository));
    nights.assert_whole("copies that need many others");
    nights.system.ok(&["repair"]);
    nights.assert_whole("copies that need many others, then repair");
    nights.prune().ended(0);
    nights.assert_whole("copies that need many others, then repair and prune");
    nights.system.ok(&["verify", "--all", "--read-data"]);
}

fn small_chunk(number: u16) -> (Vec<u8>, ChunkRef) {
    let bytes = number.to_le_bytes().repeat(20);
    let len_bytes = u32::try_from(bytes.len()).expect("small");
    (bytes.clone(), ChunkRef { id: IdScheme::plain().chunk_id(&bytes), len_bytes })
}
