//! Members that were not heard of in time.

use std::collections::BTreeMap;

use super::timers::{MemberTimers, rebalance_timeout_ms};
use super::{ConsumerGroup, Timers};
use crate::group::coordinator::{Coordinator, Group};
use crate::group::messages::{Now, Output};

impl Coordinator {
    /// Takes out the members of a group whose time is over.
    pub(in crate::group) fn expire_consumers(
        &mut self,
        name: &str,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(Group::Consumer(group)) = self.groups.get(name) else { return };
        let Some(timers) = self.timers.get_mut(name) else { return };
        timers.members.retain(|id, _| group.members.contains_key(id));
        for (id, timers) in &mut timers.members {
            // Who left the epoch in time is let be.
            let epoch = group.members.get(id).map(|member| member.current.epoch);
            timers.rebalance = timers.rebalance.filter(|(of, _)| Some(*of) == epoch);
        }
        let is_due = |(_, timers): &(&String, &MemberTimers)| timers.deadline() <= now.monotonic_ms;
        let due: Vec<_> = timers.members.iter().filter(is_due).map(|(id, _)| id.clone()).collect();
        if !due.is_empty() {
            tracing::info!(group = name, members = ?due, "members timed out");
            self.take_out(name, &due, now, out);
        }
    }

    /// Gives every member of every consumer group a session, as after a restart.
    pub(in crate::group) fn start_sessions(&mut self, now: Now) {
        for (name, group) in &self.groups {
            let Group::Consumer(group) = group else { continue };
            let timeout_ms = self.session_timeout_ms(name);
            let members = BTreeMap::new();
            let mut timers = Timers { members, checked_topics: None };
            for id in group.members.keys() {
                start_session(&mut timers, group, id, timeout_ms, now);
            }
            self.timers.insert(name.clone(), timers);
        }
        self.look_for_due();
    }
}

/// Starts the session of one member.
pub(super) fn start_session(
    timers: &mut Timers,
    group: &ConsumerGroup,
    id: &str,
    timeout_ms: u64,
    now: Now,
) {
    let Some(member) = group.members.get(id) else { return };
    let classic = member.subscription.classic.as_ref();
    let session = classic.and_then(|of| u64::try_from(of.session_timeout_ms).ok());
    timers.keep_alive(id, session.unwrap_or(timeout_ms), now);
    match classic {
        None => timers.watch_revocation(id, member, now),
        // It has to come back for what it waits for, or is told so by its heartbeat.
        Some(_) => {
            if let Some(timers) = timers.members.get_mut(id) {
                let at = now.monotonic_ms.saturating_add(rebalance_timeout_ms(member));
                timers.join = (member.current.epoch < group.epoch).then_some(at);
            }
        }
    }
}
