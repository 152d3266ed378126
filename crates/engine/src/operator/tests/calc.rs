//! Filter, projection and window assignment.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use thalweg_core::ids::Epoch;
use thalweg_core::time::MIN_WATERMARK;
use thalweg_stream::error::{FailedRow, Result};
use thalweg_stream::expression::{Column, EvalContext, Expression, ExpressionRef};
use thalweg_stream::graph::{Node, Operator as GraphOperator};
use thalweg_stream::window::{Window, WindowTime};
use thalweg_stream::{ChangeBatch, RowKind, StreamError};

use crate::operator::{Collector, InputSpec, OperatorContext, build};

/// `v > 1`, null for null; fails on 13.
#[derive(Debug)]
struct AboveOne;

impl Expression for AboveOne {
    fn evaluate(&self, rows: &RecordBatch, _: &EvalContext) -> Result<ArrayRef> {
        let values = rows.column(0).as_primitive::<Int64Type>();
        if let Some(row) = values.iter().position(|value| value == Some(13)) {
            let (expression, detail) = (self.to_sql(), "thirteen".to_owned());
            let rows = vec![FailedRow { row, detail: detail.clone() }];
            return Err(StreamError::Evaluation { expression, detail, rows });
        }
        Ok(Arc::new(BooleanArray::from_iter(values.iter().map(|value| Some(value? > 1)))))
    }

    fn data_type(&self) -> DataType {
        DataType::Boolean
    }

    fn to_sql(&self) -> String {
        "v > 1".into()
    }
}

/// "Now", and what kind of array stands in the column that nobody reads.
#[derive(Debug)]
struct Now;

impl Expression for Now {
    fn evaluate(&self, rows: &RecordBatch, context: &EvalContext) -> Result<ArrayRef> {
        assert_eq!(rows.column(1).data_type(), &DataType::Null);
        Ok(Arc::new(Int64Array::from(vec![context.now; rows.num_rows()])))
    }

    fn data_type(&self) -> DataType {
        DataType::Int64
    }

    fn columns(&self) -> Option<Vec<usize>> {
        Some(Vec::new())
    }

    fn to_sql(&self) -> String {
        "now()".into()
    }
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("v", DataType::Int64, true),
        Field::new("t", instant(), false),
    ]))
}

fn batch(values: &[Option<i64>]) -> ChangeBatch {
    let times =
        TimestampMillisecondArray::from_iter_values((0..values.len() as i64).map(|n| n * 10));
    let values = Int64Array::from_iter(values.iter().copied());
    let rows = RecordBatch::try_new(schema(), vec![Arc::new(values), Arc::new(times)]).unwrap();
    let kinds = (0..rows.num_rows()).map(|row| [RowKind::Insert, RowKind::Delete][row % 2]);
    let mut batch = ChangeBatch::changes(rows, kinds.collect());
    batch.marks.push(2.min(batch.num_rows()), 15);
    batch.marks.push(batch.num_rows(), 99);
    batch
}

fn run(
    operator: GraphOperator,
    fields: Vec<Field>,
    input: &ChangeBatch,
) -> Result<Vec<ChangeBatch>> {
    let node = Node {
        uid: "n".into(),
        name: "n".into(),
        operator,
        inputs: Vec::new(),
        schema: Arc::new(Schema::new(fields)),
        updating: true,
        rowtime: None,
    };
    let mut operator = build(&node, &[InputSpec { schema: schema(), updating: true }])?;
    let context =
        OperatorContext { epoch: Epoch(1), now: 77, key_groups: 0..8, key_groups_total: 8 };
    let mut out = Collector::default();
    operator.process(0, input, MIN_WATERMARK, &context, &mut out)?;
    operator.finish_epoch(MIN_WATERMARK, &context, &mut out)?;
    assert!(operator.snapshot()?.is_empty());
    Ok(out.batches)
}

fn calc(projection: Vec<ExpressionRef>) -> GraphOperator {
    GraphOperator::Calc { filter: Some(Arc::new(AboveOne)), projection }
}

#[test]
fn rows_pass_with_their_kinds_and_marks() {
    let value = Column { index: 0, name: "v".into(), data_type: DataType::Int64 };
    let fields =
        vec![Field::new("v", DataType::Int64, true), Field::new("now", DataType::Int64, false)];
    let input = batch(&[Some(5), Some(1), None, Some(2), Some(3)]);
    let output = run(calc(vec![Arc::new(value), Arc::new(Now)]), fields, &input).unwrap();
    let [output] = &output[..] else { panic!("one batch for one") };
    assert_eq!(output.rows.column(0).as_primitive::<Int64Type>().values(), &[5, 2, 3]);
    assert_eq!(output.rows.column(1).as_primitive::<Int64Type>().values(), &[77; 3]);
    assert_eq!((0..3).map(|row| output.kind(row).short()).collect::<Vec<_>>(), ["+I", "-D", "+I"]);
    assert_eq!(output.marks.iter().collect::<Vec<_>>(), [(1, 15), (3, 99)]);
}

#[test]
fn marks_pass_where_no_row_does() {
    let output = run(calc(vec![]), vec![], &batch(&[Some(0), None, Some(1)])).unwrap();
    assert_eq!(output.len(), 1);
    assert_eq!((output[0].num_rows(), output[0].marks.last()), (0, Some(99)));
    // Without columns rows still count.
    let output = run(calc(vec![]), vec![], &batch(&[Some(2), None, Some(3)])).unwrap();
    assert_eq!(output[0].num_rows(), 2);
}

#[test]
fn a_row_that_cannot_be_computed_stops_the_job() {
    let error = run(calc(vec![]), vec![], &batch(&[Some(2), Some(13)])).unwrap_err();
    assert_eq!(error.to_string(), "v > 1: thirteen");
    assert!(matches!(error, StreamError::Evaluation { rows, .. } if rows[0].row == 1));
}

fn with_windows() -> Vec<Field> {
    let mut fields: Vec<Field> = schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let names = ["window_start", "window_end", "window_time"];
    fields.extend(names.map(|name| Field::new(name, instant(), false)));
    fields
}

#[test]
fn a_row_is_given_once_for_each_of_its_windows() {
    let window = Window::Hopping { slide: 10, size: 20, offset: 0 };
    let time = WindowTime::Event { column: 1 };
    let operator = GraphOperator::AssignWindow { window, time };
    let output = run(operator, with_windows(), &batch(&[Some(5), None, Some(7)])).unwrap();
    let rows = &output[0].rows;
    let column = |n: usize| rows.column(n).as_primitive::<TimestampMillisecondType>().values();
    assert_eq!(column(1), &[0, 0, 10, 10, 20, 20]);
    assert_eq!(column(2), &[-10, 0, 0, 10, 10, 20]);
    assert_eq!(column(3), &[10, 20, 20, 30, 30, 40]);
    assert_eq!(column(4), &[9, 19, 19, 29, 29, 39]);
    assert_eq!(rows.column(0).null_count(), 2);
    assert_eq!(output[0].kind(3), RowKind::Delete);
    assert_eq!(output[0].marks.iter().collect::<Vec<_>>(), [(4, 15), (6, 99)]);

    let window = Window::Tumbling { size: 50, offset: 0 };
    let operator = GraphOperator::AssignWindow { window, time: WindowTime::Processing };
    let output = run(operator, with_windows(), &batch(&[Some(5)])).unwrap();
    let starts = output[0].rows.column(2).as_primitive::<TimestampMillisecondType>();
    assert_eq!(starts.values(), &[50]);
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    let assign = |window, time| GraphOperator::AssignWindow { window, time };
    let event = WindowTime::Event { column: 1 };
    let refused = [
        (assign(Window::Tumbling { size: 0, offset: 0 }, event), "out of range"),
        (assign(Window::Hopping { slide: 7, size: 20, offset: 0 }, event), "multiple"),
        (assign(Window::Session { gap: 5 }, event), "depends on other rows"),
        (
            assign(Window::Tumbling { size: 5, offset: 0 }, WindowTime::Event { column: 0 }),
            "needs a timestamp",
        ),
    ];
    for (operator, reason) in refused {
        let error = run(operator, with_windows(), &batch(&[])).unwrap_err();
        assert!(matches!(error, StreamError::Invalid(_)));
        assert!(error.to_string().contains(reason), "{error}");
    }
}
