//! Tests of the engine as a whole: jobs on the real log, on real and simulated disks.
#![allow(clippy::unwrap_used, reason = "tests panic where something is not as it should be")]

mod bad_records;
mod connectors;
mod crash;
mod recovery;
mod results;
mod support;
mod vertical;
