//! Records on their way, plain or in a transaction, a bounded number at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use krafka::consumer::ConsumerRecord;
use krafka::producer::{Acks, DeliveryHandle, Producer, RecordMetadata, TransactionalProducer};
use krafka::{Kafka, Record};

use super::Options;
use crate::cli::Failure;
use crate::cli::kafka_error::sentence;

/// Records whose acknowledgement is awaited at the same time. Their bytes are bounded by
/// the producer's buffer.
const IN_FLIGHT_MAX: usize = 50_000;

/// Bytes of a batch: large, because whoever pipes input in wants it written, not answered.
const BATCH_BYTES: usize = 512 << 10;

/// Bytes of records that are on their way.
const BUFFER_BYTES: usize = 64 << 20;

/// How long a batch waits for more records.
const LINGER: Duration = Duration::from_millis(5);

/// Sends records in the order of the input.
pub(super) struct Sender {
    way: Way,
    on_the_way: VecDeque<OnTheWay>,
    /// Whether records are kept until they are acknowledged, to be printed then.
    keeps: bool,
    pub(super) acknowledged: u64,
}

enum Way {
    Plain(Producer),
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
            None => Way::Plain(builder.build().await?),
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
        Ok(Self { way, on_the_way: VecDeque::new(), keeps, acknowledged: 0 })
    }

    /// Sends a record. What was acknowledged meanwhile is handed to `done`.
    pub(super) async fn send(
        &mut self,
        record: Record,
        done: &mut impl FnMut(Written) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let kept = self.keeps.then(|| record.clone());
        let handle = match &self.way {
            Way::Plain(producer) => producer.enqueue(record).await?,
            Way::Transaction(producer) => producer.enqueue(record).await?,
        };
        self.on_the_way.push_back(OnTheWay { handle, kept });
        while self.on_the_way.len() > IN_FLIGHT_MAX {
            self.wait_for_first(done).await?;
        }
        Ok(())
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
        let metadata = first.handle.await.map_err(|error| {
            Failure::Running(format!(
                "record {} was not written: {}",
                self.acknowledged + 1,
                sentence(&error)
            ))
        })?;
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
