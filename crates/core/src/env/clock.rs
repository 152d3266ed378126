//! Time as the environment gives it.

use std::time::Duration;

use crate::time::Millis;

/// Wall time and monotonic time.
pub trait Clock: Send + Sync {
    /// Wall time in milliseconds since the Unix epoch. May jump either way.
    fn wall_ms(&self) -> Millis;

    /// Nanoseconds since an arbitrary start. Never goes back.
    fn monotonic_ns(&self) -> u64;

    /// Blocks the calling thread. Simulated clocks only move their time on.
    fn sleep(&self, duration: Duration);
}
