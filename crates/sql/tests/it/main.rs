//! Integration tests of the SQL front end: plans, expressions, errors, statements.
#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod adhoc;
mod errors;
mod expressions;
mod fuzz;
mod nexmark;
mod plans;
mod statements;
mod support;
