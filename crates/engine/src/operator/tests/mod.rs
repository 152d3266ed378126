//! Operators against brute-force models, on random input.

mod group;
mod harness;
mod model;
mod windows;
