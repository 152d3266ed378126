//! What a connection sends, up to and including what the handlers do with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use thalweg_core::env::{Random, SeededRandom};
use thalweg_testkit::memory::used;
use thalweg_testkit::mutate::{below, extreme, mutate, pick};

use super::names::{frame, furnished, produce};
use super::world::{Heard, World};
use super::writer;
use crate::api::APIS;

/// Answers to inputs so far, to see that not all are refused at the door.
pub(super) static ANSWERS: AtomicU64 = AtomicU64::new(0);

/// Bytes from a connection: no panic, and the broker goes on.
pub(super) fn target(sent: &[u8]) {
    let world = furnished();
    let (heard, used) = used(|| world.converse(sent));
    used.check("a connection", sent.len() + heard.bytes.len());
    check_frames(&heard);
    is_well(&world);
    // Whatever was asked to wait comes to an end.
    world.advance(Duration::from_secs(60));
    world.advance(Duration::from_secs(30 * 24 * 3_600));
    is_well(&world);
    let disk = world.stop();
    disk.open_state().expect("what was written is read again");
}

/// Whether others are served.
pub(super) fn is_well(world: &World) {
    for request in [
        frame(0, &ApiVersionsRequest::default()),
        frame(1, &MetadataRequest::default().with_topics(None)),
        frame(9, &produce("plain")),
    ] {
        let heard = world.converse(&request);
        assert!(!heard.is_closed && heard.bytes.len() > 8, "the broker answers nobody any more");
    }
}

/// Answers are whole frames.
fn check_frames(heard: &Heard) {
    let mut rest = &heard.bytes[..];
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        assert!(after.len() >= length, "an answer of {length} bytes ends after {}", after.len());
        rest = &after[length..];
        ANSWERS.fetch_add(1, Ordering::Relaxed);
    }
    assert!(rest.is_empty(), "an answer ends in its length");
}

/// Requests one after another, damaged or not.
pub(super) fn generate(random: &SeededRandom) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..1 + below(random, 6) {
        let mut request = one(random);
        if random.chance(500_000) {
            let donor = one(random);
            mutate(random, &mut request, &donor);
        }
        let length = match random.below(40) {
            0 => extreme(random, request.len()),
            _ => request.len() as i64,
        };
        stream.extend((length as u32).to_be_bytes());
        stream.extend(request);
    }
    if random.chance(50_000) {
        mutate(random, &mut stream, &one(random));
    }
    stream
}

/// A request of any API in any version, and some of none.
fn one(random: &SeededRandom) -> Vec<u8> {
    let api = pick(random, APIS);
    let versions = api.served_since..=api.max_version;
    let version = api.served_since + below(random, versions.count()) as i16;
    let is_dense = random.chance(20_000);
    let mut request = writer::request(random, api, version, is_dense);
    match random.below(100) {
        // Keys and versions that are not there.
        0 => request[..2].copy_from_slice(&(extreme(random, 80) as i16).to_be_bytes()),
        1 => request[2..4].copy_from_slice(&(extreme(random, 12) as i16).to_be_bytes()),
        _ => {}
    }
    request
}
