//! Offsets that go because nobody came back for them (KIP-211,
//! `offsets.retention.minutes`).
//!
//! | group | what may go | since when |
//! |---|---|---|
//! | of no protocol: only commits | every offset | its commit |
//! | classic, without members | every offset | the last member went |
//! | classic consumers, stable | topics that no member reads | the commit |
//! | classic, else | nothing | |
//! | consumer group | topics that no member reads | the commit |

use thalweg_core::ids::TopicPartition;
use thalweg_core::time::Millis;

use super::CommittedOffset;
use crate::group::classic::Phase;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::embedded;
use crate::group::messages::{Now, Output};

impl Coordinator {
    /// Forgets what is due, and groups of which nothing is left.
    pub(in crate::group) fn expire_offsets(&mut self, now: Now, out: &mut Vec<Output>) {
        let retention = i64::try_from(self.options.offset_retention_ms).unwrap_or(i64::MAX);
        let mut entries = Vec::new();
        let with_offsets = self.offsets.groups().filter(|name| !self.groups.contains_key(*name));
        for name in with_offsets {
            entries.extend(self.removals(name, self.expired(name, None, retention, now.wall_ms)));
        }
        for (name, group) in &self.groups {
            let gone = self.expired(name, Some(group), retention, now.wall_ms);
            let all = gone.len() == self.offsets.partitions(name).len();
            entries.extend(self.removals(name, gone));
            // A group that never had offsets is kept as long as one that had.
            if all
                && group.is_empty()
                && group.empty_since() <= now.wall_ms.saturating_sub(retention)
            {
                entries.extend(group.tombstones(name));
            }
        }
        if !entries.is_empty() {
            out.push(Output::Persist(entries));
        }
    }

    fn expired(
        &self,
        name: &str,
        group: Option<&Group>,
        retention: i64,
        wall_ms: Millis,
    ) -> Vec<TopicPartition> {
        let since = |offset: &CommittedOffset| match group {
            Some(Group::Classic(group)) => match group.phase {
                Phase::Empty => Some(group.empty_since.max(offset.committed_at)),
                Phase::Stable => (group.protocol_type.as_deref() == Some(embedded::CONSUMER))
                    .then_some(offset.committed_at),
                Phase::Preparing { .. } | Phase::Completing { .. } => None,
            },
            Some(Group::Consumer(_)) | None => Some(offset.committed_at),
        };
        let is_due = |offset: &CommittedOffset| match (since(offset), offset.expires_at) {
            (None, _) => false,
            (Some(_), Some(expires_at)) => expires_at <= wall_ms,
            (Some(since), None) => since <= wall_ms.saturating_sub(retention),
        };
        let is_read = |topic: &str| group.is_some_and(|group| group.is_subscribed_to(topic));
        let due = self.offsets.of(name).filter(|(at, offset)| {
            is_due(offset) && !is_read(&at.topic) && !self.offsets.is_pending(name, at)
        });
        due.map(|(at, _)| at.clone()).collect()
    }
}
