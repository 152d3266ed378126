//! Records on their way, plain or in a transaction, a bounded number at a time.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use krafka::consumer::ConsumerRecord;
use krafka::producer::{Acks, DeliveryHandle, Producer, RecordMetadata, TransactionalProducer};
use krafka::{Kafka, KrafkaError, Record};

use super::Options;
use crate::cli::kafka_error::sentence;
use crate::cli::{Failure, topic_names};

/// Records whose acknowledgement is awaited at the same time. Their bytes are bounded by
/// the producer's buffer.
const IN_FLIGHT_MAX: usize = 50_000;

/// Bytes of a batch: large, because whoever pipes input in wants it written, not answered.
const BATCH_BYTES: usize = 512 << 10;

/// Bytes of records that are on their way.
const BUFFER_BYTES: usize = 64 << 20;

/// How long a topic may take to appear.
const TOPIC_WAIT: Duration = Duration::from_secs(10);

/// How long a batch waits for more records.
const LINGER: Duration = Duration::from_millis(5);

/// Sends records in the order of the input.
pub(super) struct Sender {
    kafka: Kafka,
    way: Way,
    /// Topics that are known to exist.
    topics: HashSet<String>,
    on_the_way: VecDeque<OnTheWay>,
    /// Whether records are kept until they are acknowledged, to be printed then.
    keeps: bool,
    pub(super) acknowledged: u64,
}

enum Way {
    Plain(Box<Producer>),
    Transaction(Box<TransactionalProducer>),
}

struct OnTheWay {
    handle: DeliveryHandle,
    kept: Option<Record>,
}

impl Sender {
    /// A sender; with a transactional id its transaction is begun.
    pub(super) async fn new(options: &Options, kafka: &Kafka) -> Result<Self, Failure> {
        let builder = kafka
            .producer()
            .acks(options.acks)
            .idempotent(options.acks == Acks::All)
            .compression(options.compression.into())
            .batch_size(BATCH_BYTES)
            .buffer_memory(BUFFER_BYTES)
            .linger(LINGER);
        let way = match &options.transactional_id {
            None => Way::Plain(Box::new(builder.build().await?)),
            Some(_) if options.acks != Acks::All => {
                return Err(Failure::Usage("a transaction needs --acks all".to_owned()));
            }
            Some(id) => {
                let producer = builder.build_transactional(id).await?;
                producer.begin()?;
                Way::Transaction(Box::new(producer))
            }
        };
        let keeps = options.output_format.is_some();
        Ok(Self {
            kafka: kafka.clone(),
            way,
            topics: HashSet::new(),
            on_the_way: VecDeque::new(),
            keeps,
            acknowledged: 0,
        })
    }

    /// Sends a record. What was acknowledged meanwhile is handed to `done`.
    pub(super) async fn send(
        &mut self,
        record: Record,
        done: &mut impl FnMut(Written) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !self.topics.contains(&record.topic) {
            self.look_for(&record.topic).await?;
            self.topics.insert(record.topic.clone());
        }
        let kept = self.keeps.then(|| record.clone());
        let handle = match &self.way {
            Way::Plain(producer) => producer.enqueue(record).await,
            Way::Transaction(producer) => producer.enqueue(record).await,
        };
        let number = self.acknowledged + self.on_the_way.len() as u64 + 1;
        let handle = handle.map_err(|error| not_written(number, &error))?;
        self.on_the_way.push_back(OnTheWay { handle, kept });
        while self.on_the_way.len() > IN_FLIGHT_MAX {
            self.wait_for_first(done).await?;
        }
        Ok(())
    }

    /// Makes sure that a topic exists. Asking for it creates it where the server does that; a
    /// misspelt one should not take the minute for which records wait.
    async fn look_for(&self, topic: &str) -> Result<(), Failure> {
        let asked = async {
            match &self.way {
                Way::Plain(producer) => producer.partitions_for(topic).await,
                Way::Transaction(producer) => producer.partitions_for(topic).await,
            }
        };
        match tokio::time::timeout(TOPIC_WAIT, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(topic_names::failure(&self.kafka, topic, &error).await),
            Err(_) => {
                let unknown = KrafkaError::unknown_topic(topic);
                Err(topic_names::failure(&self.kafka, topic, &unknown).await)
            }
        }
    }

    /// Waits for everything on its way.
    pub(super) async fn drain(
        &mut self,
        done: &mut impl FnMut(Written) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while !self.on_the_way.is_empty() {
            self.wait_for_first(done).await?;
        }
        Ok(())
    }

    async fn wait_for_first(
        &mut self,
        done: &mut impl FnMut(Written) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(first) = self.on_the_way.pop_front() else {
            return Ok(());
        };
        let number = self.acknowledged + 1;
        let metadata = first.handle.await.map_err(|error| not_written(number, &error))?;
        self.acknowledged += 1;
        match first.kept {
            Some(record) => done(Written { record, metadata }),
            None => Ok(()),
        }
    }

    /// Ends: commits a transaction, or aborts it where `whole` is false.
    pub(super) async fn end(self, whole: bool) -> Result<(), Failure> {
        match self.way {
            Way::Plain(producer) => Ok(producer.close().await?),
            Way::Transaction(producer) => {
                let outcome = if whole { producer.commit().await } else { producer.abort().await };
                let closed = producer.close().await;
                outcome?;
                Ok(closed?)
            }
        }
    }

    pub(super) fn is_transaction(&self) -> bool {
        matches!(self.way, Way::Transaction(_))
    }
}

fn not_written(number: u64, error: &KrafkaError) -> Failure {
    Failure::Running(format!("record {number} was not written: {}", sentence(error)))
}

/// A record that the server has acknowledged.
pub(super) struct Written {
    record: Record,
    metadata: RecordMetadata,
}

impl Written {
    /// The record as a consumer would get it.
    pub(super) fn into_consumed(self) -> ConsumerRecord {
        let Self { record, metadata } = self;
        let topic: Arc<str> = record.topic.into();
        let (key, value) = (record.key, record.value);
        let mut consumed =
            ConsumerRecord::new(topic, metadata.partition, metadata.offset, key, value);
        consumed.timestamp = metadata.timestamp;
        consumed.headers = record.headers;
        consumed
    }
}
