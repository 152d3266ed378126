//! What tests of several crates share, and no product code uses: fuzzing by seed, mutation
//! of bytes, and bounds on what is allocated.
//!
//! Whatever links this has all its allocations counted, which costs a little.

pub mod fuzz;
pub mod memory;
pub mod mutate;
