//! The broker against bytes that nobody in his right mind sends: requests as they come from
//! the socket, and records as they are read at the start. Each target is a plain function
//! of bytes; see `thalweg_testkit::fuzz` for how its inputs are drawn and replayed.
//!
//! | target | what an input is |
//! |---|---|
//! | [`requests::target`] | what a connection sends: frames of any API and version |
//! | [`records::target`] | records of the broker's own topics |
//!
//! What must hold for each: no panic; the connection answers or is closed; the next client is
//! served; and at most 8 times the bytes and 1 MiB are allocated at a time. As bytes count
//! what came in and what the answers take: to list all topics is a request of a few bytes.
//! What is written to the simulated disk counts as well.

mod names;
mod records;
mod requests;
mod texts;
mod world;
mod writer;

use std::sync::atomic::Ordering;

use thalweg_testkit::fuzz::Fuzz;

fn fuzz(name: &'static str, test: &'static str, rounds: u64) -> Fuzz<'static> {
    Fuzz { name, folder: env!("CARGO_MANIFEST_DIR"), test, rounds }
}

#[test]
fn requests() {
    fuzz("requests", "-p thalweg-broker --lib fuzz::requests", 400)
        .run(requests::generate, requests::target);
    let answers = requests::ANSWERS.load(Ordering::Relaxed);
    assert!(answers > 1, "{answers} answers: mostly refused at the door");
}

#[test]
fn records() {
    fuzz("records", "-p thalweg-broker --lib fuzz::records", 400)
        .run(records::generate, records::target);
}
