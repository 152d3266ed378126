//! The group coordinator: a state machine without IO.

use std::collections::BTreeMap;

use thalweg_core::ids::TopicPartition;

use super::entry::Entry;
use super::messages::{Input, LeaveInput, MemberRef, Now, Output, Reply, Token};
use super::state::{CommittedOffset, Group, GroupDescription, GroupSummary, Phase};
use crate::error_code::{ErrorCode, NONE};
use crate::options::GroupOptions;

/// All groups.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    pub(super) options: GroupOptions,
    pub(super) groups: BTreeMap<String, Group>,
    /// Bytes held for committed offsets.
    pub(super) offset_bytes: usize,
    /// Monotonic time at which old offsets are looked for again.
    pub(super) next_expiry_ms: u64,
}

impl Coordinator {
    pub(crate) fn new(options: GroupOptions) -> Self {
        Self { options, groups: BTreeMap::new(), offset_bytes: 0, next_expiry_ms: 0 }
    }

    /// Takes an input. `token` names the request behind it, if there is one, and comes
    /// back with its reply in this step or a later one.
    ///
    /// Commits and deletions change nothing yet: the entries to be persisted do, when
    /// they are applied. What is said of members holds at once.
    pub(crate) fn step(&mut self, token: Token, input: Input, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Join(join) => self.join(token, join, now, &mut out),
            Input::Sync(sync) => self.sync(token, sync, now, &mut out),
            Input::Heartbeat(member) => {
                let reply = Reply::code(self.heartbeat(&member, now));
                out.push(Output::Reply(token, reply));
            }
            Input::Leave(leave) => {
                let codes = self.leave(leave, now, &mut out);
                out.push(Output::Reply(token, Reply::Codes(codes)));
            }
            Input::Commit(commit) => self.commit(token, commit, now, &mut out),
            Input::DeleteGroup(group) => self.delete_group(token, group, &mut out),
            Input::DeleteOffsets { group, partitions } => {
                self.delete_offsets(token, &group, partitions, &mut out);
            }
            Input::TopicDeleted(topic) => self.topic_deleted(token, &topic, &mut out),
            Input::Tick => self.tick(now, &mut out),
        }
        out
    }

    /// Makes a persisted entry true.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Offset { group, partition, offset } => {
                let group = self.groups.entry(group.clone()).or_insert_with(|| Group::new(0));
                let former = group.offsets.insert(partition.clone(), offset.clone());
                group.empty_since = group.empty_since.max(offset.committed_at);
                self.offset_bytes += offset.bytes(partition);
                self.offset_bytes -= former.map_or(0, |former| former.bytes(partition));
            }
            Entry::OffsetRemoved { group, partition } => {
                let group = self.groups.get_mut(group);
                let former = group.and_then(|group| group.offsets.remove(partition));
                self.offset_bytes -= former.map_or(0, |former| former.bytes(partition));
            }
            Entry::GroupRemoved { group } => {
                let offsets = self.groups.remove(group).map(|group| group.offsets);
                let offsets = offsets.iter().flatten();
                self.offset_bytes -= offsets.map(|(at, offset)| offset.bytes(at)).sum::<usize>();
            }
            // Said of members that are already here; only a replay restores them.
            Entry::Generation { .. } => {}
        }
    }

    /// Monotonic time at which the next tick is due, if any.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let of_groups = self.groups.values().filter_map(Group::deadline).min();
        let has_offsets = self.groups.values().any(|group| !group.offsets.is_empty());
        [of_groups, has_offsets.then_some(self.next_expiry_ms)].into_iter().flatten().min()
    }

    /// All groups, sorted by name.
    pub(crate) fn list(&self) -> Vec<GroupSummary> {
        self.groups.iter().map(|(name, group)| group.summary(name)).collect()
    }

    /// One group.
    pub(crate) fn describe(&self, name: &str) -> Option<GroupDescription> {
        self.groups.get(name).map(|group| group.describe(name))
    }

    /// Committed offset of one partition.
    pub(crate) fn offset(&self, group: &str, at: &TopicPartition) -> Option<CommittedOffset> {
        self.groups.get(group)?.offsets.get(at).cloned()
    }

    /// All committed offsets of a group.
    pub(crate) fn offsets(&self, group: &str) -> Vec<(TopicPartition, CommittedOffset)> {
        let offsets = self.groups.get(group).map(|group| group.offsets.iter());
        offsets.into_iter().flatten().map(|(at, offset)| (at.clone(), offset.clone())).collect()
    }

    fn heartbeat(&mut self, member: &MemberRef, now: Now) -> Result<(), ErrorCode> {
        let group = self.checked_member(member)?;
        if let Some(found) = group.members.get_mut(&member.member_id) {
            found.keep_alive(now);
        }
        match group.phase {
            Phase::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// The group of a member that is in its current generation.
    pub(super) fn checked_member(&mut self, member: &MemberRef) -> Result<&mut Group, ErrorCode> {
        if member.group.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let group = self.groups.get_mut(&member.group).ok_or(ErrorCode::UnknownMemberId)?;
        group.check_member(&member.member_id, member.instance_id.as_deref())?;
        if member.generation != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        Ok(group)
    }

    fn leave(
        &mut self,
        leave: LeaveInput,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Vec<i16>, ErrorCode> {
        let delay = self.options.initial_rebalance_delay_ms;
        let Some(group) = self.groups.get_mut(&leave.group) else {
            return match leave.group.is_empty() {
                true => Err(ErrorCode::InvalidGroupId),
                false => Ok(vec![ErrorCode::UnknownMemberId.code(); leave.members.len()]),
            };
        };
        let mut codes = Vec::with_capacity(leave.members.len());
        let (mut pending_gone, mut members_gone) = (false, false);
        for (member_id, instance_id) in leave.members {
            // A static member may be sent away by its instance id alone.
            let id = match (member_id.is_empty(), &instance_id) {
                (true, Some(instance)) => group.instances.get(instance).cloned(),
                _ => None,
            }
            .unwrap_or(member_id);
            if group.pending.remove(&id).is_some() {
                pending_gone = true;
                codes.push(NONE);
                continue;
            }
            match group.check_member(&id, instance_id.as_deref()) {
                Ok(()) => {
                    group.remove_member(&id, ErrorCode::UnknownMemberId, out);
                    members_gone = true;
                    codes.push(NONE);
                }
                Err(code) => codes.push(code.code()),
            }
        }
        if members_gone || pending_gone {
            group.after_removal(members_gone, &leave.group, delay, now, out);
        }
        Ok(codes)
    }

    /// Does what is due: members that are dead, joins and syncs that took too long, and
    /// offsets that nobody came back for.
    fn tick(&mut self, now: Now, out: &mut Vec<Output>) {
        let delay = self.options.initial_rebalance_delay_ms;
        for (name, group) in &mut self.groups {
            if group.deadline().is_some_and(|deadline| deadline <= now.monotonic_ms) {
                group.expire(name, delay, now, out);
            }
        }
        self.groups.retain(|_, group| !group.is_forgettable());
        if self.next_expiry_ms <= now.monotonic_ms {
            self.expire_offsets(now, out);
        }
    }
}
