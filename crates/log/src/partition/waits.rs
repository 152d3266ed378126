//! Whether an append would have to wait for the disk, for callers who must not.

use super::Partition;
use crate::segment::Segment;
use crate::topic_config::TopicConfig;

/// Near the end of a segment every append counts as one that may begin the next: others
/// may come between the question and the append.
const MARGIN_PART: u64 = 64;

impl Partition {
    /// Whether an append of `len` bytes may have to wait for the disk. Beginning a segment
    /// syncs, and so does saving producers; both hold the writer's lock, and a segment
    /// that is being begun is the last one without bytes.
    pub(super) fn may_wait(&self, len: usize) -> bool {
        if self.writer.is_locked() {
            return true;
        }
        let config = self.config();
        if config.compression.is_some() {
            return true; // Not for the disk, but as long: batches are compressed anew.
        }
        let Some(last) = self.view.lock().segments.last().copied() else { return true };
        near_end(&last, len as u64, &config)
            || self.shared.env.clock.wall_ms().saturating_sub(last.created_at) >= config.segment_ms
    }
}

fn near_end(last: &Segment, len: u64, config: &TopicConfig) -> bool {
    let size = last.data_bytes();
    let margin = config.segment_bytes / MARGIN_PART;
    let offsets = last.end - last.base;
    size == 0
        || size.saturating_add(len).saturating_add(margin) > config.segment_bytes
        || offsets > i64::from(i32::MAX / 2)
}
