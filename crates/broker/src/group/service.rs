//! Drives the coordinator: gives it requests and the time, writes down what it wants
//! remembered, and lets replies go once that is durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::env::Env;
use thalweg_core::ids::{Offset, ProducerId, TopicPartition};
use thalweg_core::partition_log::{LogError, LogStore};
use thalweg_core::record_batch::ControlKind;
use tokio::sync::{Notify, oneshot, watch};

use super::coordinator::Coordinator;
use super::describe::{GroupDescription, GroupSummary};
use super::messages::{
    CommitInput, CommitOffset, GroupSettings, Input, MemberRef, Now, Output, Reply, Token,
    TransactionRef,
};
use super::record::Entry;
use super::replay::Replay;
use super::store::{Item, OffsetsTopic};
use super::topics::TopicsImage;
use crate::broker::{BrokerError, CommitError, blocking, waiting_threads};
use crate::error_code::{ErrorCode, NONE};
use crate::inbox::Inbox;
use crate::options::GroupOptions;

/// All is written anew when at least this many times the bytes were written that it took
/// the last time.
const REWRITE_RATIO: usize = 2;
/// Topics are looked up at most so often, where a request does not ask for it.
const TOPICS_AGE_MS_MAX: u64 = 1_000;
/// The timer never sleeps longer, so that a missed wake-up heals.
const SLEEP_MS_MAX: u64 = 3_600_000;

type Waiting = oneshot::Sender<Reply>;

/// The group coordinator at work.
pub(crate) struct GroupService {
    env: Env,
    store: Arc<dyn LogStore>,
    topic: Arc<OffsetsTopic>,
    inbox: Inbox<Work>,
    /// Locked for as long as a step takes by whoever works off the inbox, and for moments
    /// by who looks something up while nobody does.
    inner: Mutex<Inner>,
    /// Tells the timer that something is due earlier than it thinks.
    sooner: Notify,
}

/// What has to be there until a request is worked off.
pub(crate) type Held = Box<dyn Send>;

/// What comes to the coordinator.
#[expect(clippy::large_enum_variant, reason = "nearly all of it is requests")]
enum Work {
    Request(Input, Waiting, Option<Held>),
    Ended { producer: ProducerId, outcome: ControlKind, marker: Offset },
    Tick,
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
    /// Monotonic time at which topics were looked up.
    topics_at_ms: u64,
    bytes_since_rewrite: usize,
    rewrite_bytes: usize,
}

impl GroupService {
    /// Rebuilds the groups from the internal topic. `settings` are those that groups have of
    /// their own.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub(crate) fn open(
        env: Env,
        store: Arc<dyn LogStore>,
        options: GroupOptions,
        settings: BTreeMap<String, GroupSettings>,
    ) -> Result<Self, BrokerError> {
        let topic = OffsetsTopic::open(&*store)?;
        let mut replay = Replay::new(options, now(&env));
        let (mut bytes, mut has_legacy) = (0, false);
        topic.replay(|offset, size, item| {
            bytes += size;
            match item {
                Item::Entry(entry) => replay.take(&entry, offset),
                Item::InTransaction(transaction, entry) => {
                    replay.take_in(transaction, &entry, offset);
                }
                Item::Marker(producer, outcome) => {
                    replay.end_transaction(producer, outcome, offset);
                }
                Item::Legacy(line) => {
                    has_legacy = true;
                    replay.take_legacy(&line, offset);
                }
            }
        })?;
        let inner = Inner {
            coordinator: replay.finish(settings),
            waiting: HashMap::new(),
            last_token: 0,
            end: 0,
            armed_ms: 0,
            topics_at_ms: 0,
            bytes_since_rewrite: bytes,
            rewrite_bytes: 0,
        };
        let (topic, inner, sooner) = (Arc::new(topic), Mutex::new(inner), Notify::new());
        let service = Self { env, store, topic, inbox: Inbox::new(), inner, sooner };
        {
            let mut inner = service.inner.lock();
            service.look_at_topics(&mut inner);
            if has_legacy {
                inner.bytes_since_rewrite = usize::MAX;
            }
            service.rewrite_if_due(&mut inner);
        }
        Ok(service)
    }

    /// Gives the coordinator a request. The reply comes when it is due and what it says
    /// is durable.
    pub(crate) fn submit(self: &Arc<Self>, input: Input) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        self.bring(Work::Request(input, sender, None));
        receiver
    }

    /// As [`GroupService::submit`], for a request until whose entries are appended
    /// something has to be held.
    pub(crate) fn submit_holding(
        self: &Arc<Self>,
        input: Input,
        held: Held,
    ) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        self.bring(Work::Request(input, sender, Some(held)));
        receiver
    }

    fn bring(self: &Arc<Self>, work: Work) {
        if self.inbox.bring(work) {
            self.work_off(true);
        }
    }

    /// Does the work that there is: here, or where it holds up no connection as soon as it
    /// may have to wait for the disk.
    fn work_off(self: &Arc<Self>, must_not_wait: bool) {
        loop {
            if must_not_wait
                && self.topic.append_may_wait()
                && let Some(runtime) = waiting_threads()
            {
                let this = self.clone();
                runtime.spawn_blocking(move || this.work_off(false));
                return;
            }
            let Some(work) = self.inbox.next() else { return };
            self.work(work);
        }
    }

    fn work(&self, work: Work) {
        let mut inner = self.inner.lock();
        match work {
            Work::Request(input, sender, held) => {
                inner.last_token += 1;
                let token = inner.last_token;
                inner.waiting.insert(token, sender);
                if self.needs_topics(&inner, &input) {
                    self.look_at_topics(&mut inner);
                }
                self.step(&mut inner, token, input);
                drop(held);
            }
            Work::Ended { producer, outcome, marker } => {
                inner.end = inner.end.max(marker.saturating_add(1));
                self.step(&mut inner, 0, Input::TransactionEnded { producer, outcome, marker });
            }
            Work::Tick => self.step(&mut inner, 0, Input::Tick),
        }
    }

    /// Whether the request is about topics that may have changed. Nobody tells of
    /// changes: topics are made in more places than this door.
    fn needs_topics(&self, inner: &Inner, input: &Input) -> bool {
        match input {
            Input::Join(join) => inner.coordinator.assigns(&join.group),
            Input::ConsumerHeartbeat(beat) => {
                let age_ms = now(&self.env).monotonic_ms.saturating_sub(inner.topics_at_ms);
                beat.epoch == 0
                    || beat.topics.is_some()
                    || beat.regex.is_some()
                    || age_ms >= TOPICS_AGE_MS_MAX
            }
            _ => false,
        }
    }

    fn look_at_topics(&self, inner: &mut Inner) {
        inner.topics_at_ms = now(&self.env).monotonic_ms;
        let image = Arc::new(TopicsImage::new(&self.store.topics()));
        self.step(inner, 0, Input::Topics(image));
    }

    /// Says that the marker of a producer's transaction was written to the partition of
    /// the offsets topic, at this offset. Markers may be told of late or twice, but not
    /// one after the producer's next one.
    pub(crate) fn transaction_ended(
        self: &Arc<Self>,
        producer: ProducerId,
        outcome: ControlKind,
        marker: Offset,
    ) {
        self.bring(Work::Ended { producer, outcome, marker });
    }

    /// As [`GroupService::submit`], for requests that wait for nobody.
    pub(crate) async fn ask(self: &Arc<Self>, input: Input) -> Reply {
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
        let (found, end) = loop {
            // What was asked for before is seen.
            self.inbox.settled().await;
            if let Some(inner) = self.inner.try_lock() {
                break (look(&inner.coordinator), inner.end);
            }
            tokio::task::yield_now().await;
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

    /// All groups, sorted by name. May wait for the disk.
    pub(crate) fn list(&self) -> Vec<GroupSummary> {
        self.inner.lock().coordinator.list()
    }

    /// One group. May wait for the disk.
    pub(crate) fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.inner.lock().coordinator.describe(group)
    }

    /// The offset that a group has committed, once it is durable.
    ///
    /// # Errors
    /// The log stopped.
    pub(crate) fn committed(
        &self,
        group: &str,
        at: &TopicPartition,
    ) -> Result<Option<Offset>, LogError> {
        let (found, end) = {
            let inner = self.inner.lock();
            (inner.coordinator.offset(group, at), inner.end)
        };
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.topic.when_durable(end, move |outcome| {
            let _ = sender.send(outcome);
        });
        receiver.recv().unwrap_or(Err(LogError::Stopped))?;
        Ok(found.map(|committed| committed.offset))
    }

    /// Asks for offsets of a group to be committed as those of one without members.
    pub(crate) fn submit_without_members(
        self: &Arc<Self>,
        group: &str,
        offsets: Vec<(TopicPartition, Offset, String)>,
    ) -> oneshot::Receiver<Reply> {
        let offset = |(partition, offset, metadata)| CommitOffset {
            partition,
            offset,
            leader_epoch: -1,
            metadata,
            retention_ms: None,
        };
        // Jobs' threads may wait for the disk: the work is done here where nobody else is at it.
        let (sender, receiver) = oneshot::channel();
        let commit = Input::Commit(CommitInput {
            member: MemberRef::nobody(group),
            offsets: offsets.into_iter().map(offset).collect(),
            version: 0,
            transaction: None,
        });
        if self.inbox.bring(Work::Request(commit, sender, None)) {
            self.work_off(false);
        }
        receiver
    }

    /// Commits offsets of a group that has no members.
    ///
    /// # Errors
    /// It has members, or the log refused.
    pub(crate) async fn commit_without_members(
        self: &Arc<Self>,
        group: &str,
        offsets: Vec<(TopicPartition, Offset, String)>,
    ) -> Result<(), CommitError> {
        let refused = |reason: String| CommitError::Refused { group: group.to_owned(), reason };
        let (this, name) = (self.clone(), group.to_owned());
        let submitted = blocking(move || this.submit_without_members(&name, offsets)).await;
        let reply = submitted.await;
        match reply.unwrap_or(Reply::Code(ErrorCode::CoordinatorNotAvailable.code())) {
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
                self.inbox.settled().await;
                let Some(mut inner) = self.inner.try_lock() else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let at = now(&self.env).monotonic_ms;
                let due = inner.coordinator.deadline().unwrap_or(u64::MAX);
                inner.armed_ms = due.min(at + SLEEP_MS_MAX);
                inner.armed_ms.saturating_sub(at)
            };
            if wait_ms == 0 {
                self.bring(Work::Tick);
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

    /// Does what is due, where a test stands in for [`GroupService::run_timers`].
    #[cfg(test)]
    pub(crate) fn tick(self: &Arc<Self>) {
        self.bring(Work::Tick);
    }

    fn step(&self, inner: &mut Inner, token: Token, input: Input) {
        let outputs = inner.coordinator.step(token, input, now(&self.env));
        let mut ready = Vec::new();
        let mut failed = None;
        for output in outputs {
            match output {
                Output::Persist(entries) => {
                    failed = self.persist(inner, &entries, None).err().or(failed);
                }
                Output::PersistIn(transaction, entries) => {
                    failed = self.persist(inner, &entries, Some(transaction)).err().or(failed);
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

    /// Writes entries down and makes them true.
    ///
    /// # Errors
    /// The log refused; what to tell the client.
    fn persist(
        &self,
        inner: &mut Inner,
        entries: &[Entry],
        transaction: Option<TransactionRef>,
    ) -> Result<(), ErrorCode> {
        let now = now(&self.env);
        let (appended, bytes) =
            self.topic.append(entries, transaction, now.wall_ms).map_err(|error| {
                tracing::warn!(%error, "cannot remember the state of groups");
                match error {
                    LogError::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
                    _ => ErrorCode::CoordinatorNotAvailable,
                }
            })?;
        inner.end = appended.next_offset;
        inner.bytes_since_rewrite = inner.bytes_since_rewrite.saturating_add(bytes);
        for (entry, record) in entries.iter().zip(appended.base_offset..) {
            match transaction {
                None => inner.coordinator.apply(entry, record, now),
                Some(transaction) => inner.coordinator.apply_in(transaction, entry, record),
            }
        }
        self.rewrite_if_due(inner);
        Ok(())
    }

    fn rewrite_if_due(&self, inner: &mut Inner) {
        let least = inner.coordinator.options.rewrite_bytes;
        let due = least.max(inner.rewrite_bytes.saturating_mul(REWRITE_RATIO));
        if inner.bytes_since_rewrite >= due
            && let Err(error) = self.rewrite(inner)
        {
            // Nothing is lost by that; the next change tries again.
            tracing::warn!(%error, "cannot write the state of the groups anew");
        }
    }

    /// Writes the whole state down, and lets go of what was before once it is durable.
    /// Records with the same keys as before: half of it does no harm.
    fn rewrite(&self, inner: &mut Inner) -> Result<(), LogError> {
        let now = now(&self.env);
        let entries = inner.coordinator.entries(now);
        let unsettled = inner.coordinator.oldest_unsettled();
        inner.bytes_since_rewrite = 0;
        if entries.is_empty() {
            return Ok(());
        }
        let (appended, bytes) = self.topic.append(&entries, None, now.wall_ms)?;
        inner.end = appended.next_offset;
        inner.rewrite_bytes = bytes;
        let keep_from = unsettled.map_or(appended.base_offset, |o| o.min(appended.base_offset));
        let topic = self.topic.clone();
        self.topic.when_durable(appended.next_offset, move |outcome| {
            if outcome.is_ok() {
                topic.keep_from(keep_from);
            }
        });
        Ok(())
    }
}

fn now(env: &Env) -> Now {
    Now { monotonic_ms: env.clock.monotonic_ns() / 1_000_000, wall_ms: env.clock.wall_ms() }
}
