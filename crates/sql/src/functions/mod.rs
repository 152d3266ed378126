//! Functions with Flink's semantics. One file a family; [`registry`] lists them all.

pub(crate) mod aggregate;
pub(crate) mod arithmetic;
pub(crate) mod calendar;
pub(crate) mod cast;
pub(crate) mod registry;
#[cfg(test)]
mod robustness;
pub(crate) mod scalar;
pub(crate) mod signature;
pub(crate) mod udf;
pub(crate) mod udf_cast;
pub(crate) mod values;
