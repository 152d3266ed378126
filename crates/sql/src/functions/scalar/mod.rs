//! Scalar functions, a family a file.

pub(crate) mod collection;
pub(crate) mod condition;
pub(crate) mod hash;
pub(crate) mod java_pattern;
pub(crate) mod json;
pub(crate) mod math;
pub(crate) mod now;
pub(crate) mod operators;
pub(crate) mod pattern;
pub(crate) mod session;
pub(crate) mod temporal;
pub(crate) mod text;
pub(crate) mod window;

use super::signature::{Arguments, BindResult, Body, FunctionDef, Special};

/// A function that is a kernel.
const fn kernel(
    name: &'static str,
    aliases: &'static [&'static str],
    syntax: &'static str,
    bind: fn(&Arguments<'_>) -> BindResult,
) -> FunctionDef {
    FunctionDef { name, aliases, syntax, body: Body::Kernel(bind) }
}

/// A function that the binder knows.
const fn special(
    name: &'static str,
    aliases: &'static [&'static str],
    syntax: &'static str,
    special: Special,
) -> FunctionDef {
    FunctionDef { name, aliases, syntax, body: Body::Special(special) }
}
