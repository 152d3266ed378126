//! Records of the broker's own topics, as they are read back when it starts: what was
//! damaged is named, and what can be read never does harm later.
//!
//! An input is a row of records, each `topic u8, kind u8, length of the key u16, of the
//! value u16, key, value`. A length of 0xffff says that there is none. What does not fit
//! this is cut off.

use std::time::Duration;

use bytes::{Buf, Bytes};
use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::partition_log::LogStore;
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, NewRecord, control_batch,
};
use thalweg_testkit::memory::bounded;
use thalweg_testkit::mutate::{below, mutate, pick};

use super::requests::is_well;
use super::world::{Disk, World};
use super::writer;
use crate::api::APIS;

const TOPICS: [&str; 4] =
    ["__consumer_offsets", "__transaction_state", "__client_quotas", "__producer_ids"];
const NONE: u16 = u16::MAX;

/// Records in topics: the broker starts and works, or says what is wrong.
pub(super) fn target(input: &[u8]) {
    let disk = Disk::new();
    drop(disk.open_state().expect("the topics"));
    for topic in TOPICS.into_iter().filter(|topic| disk.log.topic(topic).is_none()) {
        disk.log.create_topic(topic, 1, &[]).expect("one that is made on first use");
    }
    let bytes = fill(&disk, input);
    let state = match bounded("a start", bytes, || disk.open_state()) {
        Ok(state) => state,
        Err(error) => {
            let text = error.to_string();
            assert!(TOPICS.iter().any(|topic| text.contains(topic)), "of what topic? {text}");
            return;
        }
    };
    drop(state);
    let state = disk.open_state().expect("what it wrote itself");
    let world = World::new(disk, state);
    world.advance(Duration::from_millis(1));
    ask_everything(&world);
    is_well(&world);
    world.advance(Duration::from_secs(60));
    world.advance(Duration::from_secs(30 * 24 * 3_600));
    is_well(&world);
    world.stop().open_state().expect("what it wrote itself later");
}

/// Requests of all kinds about what is there.
fn ask_everything(world: &World) {
    let random = SeededRandom::new(1);
    for api in APIS {
        for _ in 0..2 {
            let request = writer::request(&random, api, api.max_version, false);
            world.converse(&[&(request.len() as u32).to_be_bytes()[..], &request].concat());
        }
    }
}

/// Appends the records of an input; gives the bytes of all batches.
fn fill(disk: &Disk, mut input: &[u8]) -> usize {
    let (mut bytes, mut sequences) = (0, [0; TOPICS.len()]);
    while let Some((topic, kind, key, value)) = record(&mut input) {
        let topic = usize::from(topic) % TOPICS.len();
        let partition = disk.log.partition(TOPICS[topic], 0).expect("the topic");
        let record = NewRecord { timestamp: 1, key, value, headers: &[] };
        let batch = match kind % 8 {
            0 => control_batch(ControlKind::Commit, 7, 0, 0, 1).expect("a batch"),
            1 => control_batch(ControlKind::Abort, 7, 0, 0, 1).expect("a batch"),
            kind => {
                let mut batch = BatchBuilder::new(Compression::None);
                if kind == 2 {
                    batch = batch.producer(7, 0, sequences[topic]).transactional(true);
                    sequences[topic] += 1;
                }
                batch.push(&record).expect("room");
                batch.build().expect("a batch")
            }
        };
        bytes += batch.len();
        partition.append(batch).expect("a sound batch");
        while disk.log.commit_step() > 0 {}
    }
    bytes
}

type Row<'a> = (u8, u8, Option<&'a [u8]>, Option<&'a [u8]>);

fn record<'a>(input: &mut &'a [u8]) -> Option<Row<'a>> {
    let (topic, kind) = (input.try_get_u8().ok()?, input.try_get_u8().ok()?);
    let (key, value) = (input.try_get_u16().ok()?, input.try_get_u16().ok()?);
    let mut take = |length: u16| match length {
        NONE => Some(None),
        length => {
            let (taken, rest) = input.split_at_checked(length.into())?;
            *input = rest;
            Some(Some(taken))
        }
    };
    Some((topic, kind, take(key)?, take(value)?))
}

/// Records that were written once, in any order and damaged or not.
pub(super) fn generate(random: &SeededRandom) -> Vec<u8> {
    let known = known();
    let mut input = Vec::new();
    for _ in 0..1 + below(random, 12) {
        let (topic, key, value) = pick(random, &known).clone();
        let donor = pick(random, &known).2.clone().unwrap_or_default();
        let damaged = |bytes: Option<Bytes>, percent: u32| {
            let mut bytes = bytes?.to_vec();
            if random.chance(percent * 10_000) {
                mutate(random, &mut bytes, &donor);
            }
            Some(bytes)
        };
        let key = damaged(key, 3);
        let mut value = damaged(value, 25);
        if let (None, Some(framed)) = (&key, &mut value)
            && framed.len() > 4
            && random.chance(900_000)
        {
            let sum = crc32c::crc32c(&framed[4..]);
            framed[..4].copy_from_slice(&sum.to_be_bytes());
        }
        let length = |of: &Option<Vec<u8>>| {
            of.as_ref().map_or(NONE, |bytes| bytes.len() as u16).to_be_bytes()
        };
        input.extend([topic, random.next_u64() as u8]);
        input.extend(length(&key));
        input.extend(length(&value));
        input.extend(key.into_iter().chain(value).flatten());
    }
    input
}

type Known = (u8, Option<Bytes>, Option<Bytes>);

/// The records of the fixtures, each with the number of its topic.
fn known() -> Vec<Known> {
    let lines = |fixture: &'static str| fixture.lines().filter(|line| !line.starts_with('#'));
    let of = |line: &str| bytes(line.split_once(':').map_or(line, |(_, hex)| hex.trim()));
    let mut known = Vec::new();
    for line in lines(include_str!("../../tests/fixtures/consumer_offsets_v1.hex")) {
        let (key, value) = line.split_once(' ').expect("key and value");
        known.push((0, Some(bytes(key)), (value != "-").then(|| bytes(value))));
    }
    for line in lines(include_str!("../../tests/fixtures/group_state_v1.hex")) {
        known.push((0, None, Some(framed(&bytes(line)))));
    }
    let rows: Vec<&str> =
        lines(include_str!("../../tests/fixtures/transaction_state_v1.hex")).collect();
    for row in &rows[1..] {
        known.push((1, Some(of(rows[0])), Some(of(row))));
    }
    known.push((1, Some(of(rows[0])), None));
    let rows: Vec<&str> =
        lines(include_str!("../../tests/fixtures/client_quotas_v0.hex")).collect();
    let (keys, values): (Vec<&str>, Vec<&str>) =
        rows.iter().partition(|row| row.starts_with("key"));
    for key in keys {
        known.push((2, Some(of(key)), None));
        known.extend(values.iter().map(|value| (2, Some(of(key)), Some(of(value)))));
    }
    known.push((3, None, Some(framed(&1_000_i64.to_be_bytes()))));
    known
}

/// The value of a record in the broker's own form: checksum, version 1, payload.
fn framed(payload: &[u8]) -> Bytes {
    let body = [&[1][..], payload].concat();
    [&crc32c::crc32c(&body).to_be_bytes()[..], &body].concat().into()
}

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}
