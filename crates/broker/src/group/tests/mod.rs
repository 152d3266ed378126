//! The group coordinator, one rule at a time.

mod remembering;
mod rules;

use bytes::Bytes;
use thalweg_core::ids::TopicPartition;

use super::coordinator::Coordinator;
use super::entry::{Entry, Line, MemberEntry};
use super::messages::*;
use super::replay::Replay;
use super::state::{CommittedOffset, GroupState};
use crate::error_code::{ErrorCode, NONE};
use crate::options::GroupOptions;

/// A coordinator with a clock of its own; what it wants persisted is applied at once.
struct Bench {
    coordinator: Coordinator,
    now: Now,
    token: Token,
    replies: Vec<(Token, Reply)>,
    entries: Vec<Entry>,
}

impl Bench {
    fn new() -> Self {
        Self {
            coordinator: Coordinator::new(GroupOptions::default()),
            now: Now { monotonic_ms: 1_000, wall_ms: 1_700_000_000_000 },
            token: 0,
            replies: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn send(&mut self, input: Input) -> Token {
        self.token += 1;
        for output in self.coordinator.step(self.token, input, self.now) {
            match output {
                Output::Reply(token, reply) => self.replies.push((token, reply)),
                Output::Persist(entries) => {
                    entries.iter().for_each(|entry| self.coordinator.apply(entry));
                    self.entries.extend(entries);
                }
            }
        }
        self.token
    }

    fn advance(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.wall_ms += ms as i64;
        self.send(Input::Tick);
    }

    fn reply(&mut self, token: Token) -> Option<Reply> {
        let at = self.replies.iter().position(|(of, _)| *of == token)?;
        Some(self.replies.remove(at).1)
    }

    fn joined(&mut self, token: Token) -> JoinReply {
        match self.reply(token) {
            Some(Reply::Join(reply)) => reply,
            other => panic!("no join reply but {other:?}"),
        }
    }

    fn synced(&mut self, token: Token) -> SyncReply {
        match self.reply(token) {
            Some(Reply::Sync(reply)) => reply,
            other => panic!("no sync reply but {other:?}"),
        }
    }

    fn code(&mut self, input: Input) -> i16 {
        let token = self.send(input);
        match self.reply(token) {
            Some(Reply::Code(code)) => code,
            Some(Reply::Codes(Ok(codes))) => codes.into_iter().find(|c| *c != NONE).unwrap_or(NONE),
            Some(Reply::Codes(Err(code))) => code.code(),
            other => panic!("no code but {other:?}"),
        }
    }

    fn state(&self) -> Option<GroupState> {
        Some(self.coordinator.describe("g")?.summary.state)
    }

    /// A group with these members, stable in its generation. The first leads.
    fn stable(&mut self, ids: &[&str]) -> i32 {
        let joins: Vec<_> = ids.iter().map(|id| self.send(Input::Join(new_member(id)))).collect();
        self.advance(200);
        let replies: Vec<_> = joins.into_iter().map(|token| self.joined(token)).collect();
        let generation = replies[0].generation;
        let assignments = ids.iter().map(|id| ((*id).to_owned(), text(id))).collect();
        for reply in replies.iter().rev() {
            let mut input = sync(&reply.member_id, generation);
            if reply.leader == reply.member_id {
                input.assignments = Vec::clone(&assignments);
            }
            self.send(Input::Sync(input));
        }
        self.replies.clear();
        assert_eq!(self.state(), Some(GroupState::Stable));
        generation
    }
}

fn text(of: &str) -> Bytes {
    Bytes::from(format!("partitions of {of}"))
}

fn member(id: &str, generation: i32) -> MemberRef {
    MemberRef { group: "g".into(), generation, member_id: id.into(), instance_id: None }
}

fn sync(id: &str, generation: i32) -> SyncInput {
    SyncInput {
        member: member(id, generation),
        protocol_type: None,
        protocol: None,
        assignments: Vec::new(),
    }
}

/// A join of a client old enough not to need an id first.
fn new_member(fresh_id: &str) -> JoinInput {
    JoinInput {
        group: "g".into(),
        member_id: String::new(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"topics"))],
        requires_known_id: false,
        can_skip_assignment: false,
        fresh_id: fresh_id.into(),
    }
}

fn commit(member: MemberRef, offset: i64) -> Input {
    let offsets = vec![CommitOffset {
        partition: TopicPartition::new("t", 0),
        offset,
        leader_epoch: -1,
        metadata: "m".into(),
    }];
    Input::Commit(CommitInput { member, offsets })
}
