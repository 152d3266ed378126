//! Tests of the record batch format: golden bytes, round trips, damaged input.

use proptest::prelude::*;

use super::*;

type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn build(records: &[OwnedRecord], builder: BatchBuilder) -> Vec<u8> {
    let mut builder = builder;
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        builder
            .push(&NewRecord {
                timestamp: *timestamp,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers,
            })
            .unwrap();
    }
    builder.build().unwrap().to_vec()
}

fn read(bytes: &[u8]) -> Result<Vec<(i64, OwnedRecord)>, BatchError> {
    let mut scratch = Vec::new();
    let mut out = Vec::new();
    for batch in split(bytes) {
        let batch = batch?;
        batch.verify_crc()?;
        for record in batch.records(&mut scratch, &DecompressionLimits::default())? {
            let record = record?;
            let headers = record
                .headers
                .map(|header| {
                    let key = String::from_utf8_lossy(header.key).into_owned();
                    (key, header.value.map(<[u8]>::to_vec))
                })
                .collect();
            let owned = (
                record.timestamp,
                record.key.map(<[u8]>::to_vec),
                record.value.map(<[u8]>::to_vec),
                headers,
            );
            out.push((record.offset, owned));
        }
    }
    Ok(out)
}

fn any_records() -> impl Strategy<Value = Vec<OwnedRecord>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    let headers = proptest::collection::vec(("[a-z]{0,8}", bytes()), 0..4);
    let timestamp = prop_oneof![-1_i64..1 << 45, Just(0), Just(1 << 42)];
    proptest::collection::vec((timestamp, bytes(), bytes(), headers), 1..30)
}

/// One record, worked out by hand from Kafka's format description.
#[test]
fn golden_bytes() {
    let headers: [(&str, Option<&[u8]>); 1] = [("h", Some(b"x"))];
    let mut builder = BatchBuilder::new(Compression::None).producer(7, 3, 11);
    let record =
        NewRecord { timestamp: 1000, key: Some(b"k"), value: Some(b"v"), headers: &headers };
    builder.push(&record).unwrap();
    let second = NewRecord { timestamp: 998, ..NewRecord::default() };
    builder.push(&second).unwrap();
    let bytes = builder.build().unwrap();
    #[rustfmt::skip]
    let body: [u8; 20] = [
        0x18, 0, 0x00, 0x00, 2, b'k', 2, b'v', 2, 2, b'h', 2, b'x',
        0x0c, 0, 0x03, 0x02, 1, 1, 0,
    ];
    assert_eq!(bytes[61..], body);
    #[rustfmt::skip]
    let head: [u8; 38] = [
        0, 0, 0, 1,
        0, 0, 0, 0, 0, 0, 3, 0xe8,
        0, 0, 0, 0, 0, 0, 3, 0xe8,
        0, 0, 0, 0, 0, 0, 0, 7,
        0, 3,
        0, 0, 0, 11,
        0, 0, 0, 2,
    ];
    assert_eq!(bytes[21..23], [0, 0], "attributes");
    assert_eq!(bytes[23..61], head, "last offset delta to record count");
    assert_eq!(bytes[8..12], 69_i32.to_be_bytes(), "length");
    assert_eq!(bytes[16], 2, "magic");
    assert_eq!(bytes[17..21], crc32c::crc32c(&bytes[21..]).to_be_bytes());
}

#[test]
fn offsets_and_times_set_in_place() {
    let records = [(5, None, Some(vec![1]), vec![]), (9, None, Some(vec![2]), vec![])];
    let mut bytes = build(&records, BatchBuilder::new(Compression::Zstd));
    set_base_offset(&mut bytes, 1 << 40);
    set_leader_epoch(&mut bytes, 12);
    let seen = read(&bytes).unwrap();
    assert_eq!(seen.iter().map(|r| r.0).collect::<Vec<_>>(), [1 << 40, (1 << 40) + 1]);
    let header = *RecordBatch::parse(&bytes).unwrap().header();
    assert_eq!((header.leader_epoch, header.max_timestamp), (12, 9));
    assert_eq!(header.next_offset(), (1 << 40) + 2);

    set_append_time(&mut bytes, 777);
    let seen = read(&bytes).unwrap();
    assert!(seen.iter().all(|(_, record)| record.0 == 777));
}

#[test]
fn timestamps_far_apart_need_64_bits() {
    let records =
        [(0, None, None, vec![]), (1 << 43, None, None, vec![]), (-1, None, None, vec![])];
    let bytes = build(&records, BatchBuilder::new(Compression::None));
    let times: Vec<_> = read(&bytes).unwrap().into_iter().map(|(_, r)| r.0).collect();
    assert_eq!(times, [0, 1 << 43, -1]);
}

#[test]
fn counts_that_lie_are_refused() {
    let good = build(&[(1, None, Some(vec![0; 9]), vec![])], BatchBuilder::new(Compression::None));
    let check = |at: usize, with: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + with.len()].copy_from_slice(with);
        BatchHeader::parse(&bad).and_then(|header| header.check_produced())
    };
    assert_eq!(check(57, &1_i32.to_be_bytes()), Ok(()));
    for (at, with) in [
        (8, (-1_i32).to_be_bytes()),
        (8, 48_i32.to_be_bytes()),
        (57, 0_i32.to_be_bytes()),
        (57, 2_i32.to_be_bytes()),
        (57, i32::MAX.to_be_bytes()),
        (23, (-1_i32).to_be_bytes()),
        (23, i32::MAX.to_be_bytes()),
    ] {
        assert!(check(at, &with).is_err(), "{at} {with:?}");
    }
    assert_eq!(check(16, &[1]), Err(BatchError::Magic(1)));
    assert_eq!(check(22, &[5]), Err(BatchError::UnknownCodec(5)));
    assert!(matches!(
        RecordBatch::parse(&good[..good.len() - 1]).map(|_| ()),
        Err(BatchError::Truncated { .. })
    ));
}

#[test]
fn sequences_wrap() {
    assert_eq!(last_sequence_of(0, 0), 0);
    assert_eq!(last_sequence_of(i32::MAX, 0), i32::MAX);
    assert_eq!(last_sequence_of(i32::MAX, 1), 0);
    assert_eq!(last_sequence_of(i32::MAX - 2, 5), 2);
    assert_eq!(last_sequence_of(-1, 5), -1);
}

#[test]
fn control_batches() {
    for kind in [ControlKind::Abort, ControlKind::Commit] {
        let bytes = control_batch(kind, 4, 2, 9, 100).unwrap();
        let batch = RecordBatch::parse(&bytes).unwrap();
        batch.verify_crc().unwrap();
        batch.header().check_produced().unwrap();
        assert!(batch.header().attributes.is_control());
        let mut scratch = Vec::new();
        let mut records = batch.records(&mut scratch, &DecompressionLimits::default()).unwrap();
        let record = records.next().unwrap().unwrap();
        assert_eq!(parse_control_record(&record).unwrap(), Some(kind));
        assert!(records.next().is_none());
    }
}

proptest! {
    #[test]
    fn round_trip(records in any_records(), codec in 0_u8..5) {
        let codec = Compression::from_id(codec).unwrap();
        let bytes = build(&records, BatchBuilder::new(codec));
        let expected: Vec<_> =
            records.into_iter().enumerate().map(|(i, r)| (i as i64, r)).collect();
        prop_assert_eq!(read(&bytes).unwrap(), expected);
    }

    /// Damaged bytes give an error or records, never a panic; with a checksum that was
    /// made to fit, so that the damage reaches the record reader and the codecs.
    #[test]
    fn damage_never_panics(
        records in any_records(),
        codec in 0_u8..5,
        cut in any::<proptest::sample::Index>(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let codec = Compression::from_id(codec).unwrap();
        let mut bytes = build(&records, BatchBuilder::new(codec));
        for (at, with) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        let _ = read(&bytes);
        if let Ok(batch) = RecordBatch::parse(&bytes) {
            let mut scratch = Vec::new();
            if let Ok(records) = batch.records(&mut scratch, &DecompressionLimits::default()) {
                let _ = records.map(|r| r.map(|r| r.headers.count())).collect::<Vec<_>>();
            }
        }
        let _ = read(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn noise_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&noise);
        if noise.len() > 21 {
            let length = (noise.len() - 12) as u32;
            noise[8..12].copy_from_slice(&length.to_be_bytes());
            noise[16] = 2;
            noise[21] = 0;
        }
        let _ = read(&noise);
    }
}
