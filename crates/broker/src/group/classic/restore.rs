//! Making a group out of what was remembered of it.

use bytes::Bytes;

use super::member::Member;
use super::{ClassicGroup, Phase};
use crate::error_code::ErrorCode;
use crate::group::embedded;
use crate::group::messages::{JoinInput, Now, Output, Reply};
use crate::group::record::{ClassicEntry, ClassicMember, MemberEntry, Subscription};

impl ClassicGroup {
    /// The group as it was. Members' sessions start at `now`. Members without a leader are
    /// those of a consumer group that became classic: they have to join again.
    pub(in crate::group) fn restore(entry: &ClassicEntry, now: Now) -> Self {
        let mut group = Self::new(entry.at);
        group.generation = entry.generation;
        group.protocol_type = entry.protocol_type.clone();
        group.protocol = entry.protocol.clone();
        group.leader = entry.leader.clone();
        group.phase = if entry.members.is_empty() { Phase::Empty } else { Phase::Stable };
        for member in &entry.members {
            group.restore_member(member, now);
        }
        if !group.members.is_empty() && group.leader.is_none() {
            let hold_until = now.monotonic_ms;
            let deadline = hold_until.saturating_add(group.rebalance_timeout_ms().max(1));
            group.phase = Phase::Preparing { hold_until, deadline };
        }
        group.count_bytes();
        group
    }

    fn restore_member(&mut self, member: &MemberEntry, now: Now) {
        let join = JoinInput {
            group: String::new(),
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: i32::try_from(member.session_timeout_ms).unwrap_or(i32::MAX),
            rebalance_timeout_ms: i32::try_from(member.rebalance_timeout_ms).unwrap_or(i32::MAX),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocols: vec![(
                self.protocol.clone().unwrap_or_default(),
                member.subscription.clone(),
            )],
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

    /// Sends everybody away who waits for others, to begin anew.
    pub(in crate::group) fn refuse_waiting(&mut self, out: &mut Vec<Output>) {
        let code = ErrorCode::RebalanceInProgress;
        for (id, member) in &mut self.members {
            if let Some(token) = member.joining.take() {
                out.push(Output::Reply(token, Reply::join_refused(code, id)));
            }
            if let Some(token) = member.syncing.take() {
                out.push(Output::Reply(token, Reply::sync_refused(code)));
            }
        }
    }

    /// What a consumer asks for and has, for a consumer group (KIP-848) to take over;
    /// `None` where that cannot be read.
    pub(in crate::group) fn read_member(
        &self,
        member: &Member,
    ) -> Option<(Subscription, embedded::TopicPartitions)> {
        let protocols: Vec<(String, Bytes)> = member.protocols.clone();
        let subscribed = match &self.protocol {
            Some(protocol) => member.subscription(protocol),
            None => protocols.first().map(|(_, bytes)| bytes.clone())?,
        };
        let read = embedded::subscription(&subscribed)?;
        let timeout = |ms: u64| i32::try_from(ms).unwrap_or(i32::MAX);
        let session_timeout_ms = timeout(member.session_timeout_ms);
        let subscription = Subscription {
            instance_id: member.instance_id.clone(),
            rack_id: read.rack_id,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: read.topics,
            rebalance_timeout_ms: timeout(member.rebalance_timeout_ms),
            classic: Some(ClassicMember { session_timeout_ms, protocols }),
            ..Subscription::default()
        };
        Some((subscription, embedded::assignment(&member.assignment)?))
    }
}
