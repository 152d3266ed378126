//! From the classic protocol to the new one and back, while members stay (KIP-848,
//! "online migration").

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::expire::start_session;
use super::{Change, ConsumerGroup, Member};
use crate::error_code::ErrorCode;
use crate::group::classic::ClassicGroup;
use crate::group::coordinator::Coordinator;
use crate::group::describe::GroupState;
use crate::group::embedded;
use crate::group::messages::{Now, Refusal};
use crate::group::partitions::Partitions;
use crate::group::record::{
    ClassicEntry, ClassicMember, ConsumerEntry, Current, Entry, MemberEntry, Subscription,
};

impl Coordinator {
    /// What a classic group becomes when a member of the new protocol joins it.
    ///
    /// # Errors
    /// Its members do not speak the protocol of consumers.
    pub(super) fn upgrade(&self, name: &str, classic: &ClassicGroup) -> Result<Change, Refusal> {
        let mut change = Change::new(name, ConsumerGroup::default());
        change.entries.push(Entry::ClassicRemoved { group: name.to_owned() });
        if classic.state() == GroupState::Empty {
            // Epochs go on from the generation, so that nobody of before is mistaken.
            if classic.generation > 0 {
                change.put(ConsumerEntry::Epoch(Some((classic.generation, 0))));
                change.put(ConsumerEntry::TargetEpoch(Some(classic.generation)));
            }
            return Ok(change);
        }
        let refused = |why: &str| {
            let detail = format!("group '{name}' cannot become a consumer group: {why}");
            Refusal::new(ErrorCode::GroupIdNotFound, detail)
        };
        if classic.protocol_type.as_deref() != Some(embedded::CONSUMER) {
            return Err(refused("its members are no consumers"));
        }
        let generation = classic.generation.max(1);
        change.put(ConsumerEntry::Epoch(Some((generation, 0))));
        let mut taken = Partitions::default();
        for (id, member) in &classic.members {
            let read = classic
                .read_member(member)
                .ok_or_else(|| refused("a member's subscription or assignment cannot be read"))?;
            let (subscription, assignment) = read;
            // Assignors of clients may give a partition to two members; here one has it.
            let assigned = self.topics.ids_of(&assignment).difference(&taken);
            taken.extend(assigned.iter());
            change.put(ConsumerEntry::Member(id.clone(), Some(subscription)));
            change.put(ConsumerEntry::Target(id.clone(), Some(assigned.clone())));
            let current = Current {
                epoch: generation,
                previous_epoch: generation,
                assigned,
                ..Current::default()
            };
            change.put(ConsumerEntry::Current(id.clone(), Some(current)));
        }
        change.put(ConsumerEntry::TargetEpoch(Some(generation)));
        Ok(change)
    }

    /// The entries that make a consumer group, less the members that go, a classic one.
    pub(super) fn downgrade(
        &self,
        name: &str,
        before: &ConsumerGroup,
        after: &ConsumerGroup,
        now: Now,
    ) -> Vec<Entry> {
        let protocol = after.shared_protocol();
        let member = |(id, member): (&String, &Arc<Member>)| MemberEntry {
            member_id: id.clone(),
            instance_id: member.subscription.instance_id.clone(),
            client_id: member.subscription.client_id.clone(),
            client_host: member.subscription.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms(),
            rebalance_timeout_ms: super::timers::rebalance_timeout_ms(member),
            subscription: member.classic_subscription(protocol.as_deref()),
            assignment: self.embedded_assignment(member),
        };
        let entry = ClassicEntry {
            group: name.to_owned(),
            at: now.wall_ms,
            generation: after.epoch,
            protocol_type: Some(embedded::CONSUMER.to_owned()),
            // Nobody leads yet: all are to join again, also where a crash comes in between.
            leader: None,
            members: after.members.iter().map(member).collect(),
            protocol,
        };
        let mut entries = before.tombstones(name);
        entries.push(Entry::Classic(Box::new(entry)));
        entries
    }

    /// What a member has, as classic members read it.
    pub(in crate::group) fn embedded_assignment(&self, member: &Member) -> Bytes {
        let subscription = member.classic_subscription(None);
        let version = embedded::subscription(&subscription).map_or(0, |of| of.version);
        let named: BTreeMap<_, _> = self.topics.names_of(&member.current.assigned);
        embedded::encode_assignment(version, &named)
    }

    /// Starts the sessions of members that a group has from now on.
    pub(super) fn start_sessions_of(&mut self, change: &Change, now: Now) {
        let timeout_ms = self.session_timeout_ms(&change.name);
        let timers = self.timers.entry(change.name.clone()).or_default();
        for id in change.group.members.keys() {
            if !timers.members.contains_key(id) {
                start_session(timers, &change.group, id, timeout_ms, now);
            }
        }
    }
}

impl ConsumerGroup {
    /// Whether there are members, but none of the new protocol.
    pub(super) fn can_become_classic(&self, max_members: usize) -> bool {
        let is_classic = |member: &Arc<Member>| member.subscription.classic.is_some();
        !self.members.is_empty()
            && self.members.len() <= max_members
            && self.members.values().all(is_classic)
    }

    /// A protocol that all classic members support, the oldest id's preferred one.
    fn shared_protocol(&self) -> Option<String> {
        let classic =
            || self.members.values().filter_map(|member| member.subscription.classic.as_ref());
        let supports =
            |of: &ClassicMember, name: &str| of.protocols.iter().any(|(known, _)| known == name);
        let names = classic().next()?.protocols.iter().map(|(name, _)| name);
        names.into_iter().find(|name| classic().all(|of| supports(of, name))).cloned()
    }

    /// Whether classic members of the group could work with one of these protocols.
    pub(super) fn supports_any(&self, id: &str, protocols: &[(String, Bytes)]) -> bool {
        let others = self.members.iter().filter(|(other, _)| *other != id);
        let classic: Vec<_> =
            others.filter_map(|(_, member)| member.subscription.classic.as_ref()).collect();
        let all_support = |name: &String| {
            classic.iter().all(|of| of.protocols.iter().any(|(known, _)| known == name))
        };
        protocols.iter().any(|(name, _)| all_support(name))
    }
}

impl Member {
    fn session_timeout_ms(&self) -> u64 {
        let classic = self.subscription.classic.as_ref();
        classic.map_or(0, |of| u64::try_from(of.session_timeout_ms).unwrap_or(0))
    }

    /// Subscription of a classic member under a protocol, or the first there is.
    fn classic_subscription(&self, protocol: Option<&str>) -> Bytes {
        let protocols = self.subscription.classic.iter().flat_map(|of| &of.protocols);
        let mut matching =
            protocols.filter(|(name, _)| protocol.is_none_or(|wanted| name == wanted));
        matching.next().map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }
}

/// Subscription of a classic member as a consumer group keeps it; `None` where it cannot
/// be read.
pub(super) fn subscription_of(
    mut base: Subscription,
    session_timeout_ms: i32,
    protocols: Vec<(String, Bytes)>,
) -> Option<Subscription> {
    let read = embedded::subscription(&protocols.first()?.1)?;
    base.topics = read.topics;
    base.rack_id = read.rack_id.or(base.rack_id);
    base.regex = None;
    base.assignor = None;
    base.classic = Some(ClassicMember { session_timeout_ms, protocols });
    Some(base)
}
