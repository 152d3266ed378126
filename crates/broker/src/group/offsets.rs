//! Committed offsets: commits, deletions, expiry.

use thalweg_core::ids::TopicPartition;

use super::coordinator::Coordinator;
use super::entry::Entry;
use super::messages::{CommitInput, MemberRef, Now, Output, Reply, Token};
use super::state::{CommittedOffset, Group, GroupState, Phase};
use super::subscription;
use crate::error_code::{ErrorCode, NONE};

/// How often old offsets are looked for.
const EXPIRY_INTERVAL_MS: u64 = 600_000;

impl Coordinator {
    pub(super) fn commit(
        &mut self,
        token: Token,
        commit: CommitInput,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Err(code) = self.check_commit(&commit.member, now) {
            out.push(Output::Reply(token, Reply::Codes(Err(code))));
            return;
        }
        let mut entries = Vec::with_capacity(commit.offsets.len());
        let mut room = self.options.max_offset_bytes.saturating_sub(self.offset_bytes);
        let mut codes = Vec::with_capacity(commit.offsets.len());
        for offset in commit.offsets {
            if offset.metadata.len() > self.options.max_metadata_bytes {
                codes.push(ErrorCode::OffsetMetadataTooLarge.code());
                continue;
            }
            let (group, partition) = (commit.member.group.clone(), offset.partition);
            let offset = CommittedOffset {
                offset: offset.offset,
                leader_epoch: offset.leader_epoch,
                metadata: offset.metadata,
                committed_at: now.wall_ms,
            };
            // What takes the place of another commit is let pass: groups must get on.
            let replaces =
                self.groups.get(&group).is_some_and(|g| g.offsets.contains_key(&partition));
            let bytes = offset.bytes(&partition);
            if bytes > room && !replaces {
                codes.push(ErrorCode::PolicyViolation.code());
                continue;
            }
            room = room.saturating_sub(bytes);
            codes.push(NONE);
            entries.push(Entry::Offset { group, partition, offset });
        }
        if !entries.is_empty() {
            out.push(Output::Persist(entries));
        }
        out.push(Output::Reply(token, Reply::Codes(Ok(codes))));
    }

    /// A member commits in its generation; who is no member only while there is none.
    fn check_commit(&mut self, member: &MemberRef, now: Now) -> Result<(), ErrorCode> {
        if member.group.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let simple = member.generation < 0;
        match self.groups.get(&member.group) {
            None if !simple => return Err(ErrorCode::IllegalGeneration),
            None if self.groups.len() >= self.options.max_groups => {
                return Err(ErrorCode::PolicyViolation);
            }
            None => return Ok(()),
            Some(group) if simple && group.phase == Phase::Empty => return Ok(()),
            Some(_) => {}
        }
        let group = self.checked_member(member)?;
        if let Some(found) = group.members.get_mut(&member.member_id) {
            found.keep_alive(now);
        }
        match group.phase {
            Phase::Stable | Phase::Preparing { .. } => Ok(()),
            Phase::Completing { .. } => Err(ErrorCode::RebalanceInProgress),
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
        }
    }

    pub(super) fn delete_group(&mut self, token: Token, name: String, out: &mut Vec<Output>) {
        let outcome = match self.groups.get(&name) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) if group.state() != GroupState::Empty => Err(ErrorCode::NonEmptyGroup),
            Some(_) => Ok(()),
        };
        if outcome.is_ok() {
            out.push(Output::Persist(vec![Entry::GroupRemoved { group: name }]));
        }
        out.push(Output::Reply(token, Reply::code(outcome)));
    }

    pub(super) fn delete_offsets(
        &mut self,
        token: Token,
        name: &str,
        partitions: Vec<TopicPartition>,
        out: &mut Vec<Output>,
    ) {
        let Some(group) = self.groups.get(name) else {
            let refused = Reply::Codes(Err(ErrorCode::GroupIdNotFound));
            out.push(Output::Reply(token, refused));
            return;
        };
        let consumers = group.protocol_type.as_deref() == Some(subscription::CONSUMER);
        if group.phase != Phase::Empty && !consumers {
            let refused = Reply::Codes(Err(ErrorCode::NonEmptyGroup));
            out.push(Output::Reply(token, refused));
            return;
        }
        let (mut codes, mut entries) = (Vec::with_capacity(partitions.len()), Vec::new());
        for partition in partitions {
            if group.is_subscribed_to(&partition.topic) {
                codes.push(ErrorCode::GroupSubscribedToTopic.code());
                continue;
            }
            codes.push(NONE);
            if group.offsets.contains_key(&partition) {
                entries.push(Entry::OffsetRemoved { group: name.to_owned(), partition });
            }
        }
        if !entries.is_empty() {
            out.push(Output::Persist(entries));
        }
        out.push(Output::Reply(token, Reply::Codes(Ok(codes))));
    }

    /// A topic made again under the same name must not inherit offsets.
    pub(super) fn topic_deleted(&mut self, token: Token, topic: &str, out: &mut Vec<Output>) {
        let mut entries = Vec::new();
        for (name, group) in &self.groups {
            let offsets = group.offsets.keys().filter(|partition| partition.topic == topic);
            entries.extend(offsets.map(|partition| Entry::OffsetRemoved {
                group: name.clone(),
                partition: partition.clone(),
            }));
        }
        if !entries.is_empty() {
            out.push(Output::Persist(entries));
        }
        out.push(Output::Reply(token, Reply::Code(NONE)));
    }

    /// Forgets offsets of groups that had no members for as long as is granted.
    pub(super) fn expire_offsets(&mut self, now: Now, out: &mut Vec<Output>) {
        self.next_expiry_ms = now.monotonic_ms.saturating_add(EXPIRY_INTERVAL_MS);
        let retention = i64::try_from(self.options.offset_retention_ms).unwrap_or(i64::MAX);
        let cutoff = now.wall_ms.saturating_sub(retention);
        let mut entries = Vec::new();
        for (name, group) in &self.groups {
            if group.phase != Phase::Empty || group.empty_since > cutoff {
                continue;
            }
            let old = |offset: &CommittedOffset| offset.committed_at <= cutoff;
            if group.pending.is_empty() && group.offsets.values().all(old) {
                entries.push(Entry::GroupRemoved { group: name.clone() });
                continue;
            }
            let expired = group.offsets.iter().filter(|(_, offset)| old(offset));
            entries.extend(expired.map(|(partition, _)| Entry::OffsetRemoved {
                group: name.clone(),
                partition: partition.clone(),
            }));
        }
        if !entries.is_empty() {
            out.push(Output::Persist(entries));
        }
    }
}

impl Group {
    fn is_subscribed_to(&self, topic: &str) -> bool {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let of = |member: &super::member::Member| member.subscription(protocol);
        self.members.values().any(|member| subscription::names_topic(&of(member), topic))
    }
}
