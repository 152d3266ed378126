//! Members that speak the classic protocol, in a consumer group: JoinGroup takes one step
//! of the reconciliation, SyncGroup gives what the member has, and Heartbeat says when to
//! join again.

use super::convert::subscription_of;
use super::timers::rebalance_timeout_ms;
use super::{Change, ConsumerGroup, Member};
use crate::error_code::{ErrorCode, NONE};
use crate::group::coordinator::{Coordinator, Group};
use crate::group::embedded;
use crate::group::messages::{
    JoinInput, JoinReply, MemberRef, Now, Output, Reply, SyncInput, SyncReply, TopicFilter,
};
use crate::group::partitions::Partitions;
use crate::group::record::{ConsumerEntry, MemberState, Subscription};

impl Coordinator {
    /// JoinGroup. Answered at once: nobody waits for others in a consumer group.
    ///
    /// # Errors
    /// Why the member may not join.
    pub(in crate::group) fn join_consumers(
        &mut self,
        join: JoinInput,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Reply, ErrorCode> {
        let Some(Group::Consumer(group)) = self.groups.get(&join.group) else {
            return Err(ErrorCode::GroupIdNotFound);
        };
        let known = group.members.contains_key(&join.member_id)
            || join.instance_id.as_ref().is_some_and(|id| group.instances.contains_key(id));
        if !known && group.members.len() >= self.options.max_members {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let is_consumer = join.protocol_type == embedded::CONSUMER;
        if !is_consumer || !group.supports_any(&join.member_id, &join.protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let has_no_id = join.member_id.is_empty();
        if has_no_id && join.instance_id.is_none() && join.requires_known_id {
            return Ok(Reply::join_refused(ErrorCode::MemberIdRequired, &join.fresh_id));
        }
        let id = if has_no_id { &join.fresh_id } else { &join.member_id }.clone();
        let mut change = Change::new(&join.group, group.clone());
        let read = join.protocols.first().and_then(|(_, bytes)| embedded::subscription(bytes));
        let owned = self.topics.ids_of(&read.ok_or(ErrorCode::InconsistentGroupProtocol)?.owned);
        let instance_id = join.instance_id.as_deref();
        let is_new = change.find_classic(&id, has_no_id, instance_id, &owned)?;
        let replaced_last = is_new == Found::Replaced;
        let protocol = join.protocols.first().map(|(name, _)| name.clone());
        let session_timeout_ms = join.session_timeout_ms;
        self.subscribe_classic(&mut change, &id, is_new == Found::New, join, &owned, now)?;

        let member = change.group.members.get(&id).cloned().unwrap_or_default();
        let reply = JoinReply {
            error_code: NONE,
            generation: member.current.epoch,
            protocol_type: Some(embedded::CONSUMER.to_owned()),
            protocol,
            member_id: id.clone(),
            ..JoinReply::default()
        };
        if replaced_last && change.group.can_become_classic(self.options.max_members) {
            let Some(Group::Consumer(before)) = self.groups.get(&change.name) else {
                return Err(ErrorCode::GroupIdNotFound);
            };
            out.push(Output::Persist(self.downgrade(&change.name, before, &change.group, now)));
            return Ok(Reply::Join(reply));
        }
        let timers = self.timers.entry(change.name.clone()).or_default();
        timers.keep_alive(&id, u64::try_from(session_timeout_ms).unwrap_or(0), now);
        if let Some(timers) = timers.members.get_mut(&id) {
            let at = now.monotonic_ms.saturating_add(rebalance_timeout_ms(&member));
            (timers.join, timers.sync, timers.rebalance) = (None, Some(at), None);
        }
        self.finish(change, now, out);
        Ok(Reply::Join(reply))
    }

    fn subscribe_classic(
        &self,
        change: &mut Change,
        id: &str,
        is_new: bool,
        join: JoinInput,
        owned: &Partitions,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let former = change.group.members.get(id).map(|member| member.subscription.clone());
        let base = Subscription {
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            rack_id: former.as_ref().and_then(|former| former.rack_id.clone()),
            ..Subscription::default()
        };
        let read = subscription_of(base, join.session_timeout_ms, join.protocols);
        let said = read.ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let mut changed = is_new;
        if former.as_ref() != Some(&said) {
            self.check_room(change, &said).map_err(|refusal| refusal.code)?;
            let before = former.unwrap_or_default();
            changed |= said.topics != before.topics || before.regex.is_some();
            change.put(ConsumerEntry::Member(id.to_owned(), Some(said)));
        }
        let visible = TopicFilter::default();
        let settled = self.settle(change, id, changed, Some(owned), &visible, now);
        settled.map_err(|refusal| refusal.code)
    }

    /// SyncGroup.
    ///
    /// # Errors
    /// Why the member does not get its assignment.
    pub(in crate::group) fn sync_consumers(
        &mut self,
        sync: &SyncInput,
        now: Now,
    ) -> Result<SyncReply, ErrorCode> {
        let name = &sync.member.group;
        let Some(Group::Consumer(group)) = self.groups.get(name) else {
            return Err(ErrorCode::UnknownMemberId);
        };
        let member = group.classic_member(&sync.member)?;
        let known = |wanted: &String| {
            let classic = member.subscription.classic.iter();
            classic.flat_map(|of| &of.protocols).any(|(name, _)| name == wanted)
        };
        if sync.protocol_type.as_deref().is_some_and(|of| of != embedded::CONSUMER)
            || sync.protocol.as_ref().is_some_and(|name| !known(name))
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let must_rejoin =
            group.epoch > member.current.epoch && member.current.state != MemberState::Unrevoked;
        let session = member.subscription.classic.as_ref().map_or(0, |of| of.session_timeout_ms);
        let rejoin_by = now.monotonic_ms.saturating_add(rebalance_timeout_ms(member));
        let timers = self.timers.entry(name.clone()).or_default();
        timers.keep_alive(&sync.member.member_id, u64::try_from(session).unwrap_or(0), now);
        if let Some(timers) = timers.members.get_mut(&sync.member.member_id) {
            timers.sync = None;
            if must_rejoin {
                timers.join.get_or_insert(rejoin_by);
            }
        }
        if must_rejoin {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(SyncReply {
            error_code: NONE,
            protocol_type: sync.protocol_type.clone(),
            protocol: sync.protocol.clone(),
            assignment: self.embedded_assignment(member),
        })
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// That the member has to join again, or is none.
    pub(in crate::group) fn classic_heartbeat(
        &mut self,
        beat: &MemberRef,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let Some(Group::Consumer(group)) = self.groups.get(&beat.group) else {
            return Err(ErrorCode::UnknownMemberId);
        };
        let member = group.classic_member(beat)?;
        let must_rejoin = member.current.epoch < group.epoch
            || member.current.state == MemberState::Unrevoked
            || group.could_go_on(&beat.member_id);
        let session = member.subscription.classic.as_ref().map_or(0, |of| of.session_timeout_ms);
        let rejoin_by = now.monotonic_ms.saturating_add(rebalance_timeout_ms(member));
        let timers = self.timers.entry(beat.group.clone()).or_default();
        timers.keep_alive(&beat.member_id, u64::try_from(session).unwrap_or(0), now);
        if !must_rejoin {
            return Ok(());
        }
        if let Some(timers) = timers.members.get_mut(&beat.member_id) {
            timers.join.get_or_insert(rejoin_by);
        }
        Err(ErrorCode::RebalanceInProgress)
    }
}

impl ConsumerGroup {
    /// A member that speaks the classic protocol and is in its generation.
    fn classic_member(&self, of: &MemberRef) -> Result<&Member, ErrorCode> {
        let member = self.checked_member(&of.member_id, of.instance_id.as_deref())?;
        if member.subscription.classic.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        match of.generation == member.current.epoch {
            true => Ok(member),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }
}

/// What a joining member was so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    New,
    Known,
    /// It takes the place of a former self.
    Replaced,
}

impl Change {
    fn find_classic(
        &mut self,
        id: &str,
        has_no_id: bool,
        instance_id: Option<&str>,
        owned: &Partitions,
    ) -> Result<Found, ErrorCode> {
        let former = instance_id.and_then(|instance| self.group.instances.get(instance)).cloned();
        match (instance_id, former) {
            (Some(_), Some(former)) if has_no_id => {
                let member = self.group.members.get(&former).cloned().unwrap_or_default();
                self.replace(&former, id, &member, Some(owned));
                Ok(Found::Replaced)
            }
            (Some(_), Some(former)) if former != id => Err(ErrorCode::FencedInstanceId),
            (Some(_), None) if !has_no_id => Err(ErrorCode::UnknownMemberId),
            _ => match self.group.members.get(id) {
                None => Ok(Found::New),
                Some(member) if member.subscription.classic.is_some() => Ok(Found::Known),
                // An id of the new protocol, which must not be changed behind its back.
                Some(_) => Err(ErrorCode::UnknownMemberId),
            },
        }
    }
}
