//! Sockets: accepting connections, cutting frames, keeping answers in order.

pub(crate) mod budget;
pub(crate) mod connection;
mod frame_reader;
pub(crate) mod listener;
pub(crate) mod memory;
pub(crate) mod places;
