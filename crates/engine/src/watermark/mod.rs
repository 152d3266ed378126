//! Watermarks: made by splits, merged by stages.

mod generate;
mod merge;

pub(crate) use generate::{Generator, Refused};
pub(crate) use merge::{ChannelEnd, ChannelMerge};
