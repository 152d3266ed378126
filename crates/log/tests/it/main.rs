//! Tests of the embedded log from outside.

mod basic;
mod model;
mod support;
