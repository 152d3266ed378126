//! One group of the classic protocol: its state and its members.
//!
//! ```text
//!            join                 all joined             leader's sync
//!  Empty ----------> Preparing ---------------> Completing ------------> Stable
//!    ^                  ^  ^                        | join, leave, expiry   |
//!    '-- all gone ------'  '------------------------'-----------------------'
//! ```

mod join;
mod leave;
mod member;
mod rebalance;
mod restore;
mod sync;

use std::collections::BTreeMap;

use thalweg_core::time::Millis;

use super::describe::{GroupState, MemberDescription};
use super::embedded;
use super::messages::MemberRef;
use super::record::{ClassicEntry, Entry, MemberEntry};
use crate::error_code::ErrorCode;
use member::Member;

/// The state with its deadlines, in monotonic milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::group) enum Phase {
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
pub(in crate::group) struct ClassicGroup {
    pub(in crate::group) phase: Phase,
    pub(in crate::group) generation: i32,
    pub(in crate::group) protocol_type: Option<String>,
    pub(in crate::group) protocol: Option<String>,
    pub(in crate::group) leader: Option<String>,
    pub(in crate::group) members: BTreeMap<String, Member>,
    /// Ids given to members that are to come back with them, and until when.
    pub(in crate::group) pending: BTreeMap<String, u64>,
    /// Static members: instance id to member id.
    pub(in crate::group) instances: BTreeMap<String, String>,
    /// Wall time since which there are no members.
    pub(in crate::group) empty_since: Millis,
    /// Bytes held for members, as of the last change.
    pub(in crate::group) member_bytes: usize,
    next_order: u64,
}

impl ClassicGroup {
    pub(in crate::group) fn new(wall_ms: Millis) -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            instances: BTreeMap::new(),
            empty_since: wall_ms,
            member_bytes: 0,
            next_order: 0,
        }
    }

    pub(in crate::group) fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::Preparing { .. } => GroupState::PreparingRebalance,
            Phase::Completing { .. } => GroupState::CompletingRebalance,
            Phase::Stable => GroupState::Stable,
        }
    }

    pub(in crate::group) fn next_order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    /// The id under which a member is known, or why it is not: its static id belongs to
    /// another by now, or nobody knows it.
    pub(in crate::group) fn check_member(
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

    /// That a member is in its current generation.
    pub(in crate::group) fn check_generation(&self, member: &MemberRef) -> Result<(), ErrorCode> {
        self.check_member(&member.member_id, member.instance_id.as_deref())?;
        match member.generation == self.generation {
            true => Ok(()),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    /// The longest time that a member takes to join again, in milliseconds.
    pub(in crate::group) fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// When something is due without anybody asking.
    pub(in crate::group) fn deadline(&self) -> Option<u64> {
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
    pub(in crate::group) fn has_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// Counts the bytes held for members, after they changed.
    pub(in crate::group) fn count_bytes(&mut self) {
        self.member_bytes = self.members.values().map(Member::bytes).sum();
    }

    /// What is remembered of generation and members.
    pub(in crate::group) fn entry(&self, name: &str, wall_ms: Millis) -> Entry {
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
        Entry::Classic(Box::new(ClassicEntry {
            group: name.to_owned(),
            at: wall_ms,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.iter().map(member).collect(),
        }))
    }

    /// The members, sorted by id.
    pub(in crate::group) fn describe_members(&self) -> Vec<MemberDescription> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&String, &Member)| MemberDescription {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscription: member.subscription(protocol),
            assignment: member.assignment.clone(),
        };
        self.members.iter().map(member).collect()
    }

    /// Whether a member reads the topic, as far as can be told.
    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        if self.protocol_type.as_deref() != Some(embedded::CONSUMER) {
            return false;
        }
        let protocol = self.protocol.as_deref().unwrap_or_default();
        // What cannot be read is taken to be about any topic.
        let names = |member: &Member| {
            embedded::subscription(&member.subscription(protocol))
                .is_none_or(|subscription| subscription.topics.contains(topic))
        };
        self.members.values().any(names)
    }
}
