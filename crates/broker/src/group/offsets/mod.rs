//! Committed offsets: what counts, and what waits for the end of a transaction.
//!
//! An offset committed in a transaction (KIP-98, KIP-447) counts when the transaction's
//! marker says so. Of two commits the one whose record is later in the topic wins,
//! whenever the marker comes: so the state is the same however it was come by.

mod commit;
mod delete;
mod expiry;

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::{Offset, ProducerId, TopicPartition};
use thalweg_core::record_batch::ControlKind;
use thalweg_core::time::Millis;

/// How far a group has read a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: Offset,
    /// Leader epoch of the record before, or -1.
    pub leader_epoch: i32,
    /// Whatever the client wanted kept with it.
    pub metadata: String,
    /// Wall time of the commit.
    pub committed_at: Millis,
    /// Wall time at which it ends, where an old client asked for one.
    pub expires_at: Option<Millis>,
}

impl CommittedOffset {
    /// Bytes held for it.
    fn bytes(&self, at: &TopicPartition) -> usize {
        const FIXED: usize = 160;
        FIXED + at.topic.len() + self.metadata.len()
    }
}

/// An offset, and where its record is in the internal topic.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Stored {
    record: Offset,
    offset: CommittedOffset,
}

type ByPartition = BTreeMap<TopicPartition, Stored>;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct OfGroup {
    committed: ByPartition,
    /// By producer: offsets of its transaction under way.
    pending: BTreeMap<i64, ByPartition>,
}

/// The offsets of all groups.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Offsets {
    groups: BTreeMap<String, OfGroup>,
    /// Groups in which a producer has a transaction under way.
    transactions: BTreeMap<i64, BTreeSet<String>>,
    /// Bytes held.
    bytes: usize,
}

impl Offsets {
    /// Takes in a commit.
    pub(super) fn put(
        &mut self,
        group: &str,
        partition: &TopicPartition,
        offset: CommittedOffset,
        record: Offset,
    ) {
        let of = self.groups.entry(group.to_owned()).or_default();
        self.bytes += offset.bytes(partition);
        let former = of.committed.insert(partition.clone(), Stored { record, offset });
        self.bytes -= former.map_or(0, |former| former.offset.bytes(partition));
    }

    /// Takes in a commit of a transaction under way.
    pub(super) fn put_pending(
        &mut self,
        producer: ProducerId,
        group: &str,
        partition: &TopicPartition,
        offset: CommittedOffset,
        record: Offset,
    ) {
        let of = self.groups.entry(group.to_owned()).or_default();
        self.bytes += offset.bytes(partition);
        let pending = of.pending.entry(producer.0).or_default();
        let former = pending.insert(partition.clone(), Stored { record, offset });
        self.bytes -= former.map_or(0, |former| former.offset.bytes(partition));
        self.transactions.entry(producer.0).or_default().insert(group.to_owned());
    }

    /// Ends a producer's transaction, whose marker is at `marker`: what it committed
    /// before that counts, or never happened.
    pub(super) fn end_transaction(
        &mut self,
        producer: ProducerId,
        outcome: ControlKind,
        marker: Offset,
    ) {
        let Some(groups) = self.transactions.remove(&producer.0) else { return };
        for name in groups {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            let pending = group.pending.remove(&producer.0).unwrap_or_default();
            // What stands behind the marker is of the next transaction.
            let (ended, open): (ByPartition, ByPartition) =
                pending.into_iter().partition(|(_, stored)| stored.record < marker);
            if !open.is_empty() {
                group.pending.insert(producer.0, open);
                self.transactions.entry(producer.0).or_default().insert(name.clone());
            }
            for (partition, stored) in ended {
                let bytes = stored.offset.bytes(&partition);
                let former = group.committed.get(&partition);
                let is_newer = former.is_none_or(|former| former.record < stored.record);
                if outcome == ControlKind::Commit && is_newer {
                    let former = group.committed.insert(partition.clone(), stored);
                    self.bytes -= former.map_or(0, |former| former.offset.bytes(&partition));
                } else {
                    self.bytes -= bytes;
                }
            }
            self.forget_if_empty(&name);
        }
    }

    /// Takes an offset away, and those of transactions under way.
    pub(super) fn remove(&mut self, group: &str, partition: &TopicPartition) {
        let Some(of) = self.groups.get_mut(group) else { return };
        let mut gone = of.committed.remove(partition).into_iter().collect::<Vec<_>>();
        for (producer, pending) in &mut of.pending {
            gone.extend(pending.remove(partition));
            if pending.is_empty()
                && let Some(groups) = self.transactions.get_mut(producer)
            {
                groups.remove(group);
                if groups.is_empty() {
                    self.transactions.remove(producer);
                }
            }
        }
        of.pending.retain(|_, pending| !pending.is_empty());
        self.bytes -= gone.iter().map(|stored| stored.offset.bytes(partition)).sum::<usize>();
        self.forget_if_empty(group);
    }

    fn forget_if_empty(&mut self, group: &str) {
        let is_empty = |of: &OfGroup| of.committed.is_empty() && of.pending.is_empty();
        if self.groups.get(group).is_some_and(is_empty) {
            self.groups.remove(group);
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of groups that have offsets.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Names of the groups that have offsets, in order.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Whether a group has offsets, committed or under way.
    pub(super) fn has(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    pub(super) fn get(&self, group: &str, at: &TopicPartition) -> Option<&CommittedOffset> {
        Some(&self.groups.get(group)?.committed.get(at)?.offset)
    }

    /// Whether a transaction under way may change the offset.
    pub(super) fn is_pending(&self, group: &str, at: &TopicPartition) -> bool {
        let of = self.groups.get(group);
        of.is_some_and(|of| of.pending.values().any(|pending| pending.contains_key(at)))
    }

    /// Whether anything of the partition is known, counting or not.
    fn knows(&self, group: &str, at: &TopicPartition) -> bool {
        self.get(group, at).is_some() || self.is_pending(group, at)
    }

    /// All that counts in a group, by partition.
    pub(super) fn of(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        let committed = self.groups.get(group).map(|of| of.committed.iter());
        committed.into_iter().flatten().map(|(at, stored)| (at, &stored.offset))
    }

    /// All partitions of which a group knows an offset, counting or not.
    pub(super) fn partitions(&self, group: &str) -> BTreeSet<TopicPartition> {
        let of = self.groups.get(group).into_iter();
        of.flat_map(|of| {
            of.committed.keys().chain(of.pending.values().flat_map(BTreeMap::keys)).cloned()
        })
        .collect()
    }

    /// Oldest record that cannot be written anew elsewhere: of transactions under way,
    /// and of the commits that these may replace or not, which their order decides.
    pub(super) fn oldest_unsettled(&self) -> Option<Offset> {
        let groups = self.transactions.values().flatten().collect::<BTreeSet<_>>();
        let of = groups.into_iter().filter_map(|group| self.groups.get(group));
        let records = of.flat_map(|of| {
            let pending = of.pending.values().flatten();
            pending.flat_map(|(partition, stored)| {
                let committed = of.committed.get(partition).map(|stored| stored.record);
                [Some(stored.record), committed].into_iter().flatten()
            })
        });
        records.min()
    }
}
