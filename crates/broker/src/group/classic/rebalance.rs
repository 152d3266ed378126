//! How a group changes its generation.

use super::{ClassicGroup, Phase};
use crate::error_code::{ErrorCode, NONE};
use crate::group::messages::{JoinReply, Now, Output, Reply};

impl ClassicGroup {
    /// Takes a member out; whatever it waited for is answered with `code`.
    pub(in crate::group) fn remove_member(
        &mut self,
        id: &str,
        code: ErrorCode,
        out: &mut Vec<Output>,
    ) {
        let Some(member) = self.members.remove(id) else { return };
        self.count_bytes();
        if let Some(instance) = &member.instance_id
            && self.instances.get(instance).is_some_and(|current| current == id)
        {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        if let Some(token) = member.joining {
            out.push(Output::Reply(token, Reply::join_refused(code, id)));
        }
        if let Some(token) = member.syncing {
            out.push(Output::Reply(token, Reply::sync_refused(code)));
        }
    }

    /// Goes on after members, or only ids that were to become members, went.
    pub(in crate::group) fn after_removal(
        &mut self,
        members_gone: bool,
        name: &str,
        initial_delay_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        match self.phase {
            Phase::Stable | Phase::Completing { .. } if members_gone => {
                self.prepare(name, initial_delay_ms, now, out);
            }
            Phase::Preparing { .. } => self.complete_if_ready(name, now, out),
            // Who only had an id was in no generation: nobody else is concerned.
            Phase::Stable | Phase::Completing { .. } | Phase::Empty => {}
        }
    }

    /// Starts a rebalance: everybody is to join again.
    pub(in crate::group) fn prepare(
        &mut self,
        name: &str,
        initial_delay_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let at = now.monotonic_ms;
        let hold_ms = match self.phase {
            // Members of a new group tend to come together.
            Phase::Empty => initial_delay_ms,
            _ => 0,
        };
        for member in self.members.values_mut() {
            if let Some(token) = member.syncing.take() {
                let refused = Reply::sync_refused(ErrorCode::RebalanceInProgress);
                out.push(Output::Reply(token, refused));
                member.keep_alive(now);
            }
        }
        let deadline = at.saturating_add(self.rebalance_timeout_ms());
        self.phase =
            Phase::Preparing { hold_until: at.saturating_add(hold_ms).min(deadline), deadline };
        self.complete_if_ready(name, now, out);
    }

    /// A member joined while others are being waited for: more may be on their way.
    pub(in crate::group) fn extend_hold(&mut self, initial_delay_ms: u64, now: Now) {
        if let Phase::Preparing { hold_until, deadline } = &mut self.phase
            && *hold_until > now.monotonic_ms
        {
            *hold_until = now.monotonic_ms.saturating_add(initial_delay_ms).min(*deadline);
        }
    }

    /// Ends the waiting for joins if nobody is missing, or the time is over.
    pub(in crate::group) fn complete_if_ready(
        &mut self,
        name: &str,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Phase::Preparing { hold_until, deadline } = self.phase else { return };
        let at = now.monotonic_ms;
        let ready = self.has_all_joined() && at >= hold_until;
        if ready || at >= deadline || self.members.is_empty() {
            self.complete(name, now, out);
        }
    }

    /// Begins the next generation with those who joined.
    fn complete(&mut self, name: &str, now: Now, out: &mut Vec<Output>) {
        let missing = |id: &String, group: &Self| {
            group.members.get(id).is_some_and(|m| m.joining.is_none() && m.instance_id.is_none())
        };
        // Static members may be away for as long as their session lasts (KIP-345).
        let gone: Vec<_> = self.members.keys().filter(|id| missing(id, self)).cloned().collect();
        for id in gone {
            self.remove_member(&id, ErrorCode::UnknownMemberId, out);
        }
        if self.members.is_empty() {
            self.become_empty(name, now, out);
            return;
        }
        if self.members.values().all(|member| member.joining.is_none()) {
            // Only static members that are away: they come back or their sessions end.
            let deadline = now.monotonic_ms.saturating_add(self.rebalance_timeout_ms().max(1));
            self.phase = Phase::Preparing { hold_until: now.monotonic_ms, deadline };
            return;
        }
        self.begin_generation(now, out);
    }

    /// The last member went. Members that were given an id may still come.
    fn become_empty(&mut self, name: &str, now: Now, out: &mut Vec<Output>) {
        self.phase = Phase::Empty;
        self.generation = next_generation(self.generation);
        self.protocol = None;
        self.leader = None;
        self.empty_since = now.wall_ms;
        out.push(Output::Persist(vec![self.entry(name, now.wall_ms)]));
    }

    fn begin_generation(&mut self, now: Now, out: &mut Vec<Output>) {
        self.generation = next_generation(self.generation);
        self.protocol = self.choose_protocol();
        let led = self.leader.as_ref().and_then(|id| self.members.get(id));
        if led.is_none_or(|leader| leader.joining.is_none()) {
            let joined = self.members.iter().filter(|(_, member)| member.joining.is_some());
            let oldest = joined.min_by_key(|(_, member)| member.order);
            self.leader = oldest.map(|(id, _)| id.clone());
        }
        let deadline = now.monotonic_ms.saturating_add(self.rebalance_timeout_ms().max(1));
        self.phase = Phase::Completing { deadline };
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = self.current_generation(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.has_synced = false;
            if let Some(token) = member.joining.take() {
                member.keep_alive(now);
                out.push(Output::Reply(token, Reply::Join(reply)));
            }
        }
    }

    /// The answer to a join: the generation, and for the leader its members.
    pub(in crate::group) fn current_generation(&self, id: &str) -> JoinReply {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let leads = self.leader.as_deref() == Some(id);
        let member = |(id, member): (&String, &super::member::Member)| {
            (id.clone(), member.instance_id.clone(), member.subscription(protocol))
        };
        JoinReply {
            error_code: NONE,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: if leads { self.members.iter().map(member).collect() } else { Vec::new() },
        }
    }

    /// Each member votes for the first of its protocols that all support; the most
    /// votes win, and of equals the one that the oldest member prefers.
    pub(in crate::group) fn choose_protocol(&self) -> Option<String> {
        let shared = |name: &str| self.members.values().all(|member| member.supports(name));
        let oldest = self.members.values().min_by_key(|member| member.order)?;
        let candidates = oldest.protocols.iter().map(|(name, _)| name).filter(|name| shared(name));
        let votes = |candidate: &str| {
            let vote = |member: &super::member::Member| {
                member.protocols.iter().map(|(name, _)| name).find(|name| shared(name)).cloned()
            };
            self.members.values().filter(|m| vote(m).as_deref() == Some(candidate)).count()
        };
        let mut best: Option<(usize, &String)> = None;
        for candidate in candidates {
            let count = votes(candidate);
            if best.is_none_or(|(most, _)| count > most) {
                best = Some((count, candidate));
            }
        }
        best.map(|(_, name)| name.clone())
    }

    /// Does what is due in this group.
    pub(in crate::group) fn expire(
        &mut self,
        name: &str,
        initial_delay_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let at = now.monotonic_ms;
        let pending = self.pending.len();
        self.pending.retain(|_, until| *until > at);
        let mut dead: Vec<String> = Vec::new();
        let late_sync = matches!(self.phase, Phase::Completing { deadline } if deadline <= at);
        for (id, member) in &self.members {
            let silent = member.deadline().is_some_and(|deadline| deadline <= at);
            if silent || (late_sync && !member.has_synced) {
                dead.push(id.clone());
            }
        }
        for id in &dead {
            tracing::info!(group = name, member = %id, "member timed out");
            self.remove_member(id, ErrorCode::UnknownMemberId, out);
        }
        if !dead.is_empty() || self.pending.len() < pending {
            self.after_removal(!dead.is_empty(), name, initial_delay_ms, now, out);
        } else if late_sync {
            self.prepare(name, initial_delay_ms, now, out);
        }
        self.complete_if_ready(name, now, out);
    }

    /// Whether nothing of the group is worth keeping.
    pub(in crate::group) fn is_forgettable(&self) -> bool {
        self.phase == Phase::Empty && self.generation == 0 && self.pending.is_empty()
    }
}

fn next_generation(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}
