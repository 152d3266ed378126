//! Operators against brute-force models, on random input.

mod calc;
mod group;
mod harness;
mod model;
mod state;
mod windows;
