//! Consumer groups (KIP-848): the coordinator assigns partitions, and leads each member
//! to its assignment in steps that never leave a partition with two of them.
//!
//! ```text
//!  subscriptions, topics --> group epoch --> target assignment (all members)
//!                                                 |
//!         heartbeats of a member: current --------'--> current' : revoke, then receive
//! ```
//!
//! Nothing of a group changes but by [`ConsumerEntry`]s that were persisted; a heartbeat
//! works on a copy and says which. Only timers are not remembered.

mod assignor;
mod classic_member;
mod convert;
mod expire;
mod heartbeat;
mod leave;
mod reconcile;
mod regex;
mod settle;
mod target;
mod timers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::describe::GroupState;
use super::partitions::Partitions;
use super::record::{ConsumerEntry, Current, Entry, MemberState, ResolvedRegex, Subscription};
use super::topics::TopicsImage;
use crate::error_code::ErrorCode;
pub(super) use assignor::Assignor;
pub(super) use timers::Timers;

/// Epoch with which a member goes.
const LEAVE: i32 = -1;
/// Epoch with which a static member goes for a while.
const LEAVE_STATIC: i32 = -2;

/// A member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Member {
    /// What it says of itself.
    pub(super) subscription: Subscription,
    /// What it has.
    pub(super) current: Current,
}

/// A group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ConsumerGroup {
    /// Grows whenever a new assignment is needed.
    pub(super) epoch: i32,
    /// Of the topics that the group reads, as of its epoch.
    pub(super) metadata_hash: i64,
    /// Epoch for which the targets were made.
    pub(super) target_epoch: i32,
    pub(super) members: BTreeMap<String, Arc<Member>>,
    pub(super) targets: BTreeMap<String, Arc<Partitions>>,
    pub(super) regexes: BTreeMap<String, Arc<ResolvedRegex>>,
    /// Static members: instance id to member id.
    pub(super) instances: BTreeMap<String, String>,
    /// Bytes held for members, and for the topics of regular expressions.
    pub(super) bytes: usize,
}

impl Member {
    /// Bytes held for it.
    fn bytes(&self) -> usize {
        const FIXED: usize = 512;
        const PARTITION: usize = 16;
        let of = &self.subscription;
        let texts = [&of.instance_id, &of.rack_id, &of.regex, &of.assignor];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let topics: usize = of.topics.iter().map(|topic| topic.len() + 48).sum();
        let classic = of.classic.iter().flat_map(|classic| &classic.protocols);
        let classic: usize = classic.map(|(name, bytes)| name.len() + bytes.len() + 64).sum();
        let partitions = self.current.assigned.len() + self.current.revoking.len();
        FIXED + texts + topics + classic + of.client_id.len() + partitions * PARTITION
    }

    /// Whether it is where the group wants it.
    fn is_at(&self, target_epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == target_epoch
    }
}

impl ResolvedRegex {
    /// Bytes held for it.
    fn bytes(&self) -> usize {
        const FIXED: usize = 256;
        FIXED + self.topics.iter().map(|topic| topic.len() + 48).sum::<usize>()
    }
}

impl ConsumerEntry {
    /// Whether it takes something away.
    pub(super) fn is_removal(&self) -> bool {
        match self {
            Self::Epoch(value) => value.is_none(),
            Self::Member(_, value) => value.is_none(),
            Self::TargetEpoch(value) => value.is_none(),
            Self::Target(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
            Self::Regex(_, value) => value.is_none(),
        }
    }
}

impl ConsumerGroup {
    /// Takes in an entry. The order of entries with different keys does not matter, as a
    /// compacted topic demands.
    pub(super) fn apply(&mut self, entry: &ConsumerEntry) {
        match entry {
            ConsumerEntry::Epoch(value) => {
                (self.epoch, self.metadata_hash) = value.unwrap_or_default();
            }
            ConsumerEntry::TargetEpoch(value) => self.target_epoch = value.unwrap_or_default(),
            ConsumerEntry::Target(id, Some(target)) => {
                self.targets.insert(id.clone(), Arc::new(target.clone()));
            }
            ConsumerEntry::Target(id, None) => {
                self.targets.remove(id);
            }
            ConsumerEntry::Regex(regex, Some(resolved)) => {
                self.bytes += resolved.bytes();
                let former = self.regexes.insert(regex.clone(), Arc::new(resolved.clone()));
                self.bytes -= former.map_or(0, |former| former.bytes());
            }
            ConsumerEntry::Regex(regex, None) => {
                self.bytes -= self.regexes.remove(regex).map_or(0, |former| former.bytes());
            }
            ConsumerEntry::Member(id, Some(subscription)) => {
                self.change(id, |member| member.subscription = subscription.clone());
                if let Some(instance) = &subscription.instance_id {
                    self.instances.insert(instance.clone(), id.clone());
                }
            }
            ConsumerEntry::Member(id, None) => self.forget(id),
            ConsumerEntry::Current(id, Some(current)) => {
                self.change(id, |member| member.current = current.clone());
            }
            ConsumerEntry::Current(id, None) => {
                if self.members.contains_key(id) {
                    self.change(id, |member| member.current = Current::default());
                }
            }
        }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Member)) {
        let member = Arc::make_mut(self.members.entry(id.to_owned()).or_default());
        let before = if member == &Member::default() { 0 } else { member.bytes() };
        change(member);
        let after = if member == &Member::default() { 0 } else { member.bytes() };
        self.bytes = self.bytes + after - before;
    }

    fn forget(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        if *member != Member::default() {
            self.bytes -= member.bytes();
        }
        if let Some(instance) = &member.subscription.instance_id
            && self.instances.get(instance).is_some_and(|current| current == id)
        {
            self.instances.remove(instance);
        }
    }

    /// A member by id.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn member(&self, id: &str) -> Result<&Member, ErrorCode> {
        self.members.get(id).map(|member| &**member).ok_or(ErrorCode::UnknownMemberId)
    }

    /// A member by id, and its instance id if it gives one.
    ///
    /// # Errors
    /// There is none, or the instance id is another's by now.
    fn checked_member(&self, id: &str, instance_id: Option<&str>) -> Result<&Member, ErrorCode> {
        if let Some(instance) = instance_id {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.member(id)
    }

    pub(super) fn state(&self) -> GroupState {
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.target_epoch {
            GroupState::Assigning
        } else if self.members.values().all(|member| member.is_at(self.target_epoch)) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// The topics that a member reads, by name.
    fn topics_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a str> {
        let of_regex = member.subscription.regex.as_ref().and_then(|regex| self.regexes.get(regex));
        let resolved = of_regex.into_iter().flat_map(|resolved| &resolved.topics);
        member.subscription.topics.iter().chain(resolved).map(String::as_str)
    }

    /// The topics that the group reads, by name.
    fn topics(&self) -> BTreeSet<&str> {
        self.members.values().flat_map(|member| self.topics_of(member)).collect()
    }

    fn hash_of_topics(&self, topics: &TopicsImage) -> i64 {
        topics.hash_of(self.topics())
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.topics_of(member).any(|name| name == topic))
    }

    /// The assignor that most members want; of equals the first by name.
    pub(super) fn assignor(&self) -> Assignor {
        let wanted = |assignor: &Assignor| {
            let wants = |member: &&Arc<Member>| {
                member.subscription.assignor.as_deref() == Some(assignor.name())
            };
            self.members.values().filter(wants).count()
        };
        let best = Assignor::ALL.iter().rev().max_by_key(|assignor| wanted(assignor));
        best.copied().filter(|best| wanted(best) > 0).unwrap_or_default()
    }

    /// What takes the group away.
    pub(super) fn tombstones(&self, name: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        for id in self.members.keys() {
            entries.extend(removals(id));
        }
        let orphans = self.targets.keys().filter(|id| !self.members.contains_key(*id));
        entries.extend(orphans.map(|id| ConsumerEntry::Target(id.clone(), None)));
        entries.extend(self.regexes.keys().map(|regex| ConsumerEntry::Regex(regex.clone(), None)));
        entries.push(ConsumerEntry::TargetEpoch(None));
        entries.push(ConsumerEntry::Epoch(None));
        entries.into_iter().map(|entry| Entry::Consumer { group: name.to_owned(), entry }).collect()
    }

    /// The whole group as entries.
    pub(super) fn entries(&self, name: &str) -> Vec<Entry> {
        let mut entries = vec![ConsumerEntry::Epoch(Some((self.epoch, self.metadata_hash)))];
        for (regex, resolved) in &self.regexes {
            entries.push(ConsumerEntry::Regex(regex.clone(), Some((**resolved).clone())));
        }
        for (id, member) in &self.members {
            entries.push(ConsumerEntry::Member(id.clone(), Some(member.subscription.clone())));
        }
        for (id, target) in &self.targets {
            entries.push(ConsumerEntry::Target(id.clone(), Some((**target).clone())));
        }
        entries.push(ConsumerEntry::TargetEpoch(Some(self.target_epoch)));
        for (id, member) in &self.members {
            entries.push(ConsumerEntry::Current(id.clone(), Some(member.current.clone())));
        }
        entries.into_iter().map(|entry| Entry::Consumer { group: name.to_owned(), entry }).collect()
    }
}

/// What takes a member away.
fn removals(id: &str) -> [ConsumerEntry; 3] {
    [
        ConsumerEntry::Current(id.to_owned(), None),
        ConsumerEntry::Target(id.to_owned(), None),
        ConsumerEntry::Member(id.to_owned(), None),
    ]
}

/// A change to a group under way: a copy of it, and the entries that lead there.
struct Change {
    name: String,
    group: ConsumerGroup,
    entries: Vec<Entry>,
}

impl Change {
    fn new(name: &str, group: ConsumerGroup) -> Self {
        Self { name: name.to_owned(), group, entries: Vec::new() }
    }

    fn put(&mut self, entry: ConsumerEntry) {
        self.group.apply(&entry);
        self.entries.push(Entry::Consumer { group: self.name.clone(), entry });
    }
}
