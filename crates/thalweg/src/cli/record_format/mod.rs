//! Format strings of records, one language for `thalweg consume -f` and `thalweg produce -f`.
//!
//! It is the union of kcat's and rpk's: percent verbs for the fields of a record, modifiers in
//! braces for how bytes, numbers and times look, backslash escapes between them. Where the two
//! tools mean different things by one verb, rpk's meaning holds; [`verbs::VERBS`] is the list.
//! docs/cli.md has the table for users.

mod error;
mod escape;
mod format;
mod json_text;
mod modifier;
mod number;
mod parse;
mod read;
mod read_plan;
mod text;
mod time;
mod unpack;
mod verbs;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use error::FormatError;
pub(crate) use escape::unescape;
pub(crate) use format::Format;
pub(crate) use read::{Mismatch, Parsed, Slot, Step};
pub(crate) use read_plan::ReadPlan;
pub(crate) use unpack::Pack;
pub(crate) use verbs::{READ_HELP, WRITE_HELP};
pub(crate) use write::Surroundings;
