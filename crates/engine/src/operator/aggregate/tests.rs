//! Every function and type: results do not depend on where batches are cut, on exports,
//! imports and merges in between, and on rows that were taken back again.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use thalweg_stream::aggregate::{AggregateCall, AggregateFunction};
use thalweg_stream::{ChangeBatch, RowKind};

use super::AggregateSet;

fn call(
    function: AggregateFunction,
    argument: &DataType,
    result: &DataType,
    distinct: bool,
) -> AggregateCall {
    AggregateCall {
        function,
        argument: Some(0),
        argument_type: Some(argument.clone()),
        distinct,
        filter: Some(1),
        name: format!("{function:?}({argument}, {distinct})"),
        result_type: result.clone(),
    }
}

/// All calls that a type of argument allows.
fn calls(argument: &DataType) -> Vec<AggregateCall> {
    use AggregateFunction::{
        Avg, Count, FirstValue, LastValue, Max, Min, StddevPop, StddevSamp, Sum, VarPop, VarSamp,
    };
    let plain = match argument {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let mut calls = vec![
        call(Count, argument, &DataType::Int64, false),
        call(Count, argument, &DataType::Int64, true),
        call(Min, argument, plain, false),
        call(Max, argument, plain, false),
        call(FirstValue, argument, plain, false),
        call(LastValue, argument, plain, false),
    ];
    if plain.is_numeric() {
        let (sum, average) = match plain {
            DataType::Decimal128(_, scale) => {
                (DataType::Decimal128(38, *scale), DataType::Decimal128(38, 6))
            }
            other => (other.clone(), other.clone()),
        };
        for distinct in [false, true] {
            calls.push(call(Sum, argument, &sum, distinct));
            calls.push(call(Avg, argument, &average, distinct));
        }
        for function in [VarPop, VarSamp, StddevPop, StddevSamp] {
            calls.push(call(function, argument, &DataType::Float64, false));
        }
    }
    calls
}

fn types() -> Vec<DataType> {
    vec![
        DataType::Int32,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(20, 2),
        DataType::Utf8,
        DataType::Boolean,
        DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, None),
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ]
}

/// A column of the type in which equal numbers are equal values.
fn column(data_type: &DataType, numbers: &[Option<i8>]) -> ArrayRef {
    let numbers = || numbers.iter().copied();
    let text = |n: i8| if n == 0 { String::new() } else { format!("value {n}") };
    let float = |n: i8| match n {
        7 => f64::NAN,
        6 => f64::INFINITY,
        -7 => f64::NEG_INFINITY,
        0 => -0.0,
        n => f64::from(n) * 1.1e3_f64.powi(i32::from(n) / 4),
    };
    match data_type {
        DataType::Int32 => {
            Arc::new(Int32Array::from_iter(numbers().map(|n| Some(i32::from(n?) * (1 << 26)))))
        }
        DataType::Int64 => {
            Arc::new(Int64Array::from_iter(numbers().map(|n| Some(i64::from(n?) << 58))))
        }
        DataType::UInt64 => {
            Arc::new(UInt64Array::from_iter(numbers().map(|n| Some(i64::from(n?) as u64))))
        }
        DataType::Float32 => {
            Arc::new(Float32Array::from_iter(numbers().map(|n| Some(float(n?) as f32))))
        }
        DataType::Float64 => Arc::new(Float64Array::from_iter(numbers().map(|n| Some(float(n?))))),
        DataType::Decimal128(precision, scale) => {
            let values = numbers().map(|n| Some(i128::from(n?) * 10_i128.pow(16)));
            let values = Decimal128Array::from_iter(values);
            Arc::new(values.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Utf8 => Arc::new(StringArray::from_iter(numbers().map(|n| Some(text(n?))))),
        DataType::Boolean => Arc::new(BooleanArray::from_iter(numbers().map(|n| Some(n? > 0)))),
        DataType::Dictionary(..) => {
            let values: Vec<_> = numbers().map(|n| n.map(text)).collect();
            let values = values.iter().map(|value| value.as_deref());
            Arc::new(values.collect::<DictionaryArray<Int32Type>>())
        }
        _ => Arc::new(TimestampMillisecondArray::from_iter(numbers().map(|n| Some(i64::from(n?))))),
    }
}

#[derive(Clone, Debug)]
struct Row {
    slot: u32,
    value: Option<i8>,
    counts: Option<bool>,
    kind: RowKind,
}

fn schema(argument: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("v", argument.clone(), true),
        Field::new("f", DataType::Boolean, true),
    ]))
}

fn batch(argument: &DataType, rows: &[Row]) -> ChangeBatch {
    let numbers: Vec<_> = rows.iter().map(|row| row.value).collect();
    let flags = BooleanArray::from_iter(rows.iter().map(|row| row.counts));
    let columns = vec![column(argument, &numbers), Arc::new(flags) as ArrayRef];
    let batch = RecordBatch::try_new(schema(argument), columns).unwrap();
    ChangeBatch::changes(batch, rows.iter().map(|row| row.kind).collect())
}

const SLOTS: u32 = 4;

fn set(calls: &[AggregateCall], argument: &DataType, updating: bool, slots: u32) -> AggregateSet {
    let fields = calls.iter().map(|call| Arc::new(Field::new("r", call.result_type.clone(), true)));
    let fields: Vec<_> = fields.collect();
    let mut set = AggregateSet::new(calls, &schema(argument), &fields, updating).unwrap();
    // Slots that were in use and are free again have to be as good as new.
    let before: Vec<u32> = (0..slots).map(|_| set.allocate()).collect();
    let rows: Vec<Row> = before
        .iter()
        .map(|&slot| Row { slot, value: Some(5), counts: Some(true), kind: RowKind::Insert })
        .collect();
    update(&mut set, argument, &rows);
    set.release(&before);
    let again: Vec<u32> = (0..slots).map(|_| set.allocate()).collect();
    assert_eq!(again, before);
    set
}

fn update(set: &mut AggregateSet, argument: &DataType, rows: &[Row]) {
    let batch = batch(argument, rows);
    let prepared = set.prepare(&batch).unwrap();
    let slots: Vec<u32> = rows.iter().map(|row| row.slot).collect();
    set.update(&prepared, 0, &slots).unwrap();
}

fn all() -> Vec<u32> {
    (0..SLOTS).collect()
}

/// Equal, floats of a variance but for their last bits: the root of what is below the
/// precision of the largest sum that was ever there.
fn assert_same(calls: &[AggregateCall], left: &AggregateSet, right: &AggregateSet, what: &str) {
    let (left, right) = (left.evaluate(&all()).unwrap(), right.evaluate(&all()).unwrap());
    for ((call, left), right) in calls.iter().zip(&left).zip(&right) {
        assert_eq!(left.data_type(), &call.result_type);
        let is_variance = call.name.starts_with("Var") || call.name.starts_with("Stddev");
        if !is_variance {
            assert_eq!(left.to_data(), right.to_data(), "{}: {what}", call.name);
            continue;
        }
        let close = |(a, b): (Option<f64>, Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => {
                (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()) + 1e-10
            }
            (a, b) => a == b,
        };
        let [l, r] = [left, right].map(|array| array.as_primitive::<Float64Type>());
        assert!(l.iter().zip(r).all(close), "{}: {what}: {l:?} {r:?}", call.name);
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..SLOTS,
        prop::option::weighted(0.8, -8_i8..8),
        prop::option::weighted(0.9, prop::bool::weighted(0.8)),
    );
    let row =
        row.prop_map(|(slot, value, counts)| Row { slot, value, counts, kind: RowKind::Insert });
    prop::collection::vec(row, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn ways_to_the_same_result(
        rows in rows(), noise in rows(), cut in 0.0..1.0, which in 0_usize..10,
        updating in any::<bool>(),
    ) {
        let argument = &types()[which];
        let calls = &calls(argument)[..];
        let cut = (rows.len() as f64 * cut) as usize;
        let (head, tail) = rows.split_at(cut);

        let mut whole = set(calls, argument, updating, SLOTS);
        update(&mut whole, argument, &rows);

        let mut pieces = set(calls, argument, updating, SLOTS);
        for row in &rows {
            update(&mut pieces, argument, std::slice::from_ref(row));
        }
        assert_same(calls, &whole, &pieces, "row by row");

        let mut part = set(calls, argument, updating, SLOTS);
        update(&mut part, argument, head);
        let state = part.export(&all()).unwrap();
        prop_assert_eq!(&part.export(&all()).unwrap(), &state, "an export changes nothing");
        let types: Vec<_> = state.iter().map(|column| column.data_type().clone()).collect();
        prop_assert_eq!(types, part.state_types());
        let mut taken_over = set(calls, argument, updating, SLOTS);
        taken_over.resume_arrival(part.arrival());
        taken_over.import(&all(), &state).unwrap();
        assert_same(calls, &part, &taken_over, "exported and imported");
        update(&mut part, argument, tail);
        assert_same(calls, &whole, &part, "after an export");
        update(&mut taken_over, argument, tail);
        assert_same(calls, &whole, &taken_over, "after an import");

        let mut merged = set(calls, argument, updating, 2 * SLOTS);
        update(&mut merged, argument, head);
        let elsewhere: Vec<u32> = (SLOTS..2 * SLOTS).collect();
        let moved: Vec<Row> =
            tail.iter().map(|row| Row { slot: row.slot + SLOTS, ..row.clone() }).collect();
        update(&mut merged, argument, &moved);
        merged.merge(&elsewhere, &all());
        assert_same(calls, &whole, &merged, "merged");

        if updating {
            let mut noisy = set(calls, argument, true, SLOTS);
            update(&mut noisy, argument, &noise);
            update(&mut noisy, argument, head);
            let taken_back = noise.iter().rev().map(|row| Row { kind: RowKind::Delete, ..row.clone() });
            update(&mut noisy, argument, &taken_back.collect::<Vec<_>>());
            update(&mut noisy, argument, tail);
            assert_same(calls, &whole, &noisy, "with rows taken back");
        }
    }
}

/// The results of one slot, of inserts that all count.
fn results(argument: &DataType, calls: &[AggregateCall], values: ArrayRef) -> Vec<ArrayRef> {
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true; values.len()]));
    let rows = RecordBatch::try_new(schema(argument), vec![values, flags]).unwrap();
    let batch = ChangeBatch::inserts(rows);
    let mut set = set(calls, argument, false, 1);
    let prepared = set.prepare(&batch).unwrap();
    set.update(&prepared, 0, &vec![0; batch.num_rows()]).unwrap();
    set.evaluate(&[0]).unwrap()
}

#[test]
fn integers_keep_their_type_wrap_around_and_divide_towards_zero() {
    use AggregateFunction::{Avg, Sum};
    let int = DataType::Int32;
    let calls = [call(Sum, &int, &int, false), call(Avg, &int, &int, false)];
    let of = |values: Vec<i32>| {
        let results = results(&int, &calls, Arc::new(Int32Array::from(values)));
        let value = |n: usize| results[n].as_primitive::<Int32Type>().value(0);
        (value(0), value(1))
    };
    assert_eq!(of(vec![-3, -4]), (-7, -3));
    // The sum of an INT wraps as Java's does; its average has 64 bits to work in.
    assert_eq!(of(vec![i32::MAX, 1]), (i32::MIN, 1 << 30));
}

#[test]
fn decimals_are_exact_and_round_half_up() {
    use AggregateFunction::{Avg, Sum};
    let argument = DataType::Decimal128(38, 2);
    let calls = [
        call(Sum, &argument, &argument, false),
        call(Avg, &argument, &DataType::Decimal128(38, 6), false),
        call(Avg, &argument, &DataType::Decimal128(38, 2), false),
    ];
    let of = |values: Vec<i128>| {
        let values = Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap();
        let results = results(&argument, &calls, Arc::new(values));
        let value = |n: usize| {
            let column = results[n].as_primitive::<Decimal128Type>();
            column.is_valid(0).then(|| column.value(0))
        };
        [value(0), value(1), value(2)]
    };
    assert_eq!(of(vec![100, 100, 1]), [Some(201), Some(670_000), Some(67)]);
    assert_eq!(of(vec![-1, 0]), [Some(-1), Some(-5000), Some(-1)]);
    // What does not fit 38 digits is null, as in Flink.
    let large = 10_i128.pow(38) - 1;
    assert_eq!(of(vec![large, 1]), [None, None, Some(5 * 10_i128.pow(37))]);
    assert_eq!(of(vec![large; 5])[2], Some(large));
}

#[test]
fn of_no_value_everything_but_a_count_is_null() {
    for argument in types() {
        let calls = calls(&argument);
        let results = results(&argument, &calls, column(&argument, &[None, None]));
        for (call, result) in calls.iter().zip(results) {
            if call.function == AggregateFunction::Count {
                assert_eq!(result.as_primitive::<Int64Type>().value(0), 0);
            } else {
                assert!(result.is_null(0), "{}", call.name);
            }
        }
    }
}

#[test]
fn variance_of_far_away_values_keeps_its_digits() {
    use AggregateFunction::{StddevPop, VarSamp};
    let double = DataType::Float64;
    let calls = [call(VarSamp, &double, &double, false), call(StddevPop, &double, &double, false)];
    let of = |values: Vec<f64>| {
        let results = results(&double, &calls, Arc::new(Float64Array::from(values)));
        let value = |n: usize| results[n].as_primitive::<Float64Type>().value(0);
        (value(0), value(1))
    };
    let far = 1e9;
    assert_eq!(of(vec![far + 4.0, far + 7.0, far + 13.0, far + 16.0]).0, 30.0);
    assert_eq!(of(vec![0.1; 7]), (0.0, 0.0));
}

#[test]
fn what_is_not_supported_says_so() {
    use AggregateFunction::{LastValue, Sum};
    let text = DataType::Utf8;
    let refused = [call(Sum, &text, &text, false), call(LastValue, &text, &text, true)];
    for call in refused {
        let error = super::build(&call, false).err().unwrap();
        assert!(error.to_string().contains("is not supported"), "{error}");
    }
}
