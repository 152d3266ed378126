//! A transactional producer as a client library keeps it, and a broker on the embedded log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use kafka_protocol::messages::*;
use thalweg_broker::{BrokerHandle, TransactionOptions};
use thalweg_core::env::Env;
use thalweg_core::partition_log::{LogStore, PartitionLog};
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use thalweg_log::{Log, LogOptions};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::client::{Client, name, options, start, text};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const NONE: i16 = 0;

/// Version of each request in the classic protocol, and where ends raise the epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Classic,
    EpochBump,
}

pub(crate) const BOTH: [Mode; 2] = [Mode::Classic, Mode::EpochBump];

impl Mode {
    pub(crate) fn produce(self) -> i16 {
        if self == Self::Classic { 11 } else { 12 }
    }

    pub(crate) fn end(self) -> i16 {
        if self == Self::Classic { 4 } else { 5 }
    }
}

/// A producer as a client library keeps it.
pub(crate) struct Producer {
    pub(crate) client: Client,
    pub(crate) transactional_id: String,
    pub(crate) mode: Mode,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequences: [i32; 2],
}

impl Producer {
    pub(crate) async fn new(broker: &BrokerHandle, transactional_id: &str, mode: Mode) -> Self {
        Self::with_timeout(broker, transactional_id, mode, 60_000).await
    }

    pub(crate) async fn with_timeout(
        broker: &BrokerHandle,
        transactional_id: &str,
        mode: Mode,
        timeout_ms: i32,
    ) -> Self {
        let mut client = Client::connect(broker).await;
        let answer = client.call(5, &init(transactional_id, timeout_ms)).await;
        assert_eq!(answer.error_code, NONE);
        Self {
            client,
            transactional_id: transactional_id.into(),
            mode,
            id: answer.producer_id.0,
            epoch: answer.producer_epoch,
            sequences: [0; 2],
        }
    }

    /// Adds a partition where the protocol wants that.
    pub(crate) async fn add(&mut self, partition: i32) -> i16 {
        if self.mode == Mode::EpochBump {
            return NONE;
        }
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.named())
            .with_v3_and_below_producer_id(ProducerId(self.id))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![partitions(&[partition])]);
        let answer = self.client.call(3, &request).await;
        answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    /// Produces a record; the code.
    pub(crate) async fn produce(&mut self, partition: i32, value: &str) -> i16 {
        let version = self.mode.produce();
        let request = self.record(partition, value);
        let answer = self.client.call(version, &request).await;
        let code = answer.responses[0].partition_responses[0].error_code;
        self.sequences[partition as usize] += i32::from(code == NONE);
        code
    }

    pub(crate) fn record(&self, partition: i32, value: &str) -> ProduceRequest {
        let sequence = self.sequences[partition as usize];
        let mut batch = BatchBuilder::new(Compression::None)
            .producer(self.id, self.epoch, sequence)
            .transactional(true);
        let value = Some(value.as_bytes());
        batch.push(&NewRecord { timestamp: 1, value, ..NewRecord::default() }).expect("room");
        request(partition, batch.build().expect("a batch"))
            .with_transactional_id(Some(self.named()))
    }

    pub(crate) async fn write(&mut self, partition: i32, value: &str) {
        assert_eq!(self.add(partition).await, NONE);
        assert_eq!(self.produce(partition, value).await, NONE);
    }

    pub(crate) fn ending(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(self.named())
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_committed(committed)
    }

    /// Ends the transaction and goes on with the producer that comes back; the code.
    pub(crate) async fn end(&mut self, committed: bool) -> i16 {
        let answer = self.client.call(self.mode.end(), &self.ending(committed)).await;
        if answer.error_code == NONE && self.mode == Mode::EpochBump {
            assert_eq!((answer.producer_id.0, answer.producer_epoch), (self.id, self.epoch + 1));
            self.epoch += 1;
            self.sequences = [0; 2];
        }
        answer.error_code
    }

    pub(crate) fn named(&self) -> TransactionalId {
        TransactionalId(text(&self.transactional_id))
    }
}

pub(crate) fn init(transactional_id: &str, timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text(transactional_id))))
        .with_transaction_timeout_ms(timeout_ms)
}

pub(crate) fn partitions(numbers: &[i32]) -> AddPartitionsToTxnTopic {
    AddPartitionsToTxnTopic::default().with_name(name("topic")).with_partitions(numbers.to_vec())
}

pub(crate) fn request(partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic =
        TopicProduceData::default().with_name(name("topic")).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// A broker on the embedded log with a topic of two partitions.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
    rewrite_bytes: usize,
    pub(crate) log: Arc<Log>,
    pub(crate) broker: BrokerHandle,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::rewriting(TransactionOptions::default().rewrite_bytes)
    }

    /// A broker that writes its state anew after so many bytes.
    pub(crate) fn rewriting(rewrite_bytes: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (log, broker) = open(directory.path(), rewrite_bytes);
        log.create_topic("topic", 2, &[]).expect("a topic");
        Self { directory, rewrite_bytes, log, broker }
    }

    /// Stops the broker and starts another one on the same directory.
    pub(crate) async fn restart(self) -> Self {
        let Self { directory, rewrite_bytes, log, broker } = self;
        broker.shutdown().await;
        log.close().expect("a clean end");
        drop(log);
        let (log, broker) = open(directory.path(), rewrite_bytes);
        Self { directory, rewrite_bytes, log, broker }
    }

    pub(crate) fn partition(&self, partition: i32) -> Arc<dyn PartitionLog> {
        self.log.partition("topic", partition).expect("a partition")
    }

    /// Values that a reader of committed records gets, as clients leave out aborted ones.
    pub(crate) async fn committed(&self, partition: i32) -> Vec<String> {
        let mut client = Client::connect(&self.broker).await;
        let wanted =
            FetchPartition::default().with_partition(partition).with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(name("topic")).with_partitions(vec![wanted]);
        let request = FetchRequest::default()
            .with_isolation_level(1)
            .with_max_bytes(1 << 20)
            .with_topics(vec![topic]);
        let answer = client.call(12, &request).await;
        let found = &answer.responses[0].partitions[0];
        assert_eq!(found.error_code, NONE);
        let aborted = found.aborted_transactions.clone().unwrap_or_default();
        let mut open_aborts: Vec<i64> = Vec::new();
        let (mut values, mut scratch) = (Vec::new(), Vec::new());
        for batch in thalweg_core::record_batch::split(found.records.as_deref().unwrap_or(&[])) {
            let batch = batch.expect("a batch");
            let header = *batch.header();
            for abort in aborted.iter().filter(|abort| abort.first_offset == header.base_offset) {
                open_aborts.push(abort.producer_id.0);
            }
            if header.attributes.is_control() {
                open_aborts.retain(|id| *id != header.producer_id);
                continue;
            }
            let is_aborted =
                header.attributes.is_transactional() && open_aborts.contains(&header.producer_id);
            for record in batch.records(&mut scratch, &Default::default()).expect("records") {
                let value = record.expect("a record").value.expect("a value").to_vec();
                if !is_aborted {
                    values.push(String::from_utf8(value).expect("text"));
                }
            }
        }
        values
    }

    /// Waits until nothing is under way in a partition.
    pub(crate) async fn stable(&self, partition: i32) {
        let log = self.partition(partition);
        let moved = Arc::new(Notify::new());
        let waker = moved.clone();
        let _watch = log.watch(Arc::new(move || waker.notify_one()));
        let waiting = async {
            while log.offsets().last_stable < log.offsets().end {
                moved.notified().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("the last stable offset moves on");
    }
}

fn open(directory: &Path, rewrite_bytes: usize) -> (Arc<Log>, BrokerHandle) {
    let log = Log::open(Env::real(), directory, LogOptions::default()).expect("a log");
    let mut options = options();
    options.transactions.rewrite_bytes = rewrite_bytes;
    let broker = start(log.clone(), options);
    (log, broker)
}
