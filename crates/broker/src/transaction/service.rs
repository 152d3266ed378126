//! Drives the coordinator: gives it requests and the time, stores what it decides, and
//! carries that out once it is durable.

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
use super::gate::Gates;
use super::messages::{Change, Effect, End, Event, Init, Markers, Now, Refusal, Reply, Token};
use super::record::{self, RecordError};
use super::state::{Producer, Protocol, Transaction};
use crate::broker::BrokerError;
use crate::error_code::ErrorCode;
use crate::group::{GroupService, OFFSETS_PARTITION, OFFSETS_TOPIC};
use crate::keyed_topic::{KeyedRecord, KeyedTopic};
use crate::options::TransactionOptions;
use crate::producer_ids::ProducerIds;

/// Topic that holds what is known of transactional ids.
const TOPIC: &str = "__transaction_state";
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
    pub(super) env: Env,
    pub(super) store: Arc<dyn LogStore>,
    pub(super) groups: Arc<GroupService>,
    topic: Arc<KeyedTopic>,
    producer_ids: Arc<ProducerIds>,
    pub(super) gates: Gates,
    inner: Mutex<Inner>,
    /// Ends whose markers can be written. At most one for each transactional id.
    ends: mpsc::UnboundedSender<Markers>,
    /// Tells the timer that something is due earlier than it thinks.
    sooner: Notify,
}

struct Inner {
    coordinator: Coordinator,
    waiting: HashMap<Token, Waiting>,
    last_token: Token,
    /// Monotonic time at which the timer will look.
    armed_ms: u64,
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
        let topic = KeyedTopic::open(&*store, TOPIC)?;
        let mut coordinator = Coordinator::new(options);
        let at = now(&env);
        let mut bytes = 0;
        topic.replay(|record| {
            bytes += record.key.len() + record.value.map_or(0, <[u8]>::len);
            restore(&topic, &mut coordinator, &record, at)
        })?;
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
            inner: Mutex::new(inner),
            ends,
            sooner: Notify::new(),
        })
    }

    /// Who may use a transactional id from now on.
    ///
    /// # Errors
    /// Kafka's code.
    pub(crate) async fn init(&self, mut init: Init) -> Result<Producer, ErrorCode> {
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
        &self,
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
    pub(crate) async fn end(&self, mut end: End) -> Result<Producer, ErrorCode> {
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

    /// Appends to a partition within a transaction: `append` is called only if the
    /// partition is in it at that moment, and before any marker of its end. To be used
    /// after [`TransactionService::add`] or [`TransactionService::settled`].
    ///
    /// # Errors
    /// Kafka's code for why the partition is not in it; see
    /// [`Coordinator::admits`].
    pub(crate) fn append_within<T>(
        &self,
        id: &str,
        producer: Producer,
        partition: &TopicPartition,
        append: impl FnOnce() -> T,
    ) -> Result<T, ErrorCode> {
        let _gate = self.gates.appending(producer.id);
        self.inner.lock().coordinator.admits(id, producer, partition)?;
        Ok(append())
    }

    /// Whether an append within this producer's transaction may have to wait for a marker.
    pub(crate) fn is_marking(&self, producer: Producer) -> bool {
        self.gates.is_ending(producer.id)
    }

    /// Whether a producer may write to a partition in its transaction.
    ///
    /// # Errors
    /// As [`TransactionService::append_within`].
    pub(crate) fn admits(
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
        let Some(mut decided) = self.inner.lock().decided.take() else { return };
        // They end with this.
        let mut under_way = JoinSet::new();
        loop {
            let wait_ms = self.tick();
            tokio::select! {
                Some(markers) = decided.recv() => {
                    under_way.spawn(self.clone().carry_out(markers));
                }
                Some(_) = under_way.join_next() => {}
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                () = self.sooner.notified() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Does what is due; how long until the next.
    fn tick(&self) -> u64 {
        let mut inner = self.inner.lock();
        let at = now(&self.env);
        let mut stored = true;
        while stored && let Some(id) = inner.coordinator.overdue(at).map(str::to_owned) {
            stored = self.step(&mut inner, 0, Event::Due { id });
        }
        let due_ms = match stored {
            true => inner.coordinator.deadline().unwrap_or(u64::MAX),
            false => at.monotonic_ms + RETRY_MS,
        };
        inner.armed_ms = due_ms.min(at.monotonic_ms + SLEEP_MS_MAX);
        inner.armed_ms.saturating_sub(at.monotonic_ms)
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
        while !self.step(&mut self.inner.lock(), 0, done.clone()) {
            tokio::time::sleep(retry).await;
        }
    }

    async fn ask(&self, event: Event) -> Reply {
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = self.inner.lock();
            inner.last_token += 1;
            let token = inner.last_token;
            inner.waiting.insert(token, sender);
            self.step(&mut inner, token, event);
            if inner.coordinator.deadline().is_some_and(|due_ms| due_ms < inner.armed_ms) {
                self.sooner.notify_one();
            }
        }
        receiver.await.unwrap_or(Err(Refusal::Code(ErrorCode::CoordinatorNotAvailable)))
    }

    /// Takes an event, and all that follows from it. False where it could not be stored.
    fn step(&self, inner: &mut Inner, token: Token, event: Event) -> bool {
        let mut events = VecDeque::from([(token, event)]);
        let mut stored = true;
        while let Some((token, event)) = events.pop_front() {
            let at = now(&self.env);
            let id = event.id().to_owned();
            let decision = inner.coordinator.decide(at, token, event);
            let before = inner.coordinator.written_to(&id);
            self.carry(inner, before, decision.now, &mut events);
            let Some(change) = decision.change else {
                self.carry(inner, before, decision.then, &mut events);
                continue;
            };
            match self.store(inner, &change, at) {
                Ok(end) => {
                    inner.coordinator.apply(change, at, end);
                    self.carry(inner, end, decision.then, &mut events);
                    self.rewrite_if_due(inner, at);
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

    /// Stores a change; the offset after it.
    fn store(&self, inner: &mut Inner, change: &Change, at: Now) -> Result<Offset, LogError> {
        let (id, value) = match change {
            Change::Put(transaction) => (&transaction.id, Some(record::encode_value(transaction))),
            Change::Remove(id) => (id, None),
        };
        let key = record::encode_key(id);
        inner.bytes_since_rewrite += key.len() + value.as_ref().map_or(0, Vec::len);
        Ok(self.topic.append([(key, value)], at.wall_ms)?.next_offset)
    }

    fn rewrite_if_due(&self, inner: &mut Inner, at: Now) {
        let least = inner.coordinator.options().rewrite_bytes;
        let due = least.max(inner.rewrite_bytes.saturating_mul(REWRITE_RATIO));
        if inner.bytes_since_rewrite >= due
            && let Err(error) = self.rewrite(inner, at)
        {
            // Nothing is lost by that; a later change tries again.
            tracing::warn!(%error, "cannot write the state of transactions anew");
        }
    }

    /// Writes all that is known again, and lets go of what was before once it is durable.
    fn rewrite(&self, inner: &mut Inner, at: Now) -> Result<(), LogError> {
        inner.bytes_since_rewrite = 0;
        let known = inner.coordinator.iter().map(|transaction| {
            (record::encode_key(&transaction.id), Some(record::encode_value(transaction)))
        });
        let records: Vec<_> = known.collect();
        if records.is_empty() {
            return Ok(());
        }
        let size = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        inner.rewrite_bytes = records.iter().map(size).sum();
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

/// Takes in a record of the internal topic.
fn restore(
    topic: &KeyedTopic,
    coordinator: &mut Coordinator,
    record: &KeyedRecord<'_>,
    at: Now,
) -> Result<(), BrokerError> {
    let refused = |error| match error {
        RecordError::Malformed(detail) => topic.damaged(record.offset, &detail),
        RecordError::Newer(found) => BrokerError::NewerFormat {
            topic: TOPIC.into(),
            offset: record.offset,
            found: u8::try_from(found).unwrap_or(u8::MAX),
            known: record::VALUE_VERSION as u8,
        },
    };
    let id = record::decode_key(record.key).map_err(refused)?;
    match record.value {
        None => coordinator.remove(&id),
        Some(value) => {
            let transaction = record::decode_value(id, value).map_err(refused)?;
            coordinator.restore(transaction, at, record.offset + 1);
        }
    }
    Ok(())
}
