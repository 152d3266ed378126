//! Integration tests of the snapshot store.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod crashes;
mod fixture;
mod helpers;
mod store;
