//! Rebuilding the groups from what was remembered, and writing all of it down anew.

use std::collections::BTreeMap;

use thalweg_core::ids::{Offset, ProducerId};
use thalweg_core::record_batch::ControlKind;

use super::classic::{ClassicGroup, Phase};
use super::coordinator::{Coordinator, Group};
use super::messages::{GroupSettings, Now, TransactionRef};
use super::record::legacy::{LegacyEntry, LegacyLine};
use super::record::{ClassicEntry, Entry};
use crate::options::GroupOptions;

/// Groups on their way out of the log.
pub(super) struct Replay {
    state: Coordinator,
    /// A snapshot of the old form that has begun. One that never ends was cut short by a
    /// crash, and what was before it still holds.
    snapshot: Option<Coordinator>,
    now: Now,
}

impl Replay {
    /// Nothing yet. Members' sessions start at `now`.
    pub(super) fn new(options: GroupOptions, now: Now) -> Self {
        Self { state: Coordinator::new(options), snapshot: None, now }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, entry: &Entry, record: Offset) {
        self.state.restore(entry, record, self.now);
    }

    /// Takes the next record, which is part of a transaction.
    pub(super) fn take_in(&mut self, transaction: TransactionRef, entry: &Entry, record: Offset) {
        self.state.apply_in(transaction, entry, record);
    }

    /// Takes the marker that ends a transaction.
    pub(super) fn end_transaction(
        &mut self,
        producer: ProducerId,
        outcome: ControlKind,
        marker: Offset,
    ) {
        self.state.offsets.end_transaction(producer, outcome, marker);
    }

    /// Takes the next record of the form before Kafka's.
    pub(super) fn take_legacy(&mut self, line: &LegacyLine, record: Offset) {
        match line {
            LegacyLine::Change(entry) => self.state.restore_legacy(entry, record, self.now),
            LegacyLine::SnapshotBegin => {
                self.snapshot = Some(Coordinator::new(self.state.options.clone()));
            }
            LegacyLine::SnapshotPart(entry) => {
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.restore_legacy(entry, record, self.now);
                }
            }
            LegacyLine::SnapshotEnd => {
                if let Some(snapshot) = self.snapshot.take() {
                    self.state = snapshot;
                }
            }
        }
    }

    /// The groups as they were, with these settings.
    pub(super) fn finish(mut self, settings: BTreeMap<String, GroupSettings>) -> Coordinator {
        self.state.settings = settings;
        self.state.start_sessions(self.now);
        self.state
    }
}

impl Coordinator {
    fn restore(&mut self, entry: &Entry, record: Offset, now: Now) {
        match entry {
            Entry::Classic(entry) => {
                let group = Group::Classic(ClassicGroup::restore(entry, now));
                self.groups.insert(entry.group.clone(), group);
            }
            other => self.apply(other, record, now),
        }
    }

    fn restore_legacy(&mut self, entry: &LegacyEntry, record: Offset, now: Now) {
        match entry {
            LegacyEntry::Entry(entry) => self.restore(entry, record, now),
            LegacyEntry::GroupRemoved(group) => {
                self.groups.remove(group);
                for partition in self.offsets.partitions(group) {
                    self.offsets.remove(group, &partition);
                }
            }
        }
    }

    /// Oldest record that [`Coordinator::entries`] does not make superfluous.
    pub(super) fn oldest_unsettled(&self) -> Option<Offset> {
        self.offsets.oldest_unsettled()
    }

    /// The whole state as entries that [`Replay`] takes; less the offsets that
    /// transactions under way are about, whose records have to stay where they are.
    pub(super) fn entries(&self, now: Now) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (name, group) in &self.groups {
            match group {
                Group::Consumer(group) => entries.extend(group.entries(name)),
                Group::Classic(group) if group.is_forgettable() => {}
                // Between two generations the members are not remembered: they join again.
                Group::Classic(group) => entries.push(match group.phase {
                    Phase::Stable => group.entry(name, now.wall_ms),
                    _ => Entry::Classic(Box::new(ClassicEntry {
                        group: name.clone(),
                        at: match group.phase {
                            Phase::Empty => group.empty_since,
                            _ => now.wall_ms,
                        },
                        generation: group.generation,
                        protocol_type: group.protocol_type.clone(),
                        protocol: None,
                        leader: None,
                        members: Vec::new(),
                    })),
                }),
            }
        }
        for name in self.offsets.groups() {
            let settled = self.offsets.of(name);
            let settled = settled.filter(|(at, _)| !self.offsets.is_pending(name, at));
            entries.extend(settled.map(|(partition, offset)| Entry::Offset {
                group: name.to_owned(),
                partition: partition.clone(),
                offset: offset.clone(),
            }));
        }
        entries
    }
}
