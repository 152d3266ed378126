//! A source over topics whose records are lines `key,value,event time`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use thalweg_core::partition_log::{Isolation, LogStore, PartitionLog, Waker, Watch};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::source::{
    Available, BadRecord, BatchSink, Cut, Position, Source, SourceBatch, SplitInfo, SplitReader,
};

/// Columns of the lines: `k` string, `v` bigint, `ts` timestamp(ms).
pub(crate) fn line_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

/// One line as a row; an empty time is null.
pub(crate) fn parse(line: &str) -> Option<(String, i64, Option<i64>)> {
    let mut fields = line.split(',');
    let key = fields.next()?.to_owned();
    let value = fields.next()?.parse().ok()?;
    let time = match fields.next()? {
        "" => None,
        time => Some(time.parse().ok()?),
    };
    Some((key, value, time))
}

/// Appends lines to a partition, `per_batch` a batch.
pub(crate) fn append_lines(log: &dyn PartitionLog, lines: &[String], per_batch: usize) -> i64 {
    let mut end = log.offsets().end;
    for lines in lines.chunks(per_batch) {
        let mut batch = BatchBuilder::new(Compression::None);
        for line in lines {
            let record =
                NewRecord { timestamp: 1, value: Some(line.as_bytes()), ..Default::default() };
            batch.push(&record).unwrap();
        }
        end = log.append(batch.build().unwrap()).unwrap().next_offset;
    }
    end
}

/// Reads all partitions of a topic.
pub(crate) struct TopicSource {
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) topic: String,
    /// Ends where the topic ended when this was made.
    pub(crate) bounded: Option<Vec<Position>>,
}

impl TopicSource {
    pub(crate) fn unbounded(log: Arc<dyn LogStore>, topic: &str) -> Arc<Self> {
        Arc::new(Self { log, topic: topic.into(), bounded: None })
    }

    pub(crate) fn bounded(log: Arc<dyn LogStore>, topic: &str) -> Arc<Self> {
        let number = log.topic(topic).unwrap().partitions;
        let end = |n| log.partition(topic, n).unwrap().offsets().last_stable as u64;
        let ends = (0..number).map(end).collect();
        Arc::new(Self { log: Arc::clone(&log), topic: topic.into(), bounded: Some(ends) })
    }
}

impl Source for TopicSource {
    fn splits(&self) -> Result<Vec<SplitInfo>> {
        let meta = self.log.topic(&self.topic).unwrap();
        let end = |number: usize| self.bounded.as_ref().map(|ends| ends[number]);
        let split = |number: i32| SplitInfo {
            id: number.to_string(),
            fingerprint: meta.id.to_string(),
            start: 0,
            end: end(number as usize),
        };
        Ok((0..meta.partitions).map(split).collect())
    }

    fn open(&self, split: &SplitInfo) -> Result<Box<dyn SplitReader>> {
        let number = split.id.parse().unwrap();
        let log = self.log.partition(&self.topic, number)?;
        if log.topic_id().to_string() != split.fingerprint {
            return Err(StreamError::Incompatible("another topic of the name".into()));
        }
        Ok(Box::new(TopicReader { log, split: split.clone() }))
    }

    fn is_bounded(&self) -> bool {
        self.bounded.is_some()
    }

    fn watch(&self, waker: Waker) -> Option<Watch> {
        let number = self.log.topic(&self.topic).unwrap().partitions;
        let watch = |n| self.log.partition(&self.topic, n).unwrap().watch(Arc::clone(&waker));
        let watches: Vec<_> = (0..number).map(watch).collect();
        Some(Watch::new(move || drop(watches)))
    }
}

struct TopicReader {
    log: Arc<dyn PartitionLog>,
    split: SplitInfo,
}

impl SplitReader for TopicReader {
    fn available(&mut self) -> Result<Available> {
        let there = self.log.offsets().last_stable as u64;
        Ok(match self.split.end {
            Some(end) => Available { end, finished: true },
            None => Available { end: there, finished: false },
        })
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        let bytes = self.log.read(from as i64, max_bytes as usize, Isolation::ReadCommitted)?;
        let mut end = from;
        for batch in split(&bytes) {
            end = batch.unwrap().header().next_offset() as u64;
        }
        Ok(Cut { end, bytes: bytes.len() as u64 })
    }

    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let mut rows = Rows::default();
        let mut next = from;
        while next < to {
            let bytes = self.log.read(next as i64, 1 << 16, Isolation::ReadCommitted)?;
            assert!(!bytes.is_empty(), "what was there is there");
            for batch in split(&bytes) {
                let batch = batch.unwrap();
                let mut scratch = Vec::new();
                let records = batch.records(&mut scratch, &DecompressionLimits::default()).unwrap();
                for record in records {
                    let record = record.unwrap();
                    let offset = record.offset as u64;
                    if offset < next || offset >= to {
                        continue;
                    }
                    next = offset + 1;
                    rows.add(&self.split.id, offset, record.value.unwrap_or_default());
                    if rows.keys.len() == batch_rows {
                        sink(rows.take())?;
                    }
                }
            }
        }
        if !rows.keys.is_empty() || !rows.bad.is_empty() {
            sink(rows.take())?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Rows {
    keys: Vec<String>,
    values: Vec<i64>,
    times: Vec<Option<i64>>,
    bad: Vec<BadRecord>,
}

impl Rows {
    fn add(&mut self, split: &str, position: u64, value: &[u8]) {
        match std::str::from_utf8(value).ok().and_then(parse) {
            Some((key, value, time)) => {
                self.keys.push(key);
                self.values.push(value);
                self.times.push(time);
            }
            None => self.bad.push(BadRecord {
                key: None,
                raw: Bytes::copy_from_slice(value),
                split: split.into(),
                position,
                reason: "it is no line".into(),
            }),
        }
    }

    fn take(&mut self) -> SourceBatch {
        let rows = std::mem::take(self);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(rows.keys)),
            Arc::new(Int64Array::from(rows.values)),
            Arc::new(TimestampMillisecondArray::from(rows.times)),
        ];
        let batch = RecordBatch::try_new(line_schema(), columns).unwrap();
        SourceBatch { rows: batch, bad: rows.bad }
    }
}
