//! What every source and every sink of a topic must keep to.

use std::ops::ControlFlow;

use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::ids::{Epoch, ProducerId};
use thalweg_stream::ChangeBatch;
use thalweg_stream::record::{BadRecord, RawRecord};
use thalweg_stream::sink::{Delivery, OutputChunk, Publication, Sink};
use thalweg_stream::source::{Position, Source, SourceBatch, SplitInfo, SplitReader};

use crate::support::objects;

/// Everything that a range holds: rows as JSON, and bad records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) rows: Vec<String>,
    pub(crate) bad: Vec<BadRecord>,
}

fn read(
    reader: &mut dyn SplitReader,
    from: Position,
    to: Position,
    batch_rows: usize,
) -> Vec<SourceBatch> {
    let mut batches = Vec::new();
    reader
        .read(from, to, batch_rows, &mut |batch| {
            batches.push(batch);
            Ok(())
        })
        .unwrap();
    batches
}

fn contents(batches: &[SourceBatch]) -> Contents {
    let mut all = Contents::default();
    for batch in batches {
        if batch.rows.num_columns() > 0 {
            all.rows.extend(objects(&batch.rows));
        }
        all.bad.extend(batch.bad.iter().cloned());
    }
    all
}

/// Reads a split to its end as it is now, and checks on the way that
/// - cuts end where records end, at least one record further, within what is available;
/// - ranges one after another give what the whole gives, whatever their sizes;
/// - a range read again, by the same or another reader, gives the same batches;
/// - batches are as large as was asked for;
/// - the records of a batch can be looked at again: see [`check_records`].
pub(crate) fn check_source(source: &dyn Source, split: &SplitInfo, seed: u64) -> Contents {
    let mut reader = source.open(split).unwrap();
    let end = reader.available().unwrap().end;
    let whole = contents(&read(&mut *reader, split.start, end, 1000));
    let random = SeededRandom::new(seed);
    for (round, size) in [1, 50, 400, 5000, 1 << 20, u64::MAX >> 1].into_iter().enumerate() {
        if size < (end - split.start) / 5000 {
            continue; // It would take for ever.
        }
        let mut at = split.start;
        let mut found = Contents::default();
        while at < end {
            let most = 1 + random.below(size);
            let cut = reader.cut(at, most).unwrap();
            assert!(cut.end > at && cut.end <= end, "a cut of {at}..{} before {end}", cut.end);
            let batch_rows = 1 + random.below(9) as usize;
            let batches = read(&mut *reader, at, cut.end, batch_rows);
            for batch in &batches {
                let records = batch.rows.num_rows() + batch.bad.len();
                assert!((1..=batch_rows).contains(&records), "{records} of {batch_rows}");
            }
            let again = read(&mut *source.open(split).unwrap(), at, cut.end, batch_rows);
            assert_eq!(again.len(), batches.len());
            for (again, first) in again.iter().zip(&batches) {
                assert_eq!(again.rows, first.rows);
                assert_eq!(again.bad, first.bad);
                assert_eq!(again.positions, first.positions);
            }
            if round % 2 == 1 {
                batches.iter().for_each(|batch| check_records(&mut *reader, batch));
            }
            let part = contents(&batches);
            found.rows.extend(part.rows);
            found.bad.extend(part.bad);
            at = cut.end;
        }
        assert_eq!(found, whole, "round {round}");
    }
    whole
}

/// Checks that the positions of a batch hold its records and no others, in order, and that
/// what stands at the position of a row is what the row was made of. Without records each
/// row has one position.
fn check_records(reader: &mut dyn SplitReader, batch: &SourceBatch) {
    let number = batch.rows.num_rows() + batch.bad.len();
    let Some(records) = &batch.records else {
        assert_eq!(number as u64, batch.positions.end - batch.positions.start);
        return;
    };
    let mut visited = Vec::new();
    records
        .visit(batch.positions.clone(), &mut |record| {
            visited.push(record.refused("", String::new(), usize::MAX));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(visited.is_sorted_by(|left, right| left.position < right.position));
    assert_eq!(visited.len(), number);
    let (mut row, mut bad) = (0, batch.bad.iter().peekable());
    for (at, record) in visited.iter().enumerate() {
        let next = visited.get(at + 1).map_or(batch.positions.end, |next| next.position);
        let alone = read(reader, record.position, next, 10);
        if let Some(bad) = bad.next_if(|bad| bad.position == record.position) {
            assert!(alone[0].bad == [bad.clone()], "position {}", bad.position);
            let as_it_came = BadRecord {
                split: bad.split.clone(),
                reason: bad.reason.clone(),
                ..record.clone()
            };
            assert!(*bad == as_it_came, "position {}", bad.position);
        } else {
            assert_eq!(alone[0].rows, batch.rows.slice(row, 1));
            row += 1;
        }
    }
    let mut first = 0;
    let break_off = &mut |_: &RawRecord<'_>| {
        first += 1;
        ControlFlow::Break(())
    };
    records.visit(batch.positions.clone(), break_off).unwrap();
    assert_eq!(first, 1);
}

/// The chunks of one epoch of one subtask.
pub(crate) fn chunks(sink: &dyn Sink, batches: &[ChangeBatch]) -> Vec<OutputChunk> {
    let mut writer = sink.writer(0, 1).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    let chunks = writer.finish_epoch().unwrap();
    assert_eq!(writer.buffered_bytes(), 0);
    assert!(writer.finish_epoch().unwrap().is_empty(), "an epoch without rows has no chunks");
    // The same rows give the same bytes.
    let mut other = sink.writer(0, 1).unwrap();
    for batch in batches {
        other.write(batch).unwrap();
    }
    assert_eq!(other.finish_epoch().unwrap(), chunks);
    chunks
}

/// Publishes chunks whose first record is the `first`th of its partition.
pub(crate) fn publish(sink: &dyn Sink, producer: i64, first: u64, chunks: &[OutputChunk]) {
    let mut publisher = sink.publisher().unwrap();
    assert_eq!(publisher.delivery(), Delivery::ExactlyOnce);
    let epoch = Epoch(1);
    for chunk in chunks {
        let publication =
            Publication { producer: ProducerId(producer), epoch, first_sequence: first };
        publisher.publish(publication, chunk).unwrap();
    }
    publisher.finish_epoch(epoch).unwrap();
}
