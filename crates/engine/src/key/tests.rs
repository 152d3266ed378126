//! The canonical bytes and hash of keys must never change: stored state and repartition
//! topics depend on them.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, TimestampMillisecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use thalweg_core::key_group::{key_group, owner};
use thalweg_stream::{ChangeBatch, RowKind};
use xxhash_rust::xxh3::xxh3_64;

use super::canonical::{Encoded, decode};
use super::{key_groups, key_hashes, partition_batch};

fn hashes(columns: &[ArrayRef]) -> Vec<u64> {
    key_hashes(columns, columns[0].len()).unwrap()
}

fn bytes(columns: &[ArrayRef]) -> Vec<Vec<u8>> {
    let rows = columns[0].len();
    let encoded = Encoded::encode(columns, rows).unwrap();
    (0..rows).map(|row| encoded.get(row).to_vec()).collect()
}

fn one(array: impl Array + 'static) -> Vec<ArrayRef> {
    vec![Arc::new(array)]
}

#[test]
fn golden_bytes() {
    let sensor = [1, 8, 0, 0, 0, b's', b'e', b'n', b's', b'o', b'r', b'-', b'1'];
    assert_eq!(bytes(&one(StringArray::from(vec!["sensor-1"]))), [sensor]);
    assert_eq!(
        bytes(&one(Int32Array::from(vec![-2]))),
        [[1, 254, 255, 255, 255, 255, 255, 255, 255]]
    );
    assert_eq!(
        bytes(&one(UInt64Array::from(vec![u64::MAX]))),
        [[1, 255, 255, 255, 255, 255, 255, 255, 255]]
    );
    assert_eq!(bytes(&one(Float32Array::from(vec![1.0]))), [[1, 0, 0, 0, 0, 0, 0, 240, 63]]);
    assert_eq!(bytes(&one(Float64Array::from(vec![f64::NAN]))), [[1, 0, 0, 0, 0, 0, 0, 248, 127]]);
    assert_eq!(
        bytes(&one(BooleanArray::from(vec![Some(true), None]))),
        [vec![1, 1, 0, 0, 0, 0, 0, 0, 0], vec![0]]
    );
    let decimal = Decimal128Array::from(vec![-1]).with_precision_and_scale(20, 2).unwrap();
    assert_eq!(
        bytes(&one(decimal)),
        [[1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]]
    );
    assert_eq!(Encoded::encode(&[], 2).unwrap().get(1), b"");
}

#[test]
fn golden_groups() {
    let groups = |columns: Vec<ArrayRef>| key_groups(&columns, columns[0].len(), 128).unwrap();
    assert_eq!(
        groups(one(Int64Array::from(vec![Some(0), Some(1), Some(2), Some(1_000_000), None]))),
        GOLDEN_INTEGERS
    );
    assert_eq!(
        groups(one(StringArray::from(vec!["", "a", "sensor-1", "sensor-2", "Zürich"]))),
        GOLDEN_STRINGS
    );
    let pair: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a"), None])),
        Arc::new(Int64Array::from(vec![Some(1), Some(1)])),
    ];
    assert_eq!(groups(pair), GOLDEN_PAIRS);
    assert_eq!(key_groups(&[], 1, 128).unwrap(), [22]);
}

// Computed with python-xxhash from the specification.
const GOLDEN_INTEGERS: [u16; 5] = [24, 80, 2, 70, 98];
const GOLDEN_STRINGS: [u16; 5] = [104, 92, 118, 42, 14];
const GOLDEN_PAIRS: [u16; 2] = [116, 85];

/// The short ways for single columns give what the specification says.
#[test]
fn short_ways_agree_with_the_specification() {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from(vec![Some(-1), None, Some(7)])),
        Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(7)])),
        Arc::new(Float64Array::from(vec![Some(-0.5), None, Some(f64::INFINITY)])),
        Arc::new(StringArray::from(vec![Some("x"), None, Some("")])),
        Arc::new(Decimal128Array::from(vec![Some(5), None, Some(-5)])),
    ];
    for column in columns {
        let columns = [column];
        let expected: Vec<u64> = bytes(&columns).iter().map(|bytes| xxh3_64(bytes)).collect();
        assert_eq!(hashes(&columns), expected, "{}", columns[0].data_type());
        let groups = bytes(&columns).iter().map(|bytes| key_group(bytes, 128)).collect::<Vec<_>>();
        assert_eq!(key_groups(&columns, 3, 128).unwrap(), groups);
    }
}

#[test]
fn the_physical_form_does_not_matter() {
    let values =
        vec![Some("b"), None, Some(""), Some("a longer value than fits a view"), Some("b")];
    let plain = hashes(&one(StringArray::from(values.clone())));
    assert_eq!(hashes(&one(LargeStringArray::from(values.clone()))), plain);
    assert_eq!(hashes(&one(StringViewArray::from(values.clone()))), plain);
    let dictionary: DictionaryArray<Int32Type> = values.iter().copied().collect();
    assert_eq!(hashes(&one(dictionary.clone())), plain);
    // Also within several columns, and from a slice.
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]));
    let strings: ArrayRef = Arc::new(StringArray::from(values));
    let pairs = hashes(&[strings.clone(), number.clone()]);
    let dictionary: ArrayRef = Arc::new(dictionary);
    assert_eq!(hashes(&[dictionary.slice(1, 3), number.slice(1, 3)]), pairs[1..4]);
    assert_eq!(hashes(&[strings.slice(1, 3)]), plain[1..4]);

    assert_eq!(hashes(&one(Int8Array::from(vec![-3]))), hashes(&one(Int64Array::from(vec![-3]))));
    let zeros = hashes(&one(Float64Array::from(vec![0.0, -0.0])));
    assert_eq!(zeros[0], zeros[1]);
    let nans = [f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001)];
    let nans = hashes(&one(Float64Array::from(nans.to_vec())));
    assert!(nans.iter().all(|hash| *hash == nans[0]));
}

#[test]
fn neighbours_are_told_apart() {
    let pair = |a: &str, b: &str| -> Vec<ArrayRef> {
        vec![Arc::new(StringArray::from(vec![a])), Arc::new(StringArray::from(vec![b]))]
    };
    assert_ne!(bytes(&pair("ab", "c")), bytes(&pair("a", "bc")));
    assert_ne!(
        hashes(&one(StringArray::from(vec![""]))),
        hashes(&one(StringArray::from(vec![None::<&str>])))
    );
}

#[test]
fn bytes_decode_to_what_was_encoded() {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("x"), None, Some("")])),
        Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0), None])),
        Arc::new(Float32Array::from(vec![Some(-1.5), None, Some(f32::MAX)])),
        Arc::new(Decimal128Array::from(vec![Some(i128::MAX), None, Some(-1)])),
        Arc::new(Date32Array::from(vec![Some(-1), None, Some(9)])),
        Arc::new(BooleanArray::from(vec![Some(false), None, Some(true)])),
        Arc::new(TimestampMillisecondArray::from(vec![1, 2, 3]).with_timezone("UTC")),
    ];
    let encoded = Encoded::encode(&columns, 3).unwrap();
    let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
    let decoded = decode(&types, (0..3).map(|row| encoded.get(row))).unwrap();
    for (decoded, column) in decoded.iter().zip(&columns) {
        assert_eq!(decoded.to_data(), column.to_data());
    }
}

#[test]
fn partitions_keep_order_kinds_and_marks() {
    let schema = Schema::new(vec![Field::new("k", DataType::Int64, true)]);
    let keys: ArrayRef =
        Arc::new(Int64Array::from_iter((0..100).map(|n| (n % 10 != 9).then_some(n / 3))));
    let rows = RecordBatch::try_new(Arc::new(schema), vec![keys.clone()]).unwrap();
    let kinds = (0..100).map(|n| if n % 2 == 0 { RowKind::Insert } else { RowKind::Delete });
    let mut batch = ChangeBatch::changes(rows, kinds.collect());
    batch.marks.push(50, 5);
    batch.marks.push(100, 6);

    let groups = key_groups(&[keys], 100, 128).unwrap();
    let parts = partition_batch(&batch, &[0], 128, 3).unwrap();
    for (subtask, part) in parts.into_iter().enumerate() {
        let part = part.unwrap();
        let expected: Vec<u32> =
            (0..100_u32).filter(|&row| owner(groups[row as usize], 128, 3) == subtask).collect();
        assert!(!expected.is_empty());
        assert_eq!(part.marks.last(), Some(6));
        let expected = batch.take(expected).unwrap();
        assert_eq!(
            (part.rows, part.kinds, part.marks),
            (expected.rows, expected.kinds, expected.marks)
        );
    }
    let empty = batch.take(vec![]).unwrap();
    assert!(partition_batch(&empty, &[0], 128, 3).unwrap().iter().all(Option::is_some));
    let nothing = ChangeBatch::inserts(empty.rows);
    assert!(partition_batch(&nothing, &[0], 128, 3).unwrap().iter().all(Option::is_none));
}
