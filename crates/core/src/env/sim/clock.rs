//! Simulated time: it stands still unless somebody moves it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::super::Clock;
use crate::time::Millis;

/// Wall time of a new simulation: 2023-11-14 22:13:20 UTC.
const START_WALL_MS: Millis = 1_700_000_000_000;

/// A clock that [`advance`](Self::advance), sleeping and disk stalls move on.
#[derive(Debug)]
pub struct SimClock {
    monotonic_ns: AtomicU64,
    /// Wall time at monotonic 0; jumps change it.
    wall_base_ms: AtomicI64,
}

impl SimClock {
    pub(super) fn new() -> Self {
        Self { monotonic_ns: AtomicU64::new(0), wall_base_ms: AtomicI64::new(START_WALL_MS) }
    }

    /// Lets wall time and monotonic time pass.
    pub fn advance(&self, duration: Duration) {
        self.monotonic_ns.fetch_add(duration.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Sets wall time forward, or back, as an operator or NTP would. Monotonic time
    /// does not notice.
    pub fn jump_wall(&self, delta_ms: Millis) {
        self.wall_base_ms.fetch_add(delta_ms, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> Millis {
        self.wall_base_ms.load(Ordering::SeqCst) + (self.monotonic_ns() / 1_000_000) as Millis
    }

    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Ordering::SeqCst)
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_only_when_told() {
        let clock = SimClock::new();
        let (wall, monotonic) = (clock.wall_ms(), clock.monotonic_ns());
        assert_eq!((clock.wall_ms(), clock.monotonic_ns()), (wall, monotonic));
        clock.advance(Duration::from_micros(1_500));
        clock.sleep(Duration::from_micros(500));
        assert_eq!((clock.wall_ms(), clock.monotonic_ns()), (wall + 2, monotonic + 2_000_000));
    }

    #[test]
    fn wall_jumps_leave_monotonic_time_alone() {
        let clock = SimClock::new();
        clock.advance(Duration::from_millis(10));
        let (wall, monotonic) = (clock.wall_ms(), clock.monotonic_ns());
        clock.jump_wall(-3_600_000);
        assert_eq!((clock.wall_ms(), clock.monotonic_ns()), (wall - 3_600_000, monotonic));
    }
}
