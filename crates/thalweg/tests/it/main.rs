//! The node as a library: statements, restarts, what is left after a crash.

mod access;
mod harness;
mod reading;
mod resume;
