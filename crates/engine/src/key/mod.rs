//! Keys: how rows are told apart, and to which key group a row belongs.
//!
//! The group of a key follows from a specified hash of specified bytes
//! (`canonical`), so it is the same in every process, version and physical form of the
//! data. Repartition topics and snapshots rest on it.

pub(crate) mod canonical;
mod partition;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub use canonical::{key_groups, key_hashes};
pub use partition::partition_batch;
pub(crate) use spec::{BatchKeys, KeyRef, KeySpec};
pub(crate) use table::KeyTable;
