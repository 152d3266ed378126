//! The guard's table against the codec, and the guard against hostile bytes.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages as m;
use kafka_protocol::protocol::Decodable;
use proptest::prelude::*;
use thalweg_testkit::memory::bounded;

use super::schema::{Field, Kind, SCHEMAS, Schema};
use super::{GuardError, check, schema_of};
use crate::api::{APIS, Api};

const BUDGET: usize = 10_000;

/// Decodes with the codec; the number of bytes left over.
fn decode(key: i16, version: i16, body: &[u8]) -> Result<usize, String> {
    macro_rules! decoders {
        ($($key:literal => $request:ident,)*) => {
            match key {
                $($key => {
                    let mut body = Bytes::copy_from_slice(body);
                    m::$request::decode(&mut body, version).map_err(|error| error.to_string())?;
                    Ok(body.len())
                })*
                _ => Err(format!("no decoder for {key}")),
            }
        };
    }
    decoders! {
        0 => ProduceRequest, 1 => FetchRequest, 2 => ListOffsetsRequest, 3 => MetadataRequest,
        8 => OffsetCommitRequest, 9 => OffsetFetchRequest, 10 => FindCoordinatorRequest,
        11 => JoinGroupRequest, 12 => HeartbeatRequest, 13 => LeaveGroupRequest,
        14 => SyncGroupRequest, 15 => DescribeGroupsRequest, 16 => ListGroupsRequest,
        18 => ApiVersionsRequest, 19 => CreateTopicsRequest, 20 => DeleteTopicsRequest,
        21 => DeleteRecordsRequest, 23 => OffsetForLeaderEpochRequest,
        33 => AlterConfigsRequest, 35 => DescribeLogDirsRequest, 43 => ElectLeadersRequest,
        44 => IncrementalAlterConfigsRequest, 45 => AlterPartitionReassignmentsRequest,
        46 => ListPartitionReassignmentsRequest, 74 => ListConfigResourcesRequest, 75 => DescribeTopicPartitionsRequest,
        22 => InitProducerIdRequest, 24 => AddPartitionsToTxnRequest,
        25 => AddOffsetsToTxnRequest, 26 => EndTxnRequest, 27 => WriteTxnMarkersRequest,
        28 => TxnOffsetCommitRequest,
        32 => DescribeConfigsRequest, 37 => CreatePartitionsRequest,
        42 => DeleteGroupsRequest, 47 => OffsetDeleteRequest, 48 => DescribeClientQuotasRequest, 49 => AlterClientQuotasRequest, 60 => DescribeClusterRequest,
        61 => DescribeProducersRequest, 65 => DescribeTransactionsRequest, 66 => ListTransactionsRequest,
        68 => ConsumerGroupHeartbeatRequest, 69 => ConsumerGroupDescribeRequest,
    }
}

/// Writes a request of a shape: texts of two letters, arrays of `repeat` elements.
struct Writer {
    version: i16,
    flexible: bool,
    repeat: usize,
    out: Vec<u8>,
}

impl Writer {
    fn request(schema: &Schema, version: i16, repeat: usize, tagged: bool) -> Vec<u8> {
        let flexible = version >= schema.flexible_since;
        let mut writer = Self { version, flexible, repeat, out: Vec::new() };
        writer.fields(schema.fields);
        if flexible {
            let known: Vec<_> =
                schema.tagged.iter().filter(|field| tagged && version >= field.since).collect();
            writer.varint(known.len());
            for field in known {
                let mut inner = Self { version, flexible, repeat, out: Vec::new() };
                inner.fields(field.fields);
                if field.is_struct {
                    inner.out.push(0);
                }
                writer.varint(field.tag as usize);
                writer.varint(inner.out.len());
                writer.out.extend(inner.out);
            }
        }
        writer.out
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn length(&mut self, length: usize, width: usize) {
        match (self.flexible, width) {
            (true, _) => self.varint(length + 1),
            (false, 2) => self.out.put_i16(length as i16),
            (false, _) => self.out.put_i32(length as i32),
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(&field.kind);
            }
        }
    }

    fn field(&mut self, kind: &Kind) {
        match kind {
            Kind::Fixed(size) => self.out.extend(std::iter::repeat_n(1, *size)),
            Kind::Str => {
                self.length(2, 2);
                self.out.extend(b"ab");
            }
            Kind::Bytes => {
                self.length(3, 4);
                self.out.extend(b"xyz");
            }
            Kind::Scalars(size) => {
                self.length(self.repeat, 4);
                self.out.extend(std::iter::repeat_n(0, size * self.repeat));
            }
            Kind::Strs => {
                self.length(self.repeat, 4);
                (0..self.repeat).for_each(|_| self.field(&Kind::Str));
            }
            Kind::Optional(fields) => {
                // Null where arrays are empty.
                self.out.push(if self.repeat == 0 { 0xff } else { 1 });
                if self.repeat > 0 {
                    self.fields(fields);
                    if self.flexible {
                        self.out.push(0);
                    }
                }
            }
            Kind::Array(fields) => {
                self.length(self.repeat, 4);
                for _ in 0..self.repeat {
                    self.fields(fields);
                    if self.flexible {
                        self.out.push(0);
                    }
                }
            }
        }
    }
}

fn unread(schema: &Schema, version: i16, body: &[u8]) -> Result<usize, GuardError> {
    check(schema, version, body, BUDGET).map(|checked| checked.unread_bytes)
}

fn every_version() -> impl Iterator<Item = (&'static Api, &'static Schema, i16)> {
    APIS.iter().flat_map(|api| {
        let schema = schema_of(api.key).expect("shape");
        (api.served_since..=api.max_version).map(move |version| (api, schema, version))
    })
}

#[test]
fn the_table_agrees_with_the_codec() {
    for (api, schema, version) in every_version() {
        for repeat in 0..3 {
            for tagged in [false, true] {
                let body = Writer::request(schema, version, repeat, tagged);
                let case = format!("{} v{version}, {repeat} elements", api.name);
                assert_eq!(decode(api.key, version, &body), Ok(0), "codec: {case}");
                assert_eq!(unread(schema, version, &body), Ok(0), "guard: {case}");
            }
        }
    }
    assert_eq!(SCHEMAS.len(), APIS.len());
}

#[test]
fn a_request_cut_short_is_refused() {
    for (api, schema, version) in every_version() {
        let body = Writer::request(schema, version, 2, true);
        for length in 0..body.len() {
            let outcome = check(schema, version, &body[..length], BUDGET);
            assert!(outcome.is_err(), "{} v{version}, {length} bytes", api.name);
        }
    }
}

/// Puts a huge number at every place. If the guard let one of them through as a count,
/// the codec would ask for so much memory that this test would not survive.
#[test]
fn no_huge_count_reaches_the_codec() {
    let huge: [&[u8]; 4] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x7f, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    for (api, schema, version) in every_version() {
        let body = Writer::request(schema, version, 2, true);
        for at in 0..body.len() {
            for number in huge {
                let mut hostile = body.clone();
                let end = (at + number.len()).min(hostile.len());
                hostile.splice(at..end, number.iter().copied());
                if check(schema, version, &hostile, BUDGET).is_ok() {
                    let _ = decode(api.key, version, &hostile);
                }
            }
        }
    }
}

#[test]
fn elements_and_tags_are_budgeted() {
    let metadata = schema_of(3).expect("shape");
    let many = Writer::request(metadata, 1, 500, false);
    assert_eq!(check(metadata, 1, &many, 499), Err(GuardError::TooManyElements));
    assert_eq!(check(metadata, 1, &many, 500).map(|checked| checked.elements), Ok(500));

    let with_tags = |count: usize| {
        let mut body = Writer::request(metadata, 9, 0, false);
        body.pop();
        let mut writer = Writer { version: 9, flexible: true, repeat: 0, out: body };
        writer.varint(count);
        for tag in 0..count {
            writer.varint(tag + 100);
            writer.varint(1);
            writer.out.push(0);
        }
        writer.out
    };
    assert_eq!(unread(metadata, 9, &with_tags(64)), Ok(0));
    assert_eq!(check(metadata, 9, &with_tags(65), BUDGET), Err(GuardError::TooManyTags));
}

/// How deep arrays are in each other.
fn depth(fields: &[Field]) -> u32 {
    let of = |field: &Field| match &field.kind {
        Kind::Scalars(_) | Kind::Strs => 1,
        Kind::Array(fields) => 1 + depth(fields),
        Kind::Optional(fields) => depth(fields),
        Kind::Fixed(_) | Kind::Str | Kind::Bytes => 0,
    };
    fields.iter().map(of).max().unwrap_or(0)
}

/// Whatever the guard lets pass, the codec makes little more of it than was counted.
#[test]
fn what_is_decoded_stays_in_proportion() {
    let (mut passed, mut refused) = (0, 0);
    for (api, schema, version) in every_version() {
        let many = 40_000_f64.powf(1.0 / f64::from(depth(schema.fields).max(1)));
        for repeat in [1, 10, many as usize] {
            let body = Writer::request(schema, version, repeat, false);
            match check(schema, version, &body, usize::MAX) {
                Err(error) => {
                    assert_eq!(error, GuardError::TooDense, "{} v{version}", api.name);
                    refused += 1;
                }
                Ok(_) => {
                    let what = format!("{} v{version}, {repeat} elements", api.name);
                    // A copy of the body is the test's own.
                    let decoded = || decode(api.key, version, &body).map(|_| ());
                    assert_eq!(bounded(&what, body.len(), decoded), Ok(()), "{what}");
                    passed += 1;
                }
            }
        }
    }
    assert!(passed > 300 && refused > 0, "{passed} {refused}");
}

/// The codec reads a known tagged field without looking at the size it is said to have.
#[test]
fn a_tagged_field_of_the_wrong_size_is_refused() {
    let fetch = schema_of(1).expect("shape");
    let mut body = Writer::request(fetch, 12, 0, true);
    let size_at = body.len() - 4;
    assert_eq!(body[size_at..], [3, 3, b'a', b'b']);
    body[size_at] = 2;
    assert_eq!(check(fetch, 12, &body, BUDGET), Err(GuardError::MalformedTag));
}

fn case() -> impl Strategy<Value = (usize, usize)> {
    (0..every_version().count(), 0..3_usize)
}

proptest! {
    #[test]
    fn damaged_requests_do_not_panic(
        (which, repeat) in case(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (api, schema, version) = every_version().nth(which).expect("in range");
        let mut body = Writer::request(schema, version, repeat, true);
        for (at, byte) in edits {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        if check(schema, version, &body, BUDGET).is_ok() {
            let _ = decode(api.key, version, &body);
        }
    }

    #[test]
    fn garbage_does_not_panic(
        (which, _) in case(),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (api, schema, version) = every_version().nth(which).expect("in range");
        if check(schema, version, &body, BUDGET).is_ok() {
            let _ = decode(api.key, version, &body);
        }
    }

    #[test]
    fn garbage_headers_do_not_panic(frame in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = crate::request::parse_header(frame.into());
    }
}
