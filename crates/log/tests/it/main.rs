//! Tests of the embedded log from outside.

#![allow(clippy::unwrap_used, reason = "tests say so by panicking")]

mod basic;
mod codecs;
mod compaction;
mod crash_points;
mod damage;
mod directory;
mod fixtures;
mod model;
mod space;
mod support;
mod tail;
mod threads;
mod topics;
mod transactions;
