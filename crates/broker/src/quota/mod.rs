//! Quotas: how many bytes a client may write and read a second, and how much of the
//! server's time it may take (KIP-13, KIP-55, KIP-124, KIP-546).
//!
//! Who goes beyond is served all the same, and told how long to wait; meanwhile nothing is
//! read from its connection (KIP-219). Quotas are set for users and client ids, for all
//! that have none of their own, and for pairs of the two; they are remembered in an
//! internal topic.

mod bucket;
mod entity;
mod record;
mod service;
mod table;
mod throttle;

pub(crate) use entity::{Entity, Kind, Who};
pub(crate) use service::{Alteration, Quotas};
pub(crate) use throttle::{Mute, place_of_throttle_time, timed};
