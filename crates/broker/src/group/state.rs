//! One group: its state, its members, its committed offsets.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::time::Millis;

use super::entry::{Entry, MemberEntry};
use super::member::Member;
use crate::error_code::ErrorCode;

/// Where a group is in its rebalance, as Kafka names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// No members.
    Empty,
    /// Waiting for the members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// All members have their assignment.
    Stable,
}

impl GroupState {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A group in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSummary {
    /// Name.
    pub group: String,
    /// State.
    pub state: GroupState,
    /// "consumer", "connect" or what else its members say; empty without members.
    pub protocol_type: String,
    /// Number of members.
    pub members: usize,
}

/// A group in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    /// Name, state, type and size.
    pub summary: GroupSummary,
    /// Number of rebalances so far.
    pub generation: i32,
    /// Chosen assignor.
    pub protocol: String,
    /// Members, sorted by id.
    pub members: Vec<MemberDescription>,
    /// Committed offsets, sorted by partition.
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
}

/// A member in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberDescription {
    /// Id that the coordinator gave.
    pub member_id: String,
    /// Id that the user gave, of a static member.
    pub instance_id: Option<String>,
    /// Name that the client gives itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// What it asks for, in its protocol's encoding.
    pub subscription: Bytes,
    /// What it has, in its protocol's encoding.
    pub assignment: Bytes,
}

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
}

impl CommittedOffset {
    /// Bytes held for it.
    pub(super) fn bytes(&self, at: &TopicPartition) -> usize {
        const FIXED: usize = 128;
        FIXED + at.topic.len() + self.metadata.len()
    }
}

/// The state with its deadlines, in monotonic milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Empty,
    /// Waiting for joins: not before `hold_until`, and not beyond `deadline`.
    Preparing {
        hold_until: u64,
        deadline: u64,
    },
    /// Waiting for the leader; who has not synced by `deadline` is out.
    Completing {
        deadline: u64,
    },
    Stable,
}

/// A group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Ids given to members that are to come back with them, and until when.
    pub(super) pending: BTreeMap<String, u64>,
    /// Static members: instance id to member id.
    pub(super) instances: BTreeMap<String, String>,
    pub(super) offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// Wall time since which there are no members.
    pub(super) empty_since: Millis,
    /// Bytes held for members, as of the last change.
    pub(super) member_bytes: usize,
    next_order: u64,
}

impl Group {
    pub(super) fn new(wall_ms: Millis) -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            instances: BTreeMap::new(),
            offsets: BTreeMap::new(),
            empty_since: wall_ms,
            member_bytes: 0,
            next_order: 0,
        }
    }

    pub(super) fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::Preparing { .. } => GroupState::PreparingRebalance,
            Phase::Completing { .. } => GroupState::CompletingRebalance,
            Phase::Stable => GroupState::Stable,
        }
    }

    pub(super) fn next_order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    /// The id under which a member is known, or why it is not: its static id belongs to
    /// another by now, or nobody knows it.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance) = instance_id {
            return match self.instances.get(instance) {
                Some(current) if current == member_id => Ok(()),
                Some(_) => Err(ErrorCode::FencedInstanceId),
                None => Err(ErrorCode::UnknownMemberId),
            };
        }
        match self.members.contains_key(member_id) {
            true => Ok(()),
            false => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// The longest time that a member takes to join again, in milliseconds.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// When something is due without anybody asking.
    pub(super) fn deadline(&self) -> Option<u64> {
        let of_phase = match self.phase {
            Phase::Empty | Phase::Stable => None,
            Phase::Preparing { hold_until, deadline } if self.has_all_joined() => {
                Some(hold_until.min(deadline))
            }
            Phase::Preparing { deadline, .. } | Phase::Completing { deadline } => Some(deadline),
        };
        let of_members = self.members.values().filter_map(Member::deadline).min();
        let of_pending = self.pending.values().min().copied();
        [of_phase, of_members, of_pending].into_iter().flatten().min()
    }

    /// Whether nobody is missing in a rebalance.
    pub(super) fn has_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// Counts the bytes held for members, after they changed.
    pub(super) fn count_bytes(&mut self) {
        self.member_bytes = self.members.values().map(Member::bytes).sum();
    }

    /// What is remembered of generation and members.
    pub(super) fn entry(&self, name: &str, wall_ms: Millis) -> Entry {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&String, &Member)| MemberEntry {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            subscription: member.subscription(protocol),
            assignment: member.assignment.clone(),
        };
        Entry::Generation {
            group: name.to_owned(),
            at: wall_ms,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(member).collect(),
        }
    }

    pub(super) fn summary(&self, name: &str) -> GroupSummary {
        GroupSummary {
            group: name.to_owned(),
            state: self.state(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: self.members.len(),
        }
    }

    pub(super) fn describe(&self, name: &str) -> GroupDescription {
        let protocol = self.protocol.clone().unwrap_or_default();
        let member = |(id, member): (&String, &Member)| MemberDescription {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscription: member.subscription(&protocol),
            assignment: member.assignment.clone(),
        };
        GroupDescription {
            summary: self.summary(name),
            generation: self.generation,
            members: self.members.iter().map(member).collect(),
            offsets: self.offsets.iter().map(|(at, offset)| (at.clone(), offset.clone())).collect(),
            protocol,
        }
    }
}
