//! Random input, and operators run on it: cut into batches anywhere, at any parallelism,
//! with snapshots and restores between epochs.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::ids::Epoch;
use thalweg_core::key_group::owner;
use thalweg_core::time::{MAX_WATERMARK, MIN_WATERMARK, Millis};
use thalweg_stream::aggregate::{AggregateCall, AggregateFunction};
use thalweg_stream::graph::Node;
use thalweg_stream::{ChangeBatch, RowKind};

use crate::key::partition_batch;
use crate::operator::{Collector, InputSpec, Operator, OperatorContext, build};

/// A row of the input: key, time and value. Its flag says whether the value is even.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) key: Option<i64>,
    pub(super) time: Millis,
    pub(super) value: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    Row(RowKind, Row),
    Mark(Millis),
}

/// The events of an epoch, and its processing time.
#[derive(Clone, Debug)]
pub(super) struct EpochInput {
    pub(super) now: Millis,
    pub(super) events: Vec<Event>,
    /// The watermark at its end.
    pub(super) watermark: Millis,
}

/// One value of a result, in a form that compares: floats in millionths.
pub(super) type Cell = Option<i64>;

/// A change of a result.
pub(super) type Change = (RowKind, Vec<Cell>);

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct EpochOutput {
    pub(super) changes: Vec<Change>,
    pub(super) late: Vec<(Row, Millis)>,
}

pub(super) fn input_schema(text_keys: bool) -> SchemaRef {
    let key = if text_keys { DataType::Utf8 } else { DataType::Int64 };
    Arc::new(Schema::new(vec![
        Field::new("k", key, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("v", DataType::Int64, true),
        Field::new("f", DataType::Boolean, true),
    ]))
}

/// The input of those.
pub(super) fn input_spec(text_keys: bool, updating: bool) -> InputSpec {
    InputSpec { schema: input_schema(text_keys), updating }
}

/// Every function, over the value.
pub(super) fn aggregates() -> Vec<AggregateCall> {
    use AggregateFunction::{Avg, Count, FirstValue, LastValue, Max, Min, Sum, VarPop};
    let call = |function, argument: Option<usize>, distinct, filter| AggregateCall {
        function,
        argument,
        argument_type: argument.map(|_| DataType::Int64),
        distinct,
        filter,
        name: format!("{function:?}"),
        result_type: if function == VarPop { DataType::Float64 } else { DataType::Int64 },
    };
    vec![
        call(Count, None, false, None),
        call(Count, Some(2), false, None),
        call(Sum, Some(2), false, None),
        call(Avg, Some(2), false, None),
        call(Min, Some(2), false, None),
        call(Max, Some(2), false, None),
        call(FirstValue, Some(2), false, None),
        call(LastValue, Some(2), false, None),
        call(Count, Some(2), true, None),
        call(Sum, Some(2), true, None),
        call(Sum, Some(2), false, Some(3)),
        call(VarPop, Some(2), false, None),
    ]
}

/// The aggregates' results by hand, of values in order of arrival; `rows` counts those
/// without a value as well.
pub(super) fn expected(rows: usize, values: &[i64]) -> Vec<Cell> {
    let mut distinct = values.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let sum_of = |values: &[i64]| (!values.is_empty()).then(|| values.iter().sum::<i64>());
    let even: Vec<i64> = values.iter().copied().filter(|value| value % 2 == 0).collect();
    let count = values.len() as i64;
    let variance = (count > 0).then(|| {
        let mean = values.iter().sum::<i64>() as f64 / count as f64;
        let squares = values.iter().map(|&value| (value as f64 - mean).powi(2));
        millionths(squares.sum::<f64>() / count as f64)
    });
    vec![
        Some(rows as i64),
        Some(count),
        sum_of(values),
        sum_of(values).map(|sum| sum / count),
        values.iter().min().copied(),
        values.iter().max().copied(),
        values.first().copied(),
        values.last().copied(),
        Some(distinct.len() as i64),
        sum_of(&distinct),
        sum_of(&even),
        variance,
    ]
}

fn millionths(value: f64) -> i64 {
    (value * 1e6).round() as i64
}

/// Random epochs. Times go forward but for some disorder, watermarks follow at some
/// distance, so that some rows are late. The last epoch ends everything.
pub(super) fn inputs(updating: bool) -> impl Strategy<Value = Vec<EpochInput>> {
    let event = (0_u8..12, 0_i64..4, -25_i64..8, -6_i64..7, 0_i64..4);
    let epochs = prop::collection::vec(prop::collection::vec(event, 0..25), 1..6);
    epochs.prop_map(move |epochs| {
        let (mut clock, mut now, mut watermark) = (100_i64, 1000, MIN_WATERMARK);
        let mut alive: Vec<Row> = Vec::new();
        let mut inputs: Vec<EpochInput> = Vec::new();
        for steps in epochs {
            now += steps.len() as i64;
            let mut events = Vec::new();
            for (what, key, disorder, value, pace) in steps {
                clock += pace;
                match what {
                    0 | 1 => {
                        let risen = clock - 5 + value;
                        if risen > watermark {
                            watermark = risen;
                            events.push(Event::Mark(risen));
                        }
                    }
                    2 | 3 if updating && !alive.is_empty() => {
                        let row = alive.swap_remove((value + 6) as usize % alive.len());
                        let kind = if what == 2 { RowKind::Delete } else { RowKind::UpdateBefore };
                        events.push(Event::Row(kind, row));
                    }
                    _ => {
                        let row = Row {
                            key: (key > 0).then_some(key),
                            time: clock + disorder.min(0),
                            value: (value != 0).then_some(value),
                        };
                        alive.push(row.clone());
                        let update = updating && what == 4;
                        let kind = if update { RowKind::UpdateAfter } else { RowKind::Insert };
                        events.push(Event::Row(kind, row));
                    }
                }
            }
            inputs.push(EpochInput { now, events, watermark });
        }
        inputs.push(EpochInput { now: now + 7, events: Vec::new(), watermark: MAX_WATERMARK });
        inputs
    })
}

fn batch(events: &[Event], text_keys: bool) -> ChangeBatch {
    let mut rows: Vec<&Row> = Vec::new();
    let mut kinds = Vec::new();
    let mut marks = thalweg_stream::Marks::none();
    for event in events {
        match event {
            Event::Row(kind, row) => {
                rows.push(row);
                kinds.push(*kind);
            }
            Event::Mark(watermark) => marks.push(rows.len(), *watermark),
        }
    }
    let keys: ArrayRef = if text_keys {
        let keys = rows.iter().map(|row| row.key.map(|key| format!("key-{key}")));
        Arc::new(StringArray::from_iter(keys))
    } else {
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.key)))
    };
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.time));
    let values = Int64Array::from_iter(rows.iter().map(|row| row.value));
    let flags = BooleanArray::from_iter(rows.iter().map(|row| row.value.map(|v| v % 2 == 0)));
    let columns: Vec<ArrayRef> = vec![keys, Arc::new(times), Arc::new(values), Arc::new(flags)];
    let rows = RecordBatch::try_new(input_schema(text_keys), columns).unwrap();
    let mut batch = ChangeBatch::changes(rows, kinds);
    batch.marks = marks;
    batch
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
        DataType::Float64 => millionths(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => column.as_string::<i32>().value(row)["key-".len()..].parse().unwrap(),
        _ => column.as_primitive::<TimestampMillisecondType>().value(row),
    })
}

fn collect(collector: Collector, output: &mut EpochOutput) {
    for batch in collector.batches {
        for row in 0..batch.num_rows() {
            let cells = batch.rows.columns().iter().map(|column| cell(column, row)).collect();
            output.changes.push((batch.kind(row), cells));
        }
    }
    for late in collector.late {
        for (row, watermark) in late.watermarks.into_iter().enumerate() {
            let cell = |number: usize| cell(late.rows.column(number), row);
            let row = Row { key: cell(0), time: cell(1).unwrap(), value: cell(2) };
            output.late.push((row, watermark));
        }
    }
}

/// How to run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) text_keys: bool,
    pub(super) updating: bool,
    /// Columns that rows are exchanged by; the operator's key.
    pub(super) keys: Vec<usize>,
    /// Seed of the places at which epochs are cut into batches; `None` does not cut.
    pub(super) cuts: Option<u64>,
    /// Parallelism of each epoch, taken in turns; before each the state goes through a
    /// snapshot where it changes, or where `restore` says so.
    pub(super) parallelism: Vec<usize>,
    pub(super) restore: bool,
}

const KEY_GROUPS: u16 = 16;

struct Subtasks<'a> {
    node: &'a Node,
    run: &'a Run,
    operators: Vec<Box<dyn Operator>>,
}

impl Subtasks<'_> {
    fn context(&self, subtask: usize, parallelism: usize, now: Millis) -> OperatorContext {
        let own = |group: &u16| owner(*group, KEY_GROUPS, parallelism) == subtask;
        let groups: Vec<u16> = (0..KEY_GROUPS).filter(own).collect();
        OperatorContext {
            epoch: Epoch(1),
            now,
            key_groups: groups[0]..groups[groups.len() - 1] + 1,
            key_groups_total: KEY_GROUPS,
        }
    }

    /// Takes the state over into new operators.
    fn restart(&mut self, parallelism: usize, now: Millis) {
        let snapshots: Vec<_> = self.operators.iter().map(|op| op.snapshot().unwrap()).collect();
        self.operators = (0..parallelism)
            .map(|subtask| {
                let mut operator =
                    build(self.node, &[input_spec(self.run.text_keys, self.run.updating)]).unwrap();
                let context = self.context(subtask, parallelism, now);
                for (name, rows) in snapshots.iter().flatten() {
                    operator.restore(name, rows, &context).unwrap();
                }
                operator
            })
            .collect();
    }
}

/// Runs the node's operator over the epochs.
pub(super) fn run(node: &Node, epochs: &[EpochInput], run: &Run) -> Vec<EpochOutput> {
    let mut subtasks = Subtasks { node, run, operators: Vec::new() };
    let random = SeededRandom::new(run.cuts.unwrap_or(0));
    let mut watermark = MIN_WATERMARK;
    let mut outputs = Vec::new();
    for (number, epoch) in epochs.iter().enumerate() {
        let parallelism = run.parallelism[number % run.parallelism.len()];
        if subtasks.operators.len() != parallelism || run.restore {
            subtasks.restart(parallelism, epoch.now);
        }
        let mut output = EpochOutput::default();
        let mut rest = epoch.events.as_slice();
        while !rest.is_empty() {
            let bound = rest.len() as u64;
            let count = run.cuts.map_or(bound, |_| random.below(bound) + 1) as usize;
            let batch = batch(&rest[..count], run.text_keys);
            rest = &rest[count..];
            let parts = partition_batch(&batch, &run.keys, KEY_GROUPS, parallelism).unwrap();
            for (subtask, part) in parts.into_iter().enumerate() {
                let context = subtasks.context(subtask, parallelism, epoch.now);
                let mut collector = Collector::default();
                if let Some(part) = part {
                    let operator = &mut subtasks.operators[subtask];
                    operator.process(0, &part, watermark, &context, &mut collector).unwrap();
                }
                collect(collector, &mut output);
            }
            watermark = watermark.max(batch.marks.last().unwrap_or(MIN_WATERMARK));
        }
        watermark = watermark.max(epoch.watermark);
        for subtask in 0..parallelism {
            let context = subtasks.context(subtask, parallelism, epoch.now);
            let mut collector = Collector::default();
            let operator = &mut subtasks.operators[subtask];
            operator.finish_epoch(watermark, &context, &mut collector).unwrap();
            collect(collector, &mut output);
            assert!(operator.memory_bytes() < 1 << 20);
        }
        outputs.push(output);
    }
    outputs
}

/// Takes events in one epoch, then runs empty epochs, each a millisecond later: the first
/// times at which results come, and the timer that was asked for at first.
pub(super) fn run_until_timer(
    node: &Node,
    events: &[Event],
    now: Millis,
) -> (Vec<Millis>, Option<Millis>) {
    let mut operator = build(node, &[input_spec(false, false)]).unwrap();
    let mut context =
        OperatorContext { epoch: Epoch(1), now, key_groups: 0..8, key_groups_total: 8 };
    let mut out = Collector::default();
    let batch = batch(events, false);
    operator.process(0, &batch, MIN_WATERMARK, &context, &mut out).unwrap();
    operator.finish_epoch(MIN_WATERMARK, &context, &mut out).unwrap();
    let timer = operator.next_timer();
    let mut fired = Vec::new();
    while fired.is_empty() && context.now < now + 1000 {
        context.now += 1;
        operator.finish_epoch(MIN_WATERMARK, &context, &mut out).unwrap();
        fired.extend(out.batches.drain(..).map(|_| context.now));
    }
    (fired, timer)
}

/// The rows that are left when all changes are applied.
pub(super) fn fold(outputs: &[EpochOutput]) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (kind, row) in outputs.iter().flat_map(|output| &output.changes) {
        if kind.is_addition() {
            rows.push(row.clone());
        } else {
            let place = rows.iter().position(|other| other == row);
            rows.swap_remove(place.expect("only rows that are there are taken back"));
        }
    }
    rows.sort();
    rows
}
