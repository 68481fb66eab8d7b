//! Reading components one after the other, on a thread of its own, while the caller's puts together what was read before.

use super::assemble::{Assembler, Outcome};
use super::batch::{Batch, Facts, HashedBatch};
use super::origin::ComponentSource;
use super::parent::Parents;
use super::reader::BatchReader;
use super::relink;
use crate::clock::LocalTime;
use crate::events::Phase;
use crate::limits::BATCHES_IN_FLIGHT;
use crate::model::Node;
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::repo::{ChunkReader, Transaction};
use crate::source::{HardLinks, Stop};

/// Which reading of a component this is.
#[derive(Debug)]
pub(super) enum Pass {
    /// Its writers go on, and it is read again when they are held.
    First,
    /// What this reads is what is saved.
    Last,
    /// Everything has been read, and names of files are joined.
    Relink(Box<ChunkReader>, Box<Node>, HardLinks),
}

/// One reading of one component.
#[derive(Debug)]
pub(super) struct Job<'a> {
    /// The number of the component.
    pub(super) number: usize,
    /// Its source.
    pub(super) source: &'a ComponentSource,
    /// Which reading it is.
    pub(super) pass: Pass,
}

/// Joins the reading thread and this one through batches that are hashed in between.
pub(super) fn read_jobs<'a>(
    mut transaction: Transaction<'a>,
    parents: Parents,
    jobs: Vec<Job<'_>>,
    (time, with_deltas): (LocalTime, bool),
    monitor: &Monitor<'_>,
) -> Result<(Vec<Outcome>, Transaction<'a>), Error> {
    let (hashed_sender, hashed) = crossbeam_channel::bounded::<HashedBatch>(BATCHES_IN_FLIGHT);
    let (free_sender, free) = crossbeam_channel::bounded(BATCHES_IN_FLIGHT);
    for _ in 0..BATCHES_IN_FLIGHT {
        free_sender.send(Batch::new()).expect("the channel has room for every batch");
    }
    let chunker = transaction.chunker().clone();
    let ids = transaction.ids();
    let outcomes = std::thread::scope(|scope| -> Result<Vec<Outcome>, Error> {
        let reading = scope.spawn(move || {
            let mut reader = BatchReader::new(chunker, ids, (free, hashed_sender), parents, monitor);
            for mut job in jobs {
                if job.read(&mut reader, time, monitor).is_err() {
                    break;
                }
            }
        });
        let mut assembler = Assembler::new(&mut transaction, with_deltas);
        // The reader stops when the channels close, so the result is looked at when it has ended.
        let assembled = hashed.iter().try_for_each(|batch| {
            let batch = assembler.take(batch)?;
            // The reader is gone when it was interrupted.
            drop(free_sender.send(batch));
            Ok::<(), Error>(())
        });
        drop((hashed, free_sender));
        reading.join().map_err(|_| Error::Refused("the reading thread stopped unexpectedly".to_owned()))?;
        assembled.map(|()| assembler.finish())
    })?;
    Ok((outcomes, transaction))
}

impl Job<'_> {
    /// Reads it. What goes wrong with the component is told at its end; an error says that the run is over.
    fn read(&mut self, reader: &mut BatchReader<'_>, time: LocalTime, monitor: &Monitor<'_>) -> Result<(), Stop> {
        let Self { number, source, pass } = self;
        let name = source.name.as_str();
        let is_read_again = matches!(pass, Pass::First);
        reader.component((*number, name), is_read_again, |reader| {
            let source = source.source();
            let count = || if monitor.wants_totals() { source.count_bytes() } else { None };
            monitor.begin(Phase::BackingUp { component: name }, reader.parents_bytes(name).or_else(count));
            match pass {
                Pass::Relink(chunks, root, links) => {
                    relink::show(chunks, root, links, reader).map(|()| Facts::default())
                }
                Pass::First | Pass::Last => source.visit(name, time, reader, monitor),
            }
        })
    }
}
