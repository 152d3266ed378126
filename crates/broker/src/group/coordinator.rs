//! The group coordinator: a state machine without IO.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::ids::Offset;
use thalweg_core::time::Millis;

use super::classic::ClassicGroup;
use super::consumer::{ConsumerGroup, Timers};
use super::describe::GroupState;
use super::messages::{
    GroupSettings, Input, JoinInput, LeaveInput, MemberRef, Now, Output, Reply, SyncInput, Token,
    TransactionRef,
};
use super::offsets::Offsets;
use super::record::{ConsumerEntry, Entry, TEXT_BYTES_MAX};
use super::topics::TopicsImage;
use crate::error_code::{ErrorCode, NONE};
use crate::options::GroupOptions;

/// How often old offsets are looked for.
const EXPIRY_INTERVAL_MS: u64 = 600_000;

/// A group. One that is only committed offsets has none.
#[derive(Clone, Debug)]
pub(super) enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

/// All groups.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    pub(super) options: GroupOptions,
    /// Groups with settings of their own, whether they exist or not.
    pub(super) settings: BTreeMap<String, GroupSettings>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) offsets: Offsets,
    pub(super) topics: Arc<TopicsImage>,
    /// Counts the changes of `topics`.
    pub(super) topics_version: u64,
    /// What is known of consumer groups and not remembered.
    pub(super) timers: BTreeMap<String, Timers>,
    /// Monotonic time before which no group has anything to do.
    next_due: u64,
    /// Monotonic time at which old offsets are looked for again.
    pub(super) next_expiry_ms: u64,
}

impl Coordinator {
    pub(crate) fn new(options: GroupOptions) -> Self {
        Self {
            options,
            settings: BTreeMap::new(),
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            topics: Arc::default(),
            topics_version: 0,
            timers: BTreeMap::new(),
            next_due: u64::MAX,
            next_expiry_ms: 0,
        }
    }

    /// Takes an input. `token` names the request behind it, if there is one, and comes
    /// back with its reply in this step or a later one.
    ///
    /// Commits, deletions and all that concerns consumer groups change nothing yet: the
    /// entries to be persisted do, when they are applied. What is said of classic members
    /// holds at once.
    pub(crate) fn step(&mut self, token: Token, input: Input, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Join(join) => {
                let name = join.group.clone();
                self.join(token, join, now, &mut out);
                self.note_due(&name);
            }
            Input::Sync(sync) => {
                let name = sync.member.group.clone();
                self.sync(token, sync, now, &mut out);
                self.note_due(&name);
            }
            Input::Heartbeat(member) => {
                let reply = Reply::code(self.heartbeat(&member, now));
                out.push(Output::Reply(token, reply));
                self.note_due(&member.group);
            }
            Input::Leave(leave) => {
                let name = leave.group.clone();
                let codes = self.leave(leave, now, &mut out);
                out.push(Output::Reply(token, Reply::Codes(codes)));
                self.note_due(&name);
            }
            Input::ConsumerHeartbeat(beat) => {
                let name = beat.group.clone();
                let reply = self.consumer_heartbeat(*beat, now, &mut out);
                out.push(Output::Reply(token, Reply::Consumer(reply)));
                self.note_due(&name);
            }
            Input::Commit(commit) => self.commit(token, commit, now, &mut out),
            Input::TransactionEnded { producer, outcome, marker } => {
                self.offsets.end_transaction(producer, outcome, marker);
                out.push(Output::Reply(token, Reply::Code(NONE)));
            }
            Input::DeleteGroup(group) => self.delete_group(token, &group, &mut out),
            Input::DeleteOffsets { group, partitions } => {
                self.delete_offsets(token, &group, partitions, &mut out);
            }
            Input::TopicDeleted(topic) => self.topic_deleted(token, &topic, &mut out),
            Input::Topics(topics) => {
                if *self.topics != *topics {
                    self.topics = topics;
                    self.topics_version += 1;
                }
            }
            Input::Settings(group, settings) => {
                // Members are told, and given as much time, at their next heartbeat.
                match settings == GroupSettings::default() {
                    true => self.settings.remove(&group),
                    false => self.settings.insert(group, settings),
                };
                out.push(Output::Reply(token, Reply::Code(NONE)));
            }
            Input::Tick => self.tick(now, &mut out),
        }
        out
    }

    /// How long a member of a consumer group may be silent.
    pub(super) fn session_timeout_ms(&self, group: &str) -> u64 {
        let own = self.settings.get(group).and_then(|own| own.session_timeout_ms);
        own.unwrap_or(self.options.consumer_session_timeout_ms)
    }

    /// How often such a member is to be heard of.
    pub(super) fn heartbeat_interval_ms(&self, group: &str) -> u64 {
        let own = self.settings.get(group).and_then(|own| own.heartbeat_interval_ms);
        own.unwrap_or(self.options.consumer_heartbeat_interval_ms)
    }

    /// Makes a persisted entry true, whose record is at this offset.
    pub(crate) fn apply(&mut self, entry: &Entry, record: Offset, now: Now) {
        match entry {
            Entry::Offset { group, partition, offset } => {
                self.offsets.put(group, partition, offset.clone(), record);
            }
            Entry::OffsetRemoved { group, partition } => self.offsets.remove(group, partition),
            Entry::Classic(entry) => {
                // Said of members that are already here, or of a consumer group that
                // became a classic one: then all are to join again.
                if !matches!(self.groups.get(&entry.group), Some(Group::Classic(_))) {
                    let group = ClassicGroup::restore(entry, now);
                    self.groups.insert(entry.group.clone(), Group::Classic(group));
                    self.note_due(&entry.group);
                }
            }
            Entry::ClassicRemoved { group } => {
                if let Some(Group::Classic(_)) = self.groups.get(group) {
                    self.groups.remove(group);
                }
            }
            Entry::Consumer { group, entry } => self.apply_to_consumers(group, entry),
        }
    }

    /// As [`Coordinator::apply`], for offsets that count when their transaction ends.
    pub(crate) fn apply_in(&mut self, transaction: TransactionRef, entry: &Entry, record: Offset) {
        if let Entry::Offset { group, partition, offset } = entry {
            let producer = transaction.producer();
            self.offsets.put_pending(producer, group, partition, offset.clone(), record);
        }
    }

    fn apply_to_consumers(&mut self, name: &str, entry: &ConsumerEntry) {
        if let ConsumerEntry::Epoch(None) = entry {
            if let Some(Group::Consumer(_)) = self.groups.get(name) {
                self.groups.remove(name);
                self.timers.remove(name);
            }
            return;
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(name) {
            group.apply(entry);
        } else if !entry.is_removal() {
            let mut group = ConsumerGroup::default();
            group.apply(entry);
            self.groups.insert(name.to_owned(), Group::Consumer(group));
        }
    }

    /// Monotonic time at which the next tick is due, if any; it may come too early.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let of_groups = (self.next_due < u64::MAX).then_some(self.next_due);
        let has_offsets = self.offsets.len() > 0 || !self.groups.is_empty();
        [of_groups, has_offsets.then_some(self.next_expiry_ms)].into_iter().flatten().min()
    }

    /// Takes in when a group has something to do, after it changed.
    fn note_due(&mut self, name: &str) {
        let due = self.group_deadline(name).unwrap_or(u64::MAX);
        self.next_due = self.next_due.min(due);
    }

    fn group_deadline(&self, name: &str) -> Option<u64> {
        let classic = match self.groups.get(name) {
            Some(Group::Classic(group)) => group.deadline(),
            Some(Group::Consumer(_)) | None => None,
        };
        let consumers = self.timers.get(name).and_then(Timers::deadline);
        [classic, consumers].into_iter().flatten().min()
    }

    fn join(&mut self, token: Token, join: JoinInput, now: Now, out: &mut Vec<Output>) {
        let (name, member_id) = (join.group.clone(), join.member_id.clone());
        if let Err(code) = self.check_join(&join) {
            out.push(Output::Reply(token, Reply::join_refused(code, &member_id)));
            return;
        }
        match self.groups.get(&name) {
            Some(Group::Consumer(group)) if group.members.is_empty() => {
                // Nobody is left who would mind; the epoch goes on as generation.
                out.push(Output::Persist(group.tombstones(&name)));
                let mut classic = ClassicGroup::new(now.wall_ms);
                classic.generation = group.epoch;
                self.timers.remove(&name);
                self.groups.insert(name, Group::Classic(classic));
                self.join_classic(token, join, now, out);
            }
            Some(Group::Consumer(_)) => {
                let reply = self.join_consumers(join, now, out);
                let reply = reply.unwrap_or_else(|code| Reply::join_refused(code, &member_id));
                out.push(Output::Reply(token, reply));
            }
            Some(Group::Classic(_)) | None => self.join_classic(token, join, now, out),
        }
    }

    /// Whether partitions of this group are assigned here, and not by its members.
    pub(super) fn assigns(&self, group: &str) -> bool {
        matches!(self.groups.get(group), Some(Group::Consumer(_)))
    }

    /// What holds for joins to groups of both kinds.
    fn check_join(&self, join: &JoinInput) -> Result<(), ErrorCode> {
        let session = u64::try_from(join.session_timeout_ms).unwrap_or(0);
        let allowed = self.options.min_session_timeout_ms..=self.options.max_session_timeout_ms;
        let too_long = |text: &Option<String>| {
            text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX - 64)
        };
        if join.group.is_empty() || join.group.len() > TEXT_BYTES_MAX {
            return Err(ErrorCode::InvalidGroupId);
        }
        if too_long(&join.instance_id) || join.protocol_type.len() > TEXT_BYTES_MAX {
            return Err(ErrorCode::InvalidRequest);
        }
        if !allowed.contains(&session) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        match self.held_bytes() + join.bytes() > self.options.max_member_bytes {
            true => Err(ErrorCode::PolicyViolation),
            false => Ok(()),
        }
    }

    /// Bytes held for the members of all groups.
    pub(super) fn held_bytes(&self) -> usize {
        self.groups.values().map(Group::bytes).sum()
    }

    fn sync(&mut self, token: Token, sync: SyncInput, now: Now, out: &mut Vec<Output>) {
        let max_bytes = self.options.max_group_bytes;
        if sync.member.group.is_empty() {
            out.push(Output::Reply(token, Reply::sync_refused(ErrorCode::InvalidGroupId)));
            return;
        }
        let outcome = match self.groups.get_mut(&sync.member.group) {
            None => Err(ErrorCode::UnknownMemberId),
            Some(Group::Classic(group)) => group.sync(token, sync, max_bytes, now, out),
            Some(Group::Consumer(_)) => self
                .sync_consumers(&sync, now)
                .map(|reply| out.push(Output::Reply(token, Reply::Sync(reply)))),
        };
        if let Err(code) = outcome {
            out.push(Output::Reply(token, Reply::sync_refused(code)));
        }
    }

    fn heartbeat(&mut self, member: &MemberRef, now: Now) -> Result<(), ErrorCode> {
        if member.group.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        match self.groups.get_mut(&member.group) {
            None => Err(ErrorCode::UnknownMemberId),
            Some(Group::Classic(group)) => group.heartbeat(member, now),
            Some(Group::Consumer(_)) => self.classic_heartbeat(member, now),
        }
    }

    fn leave(
        &mut self,
        leave: LeaveInput,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Vec<i16>, ErrorCode> {
        let delay = self.options.initial_rebalance_delay_ms;
        match self.groups.get_mut(&leave.group) {
            None if leave.group.is_empty() => Err(ErrorCode::InvalidGroupId),
            None => Ok(vec![ErrorCode::UnknownMemberId.code(); leave.members.len()]),
            Some(Group::Classic(group)) => {
                Ok(group.leave(leave.members, &leave.group, delay, now, out))
            }
            Some(Group::Consumer(_)) => {
                Ok(self.leave_consumers(&leave.group, leave.members, now, out))
            }
        }
    }

    /// Does what is due: members that are dead, joins and syncs that took too long, and
    /// offsets that nobody came back for.
    fn tick(&mut self, now: Now, out: &mut Vec<Output>) {
        let delay = self.options.initial_rebalance_delay_ms;
        let mut consumers_due = Vec::new();
        for (name, group) in &mut self.groups {
            match group {
                Group::Classic(group) => {
                    if group.deadline().is_some_and(|deadline| deadline <= now.monotonic_ms) {
                        group.expire(name, delay, now, out);
                    }
                }
                Group::Consumer(_) => {
                    let due = self.timers.get(name).and_then(Timers::deadline);
                    if due.is_some_and(|due| due <= now.monotonic_ms) {
                        consumers_due.push(name.clone());
                    }
                }
            }
        }
        for name in consumers_due {
            self.expire_consumers(&name, now, out);
        }
        let forgettable =
            |group: &Group| matches!(group, Group::Classic(group) if group.is_forgettable());
        self.groups.retain(|_, group| !forgettable(group));
        self.timers.retain(|name, _| matches!(self.groups.get(name), Some(Group::Consumer(_))));
        if self.next_expiry_ms <= now.monotonic_ms {
            self.next_expiry_ms = now.monotonic_ms.saturating_add(EXPIRY_INTERVAL_MS);
            self.expire_offsets(now, out);
        }
        self.look_for_due();
    }

    /// Finds out anew when the first group has something to do.
    pub(super) fn look_for_due(&mut self) {
        let due = self.groups.keys().filter_map(|name| self.group_deadline(name)).min();
        self.next_due = due.unwrap_or(u64::MAX);
    }
}

impl Group {
    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.state() == GroupState::Empty,
            Self::Consumer(group) => group.members.is_empty(),
        }
    }

    /// Wall time since which it has none.
    pub(super) fn empty_since(&self) -> Millis {
        match self {
            Self::Classic(group) => group.empty_since,
            // Not remembered: it goes with its last offset.
            Self::Consumer(_) => Millis::MIN,
        }
    }

    /// Whether a member reads the topic.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// What takes it away.
    pub(super) fn tombstones(&self, name: &str) -> Vec<Entry> {
        match self {
            Self::Classic(_) => vec![Entry::ClassicRemoved { group: name.to_owned() }],
            Self::Consumer(group) => group.tombstones(name),
        }
    }

    /// Bytes held for its members.
    fn bytes(&self) -> usize {
        match self {
            Self::Classic(group) => group.member_bytes,
            Self::Consumer(group) => group.bytes,
        }
    }
}
