//! Integration tests of the SQL front end: plans, expressions, errors, statements.

mod adhoc;
mod errors;
mod expressions;
mod fuzz;
mod nexmark;
mod plans;
mod statements;
mod support;
