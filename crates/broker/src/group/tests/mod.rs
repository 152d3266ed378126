//! The group coordinator, one rule at a time.

mod consumers;
mod formats;
mod migration;
mod remembering;
mod rules;
mod transactions;

use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::ids::{Offset, ProducerId, TopicId, TopicPartition};
use thalweg_core::record_batch::ControlKind;

use super::coordinator::Coordinator;
use super::describe::GroupState;
use super::messages::*;
use super::offsets::CommittedOffset;
use super::partitions::Partitions;
use super::record::{Entry, MemberEntry};
use super::replay::Replay;
use super::topics::{Topic, TopicsImage};
use crate::error_code::{ErrorCode, NONE};
use crate::options::GroupOptions;

/// A coordinator with a clock of its own; what it wants persisted is applied at once.
struct Bench {
    coordinator: Coordinator,
    now: Now,
    token: Token,
    replies: Vec<(Token, Reply)>,
    log: Vec<Logged>,
}

/// A record of the internal topic.
#[derive(Clone, Debug)]
enum Logged {
    Entry(Entry),
    InTransaction(TransactionRef, Entry),
    Marker(i64, ControlKind),
}

/// What a restart makes of the topic.
fn replayed(log: &[Logged], now: Now) -> Coordinator {
    let mut replay = Replay::new(GroupOptions::default(), now);
    for (record, logged) in (0..).zip(log) {
        // Through the bytes, as a restart would.
        let read = |entry: &Entry| {
            let (key, value) = entry.encode();
            Entry::decode(&key, value.as_deref()).expect("own record").expect("of a known kind")
        };
        match logged {
            Logged::Entry(entry) => replay.take(&read(entry), record),
            Logged::InTransaction(of, entry) => replay.take_in(*of, &read(entry), record),
            Logged::Marker(producer, outcome) => {
                replay.end_transaction(ProducerId(*producer), *outcome, record);
            }
        }
    }
    replay.finish(Default::default())
}

impl Bench {
    fn new() -> Self {
        Self {
            coordinator: Coordinator::new(GroupOptions::default()),
            now: Now { monotonic_ms: 1_000, wall_ms: 1_700_000_000_000 },
            token: 0,
            replies: Vec::new(),
            log: Vec::new(),
        }
    }

    fn send(&mut self, input: Input) -> Token {
        self.token += 1;
        for output in self.coordinator.step(self.token, input, self.now) {
            match output {
                Output::Reply(token, reply) => self.replies.push((token, reply)),
                Output::Persist(entries) => {
                    for entry in entries {
                        self.coordinator.apply(&entry, self.log.len() as Offset, self.now);
                        self.log.push(Logged::Entry(entry));
                    }
                }
                Output::PersistIn(of, entries) => {
                    for entry in entries {
                        self.coordinator.apply_in(of, &entry, self.log.len() as Offset);
                        self.log.push(Logged::InTransaction(of, entry));
                    }
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

    /// Writes a marker and tells of it.
    fn end_transaction(&mut self, producer: i64, outcome: ControlKind) {
        let marker = self.log.len() as Offset;
        self.log.push(Logged::Marker(producer, outcome));
        let producer = ProducerId(producer);
        self.send(Input::TransactionEnded { producer, outcome, marker });
    }

    /// Ends the process and starts another one.
    fn restart(&mut self) {
        let topics = self.coordinator.topics.clone();
        self.coordinator = replayed(&self.log, self.now);
        self.send(Input::Topics(topics));
        self.replies.clear();
    }

    fn topics(&mut self, topics: &[(&str, i32)]) {
        let mut image = TopicsImage::default();
        for (name, partitions) in topics {
            image.add(name, Topic { id: topic_id(name), partitions: *partitions });
        }
        self.send(Input::Topics(Arc::new(image)));
    }

    fn offset(&self, group: &str) -> Option<i64> {
        let at = TopicPartition::new("t", 0);
        self.coordinator.offset(group, &at).map(|offset| offset.offset)
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
        retention_ms: None,
    }];
    Input::Commit(CommitInput { member, offsets, version: 9, transaction: None })
}

/// Id of the topic of a name.
fn topic_id(name: &str) -> TopicId {
    let bytes = name.bytes().fold(1, |id, byte| (id << 8) | u128::from(byte));
    TopicId(bytes)
}

/// Partitions of a topic.
fn partitions(topic: &str, of: impl IntoIterator<Item = i32>) -> Partitions {
    of.into_iter().map(|partition| (topic_id(topic), partition)).collect()
}
