//! The node as a library: statements, restarts, what is left after a crash.

mod access;
mod group_offsets;
mod harness;
mod job_life;
mod reading;
mod resume;
mod retention;
mod side_tables;
