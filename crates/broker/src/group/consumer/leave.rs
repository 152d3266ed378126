//! Members that go: for good, for a while, or taken out.

use super::{Change, LEAVE_STATIC, removals};
use crate::error_code::{ErrorCode, NONE};
use crate::group::coordinator::{Coordinator, Group};
use crate::group::messages::{ConsumerReply, HeartbeatInput, Now, Output, Refusal};
use crate::group::partitions::Partitions;
use crate::group::record::{ConsumerEntry, Current, Entry};

/// How long until a member is taken out again, where that could not be written down.
const RETRY_MS: u64 = 1_000;

impl Coordinator {
    pub(super) fn leave_for_good_or_a_while(
        &mut self,
        beat: &HeartbeatInput,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<ConsumerReply, Refusal> {
        let group = match self.groups.get(&beat.group) {
            Some(Group::Consumer(group)) => group,
            Some(Group::Classic(_)) | None => return Err(ErrorCode::UnknownMemberId.into()),
        };
        let member = group.checked_member(&beat.member_id, beat.instance_id.as_deref())?;
        if beat.epoch == LEAVE_STATIC {
            // It comes back under its instance id within its session, and its partitions
            // wait for it.
            let current = Current {
                epoch: LEAVE_STATIC,
                revoking: Partitions::default(),
                ..member.current.clone()
            };
            let entry = ConsumerEntry::Current(beat.member_id.clone(), Some(current));
            out.push(Output::Persist(vec![Entry::Consumer { group: beat.group.clone(), entry }]));
        } else {
            self.take_out(&beat.group, std::slice::from_ref(&beat.member_id), now, out);
        }
        let mut reply = self.reply(&beat.group, &beat.member_id, beat.epoch, None);
        reply.heartbeat_interval_ms = 0;
        Ok(reply)
    }

    /// Takes members out of a consumer group, which becomes a classic one where only
    /// members that speak that protocol are left.
    pub(super) fn take_out(&mut self, name: &str, ids: &[String], now: Now, out: &mut Vec<Output>) {
        let Some(Group::Consumer(group)) = self.groups.get(name) else { return };
        let timers = self.timers.entry(name.to_owned()).or_default();
        for id in ids {
            timers.keep_alive(id, RETRY_MS, now);
            if let Some(timers) = timers.members.get_mut(id) {
                (timers.rebalance, timers.join, timers.sync) = (None, None, None);
            }
        }
        let mut change = Change::new(name, group.clone());
        for id in ids.iter().filter(|id| group.members.contains_key(*id)) {
            removals(id).into_iter().for_each(|entry| change.put(entry));
        }
        if change.group.can_become_classic(self.options.max_members) {
            out.push(Output::Persist(self.downgrade(name, group, &change.group, now)));
            return;
        }
        let members = change.group.members.values();
        let used: Vec<_> = members.filter_map(|member| member.subscription.regex.clone()).collect();
        let regexes = change.group.regexes.keys();
        let unused: Vec<_> = regexes.filter(|regex| !used.contains(regex)).cloned().collect();
        unused.into_iter().for_each(|regex| change.put(ConsumerEntry::Regex(regex, None)));
        let hash = change.group.hash_of_topics(&self.topics);
        let epoch = change.group.epoch.saturating_add(1);
        change.put(ConsumerEntry::Epoch(Some((epoch, hash))));
        out.push(Output::Persist(change.entries));
    }

    /// LeaveGroup of members that speak the classic protocol; one code for each.
    pub(in crate::group) fn leave_consumers(
        &mut self,
        name: &str,
        members: Vec<(String, Option<String>)>,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Vec<i16> {
        let Some(Group::Consumer(group)) = self.groups.get(name) else { return Vec::new() };
        let (mut codes, mut gone) = (Vec::with_capacity(members.len()), Vec::new());
        for (member_id, instance_id) in members {
            // A static member may be sent away by its instance id alone.
            let id = match (&instance_id, member_id.is_empty()) {
                (Some(instance), true) => group.instances.get(instance).cloned(),
                _ => None,
            }
            .unwrap_or(member_id);
            let found = group.checked_member(&id, instance_id.as_deref());
            let code = match found.map(|member| member.subscription.classic.is_some()) {
                Ok(true) if gone.contains(&id) => ErrorCode::UnknownMemberId.code(),
                Ok(true) => {
                    gone.push(id);
                    NONE
                }
                Ok(false) => ErrorCode::UnknownMemberId.code(),
                Err(code) => code.code(),
            };
            codes.push(code);
        }
        if !gone.is_empty() {
            self.take_out(name, &gone, now, out);
        }
        codes
    }
}
