//! The guard: a walk over the bytes of a request before anything is decoded.
//!
//! The codec crate reserves room for as many elements as the wire names, before it
//! reads the first of them; a request of a few bytes could so ask for all the memory
//! there is. The guard knows the shape of each request (`schema`) and checks that
//! every length and count fits into the bytes that are there, and that the number of
//! elements stays within a budget (compare CVE-2021-34917 and its successors).

mod schema;
mod walk;

#[cfg(test)]
pub(crate) use schema::{Field, Kind};
pub(crate) use schema::{Schema, schema_of};
pub(crate) use walk::{GuardError, check};

#[cfg(test)]
mod tests;
