//! A source over topics whose records are lines `key,value,event time`.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_core::partition_log::{Isolation, LogStore, PartitionLog, Waker, Watch};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, DecompressionLimits, NewRecord, split,
};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::record::{BadRecord, RawRecord, RawRecords, RawRecordsRef, RecordVisitor};
use thalweg_stream::source::{
    Available, BatchSink, Cut, Position, Source, SourceBatch, SplitInfo, SplitReader,
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

    fn pin(&self, split: &SplitInfo, holder: &str, from: Option<Position>) {
        let log = self.log.partition(&self.topic, split.id.parse().unwrap()).unwrap();
        log.pin(holder, from.map(|from| from as i64));
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
        let mut rows = Rows::starting_at(from);
        let records: RawRecordsRef = Arc::new(TopicRecords(Arc::clone(&self.log)));
        let mut failed = Ok(());
        records.visit(from..to, &mut |record| {
            rows.add(&self.split.id, record);
            if rows.len() == batch_rows {
                failed = sink(rows.take(&records));
            }
            if failed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed?;
        if rows.len() > 0 {
            sink(rows.take(&records))?;
        }
        Ok(())
    }
}

/// The records of a partition.
struct TopicRecords(Arc<dyn PartitionLog>);

impl RawRecords for TopicRecords {
    fn visit(&self, range: Range<Position>, visitor: &mut RecordVisitor<'_>) -> Result<()> {
        let mut next = range.start;
        while next < range.end {
            let bytes = self.0.read(next as i64, 1 << 16, Isolation::ReadCommitted)?;
            assert!(!bytes.is_empty(), "what was there is there");
            for batch in split(&bytes) {
                let batch = batch.unwrap();
                let mut scratch = Vec::new();
                let records = batch.records(&mut scratch, &DecompressionLimits::default()).unwrap();
                for record in records {
                    let record = record.unwrap();
                    let position = record.offset as u64;
                    if position < next || position >= range.end {
                        continue;
                    }
                    next = position + 1;
                    let raw = RawRecord {
                        position,
                        key: record.key,
                        value: record.value,
                        headers: Some(record.headers),
                    };
                    if visitor(&raw).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Rows out of lines.
#[derive(Default)]
pub(crate) struct Rows {
    keys: Vec<String>,
    values: Vec<i64>,
    times: Vec<Option<i64>>,
    bad: Vec<BadRecord>,
    start: Position,
    pub(crate) end: Position,
}

impl Rows {
    pub(crate) fn starting_at(start: Position) -> Self {
        Self { start, ..Self::default() }
    }

    pub(crate) fn add(&mut self, split: &str, record: &RawRecord<'_>) {
        self.end = record.position + 1;
        let line = std::str::from_utf8(record.value.unwrap_or_default()).ok();
        match line.and_then(parse) {
            Some((key, value, time)) => {
                self.keys.push(key);
                self.values.push(value);
                self.times.push(time);
            }
            None => self.bad.push(record.refused(split, "it is no line".into(), 1 << 20)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.bad.len()
    }

    pub(crate) fn take(&mut self, records: &RawRecordsRef) -> SourceBatch {
        let next = Self { start: self.end, end: self.end, ..Self::default() };
        let rows = std::mem::replace(self, next);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(rows.keys)),
            Arc::new(Int64Array::from(rows.values)),
            Arc::new(TimestampMillisecondArray::from(rows.times)),
        ];
        SourceBatch {
            rows: RecordBatch::try_new(line_schema(), columns).unwrap(),
            bad: rows.bad,
            positions: rows.start..rows.end,
            records: Some(Arc::clone(records)),
        }
    }
}
