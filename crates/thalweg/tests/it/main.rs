//! The node as a library: statements, restarts, what is left after a crash.

mod access;
mod catalog_log;
mod command_line;
mod disk_space;
mod group_offsets;
mod harness;
mod job_life;
mod postgres;
mod reading;
mod resume;
mod retention;
mod same_answers;
mod side_tables;
