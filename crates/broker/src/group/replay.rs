//! Rebuilding the groups from what was remembered, and writing all of it down anew.

use super::coordinator::Coordinator;
use super::entry::{Entry, Line, MemberEntry};
use super::member::Member;
use super::messages::{JoinInput, Now};
use super::state::{Group, Phase};
use crate::options::GroupOptions;

/// Groups on their way out of the log.
pub(super) struct Replay {
    state: Coordinator,
    /// A snapshot that has begun. One that never ends was cut short by a crash, and
    /// what was before it still holds.
    snapshot: Option<Coordinator>,
    now: Now,
}

impl Replay {
    /// Nothing yet. Members' sessions start at `now`.
    pub(super) fn new(options: GroupOptions, now: Now) -> Self {
        Self { state: Coordinator::new(options), snapshot: None, now }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Change(entry) => self.state.restore(&entry, self.now),
            Line::SnapshotBegin => {
                self.snapshot = Some(Coordinator::new(self.state.options.clone()));
            }
            Line::SnapshotPart(entry) => {
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.restore(&entry, self.now);
                }
            }
            Line::SnapshotEnd => {
                if let Some(snapshot) = self.snapshot.take() {
                    self.state = snapshot;
                }
            }
        }
    }

    /// The groups as they were.
    pub(super) fn finish(self) -> Coordinator {
        self.state
    }
}

impl Coordinator {
    fn restore(&mut self, entry: &Entry, now: Now) {
        let Entry::Generation {
            group: name,
            at,
            generation,
            protocol_type,
            protocol,
            leader,
            members,
        } = entry
        else {
            self.apply(entry);
            return;
        };
        let group = self.groups.entry(name.clone()).or_insert_with(|| Group::new(*at));
        group.generation = *generation;
        group.protocol_type = protocol_type.clone();
        group.protocol = protocol.clone();
        group.leader = leader.clone();
        group.members.clear();
        group.instances.clear();
        group.phase = if members.is_empty() { Phase::Empty } else { Phase::Stable };
        group.empty_since = (*at).max(group.empty_since);
        for member in members {
            group.restore_member(member, protocol_type.as_deref(), protocol.as_deref(), now);
        }
        group.count_bytes();
    }

    /// The whole state as entries that [`Replay`] takes.
    pub(super) fn entries(&self, now: Now) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (name, group) in &self.groups {
            // Between two generations the members are not remembered: they join again.
            match group.phase {
                Phase::Stable => entries.push(group.entry(name, now.wall_ms)),
                _ => entries.push(Entry::Generation {
                    group: name.clone(),
                    at: if group.phase == Phase::Empty { group.empty_since } else { now.wall_ms },
                    generation: group.generation,
                    protocol_type: None,
                    protocol: None,
                    leader: None,
                    members: Vec::new(),
                }),
            }
            entries.extend(group.offsets.iter().map(|(partition, offset)| Entry::Offset {
                group: name.clone(),
                partition: partition.clone(),
                offset: offset.clone(),
            }));
        }
        entries
    }
}

impl Group {
    fn restore_member(
        &mut self,
        member: &MemberEntry,
        protocol_type: Option<&str>,
        protocol: Option<&str>,
        now: Now,
    ) {
        let join = JoinInput {
            group: String::new(),
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: i32::try_from(member.session_timeout_ms).unwrap_or(i32::MAX),
            rebalance_timeout_ms: i32::try_from(member.rebalance_timeout_ms).unwrap_or(i32::MAX),
            protocol_type: protocol_type.unwrap_or_default().to_owned(),
            protocols: vec![(protocol.unwrap_or_default().to_owned(), member.subscription.clone())],
            requires_known_id: false,
            can_skip_assignment: false,
            fresh_id: String::new(),
        };
        if let Some(instance) = &member.instance_id {
            self.instances.insert(instance.clone(), member.member_id.clone());
        }
        let order = self.next_order();
        let mut restored = Member::new(join, order, now);
        restored.assignment = member.assignment.clone();
        restored.has_synced = true;
        self.members.insert(member.member_id.clone(), restored);
    }
}
