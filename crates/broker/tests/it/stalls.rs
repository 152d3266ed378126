//! A disk that stops answering holds up who writes to it, and nobody else.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    CreateTopicsRequest, GroupId, InitProducerIdRequest, ListTransactionsRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, TransactionalId,
};
use parking_lot::{Condvar, Mutex};
use thalweg_broker::{Broker, BrokerHandle};
use thalweg_core::env::{Disk, DiskFile, DiskLock, Entry, Env, OpenMode};
use thalweg_core::partition_log::LogStore;
use thalweg_log::{Log, LogOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::client::{Client, batch, name, options, produce, text};

const SOON: Duration = Duration::from_secs(10);

/// Syncs wait while this is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock() = shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let mut shut = self.shut.lock();
        while *shut {
            self.opened.wait(&mut shut);
        }
    }
}

struct StallingDisk(Arc<dyn Disk>, Arc<Gate>);
struct StallingFile(Box<dyn DiskFile>, Arc<Gate>);

impl Disk for StallingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(StallingFile(self.0.open(path, mode)?, self.1.clone())))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.1.pass();
        self.0.sync_dir(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.0.lock(path)
    }
}

impl DiskFile for StallingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// A broker with two worker threads of its own on such a disk.
struct Bench {
    gate: Arc<Gate>,
    broker: Option<BrokerHandle>,
    runtime: Option<Runtime>,
    _data: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let gate = Arc::new(Gate::default());
        let mut env = Env::real();
        env.disk = Arc::new(StallingDisk(env.disk.clone(), gate.clone()));
        let log = Log::open(env.clone(), data.path(), LogOptions::default()).expect("a log");
        let runtime =
            Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let broker = {
            let _inside = runtime.enter();
            Broker::start(env, log as Arc<dyn LogStore>, options()).expect("a broker")
        };
        Self { gate, broker: Some(broker), runtime: Some(runtime), _data: data }
    }

    async fn client(&self) -> Client {
        Client::connect(self.broker.as_ref().expect("a broker")).await
    }

    /// A topic whose every produce begins a segment.
    async fn create(&self, topic: &str) {
        let config = CreatableTopicConfig::default()
            .with_name(text("segment.bytes"))
            .with_value(Some(text("1024")));
        let wanted = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(vec![config]);
        let request = CreateTopicsRequest::default().with_topics(vec![wanted]);
        assert_eq!(self.client().await.call(5, &request).await.topics[0].error_code, 0);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.gate.set(false);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test]
async fn partitions_that_wait_for_the_disk_hold_up_no_other_connection() {
    let bench = Bench::new();
    let records = batch(&[&"x".repeat(900)]);
    let mut writers = Vec::new();
    for topic in ["a", "b", "c", "d"] {
        bench.create(topic).await;
        let mut writer = bench.client().await;
        let answer = writer.call(9, &produce(topic, records.clone(), -1)).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        writers.push((topic, writer));
    }
    let mut other = bench.client().await;
    bench.gate.set(true);
    for (topic, writer) in &mut writers {
        writer.send(9, &produce(topic, records.clone(), -1)).await;
        // Two to the same partition: the second waits for the first one's lock.
        bench.client().await.send(9, &produce(topic, records.clone(), -1)).await;
    }
    for _ in 0..20 {
        assert!(timeout(SOON, other.answers()).await.expect("not held up"));
    }
    let new = timeout(SOON, async { bench.client().await.answers().await });
    assert!(new.await.expect("nor are new connections"));
    bench.gate.set(false);
    for (_, writer) in &mut writers {
        let (_, answer) = timeout(SOON, writer.receive::<ProduceRequest>(9)).await.expect("done");
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
}

/// The coordinator's own topic is no exception: who commits waits, nobody else.
#[tokio::test]
async fn groups_that_wait_for_the_disk_hold_up_no_other_connection() {
    let bench = Bench::new();
    let mut other = bench.client().await;
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![partition]);
    let mut request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("group")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    bench.create("topic").await;
    bench.gate.set(true);
    // The first append of all begins a segment.
    let mut committers = Vec::new();
    for offset in 0..4 {
        let mut committer = bench.client().await;
        request.topics[0].partitions[0].committed_offset = offset;
        committer.send(5, &request).await;
        // Looking up waits for what was committed before.
        let fetch = OffsetFetchRequest::default().with_group_id(GroupId(text("group")));
        committer.send(5, &fetch.with_topics(None)).await;
        committers.push(committer);
    }
    for _ in 0..20 {
        assert!(timeout(SOON, other.answers()).await.expect("not held up"));
    }
    bench.gate.set(false);
    for mut committer in committers {
        let commit = timeout(SOON, committer.receive::<OffsetCommitRequest>(5)).await;
        assert_eq!(commit.expect("done").1.topics[0].partitions[0].error_code, 0);
        let fetched = timeout(SOON, committer.receive::<OffsetFetchRequest>(5)).await;
        let offset = fetched.expect("done").1.topics[0].partitions[0].committed_offset;
        assert!((0..4).contains(&offset));
    }
}

/// Nor is that of the transactions.
#[tokio::test]
async fn transactions_that_wait_for_the_disk_hold_up_no_other_connection() {
    let bench = Bench::new();
    let mut other = bench.client().await;
    // Producer ids are at hand.
    let any = InitProducerIdRequest::default().with_transactional_id(None);
    assert_eq!(other.call(4, &any).await.error_code, 0);
    bench.gate.set(true);
    // The first append of all begins a segment.
    let mut producers = Vec::new();
    for number in 0..4 {
        let mut producer = bench.client().await;
        let id = TransactionalId(text(&format!("tx-{}", number % 2)));
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id))
            .with_transaction_timeout_ms(60_000);
        producer.send(4, &request).await;
        producers.push(producer);
    }
    let list = ListTransactionsRequest::default();
    for _ in 0..20 {
        let listed = timeout(SOON, other.call(1, &list)).await.expect("not held up");
        assert_eq!(listed.error_code, 0);
    }
    bench.gate.set(false);
    let mut epochs = Vec::new();
    for mut producer in producers {
        let (_, answer) =
            timeout(SOON, producer.receive::<InitProducerIdRequest>(4)).await.expect("done");
        assert_eq!(answer.error_code, 0);
        epochs.push((answer.producer_id.0, answer.producer_epoch));
    }
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 4, "each has its own epoch");
}
