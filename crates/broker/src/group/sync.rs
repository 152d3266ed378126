//! Handing out the assignment of a generation.

use std::collections::HashMap;

use bytes::Bytes;

use super::coordinator::Coordinator;
use super::messages::{Now, Output, Reply, SyncInput, SyncReply, Token};
use super::state::{Group, Phase};
use crate::error_code::{ErrorCode, NONE};

impl Coordinator {
    pub(super) fn sync(&mut self, token: Token, sync: SyncInput, now: Now, out: &mut Vec<Output>) {
        let max_bytes = self.options.max_group_bytes;
        if let Err(code) = self.try_sync(token, sync, max_bytes, now, out) {
            out.push(Output::Reply(token, Reply::sync_refused(code)));
        }
    }

    fn try_sync(
        &mut self,
        token: Token,
        sync: SyncInput,
        max_bytes: usize,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorCode> {
        let id = sync.member.member_id.clone();
        let group = self.checked_member(&sync.member)?;
        let differs =
            |ours: &Option<String>, theirs: &Option<String>| theirs.is_some() && theirs != ours;
        if differs(&group.protocol_type, &sync.protocol_type)
            || differs(&group.protocol, &sync.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match group.phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            Phase::Stable => {
                if let Some(member) = group.members.get_mut(&id) {
                    member.keep_alive(now);
                }
                let reply = group.assignment_of(&id);
                out.push(Output::Reply(token, reply));
                Ok(())
            }
            Phase::Completing { .. } => {
                let bytes: usize = sync.assignments.iter().map(|(_, bytes)| bytes.len()).sum();
                if group.member_bytes + bytes > max_bytes {
                    return Err(ErrorCode::GroupMaxSizeReached);
                }
                group.wait_for_assignment(&id, token, out);
                if group.leader.as_deref() == Some(&*id) {
                    group.assign(&sync.member.group, sync.assignments, now, out);
                }
                Ok(())
            }
        }
    }
}

impl Group {
    fn wait_for_assignment(&mut self, id: &str, token: Token, out: &mut Vec<Output>) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.has_synced = true;
        if let Some(earlier) = member.syncing.replace(token) {
            let refused = Reply::sync_refused(ErrorCode::RebalanceInProgress);
            out.push(Output::Reply(earlier, refused));
        }
    }

    /// The leader has spoken: remember it, and tell those who wait.
    fn assign(
        &mut self,
        name: &str,
        assignments: Vec<(String, Bytes)>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let mut assignments: HashMap<_, _> = assignments.into_iter().collect();
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        self.count_bytes();
        self.phase = Phase::Stable;
        out.push(Output::Persist(vec![self.entry(name, now.wall_ms)]));
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = self.assignment_of(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            if let Some(token) = member.syncing.take() {
                member.keep_alive(now);
                out.push(Output::Reply(token, reply));
            }
        }
    }

    fn assignment_of(&self, id: &str) -> Reply {
        Reply::Sync(SyncReply {
            error_code: NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|m| m.assignment.clone()).unwrap_or_default(),
        })
    }
}
