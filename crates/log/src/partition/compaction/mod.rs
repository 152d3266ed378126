//! Log compaction: of each key only the newest record stays.
//!
//! ```text
//!  log start       dirty from            end           not yet            active
//!     |   compacted    |  keys not seen yet  |  too young, pinned, or of  |  being
//!     |   before       |  by a compaction    |  an open transaction       |  written
//!     v________________v_____________________v____________________________v_________
//! ```
//!
//! One pass reads the dirty part into a map of each key's newest offset, as far as the
//! map's memory reaches, and then writes all segments up to there anew, several small ones
//! together, without what the map says is old (the cleaner of Kafka; KIP-58, KIP-534).
//! Offsets stay; between batches some are missing then.
//!
//! A new segment is written and synced beside the old one, and takes its place by one
//! rename: the only step that counts. What it replaces beyond the first segment is removed
//! after that rename is durable; a crash in between leaves files that lie within the new
//! segment's range, and the next start removes them.

mod filter;
mod offset_map;
mod rewrite;
mod swap;
mod transactions;

use std::collections::BTreeMap;

use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{LogError, PartitionLog};
use thalweg_core::record_batch::DecompressionLimits;
use thalweg_core::time::Millis;

use super::Partition;
use crate::segment::Segment;
use crate::segment::scan::end_marker;
use crate::segment::walk::{Walk, Walked};
use crate::topic_config::TopicConfig;
use filter::Filter;
use offset_map::OffsetMap;
use transactions::Transactions;

/// What compaction remembers between its passes.
#[derive(Debug, Default)]
pub(crate) struct CompactionState {
    /// When tombstones or markers that are left may go, where a pass has seen some.
    next_horizon: Option<Millis>,
}

/// What a pass is to work on.
struct Plan {
    /// All segments from the first on that may be written anew.
    segments: Vec<Segment>,
    dirty_from: Offset,
    /// Where the last of them ends.
    limit: Offset,
}

impl Partition {
    /// Runs a pass where the topic is compacted and one is due. Returns whether one ran to
    /// its end.
    ///
    /// # Errors
    /// The disk, or damage found on the way; nothing is lost then.
    pub(crate) fn compact(&self, now: Millis) -> Result<bool, LogError> {
        let result = self.compact_if_due(now);
        if matches!(result, Err(LogError::Disk { .. })) {
            self.shared.tell_failure();
        }
        result
    }

    fn compact_if_due(&self, now: Millis) -> Result<bool, LogError> {
        let config = self.config();
        if !config.compact {
            return Ok(false);
        }
        let mut state = self.compaction.lock();
        self.shared.check_running()?;
        self.close_lagging_segment(&config, now)?;
        let Some(plan) = self.plan(&config, now, &state) else { return Ok(false) };
        let (map, end) = self.read_keys(&plan)?;
        let started = self.shared.env.clock.monotonic_ns();
        let producers: BTreeMap<_, _> =
            self.producers().into_iter().map(|(id, position)| (id.0, position)).collect();
        let mut filter = Filter::new(&map, end, now, config.delete_retention_ms, producers);
        let bytes = self.size_bytes();
        for group in groups(&plan.segments, end, config.segment_bytes) {
            if !self.compact_group(group, &mut filter)? {
                return Ok(false); // Something came between: another time.
            }
        }
        let tally = filter.tally;
        state.next_horizon = tally.next_horizon;
        let took_ms = (self.shared.env.clock.monotonic_ns().saturating_sub(started)) / 1_000_000;
        tracing::info!(
            partition = %self.name, keys = map.len(), from = plan.dirty_from, to = end, took_ms,
            removed = tally.removed, keyless = tally.keyless, opaque = tally.opaque,
            bytes_before = bytes, bytes_after = self.size_bytes(), "compacted"
        );
        Ok(true)
    }

    /// Writes one group of segments anew; false where it may not be replaced any more.
    fn compact_group(&self, group: &[Segment], filter: &mut Filter<'_>) -> Result<bool, LogError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(true) };
        filter.transactions.extend(self.aborted_between(first.base, last.end)?);
        let clean_to = last.end.min(filter.end);
        match self.rewrite(group, filter, clean_to)? {
            rewrite::Outcome::Unchanged => self.mark_clean(first, clean_to),
            rewrite::Outcome::Changed(built) => self.replace(group, &built),
            rewrite::Outcome::NoSpace => Ok(false),
        }
    }

    /// What there is to do, if that is enough.
    fn plan(&self, config: &TopicConfig, now: Millis, state: &CompactionState) -> Option<Plan> {
        // The last segment for which a commit has written the mark of a full one is before.
        let active = self.marks.lock().active?.base;
        let view = self.view.lock();
        if view.deleted || view.damage.is_some() {
            return None;
        }
        let pinned = view.pins.values().min().copied().unwrap_or(Offset::MAX);
        let limit = active.min(pinned).min(view.offsets.last_stable);
        let dirty_from = view.segments.iter().map(|segment| segment.clean_to).max()?;
        let dirty_from = dirty_from.max(view.offsets.start);
        let too_young = |segment: &Segment| {
            let newest = segment.max_written.time.max(segment.created_at);
            segment.end > dirty_from
                && config.min_compaction_lag_ms > 0
                && newest > now.saturating_sub(config.min_compaction_lag_ms)
        };
        let may = |segment: &&Segment| segment.end <= limit && !too_young(segment);
        let segments: Vec<Segment> = view.segments.iter().take_while(may).copied().collect();
        let limit = segments.last()?.end;
        let bytes = |dirty: bool| -> u64 {
            let side = segments.iter().filter(|segment| (segment.end > dirty_from) == dirty);
            side.map(Segment::data_bytes).sum()
        };
        let (clean, dirty) = (bytes(false), bytes(true));
        let oldest = segments.iter().find(|segment| segment.end > dirty_from);
        let overdue = oldest.is_some_and(|oldest| {
            now.saturating_sub(oldest.created_at) >= config.max_compaction_lag_ms
        });
        let much = config.min_cleanable_dirty_ratio.is_exceeded(dirty, clean + dirty);
        let expired = state.next_horizon.is_some_and(|horizon| horizon <= now);
        let due = (dirty > 0 && (much || overdue)) || expired;
        due.then_some(Plan { segments, dirty_from, limit })
    }

    /// What is to be compacted by a certain time must not stay in the last segment, which
    /// never is.
    fn close_lagging_segment(&self, config: &TopicConfig, now: Millis) -> Result<(), LogError> {
        let lagging =
            |last: &Segment| now.saturating_sub(last.created_at) >= config.max_compaction_lag_ms;
        self.close_segment_where(lagging, now)
    }

    /// Reads the keys of the dirty part; returns how far the map reaches.
    fn read_keys(&self, plan: &Plan) -> Result<(OffsetMap, Offset), LogError> {
        let dirty = || plan.segments.iter().filter(|segment| segment.end > plan.dirty_from);
        let offsets = (plan.limit - plan.dirty_from).max(0) as u64;
        let max_bytes = self.shared.options.compaction_map_bytes;
        let mut map = OffsetMap::new(offsets, max_bytes, self.shared.env.random.next_u128());
        let mut transactions = Transactions::default();
        let from = dirty().next().map_or(plan.limit, |segment| segment.base);
        transactions.extend(self.aborted_between(from, plan.limit)?);
        for segment in dirty() {
            let stopped = self.read_segment_keys(segment, plan, &mut transactions, &mut map)?;
            if let Some(end) = stopped {
                return Ok((map, end));
            }
        }
        Ok((map, plan.limit))
    }

    /// Adds the keys of a segment; returns the offset of the first that found no room.
    fn read_segment_keys(
        &self,
        segment: &Segment,
        plan: &Plan,
        transactions: &mut Transactions,
        map: &mut OffsetMap,
    ) -> Result<Option<Offset>, LogError> {
        let failed = |error| self.unreadable(segment.base, &error);
        let file = self.segment_file(segment.base).map_err(failed)?;
        let mut walk = Walk::new(&*file, segment);
        let mut scratch = Vec::new();
        loop {
            let batch = match walk.next().map_err(failed)? {
                Walked::Batch(batch) => batch,
                Walked::End => return Ok(None),
                Walked::Bad { offset, detail } => return Err(self.damaged(offset, detail)),
            };
            if batch.header().attributes.is_control() {
                if let Some(marker) = end_marker(batch.bytes()) {
                    transactions.on_marker(batch.header(), marker.kind);
                }
                continue;
            }
            let aborted = transactions.on_data(batch.header(), false);
            if aborted || batch.header().last_offset() < plan.dirty_from {
                continue;
            }
            // What cannot be decoded has no key that anybody could look for.
            let Ok(records) = batch.records(&mut scratch, &DecompressionLimits::default()) else {
                continue;
            };
            for record in records.map_while(Result::ok) {
                let Some(key) = record.key.filter(|_| record.offset >= plan.dirty_from) else {
                    continue;
                };
                if !map.put(key, record.offset) {
                    return Ok(Some(record.offset));
                }
            }
            self.shared.check_running()?;
        }
    }
}

/// Cuts the segments before `end` into groups that are to become one segment each.
fn groups(segments: &[Segment], end: Offset, segment_bytes: u64) -> Vec<&[Segment]> {
    let count = segments.partition_point(|segment| segment.base < end);
    let (mut groups, mut from) = (Vec::new(), 0);
    for at in 1..=count {
        let group = &segments[from..at];
        let full = at == count || {
            let bytes: u64 = segments[from..=at].iter().map(Segment::data_bytes).sum();
            let offsets = segments[at].end - segments[from].base;
            bytes > segment_bytes || offsets > i64::from(i32::MAX)
        };
        if full {
            groups.push(group);
            from = at;
        }
    }
    groups
}
