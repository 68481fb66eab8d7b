//! Every bound of the engine as one constant: sizes, counts, queue lengths.
//!
//! A queue, cache, loop or allocation whose size could come from input is bounded by a constant in this file. The
//! file holds numbers only.

/// Length of every id, in bytes.
pub const ID_BYTES: usize = 32;
/// Length of the beginning of an id by which a block names a base, in bytes.
pub const BASE_ID_BYTES: usize = 16;
/// Extra fields of a record.
pub const EXTRA_FIELDS_MAX: usize = 64;
/// Tags of a snapshot.
pub const TAGS_MAX: usize = 1_000;
/// Steps of a run that a manifest gives the times of.
pub const STEPS_MAX: usize = 4 * COMPONENTS_MAX;
/// Length of the random bytes that a pack or a segment begins with, so that its name never recurs.
pub const SALT_BYTES: usize = 32;

/// Smallest chunk that a repository may be configured for, in bytes.
pub const CHUNK_BYTES_MIN: u32 = 256;
/// Largest chunk that a repository may be configured for, in bytes.
pub const CHUNK_BYTES_MAX: u32 = 512 << 10;

/// Raw bytes of new chunks that a solid block collects before it is encoded.
pub const BLOCK_BYTES_TARGET: usize = 512 << 10;
/// Largest raw length of a block that a reader accepts, in bytes: a full block and one chunk more.
pub const BLOCK_BYTES_MAX: usize = BLOCK_BYTES_TARGET + CHUNK_BYTES_MAX as usize;
/// Most chunks in one block.
pub const BLOCK_CHUNKS_MAX: usize = 4_096;
/// Most bases of one delta block.
pub const BLOCK_BASES_MAX: usize = 4_096;
/// Raw bytes of new chunks that a delta block collects before it is encoded.
pub const DELTA_BYTES_TARGET: usize = 128 << 10;
/// Plaintext of all bases of one block, in bytes.
pub const DELTA_PREFIX_BYTES_MAX: usize = 512 << 10;
/// Most blocks to decode one after another before a delta block can be decoded.
pub const DELTA_DEPTH_MAX: u8 = 8;
/// Chunks of a content's older state that are looked at ahead.
pub const PREVIOUS_CHUNKS_MAX: usize = 4_096;
/// Most blocks that a writer lets one delta block need, all bases of its bases together.
pub const DELTA_REACH_TARGET: usize = 1_024;
/// Most blocks that a reader decodes for one delta block. Bases may have been stored a second time since it was written, so
/// it is more than a writer uses.
pub const DELTA_REACH_MAX: usize = 4_000;
/// Plaintext of blocks that are kept while one block is decoded for which every base is checked, in bytes.
pub const NEEDED_BYTES_MAX: usize = 32 << 20;

/// A pack is closed when it has reached this length, in bytes.
pub const PACK_BYTES_TARGET: u64 = 32 << 20;
/// Longest pack that a reader accepts, in bytes.
pub const PACK_BYTES_MAX: u64 = 1 << 30;
/// Most bytes that are read in vain when a pack without a directory is looked through for blocks, in lengths of the pack
/// and of one block. What is damaged is read once for its block and once for what may begin in it.
pub const SCAN_IN_VAIN_MAX: u64 = 4;
/// Most blocks in one pack.
pub const PACK_BLOCKS_MAX: usize = 1 << 20;
/// Longest directory of a pack that a reader accepts, in bytes; it is read whole.
pub const PACK_DIRECTORY_BYTES_MAX: usize = 64 << 20;
/// A pack is closed when it holds this many chunks, which bounds its directory in memory.
pub const PACK_CHUNKS_TARGET: usize = 1 << 16;

/// A running transaction writes an index segment after this many new chunks.
pub const SEGMENT_CHUNKS_TARGET: usize = 1 << 16;
/// Segments of one size tier that may stand before they are merged into one.
pub const SEGMENTS_PER_TIER: usize = 4;
/// A tier of segments holds up to this many times the chunks of the tier below.
pub const SEGMENT_TIER_FACTOR: u64 = 4;
/// Most segments that a repository is opened with.
pub const SEGMENTS_MAX: usize = 65_536;
/// Most bits of the first-level table of a segment.
pub const FANOUT_BITS_MAX: u32 = 16;

/// Largest `config` object, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// A compressed file that is imported may hold this many bytes, whatever its own length.
pub const EXPANDED_BYTES_MIN: u64 = 256 << 20;
/// Beyond that it may hold this many times its own length. Dumps reach ten, volumes with many zeros a hundred.
pub const EXPANSION_MAX: u64 = 400;
/// Largest `metadata.json` of a folder that is imported, in bytes.
pub const METADATA_BYTES_MAX: u64 = 16 << 20;
/// Largest snapshot manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// Most components of a snapshot.
pub const COMPONENTS_MAX: usize = 4_096;
/// Most problems that a component's manifest lists; the rest are counted.
pub const PROBLEMS_MAX: usize = 1_000;
/// Longest of them, in bytes.
pub const PROBLEM_BYTES_MAX: usize = 4_000;
/// Most failures of a component that the report of a restore lists; the rest are counted. A server may refuse as many objects.
pub const RESTORE_FAILURES_MAX: usize = 10_000;
/// Length of their texts in bytes.
pub const RESTORE_FAILURES_BYTES_MAX: usize = 8 << 20;

/// Longest encoded tree node, in bytes.
pub const NODE_BYTES_MAX: usize = 8 << 20;
/// Extended attributes of one entry together, in bytes.
pub const XATTRS_BYTES_MAX: usize = 4 << 20;
/// Longest name of a directory entry, in bytes.
pub const NAME_BYTES_MAX: usize = 4_096;
/// Deepest nesting of directories that is read or written.
pub const TREE_DEPTH_MAX: usize = 32_000;
/// Longest path below the root of a component, in bytes.
pub const PATH_BYTES_MAX: usize = 1 << 20;
/// Paths of entries that wait until the files of their group are filled, together, in bytes.
pub const RESTORE_PATHS_BYTES_MAX: usize = 4 << 20;
/// Chunks that a node lists itself; a longer list is stored as content.
pub const CONTENT_CHUNKS_DIRECT: usize = 256;
/// Deepest nesting of chunk lists.
pub const CONTENT_DEPTH_MAX: u8 = 6;
/// Most data runs of a sparse file that are recorded; a file with more is stored without holes.
pub const SPARSE_RUNS_MAX: usize = 65_536;
/// A file that is stored without its holes may be this many times as long as what it has on the disk.
pub const SPARSE_GROWTH_MAX: u64 = 16;
/// One of this length, in bytes, may be any number of times as long.
pub const SPARSE_BYTES_MIN: u64 = 1 << 30;

/// Bytes that the reading side of a backup collects before it hands them on.
pub const BATCH_BYTES: usize = 1 << 20;
/// Batches that may be on their way between reading and storing.
pub const BATCHES_IN_FLIGHT: usize = 4;
/// Entries of trees that one batch carries at most.
pub const BATCH_STEPS_MAX: usize = 256;
/// Blocks that may be on their way between encoding and the pack.
pub const BLOCKS_IN_FLIGHT: usize = 3;

/// Decoded blocks that a reader keeps, in bytes.
pub const BLOCK_CACHE_BYTES: usize = 14 << 20;
/// Decoded blocks that a restore keeps, in bytes: each of its threads follows the bases of another place.
pub const RESTORE_CACHE_BYTES: usize = 18 << 20;
/// Decoded blocks of bases that a backup keeps, in bytes: they are needed in the order of the streams.
pub const BASE_CACHE_BYTES: usize = 3 << 20;
/// Decoded blocks of trees and chunk lists that a backup keeps, in bytes.
pub const TREE_CACHE_BYTES: usize = 3 << 20;
/// Chunks and blocks of packs whose listings a check keeps, all together: it follows the bases of two places at once, each
/// through as many packs as a block is deep.
pub const LISTED_CHUNKS_KEPT: usize = 1 << 17;
/// Bytes of an object's shards that are held at once to make parity, or to restore with it.
pub const PARITY_STRIP_BYTES: usize = 8 << 20;
/// Directories that are remembered as looked at; beyond them some are looked at again.
pub const TREES_REMEMBERED_MAX: usize = 1 << 18;
/// Chunks of stored lists that are remembered as gone through, a hundred bytes of memory for each; beyond them some are gone
/// through again. These are the lists of a hundred terabytes of large files.
pub const LISTS_REMEMBERED_MAX: usize = 1 << 20;
/// Places of chunks with several that are looked at together when space is freed.
pub const PLACES_CHECKED_MAX: usize = 1 << 16;
/// A pack with less in use, in percent of what its blocks take, is written anew when space is freed.
pub const PACK_LIVE_PERCENT_MIN: u64 = 70;
/// Packs below this length are small, in bytes.
pub const PACK_SMALL_BYTES: u64 = PACK_BYTES_TARGET / 4;
/// Small packs of one kind that may stand before they are merged.
pub const SMALL_PACKS_MAX: usize = 8;
/// Chunks of file content that a restore plans before it writes them.
pub const RESTORE_CHUNKS_MAX: usize = 8_192;
/// Files that a restore collects, and holds open, before it hands them over as a group to be filled.
pub const RESTORE_FILES_MAX: usize = 128;
/// Files that a process holds open besides: of the repository, and what programs that it starts are given.
pub const OTHER_FILES_MAX: u64 = 96;
/// Groups that are being filled while the next one is collected.
pub const RESTORE_GROUPS_MAX: usize = 3;

/// Runs of neighbouring delta blocks that are compressed by themselves, for each component of each night, to learn what
/// deltas save. Twice as many may be kept before they are thinned out.
pub const SAVINGS_RUNS_MAX: usize = 8;
/// Most blocks of one such run.
pub const SAVINGS_RUN_BLOCKS_MAX: usize = 16;
/// Subtrees whose sums are remembered; beyond them some are added up again.
pub const SAVINGS_SUMS_MAX: usize = 1 << 18;
/// Damage that is told of each component of each night.
pub const SAVINGS_DAMAGE_MAX: usize = 3;

/// Most nights of a simulated system.
pub const SIMULATION_NIGHTS_MAX: u32 = 366;
/// Most rows that the database of a simulated system begins with.
pub const SIMULATION_ROWS_MAX: u32 = 10_000_000;
/// Most rows that it has in the end.
pub const SIMULATION_ROWS_END_MAX: u64 = 20_000_000;
/// Most percent of its first rows that are inserted each night.
pub const SIMULATION_INSERT_PERCENT_MAX: f64 = 1_000.0;

/// Bytes of plain input in one member-free block of parallel gzip.
pub const GZIP_BLOCK_BYTES: usize = 1 << 20;

/// Longest entry of a dump that makes something, in bytes: it is given out whole.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;
/// Longest statement of a dump that is not known to be accepted before its end, in bytes.
pub const OPEN_STATEMENT_BYTES_MAX: usize = 64 << 20;
/// Longest line of a dump's COPY statement that is understood, in bytes.
pub const COPY_STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Most bytes of an answer that a server is asked for, but for the rows of tables.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Most bytes that a program says that is asked for its version, its help or how it is.
pub const SAID_BYTES_MAX: usize = 64 << 10;
/// Address space of a `psql` on this host, in bytes: it holds a row whole, of up to 1 GB, and that twice.
pub const PSQL_BYTES_MAX: u64 = 3 << 30;
/// Longest text that a role of a server may have written and that is kept in a manifest or a list of roles: a setting, a
/// comment. In bytes.
pub const SERVER_TEXT_BYTES_MAX: usize = 64 << 10;
/// Most roles, memberships or settings that are kept of a server.
pub const SERVER_ENTRIES_MAX: usize = 20_000;
/// Longest row of a table that is masked or compared with another, in bytes: it is held whole for that, two at once where
/// they are compared. What is only saved or restored is not.
pub const ROW_BYTES_MAX: usize = 32 << 20;
/// Longest list of roles or index of tables that is read, in bytes.
pub const DATABASE_LIST_BYTES_MAX: usize = 512 << 20;
/// Bytes that an archive of the engine may have between the data of two entries: headers, long names, attributes.
pub const ARCHIVE_HEADERS_BYTES_MAX: u64 = 16 << 20;
/// Longest path in an archive of the engine, in bytes.
pub const ARCHIVE_PATH_BYTES_MAX: usize = 64 << 10;
/// Longest name in such a path, and longest target of a link, in bytes: what Linux allows.
pub const ARCHIVE_NAME_BYTES_MAX: usize = 255;
/// See [`ARCHIVE_NAME_BYTES_MAX`].
pub const ARCHIVE_TARGET_BYTES_MAX: usize = 4_096;
/// Most names of files that have several in an archive of the engine.
pub const ARCHIVE_LINKS_MAX: usize = 1 << 20;

/// Most standard error of a child process that is kept, in bytes.
pub const STDERR_BYTES_MAX: usize = 16 << 10;

const _: () = assert!((BLOCK_BYTES_MAX as u64) < PACK_BYTES_TARGET);
// A batch holds what is left uncut of the last one and at least one read more.
const _: () = assert!(2 * CHUNK_BYTES_MAX as usize <= BATCH_BYTES);
const _: () = assert!(PACK_BYTES_MAX <= u32::MAX as u64);
