//! ConsumerGroupHeartbeat: the one request of members that speak the new protocol.

use std::collections::BTreeSet;

use super::{Change, ConsumerGroup, LEAVE, LEAVE_STATIC, Member};
use crate::error_code::{ErrorCode, NONE};
use crate::group::consumer::Assignor;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::messages::{ConsumerReply, HeartbeatInput, Now, Output, Refusal};
use crate::group::partitions::Partitions;
use crate::group::record::{ConsumerEntry, Current, Subscription, TEXT_BYTES_MAX};

/// Most topics that a member may name.
const TOPICS_MAX: usize = 50_000;

impl Coordinator {
    /// Takes a heartbeat and says what the member is to do.
    pub(in crate::group) fn consumer_heartbeat(
        &mut self,
        beat: HeartbeatInput,
        now: Now,
        out: &mut Vec<Output>,
    ) -> ConsumerReply {
        let outcome = check(&beat).and_then(|()| match beat.epoch {
            LEAVE | LEAVE_STATIC => self.leave_for_good_or_a_while(&beat, now, out),
            _ => match self.unchanged(&beat, now) {
                Some(reply) => Ok(reply),
                None => self.take_heartbeat(beat, now, out),
            },
        });
        outcome.unwrap_or_else(ConsumerReply::from)
    }

    /// The heartbeat of a member for which nothing is to be done: by far the most, and
    /// the only ones in which no copy of the group is made.
    fn unchanged(&mut self, beat: &HeartbeatInput, now: Now) -> Option<ConsumerReply> {
        let session_ms = self.session_timeout_ms(&beat.group);
        let Some(Group::Consumer(group)) = self.groups.get(&beat.group) else { return None };
        let member = group.members.get(&beat.member_id)?;
        let timers = self.timers.get_mut(&beat.group)?;
        let settled = beat.epoch == group.epoch
            && group.epoch == group.target_epoch
            && member.is_at(group.target_epoch)
            && timers.checked_topics == Some(self.topics_version);
        let instance = &member.subscription.instance_id;
        let is_member = beat.instance_id.as_ref() == instance.as_ref()
            && instance.as_ref().is_none_or(|id| group.instances.get(id) == Some(&beat.member_id));
        if !settled || !is_member || !says_the_same(&member.subscription, beat) {
            return None;
        }
        timers.keep_alive(&beat.member_id, session_ms, now);
        let assignment = is_full(beat).then(|| member.current.assigned.clone());
        Some(self.reply(&beat.group, &beat.member_id, member.current.epoch, assignment))
    }

    fn take_heartbeat(
        &mut self,
        beat: HeartbeatInput,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<ConsumerReply, Refusal> {
        let joins = beat.epoch == 0;
        let mut change = self.open(&beat.group, joins)?;
        let id = match beat.member_id.is_empty() {
            true => beat.fresh_id.clone(),
            false => beat.member_id.clone(),
        };
        let known = change.group.members.contains_key(&id)
            || beat.instance_id.as_ref().is_some_and(|i| change.group.instances.contains_key(i));
        if !known && change.group.members.len() >= self.options.max_members {
            let detail = format!("the group has its {} members", self.options.max_members);
            return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, detail));
        }
        let is_new = match &beat.instance_id {
            None => change.find_dynamic(&id, &beat)?,
            Some(instance) => change.find_static(&id, instance, &beat)?,
        };
        let before = change.group.members.get(&id).cloned().unwrap_or_default();
        let said = said_now(&before.subscription, &beat);
        let mut changed = is_new;
        if is_new || said != before.subscription {
            self.check_room(&change, &said)?;
            let of = &before.subscription;
            changed |= said.topics != of.topics || said.regex != of.regex;
            changed |= said.assignor != of.assignor;
            change.put(ConsumerEntry::Member(id.clone(), Some(said)));
        }
        self.settle(&mut change, &id, changed, beat.owned.as_ref(), &beat.visible, now)?;

        let after = change.group.members.get(&id).cloned().unwrap_or_default();
        let session_ms = self.session_timeout_ms(&beat.group);
        let timers = self.timers.entry(beat.group.clone()).or_default();
        timers.keep_alive(&id, session_ms, now);
        timers.watch_revocation(&id, &after, now);
        // A member that comes with an epoch of before did not get the last answer.
        let missed = beat.epoch != before.current.epoch;
        let news = before.current.assigned != after.current.assigned;
        let assignment = (is_full(&beat) || missed || news).then(|| after.current.assigned.clone());
        self.finish(change, now, out);
        Ok(self.reply(&beat.group, &id, after.current.epoch, assignment))
    }

    /// The group as it is, or as it will be: new, or made of a classic one.
    fn open(&self, name: &str, joins: bool) -> Result<Change, Refusal> {
        match self.groups.get(name) {
            Some(Group::Consumer(group)) => Ok(Change::new(name, group.clone())),
            // It was a consumer group, before the member was taken out: it may join again,
            // where Kafka's GROUP_ID_NOT_FOUND would end the client.
            Some(Group::Classic(_)) | None if !joins => Err(ErrorCode::UnknownMemberId.into()),
            Some(Group::Classic(group)) => self.upgrade(name, group),
            None if self.groups.len() >= self.options.max_groups => {
                let detail = format!("there are {} groups", self.options.max_groups);
                Err(Refusal::new(ErrorCode::PolicyViolation, detail))
            }
            None => Ok(Change::new(name, ConsumerGroup::default())),
        }
    }

    pub(super) fn reply(
        &self,
        group: &str,
        id: &str,
        epoch: i32,
        assignment: Option<Partitions>,
    ) -> ConsumerReply {
        let interval = self.heartbeat_interval_ms(group);
        ConsumerReply {
            error_code: NONE,
            error_message: None,
            member_id: id.to_owned(),
            epoch,
            heartbeat_interval_ms: i32::try_from(interval).unwrap_or(i32::MAX),
            assignment,
        }
    }
}

impl Change {
    /// Checks a member without an instance id, and says whether it is new.
    fn find_dynamic(&mut self, id: &str, beat: &HeartbeatInput) -> Result<bool, Refusal> {
        match self.group.members.get(id).cloned() {
            None if beat.epoch == 0 => Ok(true),
            None => Err(ErrorCode::UnknownMemberId.into()),
            Some(member) => {
                self.check_epoch(id, &member, beat)?;
                Ok(false)
            }
        }
    }

    /// Checks a static member, puts it in the place of its former self, and says whether
    /// it is new.
    fn find_static(
        &mut self,
        id: &str,
        instance: &str,
        beat: &HeartbeatInput,
    ) -> Result<bool, Refusal> {
        let Some(current) = self.group.instances.get(instance).cloned() else {
            return match beat.epoch {
                0 => Ok(!self.group.members.contains_key(id)),
                _ => Err(ErrorCode::UnknownMemberId.into()),
            };
        };
        let member = self.group.members.get(&current).cloned().unwrap_or_default();
        if current == id {
            self.check_epoch(id, &member, beat)?;
            return Ok(false);
        }
        if beat.epoch != 0 {
            let detail = format!("instance id '{instance}' belongs to another member by now");
            return Err(Refusal::new(ErrorCode::FencedInstanceId, detail));
        }
        let is_classic = member.subscription.classic.is_some();
        if member.current.epoch != LEAVE_STATIC && !is_classic {
            let detail = format!("instance id '{instance}' is still used by another member");
            return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, detail));
        }
        self.replace(&current, id, &member, None);
        Ok(false)
    }

    /// Puts a member in the place of another, with what it had; of what it was to give
    /// away, with what it says that it still has.
    pub(super) fn replace(
        &mut self,
        old: &str,
        new: &str,
        member: &Member,
        owned: Option<&Partitions>,
    ) {
        let target = self.group.targets.get(old).map(|target| (**target).clone());
        super::removals(old).into_iter().for_each(|entry| self.put(entry));
        self.put(ConsumerEntry::Member(new.to_owned(), Some(member.subscription.clone())));
        self.put(ConsumerEntry::Target(new.to_owned(), Some(target.unwrap_or_default())));
        let mut assigned = member.current.assigned.clone();
        if let Some(owned) = owned {
            assigned.extend(member.current.revoking.intersection(owned).iter());
        }
        let current = Current { assigned, ..Current::default() };
        self.put(ConsumerEntry::Current(new.to_owned(), Some(current)));
    }

    /// A member comes with its epoch; or with the one before, where the last answer was
    /// lost and it has nothing that it is not to have; or with 0 and nothing, to begin
    /// anew.
    fn check_epoch(
        &mut self,
        id: &str,
        member: &Member,
        beat: &HeartbeatInput,
    ) -> Result<(), Refusal> {
        let current = &member.current;
        let within = |partitions: &Partitions| {
            beat.owned.as_ref().is_some_and(|owned| owned.is_subset(partitions))
        };
        if beat.epoch == current.epoch
            || (beat.epoch == current.previous_epoch && within(&current.assigned))
        {
            return Ok(());
        }
        if beat.epoch == 0 && within(&Partitions::default()) {
            self.put(ConsumerEntry::Current(id.to_owned(), Some(Current::default())));
            return Ok(());
        }
        let (found, expected) = (beat.epoch, current.epoch);
        let detail = format!("the member's epoch is {expected}, not {found}; it must join again");
        Err(Refusal::new(ErrorCode::FencedMemberEpoch, detail))
    }
}

/// Whether the member says everything, as it does when it joins or missed an answer.
fn is_full(beat: &HeartbeatInput) -> bool {
    let subscribes = beat.topics.is_some() || beat.regex.is_some();
    beat.epoch == 0 || (beat.rebalance_timeout_ms.is_some() && subscribes && beat.owned.is_some())
}

/// Whether a heartbeat leaves what is known of a member as it is: as [`said_now`] has it,
/// without a copy.
fn says_the_same(known: &Subscription, beat: &HeartbeatInput) -> bool {
    let same = |new: &Option<String>, known: &Option<String>| new.is_none() || new == known;
    let same_topics = beat.topics.as_ref().is_none_or(|topics| {
        topics.iter().all(|topic| known.topics.contains(topic))
            && topics.iter().collect::<BTreeSet<_>>().len() == known.topics.len()
    });
    let same_regex = match beat.regex.as_deref() {
        None => true,
        Some("") => known.regex.is_none(),
        regex => known.regex.as_deref() == regex,
    };
    same_topics
        && same_regex
        && same(&beat.instance_id, &known.instance_id)
        && same(&beat.rack_id, &known.rack_id)
        && same(&beat.assignor, &known.assignor)
        && beat.client_id == known.client_id
        && beat.client_host == known.client_host
        && beat.rebalance_timeout_ms.is_none_or(|ms| ms == known.rebalance_timeout_ms)
        && known.classic.is_none()
}

/// What is known of a member once a heartbeat is taken in.
fn said_now(former: &Subscription, beat: &HeartbeatInput) -> Subscription {
    let or = |new: &Option<String>, former: &Option<String>| new.clone().or(former.clone());
    Subscription {
        instance_id: or(&beat.instance_id, &former.instance_id),
        rack_id: or(&beat.rack_id, &former.rack_id),
        client_id: beat.client_id.clone(),
        client_host: beat.client_host.clone(),
        topics: match &beat.topics {
            Some(topics) => topics.iter().cloned().collect(),
            None => former.topics.clone(),
        },
        regex: or(&beat.regex, &former.regex).filter(|regex| !regex.is_empty()),
        rebalance_timeout_ms: beat.rebalance_timeout_ms.unwrap_or(former.rebalance_timeout_ms),
        assignor: or(&beat.assignor, &former.assignor),
        classic: None,
    }
}

/// What can be said of a request by itself.
fn check(beat: &HeartbeatInput) -> Result<(), Refusal> {
    let invalid = |detail: &str| Err(Refusal::new(ErrorCode::InvalidRequest, detail));
    if beat.group.is_empty() || beat.group.len() > TEXT_BYTES_MAX {
        return invalid("GroupId can't be empty, or longer than 32767 bytes");
    }
    let texts = [&beat.instance_id, &beat.rack_id, &beat.assignor];
    if texts.into_iter().flatten().any(|text| text.is_empty()) {
        return invalid("InstanceId, RackId and ServerAssignor can't be empty");
    }
    let topics = beat.topics.iter().flatten();
    let texts = texts.into_iter().flatten().chain(&beat.regex).chain(topics);
    if texts.chain([&beat.member_id]).any(|text| text.len() > TEXT_BYTES_MAX) {
        return invalid("a text is longer than 32767 bytes");
    }
    if beat.topics.as_ref().is_some_and(|topics| topics.len() > TOPICS_MAX) {
        return invalid("too many topics; subscribe by a regular expression");
    }
    match beat.epoch {
        0 if beat.rebalance_timeout_ms.is_none() => {
            return invalid("RebalanceTimeoutMs must be provided in first request");
        }
        0 if beat.owned.as_ref().is_none_or(|owned| !owned.is_empty()) => {
            return invalid("TopicPartitions must be empty when (re-)joining");
        }
        0 if beat.topics.is_none() && beat.regex.is_none() => {
            return invalid(
                "either SubscribedTopicNames or SubscribedTopicRegex must be non-null when \
                 (re-)joining",
            );
        }
        LEAVE_STATIC if beat.instance_id.is_none() => return invalid("InstanceId can't be null"),
        ..LEAVE_STATIC => return invalid("MemberEpoch is invalid"),
        LEAVE_STATIC | LEAVE | 1.. if beat.member_id.is_empty() => {
            return invalid("MemberId can't be empty");
        }
        _ => {}
    }
    match &beat.assignor {
        Some(name) if Assignor::by_name(name).is_none() => {
            let known: Vec<_> = Assignor::ALL.iter().map(|assignor| assignor.name()).collect();
            let detail = format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}",
                known.join(", ")
            );
            Err(Refusal::new(ErrorCode::UnsupportedAssignor, detail))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop::sample::select(vec!["", "a", "b"]).prop_map(String::from))
    }

    proptest! {
        #[test]
        fn what_is_the_same_is_seen_without_a_copy(
            (instance, rack, assignor) in (text(), text(), text()),
            regex in text(),
            topics in prop::option::of(prop::collection::vec("[ab]", 0..3)),
            known_topics in prop::collection::btree_set("[ab]", 0..3),
            known in (text(), text(), text(), text()),
            timeouts in (prop::option::of(1..3), 1..3),
        ) {
            let known = Subscription {
                instance_id: known.0,
                rack_id: known.1,
                assignor: known.2,
                regex: known.3.filter(|regex| !regex.is_empty()),
                topics: known_topics,
                rebalance_timeout_ms: timeouts.1,
                ..Subscription::default()
            };
            let beat = HeartbeatInput {
                instance_id: instance,
                rack_id: rack,
                assignor,
                regex,
                topics,
                rebalance_timeout_ms: timeouts.0,
                ..HeartbeatInput::default()
            };
            prop_assert_eq!(says_the_same(&known, &beat), said_now(&known, &beat) == known);
        }
    }
}
