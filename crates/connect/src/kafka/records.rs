//! The records of a partition as they stand in the log.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use thalweg_core::ids::Offset;
use thalweg_core::record_batch::{DecompressionLimits, Record, split};
use thalweg_stream::error::Result;
use thalweg_stream::record::{RawRecord, RawRecords, RecordVisitor};
use thalweg_stream::source::Position;

use super::fetch::{Feed, Piece};
use super::metadata::Place;
use super::reader::{offset, position};

/// Hands over the data records of a piece that stand in `wanted`, until `each` breaks off.
/// `scratch` is for unpacking.
pub(super) fn each_record(
    feed: &Feed,
    piece: &Piece,
    wanted: &Range<Offset>,
    scratch: &mut Vec<u8>,
    mut each: impl FnMut(&Record<'_>, &Place<'_>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let name = feed.log.name();
    let limits = DecompressionLimits::default();
    for batch in split(&piece.bytes) {
        let batch = batch.map_err(|error| feed.corrupt(wanted.start, &error))?;
        let header = batch.header();
        if header.base_offset >= wanted.end {
            break;
        }
        if header.next_offset() <= wanted.start || !piece.counts(header) {
            continue;
        }
        let corrupt = |error| feed.corrupt(header.base_offset, &error);
        let place = Place {
            topic: &name.topic,
            partition: name.partition,
            leader_epoch: header.leader_epoch,
            timestamp_type: header.attributes.timestamp_type(),
        };
        for record in batch.records(scratch, &limits).map_err(corrupt)? {
            let record = record.map_err(corrupt)?;
            if wanted.contains(&record.offset) && each(&record, &place)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// A record of the log, before any decoding.
pub(super) fn raw<'a>(record: &Record<'a>) -> RawRecord<'a> {
    RawRecord {
        position: position(record.offset),
        key: record.key,
        value: record.value,
        headers: Some(record.headers),
    }
}

/// The records of a partition.
pub(super) struct PartitionRecords(pub(super) Arc<Feed>);

impl RawRecords for PartitionRecords {
    fn visit(&self, range: Range<Position>, visitor: &mut RecordVisitor<'_>) -> Result<()> {
        let mut wanted = offset(range.start)..offset(range.end);
        let mut scratch = Vec::new();
        while wanted.start < wanted.end {
            let Some(piece) = self.0.read(wanted.start)? else { break };
            let done = each_record(&self.0, &piece, &wanted, &mut scratch, |record, _| {
                Ok(visitor(&raw(record)))
            })?;
            if done.is_break() {
                break;
            }
            wanted.start = piece.next;
        }
        Ok(())
    }
}
