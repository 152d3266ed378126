//! Sinks that write lines: into a topic, exactly once, or into memory.

use std::sync::Arc;

use arrow_cast::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_core::ids::Epoch;
use thalweg_core::partition_log::{Isolation, LogStore, append_durably};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_stream::ChangeBatch;
use thalweg_stream::error::Result;
use thalweg_stream::sink::{Delivery, OutputChunk, Publication, Sink, SinkPublisher, SinkWriter};

/// Rows as text: kind, then the columns.
pub(crate) fn lines(batch: &ChangeBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> = batch
        .rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let fields: Vec<_> =
                columns.iter().map(|column| column.value(row).to_string()).collect();
            format!("{}[{}]", batch.kind(row).short(), fields.join(", "))
        })
        .collect()
}

/// Writes lines to a topic; row `n` of a subtask goes to a partition by its first byte.
pub(crate) struct TopicSink {
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) topic: String,
}

impl TopicSink {
    pub(crate) fn new(log: Arc<dyn LogStore>, topic: &str) -> Arc<Self> {
        Arc::new(Self { log, topic: topic.into() })
    }
}

impl Sink for TopicSink {
    fn partitions(&self) -> i32 {
        self.log.topic(&self.topic).unwrap().partitions
    }

    fn accepts_updates(&self) -> bool {
        true
    }

    fn writer(&self, _: usize, _: usize) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(LineWriter { partitions: vec![Vec::new(); self.partitions() as usize] }))
    }

    fn publisher(&self) -> Result<Box<dyn SinkPublisher>> {
        Ok(Box::new(TopicPublisher { log: Arc::clone(&self.log), topic: self.topic.clone() }))
    }
}

struct LineWriter {
    partitions: Vec<Vec<String>>,
}

impl SinkWriter for LineWriter {
    fn write(&mut self, batch: &ChangeBatch) -> Result<()> {
        for line in lines(batch) {
            let hash: usize = line.bytes().map(usize::from).sum();
            let partition = hash % self.partitions.len();
            self.partitions[partition].push(line);
        }
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        self.partitions.iter().flatten().map(|line| line.len() + 1).sum()
    }

    fn finish_epoch(&mut self) -> Result<Vec<OutputChunk>> {
        let partitions = self.partitions.iter_mut().enumerate();
        let chunks = partitions.filter(|(_, lines)| !lines.is_empty()).map(|(number, lines)| {
            let lines = std::mem::take(lines);
            let count = lines.len() as u32;
            OutputChunk { partition: number as i32, count, bytes: Bytes::from(lines.join("\n")) }
        });
        Ok(chunks.collect())
    }
}

struct TopicPublisher {
    log: Arc<dyn LogStore>,
    topic: String,
}

impl SinkPublisher for TopicPublisher {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn publish(&mut self, publication: Publication, chunk: &OutputChunk) -> Result<()> {
        let log = self.log.partition(&self.topic, chunk.partition)?;
        let there = log.producer(publication.producer);
        let there = there.map_or(0, |position| position.last_sequence as u64 + 1);
        if there >= publication.first_sequence + u64::from(chunk.count) {
            return Ok(());
        }
        assert_eq!(there, publication.first_sequence, "chunks go in whole and in order");
        let first = publication.first_sequence as i32;
        let mut batch =
            BatchBuilder::new(Compression::None).producer(publication.producer.0, 0, first);
        for line in std::str::from_utf8(&chunk.bytes).unwrap().split('\n') {
            let record =
                NewRecord { timestamp: 1, value: Some(line.as_bytes()), ..Default::default() };
            batch.push(&record).unwrap();
        }
        append_durably(&*log, batch.build().unwrap())?;
        Ok(())
    }

    fn finish_epoch(&mut self, _: Epoch) -> Result<()> {
        Ok(())
    }
}

/// All records of a partition, as text.
pub(crate) fn read_topic(log: &dyn LogStore, topic: &str, partition: i32) -> Vec<String> {
    let log = log.partition(topic, partition).unwrap();
    let end = log.offsets().last_stable;
    let mut next = log.offsets().start;
    let mut all = Vec::new();
    while next < end {
        let bytes = log.read(next, 1 << 20, Isolation::ReadCommitted).unwrap();
        for batch in split(&bytes) {
            let batch = batch.unwrap();
            next = batch.header().next_offset();
            let mut scratch = Vec::new();
            let records = batch.records(&mut scratch, &DecompressionLimits::default()).unwrap();
            for record in records {
                let value = record.unwrap().value.unwrap_or_default();
                all.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
    }
    all
}

/// All records of all partitions.
pub(crate) fn read_all(log: &dyn LogStore, topic: &str) -> Vec<String> {
    let number = log.topic(topic).unwrap().partitions;
    (0..number).flat_map(|partition| read_topic(log, topic, partition)).collect()
}

/// Keeps lines in memory, as `print` would show them.
#[derive(Default)]
pub(crate) struct MemorySink {
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
}

impl Sink for MemorySink {
    fn partitions(&self) -> i32 {
        1
    }

    fn accepts_updates(&self) -> bool {
        true
    }

    fn writer(&self, _: usize, _: usize) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(LineWriter { partitions: vec![Vec::new()] }))
    }

    fn publisher(&self) -> Result<Box<dyn SinkPublisher>> {
        Ok(Box::new(MemoryPublisher { lines: Arc::clone(&self.lines) }))
    }
}

struct MemoryPublisher {
    lines: Arc<Mutex<Vec<String>>>,
}

impl SinkPublisher for MemoryPublisher {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn publish(&mut self, _: Publication, chunk: &OutputChunk) -> Result<()> {
        let text = std::str::from_utf8(&chunk.bytes).unwrap();
        self.lines.lock().extend(text.split('\n').map(str::to_owned));
        Ok(())
    }

    fn finish_epoch(&mut self, _: Epoch) -> Result<()> {
        Ok(())
    }
}
