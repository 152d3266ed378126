//! The node as a library: statements, restarts, what is left after a crash.

mod harness;
mod resume;
