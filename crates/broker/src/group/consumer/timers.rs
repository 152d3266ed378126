//! When members of a consumer group are taken for dead. Not remembered: a restart gives
//! everybody a new session.

use std::collections::BTreeMap;

use super::Member;
use crate::group::messages::Now;
use crate::group::record::MemberState;

/// Deadlines of one member, in monotonic milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberTimers {
    /// It has to be heard of.
    pub(super) session: u64,
    /// It has to leave this epoch by giving partitions away.
    pub(super) rebalance: Option<(i32, u64)>,
    /// A classic member that was told so has to join again.
    pub(super) join: Option<u64>,
    /// A classic member that joined has to ask for its assignment.
    pub(super) sync: Option<u64>,
}

impl MemberTimers {
    pub(super) fn deadline(&self) -> u64 {
        let rebalance = self.rebalance.map(|(_, at)| at);
        let others = [rebalance, self.join, self.sync].into_iter().flatten();
        others.chain([self.session]).min().unwrap_or(self.session)
    }
}

/// Deadlines of the members of one group.
#[derive(Clone, Debug, Default)]
pub(in crate::group) struct Timers {
    pub(super) members: BTreeMap<String, MemberTimers>,
    /// Number of the image of topics for which the group's epoch holds.
    pub(super) checked_topics: Option<u64>,
}

impl Timers {
    /// Monotonic time at which something is due, if anything.
    pub(in crate::group) fn deadline(&self) -> Option<u64> {
        self.members.values().map(MemberTimers::deadline).min()
    }

    /// A member was heard of.
    pub(super) fn keep_alive(&mut self, id: &str, timeout_ms: u64, now: Now) {
        let timers = self.members.entry(id.to_owned()).or_default();
        timers.session = now.monotonic_ms.saturating_add(timeout_ms);
    }

    /// A member has so long to give away what it has to.
    pub(super) fn watch_revocation(&mut self, id: &str, member: &Member, now: Now) {
        let timers = self.members.entry(id.to_owned()).or_default();
        if member.current.state != MemberState::Unrevoked {
            timers.rebalance = None;
        } else if timers.rebalance.is_none_or(|(epoch, _)| epoch != member.current.epoch) {
            let at = now.monotonic_ms.saturating_add(rebalance_timeout_ms(member));
            timers.rebalance = Some((member.current.epoch, at));
        }
    }
}

/// How long a member may take to give partitions away, or to join again.
pub(super) fn rebalance_timeout_ms(member: &Member) -> u64 {
    u64::try_from(member.subscription.rebalance_timeout_ms).unwrap_or(0).max(1)
}
