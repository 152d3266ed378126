//! What the engine costs besides decoding and aggregating: rows that are already in
//! memory, through 0 to 2 exchanges, into a sink that throws them away.
//!
//! `cargo run --release -p thalweg-engine --example shell_overhead -- [rows] [parallelism]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program to measure with")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_core::env::Env;
use thalweg_core::ids::Epoch;
use thalweg_core::partition_log::{Waker, Watch};
use thalweg_engine::{Job, JobId, JobOptions, JobServices, JobSpec};
use thalweg_log::{Log, LogOptions};
use thalweg_stream::ChangeBatch;
use thalweg_stream::aggregate::{AggregateCall, AggregateFunction};
use thalweg_stream::error::Result;
use thalweg_stream::expression::{Column, ExpressionRef};
use thalweg_stream::graph::{
    Edge, Exchange, Graph, Node, NodeId, Operator, SourceNode, WatermarkSpec, WindowAggregate,
};
use thalweg_stream::sink::{Delivery, OutputChunk, Publication, Sink, SinkPublisher, SinkWriter};
use thalweg_stream::source::{
    Available, BatchSink, Cut, Position, Source, SourceBatch, SplitInfo, SplitReader,
};
use thalweg_stream::table::TableSpec;
use thalweg_stream::window::{Window, WindowTime};

const ROW_BYTES: u64 = 100;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

/// Rows made on the spot; a position is a row number.
struct Rows {
    end: u64,
}

impl Source for Rows {
    fn splits(&self) -> Result<Vec<SplitInfo>> {
        let fingerprint = String::new();
        Ok(vec![SplitInfo { id: "0".into(), fingerprint, start: 0, end: Some(self.end) }])
    }

    fn open(&self, _: &SplitInfo) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(RowReader { end: self.end }))
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn watch(&self, _: Waker) -> Option<Watch> {
        None
    }
}

struct RowReader {
    end: u64,
}

impl SplitReader for RowReader {
    fn available(&mut self) -> Result<Available> {
        Ok(Available { end: self.end, finished: true })
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        let end = self.end.min(from + (max_bytes / ROW_BYTES).max(1));
        Ok(Cut { end, bytes: (end - from) * ROW_BYTES })
    }

    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let mut next = from;
        while next < to {
            let end = to.min(next + batch_rows as u64);
            let numbers = (next..end).map(|n| n as i64);
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from_iter_values(numbers.clone().map(|n| n * 7 % 1000))),
                Arc::new(Int64Array::from_iter_values(numbers.clone())),
                Arc::new(TimestampMillisecondArray::from_iter_values(numbers.map(|n| n / 10))),
            ];
            let rows = RecordBatch::try_new(schema(), columns)?;
            sink(SourceBatch { rows, bad: Vec::new(), positions: next..end, records: None })?;
            next = end;
        }
        Ok(())
    }
}

/// Counts and throws away.
struct Nothing;

struct Count(u32);

impl Sink for Nothing {
    fn partitions(&self) -> i32 {
        1
    }

    fn accepts_updates(&self) -> bool {
        true
    }

    fn writer(&self, _: usize, _: usize) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Count(0)))
    }

    fn publisher(&self) -> Result<Box<dyn SinkPublisher>> {
        Ok(Box::new(Count(0)))
    }
}

impl SinkWriter for Count {
    fn write(&mut self, batch: &ChangeBatch) -> Result<()> {
        self.0 += batch.num_rows() as u32;
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        0
    }

    fn finish_epoch(&mut self) -> Result<Vec<OutputChunk>> {
        let count = std::mem::take(&mut self.0);
        Ok(vec![OutputChunk { partition: 0, count, bytes: Default::default() }])
    }
}

impl SinkPublisher for Count {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn publish(&mut self, _: Publication, _: &OutputChunk) -> Result<()> {
        Ok(())
    }

    fn finish_epoch(&mut self, _: Epoch) -> Result<()> {
        Ok(())
    }
}

fn node(
    graph: &mut Graph,
    operator: Operator,
    inputs: &[(NodeId, Exchange)],
    schema: SchemaRef,
) -> NodeId {
    let uid = format!("n{}", graph.nodes.len());
    let edge = |(from, exchange): &(NodeId, Exchange)| Edge::new(*from, exchange.clone());
    graph.add(Node {
        name: uid.clone(),
        uid,
        operator,
        inputs: inputs.iter().map(edge).collect(),
        schema,
        updating: false,
        rowtime: None,
    })
}

fn table(name: &str) -> TableSpec {
    let (primary_key, options) = (Vec::new(), Default::default());
    TableSpec { name: name.into(), schema: schema(), primary_key, options }
}

fn columns() -> Vec<ExpressionRef> {
    let column = |(index, field): (usize, &Arc<Field>)| -> ExpressionRef {
        Arc::new(Column { index, name: field.name().clone(), data_type: field.data_type().clone() })
    };
    schema().fields().iter().enumerate().map(column).collect()
}

fn source(graph: &mut Graph) -> NodeId {
    let expression = columns()[2].clone();
    let watermark = Some(WatermarkSpec { rowtime: 2, expression, idle_timeout: None });
    let columns = columns();
    let source =
        SourceNode { table: table("in"), columns: vec![0, 1, 2], projection: columns, watermark };
    node(graph, Operator::Source(source), &[], schema())
}

fn pass(graph: &mut Graph, input: NodeId, exchange: Exchange) -> NodeId {
    let calc = Operator::Calc { filter: None, projection: columns() };
    node(graph, calc, &[(input, exchange)], schema())
}

fn tumble(graph: &mut Graph, input: NodeId) -> NodeId {
    let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
    let field = |name: &str, data_type: &DataType| Field::new(name, data_type.clone(), false);
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        field("n", &DataType::Int64),
        field("window_start", &millis),
        field("window_end", &millis),
        field("window_time", &millis),
    ]));
    let count = AggregateCall {
        function: AggregateFunction::Count,
        argument: None,
        argument_type: None,
        distinct: false,
        filter: None,
        name: "n".into(),
        result_type: DataType::Int64,
    };
    let aggregate = WindowAggregate {
        window: Window::Tumbling { size: 10_000, offset: 0 },
        time: WindowTime::Event { column: 2 },
        keys: vec![0],
        aggregates: vec![count],
        allowed_lateness: 0,
    };
    node(graph, Operator::WindowAggregate(aggregate), &[(input, Exchange::Hash(vec![0]))], schema)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(20_000_000, |rows| rows.parse().unwrap());
    let parallelism = arguments.next().map_or(1, |number| number.parse().unwrap());
    let shapes: [(&str, usize, bool); 4] = [
        ("no exchange", 0, false),
        ("one exchange", 1, false),
        ("two exchanges", 2, false),
        ("tumbling count", 0, true),
    ];
    for (name, exchanges, window) in shapes {
        let mut graph = Graph::default();
        let read = source(&mut graph);
        let mut last = pass(&mut graph, read, Exchange::Forward);
        for number in 0..exchanges {
            last = pass(&mut graph, last, Exchange::Hash(vec![number]));
        }
        if window {
            last = tumble(&mut graph, last);
        }
        let out = graph.nodes[last].schema.clone();
        let sink = Operator::Sink { table: table("out") };
        let sink = node(&mut graph, sink, &[(last, Exchange::Forward)], out);
        let temp = tempfile::tempdir().unwrap();
        let env = Env::real();
        let log = Log::open(env.clone(), &temp.path().join("log"), LogOptions::default()).unwrap();
        let services = JobServices {
            env,
            log: log.clone(),
            sources: BTreeMap::from([(read, Arc::new(Rows { end: rows }) as _)]),
            sinks: BTreeMap::from([(sink, Arc::new(Nothing) as _)]),
            views: BTreeMap::new(),
            late: BTreeMap::new(),
            bad: BTreeMap::new(),
            dir: temp.path().join("job"),
        };
        let options = JobOptions { snapshot_at_stop: false, ..JobOptions::default() };
        let spec = JobSpec { id: JobId(1), name: name.into(), graph, parallelism, options };
        let job = Job::start(spec, services).unwrap();
        let outcome = job.wait();
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let rate = rows as f64 / outcome.seconds / 1e6;
        let epochs = job.status().epoch;
        println!("{name:>16}: {rate:7.1} M rows/s, {epochs} epochs, {:.2} s", outcome.seconds);
        log.close().unwrap();
    }
}
