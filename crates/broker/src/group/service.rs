//! Drives the coordinator: gives it requests and the time, writes down what it wants
//! remembered, and lets replies go once that is durable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::env::Env;
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::partition_log::{LogError, LogStore};
use tokio::sync::{Notify, oneshot, watch};

use super::coordinator::Coordinator;
use super::entry::{Entry, FORMAT_VERSION, Line};
use super::messages::{CommitInput, CommitOffset, Input, MemberRef, Now, Output, Reply, Token};
use super::replay::Replay;
use super::state::{GroupDescription, GroupSummary};
use crate::broker::{BrokerError, CommitError};
use crate::error_code::{ErrorCode, NONE};
use crate::internal_topic::InternalTopic;
use crate::options::GroupOptions;

/// Topic that holds what is remembered of groups.
const TOPIC: &str = "__consumer_offsets";
/// A snapshot is written when so many bytes were written since the last one...
const SNAPSHOT_BYTES: usize = 8 << 20;
/// ...and at least this many times the size of the last one.
const SNAPSHOT_RATIO: usize = 2;
/// The timer never sleeps longer, so that a missed wake-up heals.
const SLEEP_MS_MAX: u64 = 3_600_000;

type Waiting = oneshot::Sender<Reply>;

/// The group coordinator at work.
pub(crate) struct GroupService {
    env: Env,
    topic: Arc<InternalTopic>,
    inner: Mutex<Inner>,
    /// Tells the timer that something is due earlier than it thinks.
    sooner: Notify,
}

struct Inner {
    coordinator: Coordinator,
    waiting: HashMap<Token, Waiting>,
    last_token: Token,
    /// Offset after the last thing written: replies wait until all before it is durable,
    /// so that nobody sees what a crash could undo.
    end: Offset,
    /// Monotonic time at which the timer will look.
    armed_ms: u64,
    bytes_since_snapshot: usize,
    snapshot_bytes: usize,
}

impl GroupService {
    /// Rebuilds the groups from the internal topic.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub(crate) fn open(
        env: Env,
        store: &dyn LogStore,
        options: GroupOptions,
    ) -> Result<Self, BrokerError> {
        let topic = InternalTopic::open(store, TOPIC, FORMAT_VERSION)?;
        let mut replay = Replay::new(options, now(&env));
        let (mut bytes, mut snapshot_at) = (0, None);
        let mut snapshot_begin = None;
        topic.replay(|offset, payload| {
            let line = Line::decode(payload)?;
            match line {
                Line::SnapshotBegin => snapshot_begin = Some(offset),
                Line::SnapshotEnd => (snapshot_at, bytes) = (snapshot_begin.take(), 0),
                _ => {}
            }
            bytes += payload.len();
            replay.take(line);
            Ok(())
        })?;
        if let Some(offset) = snapshot_at {
            topic.keep_from(offset);
        }
        let inner = Inner {
            coordinator: replay.finish(),
            waiting: HashMap::new(),
            last_token: 0,
            end: 0,
            armed_ms: 0,
            bytes_since_snapshot: bytes,
            snapshot_bytes: 0,
        };
        Ok(Self { env, topic: Arc::new(topic), inner: Mutex::new(inner), sooner: Notify::new() })
    }

    /// Gives the coordinator a request. The reply comes when it is due and what it says
    /// is durable.
    pub(crate) fn submit(&self, input: Input) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner.lock();
        inner.last_token += 1;
        let token = inner.last_token;
        inner.waiting.insert(token, sender);
        self.step(&mut inner, token, input);
        receiver
    }

    /// As [`GroupService::submit`], for requests that wait for nobody.
    pub(crate) async fn ask(&self, input: Input) -> Reply {
        let failed = Reply::Code(ErrorCode::CoordinatorNotAvailable.code());
        self.submit(input).await.unwrap_or(failed)
    }

    /// Looks something up. What is seen is durable when this returns.
    ///
    /// # Errors
    /// The log stopped.
    pub(crate) async fn read<T>(
        &self,
        look: impl FnOnce(&Coordinator) -> T,
    ) -> Result<T, LogError> {
        let (found, end) = {
            let inner = self.inner.lock();
            (look(&inner.coordinator), inner.end)
        };
        if !self.topic.is_durable(end) {
            let (sender, receiver) = oneshot::channel();
            self.topic.when_durable(end, move |outcome| {
                let _ = sender.send(outcome);
            });
            receiver.await.unwrap_or(Err(LogError::Stopped))?;
        }
        Ok(found)
    }

    /// All groups, sorted by name.
    pub(crate) fn list(&self) -> Vec<GroupSummary> {
        self.inner.lock().coordinator.list()
    }

    /// One group.
    pub(crate) fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.inner.lock().coordinator.describe(group)
    }

    /// Commits offsets of a group that has no members.
    ///
    /// # Errors
    /// It has members, or the log refused.
    pub(crate) async fn commit_without_members(
        &self,
        group: &str,
        offsets: Vec<(TopicPartition, Offset, String)>,
    ) -> Result<(), CommitError> {
        let offset = |(partition, offset, metadata)| CommitOffset {
            partition,
            offset,
            leader_epoch: -1,
            metadata,
        };
        let member = MemberRef { group: group.to_owned(), generation: -1, ..MemberRef::default() };
        let commit = CommitInput { member, offsets: offsets.into_iter().map(offset).collect() };
        let refused = |reason: String| CommitError::Refused { group: group.to_owned(), reason };
        match self.ask(Input::Commit(commit)).await {
            Reply::Codes(Ok(codes)) => match codes.into_iter().find(|code| *code != NONE) {
                None => Ok(()),
                Some(code) => Err(refused(ErrorCode::Unknown(code).to_string())),
            },
            Reply::Codes(Err(ErrorCode::UnknownMemberId)) => {
                Err(CommitError::HasMembers(group.to_owned()))
            }
            Reply::Codes(Err(code)) => Err(refused(code.to_string())),
            _ => Err(refused("the coordinator is not available".into())),
        }
    }

    /// Ticks when something is due, until `stopping`.
    pub(crate) async fn run_timers(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        loop {
            let wait_ms = {
                let mut inner = self.inner.lock();
                let at = now(&self.env).monotonic_ms;
                let due = inner.coordinator.deadline().unwrap_or(u64::MAX);
                inner.armed_ms = due.min(at + SLEEP_MS_MAX);
                inner.armed_ms.saturating_sub(at)
            };
            if wait_ms == 0 {
                self.step(&mut self.inner.lock(), 0, Input::Tick);
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                () = self.sooner.notified() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn step(&self, inner: &mut Inner, token: Token, input: Input) {
        let outputs = inner.coordinator.step(token, input, now(&self.env));
        let mut ready = Vec::new();
        let mut failed = None;
        for output in outputs {
            match output {
                Output::Persist(entries) => {
                    if let Err(error) = self.persist(inner, entries) {
                        tracing::warn!(%error, "cannot remember the state of groups");
                        failed = Some(ErrorCode::CoordinatorNotAvailable);
                    }
                }
                Output::Reply(token, reply) => {
                    let reply = match failed {
                        Some(code) => reply.failed(code),
                        None => reply,
                    };
                    if let Some(waiting) = inner.waiting.remove(&token) {
                        ready.push((waiting, reply));
                    }
                }
            }
        }
        self.answer(inner.end, ready);
        if inner.coordinator.deadline().is_some_and(|due| due < inner.armed_ms) {
            self.sooner.notify_one();
        }
    }

    /// Sends replies once everything before `end` is durable.
    fn answer(&self, end: Offset, replies: Vec<(Waiting, Reply)>) {
        if replies.is_empty() {
            return;
        }
        let send = move |code: Option<ErrorCode>| {
            for (waiting, reply) in replies {
                let reply = code.map_or(reply.clone(), |code| reply.failed(code));
                let _ = waiting.send(reply);
            }
        };
        if self.topic.is_durable(end) {
            send(None);
        } else {
            self.topic.when_durable(end, move |outcome| {
                send(outcome.is_err().then_some(ErrorCode::CoordinatorNotAvailable));
            });
        }
    }

    fn persist(&self, inner: &mut Inner, entries: Vec<Entry>) -> Result<(), LogError> {
        let wall_ms = self.env.clock.wall_ms();
        let lines: Vec<_> =
            entries.iter().map(|entry| Line::Change(entry.clone()).encode()).collect();
        inner.bytes_since_snapshot += lines.iter().map(Vec::len).sum::<usize>();
        inner.end = self.topic.append(lines, wall_ms)?.next_offset;
        for entry in &entries {
            inner.coordinator.apply(entry);
        }
        let due = SNAPSHOT_BYTES.max(inner.snapshot_bytes * SNAPSHOT_RATIO);
        if inner.bytes_since_snapshot >= due
            && let Err(error) = self.write_snapshot(inner)
        {
            // Nothing is lost by that; the next change tries again.
            tracing::warn!(%error, "cannot write a snapshot of the groups");
        }
        Ok(())
    }

    /// Writes the whole state down, and lets go of what was before once it is durable.
    fn write_snapshot(&self, inner: &mut Inner) -> Result<(), LogError> {
        let now = now(&self.env);
        let parts = inner.coordinator.entries(now).into_iter().map(Line::SnapshotPart);
        let lines = std::iter::once(Line::SnapshotBegin)
            .chain(parts)
            .chain(std::iter::once(Line::SnapshotEnd));
        let lines: Vec<_> = lines.map(|line| line.encode()).collect();
        let bytes = lines.iter().map(Vec::len).sum();
        let appended = self.topic.append(lines, now.wall_ms)?;
        inner.end = appended.next_offset;
        inner.snapshot_bytes = bytes;
        inner.bytes_since_snapshot = 0;
        let (topic, begin) = (self.topic.clone(), appended.base_offset);
        self.topic.when_durable(appended.next_offset, move |outcome| {
            if outcome.is_ok() {
                topic.keep_from(begin);
            }
        });
        Ok(())
    }
}

fn now(env: &Env) -> Now {
    Now { monotonic_ms: env.clock.monotonic_ns() / 1_000_000, wall_ms: env.clock.wall_ms() }
}
