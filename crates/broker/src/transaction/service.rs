//! Drives the coordinator: gives it requests and the time, stores what it decides, and
//! carries that out once it is durable.
//!
//! One event is worked on at a time, on a thread that may wait for the disk while it
//! stores. Looking something up never waits for that.

#[cfg(test)]
mod by_hand;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::env::Env;
use thalweg_core::ids::{Offset, ProducerId, TopicPartition};
use thalweg_core::partition_log::{LogError, LogStore};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::coordinator::Coordinator;
use super::gate::{Admitted, Gates};
use super::messages::{Change, Effect, End, Event, Init, Markers, Now, Refusal, Reply, Token};
use super::record;
use super::replay;
use super::state::{Producer, Protocol, Transaction};
use crate::broker::{BrokerError, waiting_threads};
use crate::error_code::ErrorCode;
use crate::group::{GroupService, OFFSETS_PARTITION, OFFSETS_TOPIC};
use crate::inbox::Inbox;
use crate::keyed_topic::KeyedTopic;
use crate::options::TransactionOptions;
use crate::producer_ids::ProducerIds;

/// All is written again when at least this many times the bytes were written that it took
/// the last time.
const REWRITE_RATIO: usize = 2;
/// The timer never sleeps longer, so that a missed wake-up heals.
const SLEEP_MS_MAX: u64 = 3_600_000;
/// How long to wait before something is tried again that the log refused.
const RETRY_MS: u64 = 1_000;

type Waiting = oneshot::Sender<Reply>;

/// The transaction coordinator at work.
pub(crate) struct TransactionService {
    env: Env,
    pub(super) store: Arc<dyn LogStore>,
    pub(super) groups: Arc<GroupService>,
    topic: Arc<KeyedTopic>,
    producer_ids: Arc<ProducerIds>,
    pub(super) gates: Gates,
    inbox: Inbox<Work>,
    /// Never locked while the disk is waited for.
    inner: Mutex<Inner>,
    /// Ends whose markers can be written. At most one for each transactional id.
    ends: mpsc::UnboundedSender<Markers>,
    /// Tells the timer that something is due earlier than it thinks.
    sooner: Notify,
}

/// What comes to the coordinator.
enum Work {
    Request(Event, Waiting),
    /// Something that happened; says whether it could be stored.
    Happened(Event, oneshot::Sender<bool>),
    Tick,
}

struct Inner {
    coordinator: Coordinator,
    waiting: HashMap<Token, Waiting>,
    last_token: Token,
    /// Monotonic time at which the timer will look.
    armed_ms: u64,
    /// Monotonic time before which it does not, since the log refused.
    retry_ms: u64,
    bytes_since_rewrite: usize,
    rewrite_bytes: usize,
    /// The other side of `ends`, until [`TransactionService::run`] takes it.
    decided: Option<mpsc::UnboundedReceiver<Markers>>,
}

impl TransactionService {
    /// Rebuilds the state from the internal topic. Ends that were decided and not complete
    /// are carried out when it runs.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub(crate) fn open(
        env: Env,
        store: Arc<dyn LogStore>,
        groups: Arc<GroupService>,
        producer_ids: Arc<ProducerIds>,
        options: TransactionOptions,
    ) -> Result<Self, BrokerError> {
        let topic = KeyedTopic::open(&*store, replay::TOPIC)?;
        let (coordinator, bytes) = replay::rebuild(&topic, options, now(&env))?;
        let (ends, decided) = mpsc::unbounded_channel();
        for markers in coordinator.ends_under_way() {
            // The other side is here.
            let _ = ends.send(markers);
        }
        let inner = Inner {
            coordinator,
            waiting: HashMap::new(),
            last_token: 0,
            armed_ms: 0,
            retry_ms: 0,
            bytes_since_rewrite: bytes,
            rewrite_bytes: 0,
            decided: Some(decided),
        };
        Ok(Self {
            env,
            store,
            groups,
            topic: Arc::new(topic),
            producer_ids,
            gates: Gates::new(),
            inbox: Inbox::new(),
            inner: Mutex::new(inner),
            ends,
            sooner: Notify::new(),
        })
    }

    /// Who may use a transactional id from now on.
    ///
    /// # Errors
    /// Kafka's code.
    pub(crate) async fn init(self: &Arc<Self>, mut init: Init) -> Result<Producer, ErrorCode> {
        loop {
            match self.ask(Event::Init(init.clone())).await {
                Err(Refusal::NeedsProducerId) => init.fresh = Some(self.fresh_id().await?),
                Err(Refusal::Code(code)) => return Err(code),
                Ok(producer) => return Ok(producer),
            }
        }
    }

    /// Brings partitions into a transaction. Durable when this returns.
    ///
    /// # Errors
    /// Kafka's code, for all of them.
    pub(crate) async fn add(
        self: &Arc<Self>,
        id: &str,
        producer: Producer,
        partitions: BTreeSet<TopicPartition>,
        protocol: Protocol,
    ) -> Result<(), ErrorCode> {
        let event = Event::Add { id: id.to_owned(), producer, partitions, protocol };
        match self.ask(event).await {
            Ok(_) => Ok(()),
            Err(Refusal::Code(code)) => Err(code),
            Err(Refusal::NeedsProducerId) => Err(ErrorCode::UnknownServerError),
        }
    }

    /// Commits or aborts a transaction; gives who may begin the next one. The end is
    /// durable when this returns, and so are its markers unless one cannot be written now.
    ///
    /// # Errors
    /// Kafka's code.
    pub(crate) async fn end(self: &Arc<Self>, mut end: End) -> Result<Producer, ErrorCode> {
        loop {
            match self.ask(Event::End(end.clone())).await {
                Err(Refusal::NeedsProducerId) => end.fresh = Some(self.fresh_id().await?),
                Err(Refusal::Code(code)) => return Err(code),
                Ok(producer) => return Ok(producer),
            }
        }
    }

    /// Waits until all that is known of a transactional id is durable. A record may only
    /// be appended within a transaction of which that is true.
    ///
    /// # Errors
    /// The log stopped.
    pub(crate) async fn settled(&self, id: &str) -> Result<(), ErrorCode> {
        let offset = self.inner.lock().coordinator.written_to(id);
        self.durable(offset).await
    }

    /// Lets records into a partition within a transaction: no marker of its end comes in
    /// as long as what this gives is there. To be used after [`TransactionService::add`]
    /// or [`TransactionService::settled`], which make it durable that the partition is in.
    ///
    /// # Errors
    /// Kafka's code for why the partition is not in it; see [`Coordinator::admits`].
    pub(crate) async fn admit(
        &self,
        id: &str,
        producer: Producer,
        partition: &TopicPartition,
    ) -> Result<Admitted, ErrorCode> {
        let admitted = self.gates.appending(producer.id).await;
        self.verify(id, producer, partition)?;
        Ok(admitted)
    }

    /// Whether a partition is in a producer's transaction now.
    ///
    /// # Errors
    /// As [`TransactionService::admit`].
    pub(crate) fn verify(
        &self,
        id: &str,
        producer: Producer,
        partition: &TopicPartition,
    ) -> Result<(), ErrorCode> {
        self.inner.lock().coordinator.admits(id, producer, partition)
    }

    /// A transactional id. What is seen is durable.
    ///
    /// # Errors
    /// The log stopped.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Transaction>, ErrorCode> {
        let (found, offset) = {
            let coordinator = &self.inner.lock().coordinator;
            (coordinator.get(id).cloned(), coordinator.written_to(id))
        };
        self.durable(offset).await?;
        Ok(found)
    }

    /// What `pick` makes of the transactional ids, in their order.
    pub(crate) fn list<T>(&self, pick: impl FnMut(&Transaction) -> Option<T>) -> Vec<T> {
        self.inner.lock().coordinator.iter().filter_map(pick).collect()
    }

    /// Milliseconds since the epoch.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.env.clock.wall_ms()
    }

    /// Writes markers and keeps time, until `stopping`.
    pub(crate) async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let Some(decided) = self.inner.lock().decided.take() else { return };
        tokio::select! {
            () = self.carry_out_all(decided) => {}
            () = self.keep_time() => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    async fn keep_time(self: &Arc<Self>) {
        loop {
            self.inbox.settled().await;
            let wait_ms = {
                let mut inner = self.inner.lock();
                let at_ms = now(&self.env).monotonic_ms;
                let due_ms = inner.coordinator.deadline().unwrap_or(u64::MAX).max(inner.retry_ms);
                inner.armed_ms = due_ms.min(at_ms + SLEEP_MS_MAX);
                inner.armed_ms.saturating_sub(at_ms)
            };
            if wait_ms == 0 {
                self.bring(Work::Tick);
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    async fn carry_out_all(self: &Arc<Self>, mut decided: mpsc::UnboundedReceiver<Markers>) {
        // They end with this.
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                Some(markers) = decided.recv() => {
                    under_way.spawn(self.clone().carry_out(markers));
                }
                Some(_) = under_way.join_next() => {}
                else => return,
            }
        }
    }

    /// Writes the markers of an end, as often as it takes, and says so.
    async fn carry_out(self: Arc<Self>, markers: Markers) {
        let retry = Duration::from_millis(RETRY_MS);
        let mut left = markers.partitions.clone();
        loop {
            left = self.write_markers(&markers, left).await;
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(retry).await;
        }
        let done = Event::Marked { id: markers.id, producer: markers.producer };
        loop {
            let (sender, stored) = oneshot::channel();
            self.bring(Work::Happened(done.clone(), sender));
            if stored.await.unwrap_or(true) {
                return;
            }
            tokio::time::sleep(retry).await;
        }
    }

    async fn ask(self: &Arc<Self>, event: Event) -> Reply {
        let (sender, receiver) = oneshot::channel();
        self.bring(Work::Request(event, sender));
        receiver.await.unwrap_or(Err(Refusal::Code(ErrorCode::CoordinatorNotAvailable)))
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
        match work {
            Work::Request(event, sender) => {
                let token = {
                    let mut inner = self.inner.lock();
                    inner.last_token += 1;
                    let token = inner.last_token;
                    inner.waiting.insert(token, sender);
                    token
                };
                self.step(token, event);
                let inner = self.inner.lock();
                if inner.coordinator.deadline().is_some_and(|due_ms| due_ms < inner.armed_ms) {
                    self.sooner.notify_one();
                }
            }
            Work::Happened(event, stored) => {
                let _ = stored.send(self.step(0, event));
            }
            Work::Tick => loop {
                let at = now(&self.env);
                let overdue = self.inner.lock().coordinator.overdue(at).map(str::to_owned);
                let Some(id) = overdue else { return };
                if !self.step(0, Event::Due { id }) {
                    self.inner.lock().retry_ms = at.monotonic_ms + RETRY_MS;
                    return;
                }
            },
        }
    }

    /// Takes an event, and all that follows from it. False where it could not be stored.
    /// Only one is taken at a time, so what was decided still holds when it is stored.
    fn step(&self, token: Token, event: Event) -> bool {
        let mut events = VecDeque::from([(token, event)]);
        let mut stored = true;
        while let Some((token, event)) = events.pop_front() {
            let (at, id) = (now(&self.env), event.id().to_owned());
            let (change, then) = {
                let mut inner = self.inner.lock();
                let decision = inner.coordinator.decide(at, token, event);
                let before = inner.coordinator.written_to(&id);
                self.carry(&mut inner, before, decision.now, &mut events);
                let Some(change) = decision.change else {
                    self.carry(&mut inner, before, decision.then, &mut events);
                    continue;
                };
                (change, decision.then)
            };
            let appended = self.store(&change, at);
            let mut inner = self.inner.lock();
            match appended {
                Ok((end, bytes)) => {
                    inner.bytes_since_rewrite += bytes;
                    inner.coordinator.apply(change, at, end);
                    self.carry(&mut inner, end, then, &mut events);
                    drop(inner);
                    self.rewrite_if_due(at);
                }
                Err(error) => {
                    tracing::warn!(%id, %error, "cannot remember the state of a transaction");
                    inner.coordinator.forget(&id, token);
                    let failed = Err(Refusal::Code(ErrorCode::CoordinatorNotAvailable));
                    if let Some(waiting) = inner.waiting.remove(&token) {
                        let _ = waiting.send(failed);
                    }
                    stored = false;
                }
            }
        }
        stored
    }

    /// Has effects come about once everything before `after` is durable.
    fn carry(
        &self,
        inner: &mut Inner,
        after: Offset,
        effects: Vec<Effect>,
        events: &mut VecDeque<(Token, Event)>,
    ) {
        for effect in effects {
            match effect {
                Effect::Again(token, event) => events.push_back((token, event)),
                Effect::WriteMarkers(markers) => {
                    let ends = self.ends.clone();
                    self.topic.when_durable(after, move |outcome| {
                        if outcome.is_ok() {
                            // Nobody listens any more only when the broker has stopped.
                            let _ = ends.send(markers);
                        }
                    });
                }
                Effect::Reply(token, reply) => {
                    let Some(waiting) = inner.waiting.remove(&token) else { continue };
                    self.topic.when_durable(after, move |outcome| {
                        let failed = Err(Refusal::Code(ErrorCode::CoordinatorNotAvailable));
                        let _ = waiting.send(outcome.map_or(failed, |()| reply));
                    });
                }
            }
        }
    }

    /// Stores a change; the offset after it, and its bytes.
    fn store(&self, change: &Change, at: Now) -> Result<(Offset, usize), LogError> {
        let (key, value) = match change {
            Change::Put(transaction) => record::encode(transaction),
            Change::Remove(id) => (record::encode_key(id), None),
        };
        let bytes = record::size_bytes(&key, value.as_deref());
        Ok((self.topic.append([(key, value)], at.wall_ms)?.next_offset, bytes))
    }

    fn rewrite_if_due(&self, at: Now) {
        let records: Vec<_> = {
            let mut inner = self.inner.lock();
            let least = inner.coordinator.options().rewrite_bytes;
            let due = least.max(inner.rewrite_bytes.saturating_mul(REWRITE_RATIO));
            if inner.bytes_since_rewrite < due {
                return;
            }
            inner.bytes_since_rewrite = 0;
            let records: Vec<_> = inner.coordinator.iter().map(record::encode).collect();
            let sizes =
                records.iter().map(|(key, value)| record::size_bytes(key, value.as_deref()));
            inner.rewrite_bytes = sizes.sum();
            records
        };
        if !records.is_empty()
            && let Err(error) = self.rewrite(records, at)
        {
            // Nothing is lost by that; a later change tries again.
            tracing::warn!(%error, "cannot write the state of transactions anew");
        }
    }

    /// Writes all that is known again, and lets go of what was before once it is durable.
    fn rewrite(&self, records: Vec<(Vec<u8>, Option<Vec<u8>>)>, at: Now) -> Result<(), LogError> {
        let appended = self.topic.append(records, at.wall_ms)?;
        let topic = self.topic.clone();
        self.topic.when_durable(appended.next_offset, move |outcome| {
            if outcome.is_ok() {
                topic.keep_from(appended.base_offset);
            }
        });
        Ok(())
    }

    async fn durable(&self, offset: Offset) -> Result<(), ErrorCode> {
        if self.topic.is_durable(offset) {
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        self.topic.when_durable(offset, move |outcome| {
            let _ = sender.send(outcome);
        });
        let outcome = receiver.await.unwrap_or(Err(LogError::Stopped));
        outcome.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    async fn fresh_id(&self) -> Result<ProducerId, ErrorCode> {
        match self.producer_ids.next().await {
            Ok(id) => Ok(ProducerId(id)),
            Err(error) => {
                tracing::warn!(%error, "cannot take producer ids");
                Err(ErrorCode::CoordinatorNotAvailable)
            }
        }
    }
}

/// Where offsets are that are committed in a transaction.
pub(crate) fn offsets_partition() -> TopicPartition {
    TopicPartition::new(OFFSETS_TOPIC, OFFSETS_PARTITION)
}

fn now(env: &Env) -> Now {
    Now { monotonic_ms: env.clock.monotonic_ns() / 1_000_000, wall_ms: env.clock.wall_ms() }
}
