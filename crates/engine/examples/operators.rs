//! Measures the operators alone, on one core: rows a second of processor time (what other
//! programs take does not count) of windowed and grouped aggregation over synthetic rows
//! that stand in memory.
//!
//! `cargo run --release -p thalweg-engine --example operators [rows]`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program of its own")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_core::env::{Env, OpenMode, Random, SeededRandom};
use thalweg_core::ids::Epoch;
use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK};
use thalweg_engine::key::partition_batch;
use thalweg_engine::operator::{Collector, InputSpec, OperatorContext, build};
use thalweg_stream::ChangeBatch;
use thalweg_stream::aggregate::{AggregateCall, AggregateFunction};
use thalweg_stream::graph::{GroupAggregate, Node, Operator, WindowAggregate};
use thalweg_stream::window::{Window, WindowTime};

const BATCH_ROWS: usize = 8192;
const BATCHES_PER_EPOCH: usize = 16;
/// Rows for each millisecond of event time.
const ROWS_PER_MS: usize = 10;
/// Rows are out of order by up to so many milliseconds.
const DISORDER_MS: u64 = 200;

/// What the input looks like.
#[derive(Clone, Copy)]
struct Input {
    keys: u64,
    text: bool,
    disorder: bool,
}

fn schema(input: Input) -> SchemaRef {
    let key = if input.text { DataType::Utf8 } else { DataType::Int64 };
    Arc::new(Schema::new(vec![
        Field::new("k", key, false),
        Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("v", DataType::Int64, false),
        Field::new("x", DataType::Float64, false),
    ]))
}

fn batches(input: Input, rows: usize) -> Vec<ChangeBatch> {
    let random = SeededRandom::new(42);
    let mut batches = Vec::new();
    for first in (0..rows).step_by(BATCH_ROWS) {
        let count = BATCH_ROWS.min(rows - first);
        let numbers = (0..count).map(|_| random.below(input.keys)).collect::<Vec<_>>();
        let keys: ArrayRef = if input.text {
            Arc::new(StringArray::from_iter_values(
                numbers.iter().map(|n| format!("sensor-{n:06}")),
            ))
        } else {
            Arc::new(Int64Array::from_iter_values(numbers.iter().map(|&n| n as i64 * 7919)))
        };
        let late = || if input.disorder { random.below(DISORDER_MS) as i64 } else { 0 };
        let times: Vec<i64> = (0..count)
            .map(|row| 1_700_000_000_000 + ((first + row) / ROWS_PER_MS) as i64 - late())
            .collect();
        let values = Int64Array::from_iter_values((0..count).map(|_| random.below(1000) as i64));
        let floats = arrow_array::Float64Array::from_iter_values(
            (0..count).map(|_| random.below(100_000) as f64 / 100.0),
        );
        let newest = times.last().copied().unwrap();
        let columns: Vec<ArrayRef> = vec![
            keys,
            Arc::new(TimestampMillisecondArray::from(times)),
            Arc::new(values),
            Arc::new(floats),
        ];
        let mut batch = ChangeBatch::inserts(RecordBatch::try_new(schema(input), columns).unwrap());
        batch.marks.push(count, newest - DISORDER_MS as i64);
        batches.push(batch);
    }
    batches
}

fn call(function: AggregateFunction, argument: Option<usize>) -> AggregateCall {
    let argument_type = argument.map(|n| if n == 3 { DataType::Float64 } else { DataType::Int64 });
    let result_type = match function {
        AggregateFunction::Count => DataType::Int64,
        _ => argument_type.clone().unwrap(),
    };
    AggregateCall {
        function,
        argument,
        argument_type,
        distinct: false,
        filter: None,
        name: format!("{function:?}"),
        result_type,
    }
}

fn node(operator: Operator, input: Input, calls: &[AggregateCall], windowed: bool) -> Node {
    let mut fields = vec![schema(input).field(0).clone()];
    let numbered = calls.iter().enumerate();
    fields.extend(numbered.map(|(n, c)| Field::new(format!("a{n}"), c.result_type.clone(), true)));
    if windowed {
        let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
        let names = ["window_start", "window_end", "window_time"];
        fields.extend(names.map(|name| Field::new(name, instant.clone(), false)));
    }
    Node {
        uid: "bench".into(),
        name: "bench".into(),
        operator,
        inputs: Vec::new(),
        schema: Arc::new(Schema::new(fields)),
        updating: !windowed,
        rowtime: None,
    }
}

fn windowed(window: Window, calls: &[AggregateCall]) -> Operator {
    Operator::WindowAggregate(WindowAggregate {
        window,
        time: WindowTime::Event { column: 1 },
        keys: vec![0],
        aggregates: calls.to_vec(),
        allowed_lateness: 0,
    })
}

fn grouped(calls: &[AggregateCall]) -> Operator {
    Operator::GroupAggregate(GroupAggregate {
        keys: vec![0],
        aggregates: calls.to_vec(),
        ttl: None,
        update_before: true,
    })
}

/// Nanoseconds that this thread has run, as Linux counts them; elsewhere wall time.
fn processor_ns() -> u64 {
    let env = Env::real();
    let mut text = [0; 64];
    let file = env.disk.open(Path::new("/proc/thread-self/schedstat"), OpenMode::Read);
    let count = file.and_then(|file| file.read_at(&mut text, 0)).unwrap_or(0);
    let first = std::str::from_utf8(&text[..count]).unwrap_or_default().split(' ').next();
    first.and_then(|ns| ns.parse().ok()).unwrap_or_else(|| env.clock.monotonic_ns())
}

fn measure(name: &str, input: Input, rows: usize, operator: Operator, calls: &[AggregateCall]) {
    let is_windowed = matches!(operator, Operator::WindowAggregate(_));
    let node = node(operator, input, calls, is_windowed);
    let batches = batches(input, rows);
    let mut operator =
        build(&node, &[InputSpec { schema: schema(input), updating: false }]).unwrap();
    let context = |epoch| OperatorContext {
        epoch: Epoch(epoch),
        now: epoch as i64,
        key_groups: 0..128,
        key_groups_total: 128,
    };
    let (mut watermark, mut results, mut late, mut bytes) = (MIN_WATERMARK, 0, 0, 0);
    let start = processor_ns();
    for (number, epoch) in batches.chunks(BATCHES_PER_EPOCH).enumerate() {
        let context = context(number as u64 + 1);
        let mut out = Collector::default();
        for batch in epoch {
            operator.process(0, batch, watermark, &context, &mut out).unwrap();
            watermark = batch.marks.last().unwrap_or(watermark);
        }
        operator.finish_epoch(watermark, &context, &mut out).unwrap();
        results += out.batches.iter().map(ChangeBatch::num_rows).sum::<usize>();
        late += out.late.iter().map(|late| late.watermarks.len()).sum::<usize>();
        bytes = bytes.max(operator.memory_bytes());
    }
    let mut out = Collector::default();
    operator.finish_epoch(MAX_WATERMARK, &context(u64::MAX >> 2), &mut out).unwrap();
    results += out.batches.iter().map(ChangeBatch::num_rows).sum::<usize>();
    let seconds = (processor_ns() - start) as f64 / 1e9;
    println!(
        "{name:44} {:8.1} M rows/s  {results:>9} results  {late:>5} late  {:>8.1} KiB",
        rows as f64 / seconds / 1e6,
        bytes as f64 / 1024.0,
    );
}

/// The exchange's part: splitting batches by key.
fn measure_partition(name: &str, input: Input, rows: usize) {
    let batches = batches(input, rows);
    let start = processor_ns();
    let mut parts = 0;
    for batch in &batches {
        parts += partition_batch(batch, &[0], 128, 2).unwrap().iter().flatten().count();
    }
    let seconds = (processor_ns() - start) as f64 / 1e9;
    println!("{name:44} {:8.1} M rows/s  {parts:>9} parts", rows as f64 / seconds / 1e6);
}

fn main() {
    use AggregateFunction::{Avg, Count, Max, Min, Sum};
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(10_000_000);
    let count = [call(Count, None)];
    let several = [call(Count, None), call(Sum, Some(2)), call(Max, Some(2)), call(Avg, Some(3))];
    let extremes = [call(Min, Some(3)), call(Max, Some(3))];
    let thousand = Input { keys: 1000, text: false, disorder: true };
    let tumbling = Window::Tumbling { size: 10_000, offset: 0 };
    let hopping = Window::Hopping { slide: 2_000, size: 10_000, offset: 0 };
    let long = Window::Hopping { slide: 1_000, size: 600_000, offset: 0 };
    let cumulating = Window::Cumulating { step: 2_000, size: 10_000, offset: 0 };
    let short = Window::Tumbling { size: 100, offset: 0 };
    let session = Window::Session { gap: 50 };
    let run = |name: &str, input: Input, operator: Operator, calls: &[AggregateCall]| {
        measure(name, input, rows, operator, calls);
    };
    run(
        "tumbling count, in order",
        Input { disorder: false, ..thousand },
        windowed(tumbling, &count),
        &count,
    );
    run("tumbling count", thousand, windowed(tumbling, &count), &count);
    run("tumbling count, sum, max, avg", thousand, windowed(tumbling, &several), &several);
    run("tumbling min, max of doubles", thousand, windowed(tumbling, &extremes), &extremes);
    run(
        "tumbling count, text keys",
        Input { text: true, ..thousand },
        windowed(tumbling, &count),
        &count,
    );
    run("tumbling count of 100 ms", thousand, windowed(short, &count), &count);
    run("hopping count, 5 panes", thousand, windowed(hopping, &count), &count);
    run("hopping count, 600 panes", thousand, windowed(long, &count), &count);
    run("cumulating count, 5 steps", thousand, windowed(cumulating, &count), &count);
    run(
        "hopping count, 1M keys",
        Input { keys: 1_000_000, ..thousand },
        windowed(hopping, &count),
        &count,
    );
    run("session count", thousand, windowed(session, &count), &count);
    run("grouped count", thousand, grouped(&count), &count);
    run("grouped count, sum, max, avg", thousand, grouped(&several), &several);
    run("grouped count, text keys", Input { text: true, ..thousand }, grouped(&count), &count);
    run("grouped count, 1M keys", Input { keys: 1_000_000, ..thousand }, grouped(&count), &count);
    measure_partition("partition of four columns in two", thousand, rows);
    measure_partition("partition by text", Input { text: true, ..thousand }, rows);
}
