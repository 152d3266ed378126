//! A node in a temporary directory that can be closed and opened again.

use std::path::PathBuf;
use std::sync::Arc;

use thalweg::node::{Answer, Node, NodeOptions, Session};
use thalweg_core::partition_log::append_durably;
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use thalweg_engine::JobState;
use thalweg_sql::error::SqlError;

/// A directory and the node that runs on it.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    options: NodeOptions,
    node: Option<Arc<Node>>,
}

impl Drop for Bench {
    /// The node ends before its directory goes, also where a test fails.
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop();
        }
    }
}

impl Bench {
    /// A node on an empty directory.
    pub(crate) fn new() -> Self {
        Self::with(NodeOptions::default())
    }

    /// The same with options; the directory is the bench's own.
    pub(crate) fn with(options: NodeOptions) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let mut bench = Self { directory, runtime, options, node: None };
        bench.open();
        bench
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        self.node.as_ref().expect("the node is open")
    }

    /// Opens the node on what is there.
    pub(crate) fn open(&mut self) {
        self.open_with(self.options.clone());
    }

    /// The same with other options.
    pub(crate) fn open_with(&mut self, options: NodeOptions) {
        let options = NodeOptions { data_dir: Some(self.data()), ..options };
        self.node = Some(Node::open(options).expect("the node opens"));
    }

    /// Stops the node.
    pub(crate) fn close(&mut self) {
        self.node.take().expect("the node is open").stop();
    }

    /// Stops the node and opens it again.
    pub(crate) fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// Executes statements in one session; the last one's answer.
    ///
    /// # Errors
    /// The first one's that fails.
    pub(crate) fn try_run(&self, sql: &str) -> Result<Answer, SqlError> {
        let mut session = Session::new(self.node());
        self.runtime.block_on(async {
            let mut last = None;
            for parsed in thalweg_sql::parser::parse(sql)? {
                last = Some(session.execute(&parsed).await?);
            }
            Ok(last.expect("a statement"))
        })
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn run(&self, sql: &str) -> Answer {
        self.try_run(sql).unwrap_or_else(|error| panic!("{}", error.render(sql)))
    }

    /// The rows of a query as text.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.runtime.block_on(self.node().query_text(sql));
        rows.unwrap_or_else(|error| panic!("{sql}: {error:#}"))
    }

    /// Asks until the answer is this one, or for a minute.
    pub(crate) fn await_rows(&self, sql: &str, expected: &[&[&str]]) {
        let mut rows = Vec::new();
        for _ in 0..6_000 {
            rows = self.rows(sql);
            if rows == expected {
                return;
            }
            self.node().env().clock.sleep(std::time::Duration::from_millis(10));
        }
        panic!("{sql}: {rows:?} instead of {expected:?}");
    }

    /// Writes a record to partition 0 of a topic, which is created where it is missing.
    pub(crate) fn produce(&self, topic: &str, value: &str) {
        self.produce_to(topic, 0, value);
    }

    /// The same to another partition, which is there.
    pub(crate) fn produce_to(&self, topic: &str, partition: i32, value: &str) {
        let log = self.node().log();
        if log.topic(topic).is_none() {
            log.create_topic(topic, 1, &[]).expect("a topic");
        }
        let mut batch = BatchBuilder::new(Compression::None);
        let record = NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() };
        batch.push(&record).expect("room");
        let partition = log.partition(topic, partition).expect("the partition");
        append_durably(partition.as_ref(), batch.build().expect("a batch")).expect("appended");
    }

    /// Names and states of the jobs, by id.
    pub(crate) fn jobs(&self) -> Vec<(String, JobState)> {
        let jobs = self.node().jobs();
        jobs.iter().map(|job| (job.name().to_owned(), job.status().state)).collect()
    }
}
