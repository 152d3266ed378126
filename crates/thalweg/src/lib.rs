//! Thalweg as a library: a node with its log, jobs, views and doors in one process.
//!
//! This crate only wires the others together; it knows every one of them and none knows
//! it. The binary `thalweg` is its command line.

pub mod cli;
pub mod config;
pub mod node;
pub mod quickstart;
