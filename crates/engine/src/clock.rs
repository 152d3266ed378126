//! "Now" of a job: monotonic, anchored at the wall clock, following it slowly.

use std::sync::Arc;

use thalweg_core::env::Clock;
use thalweg_core::time::Millis;

/// Share of the time that passes by which "now" may be corrected towards the wall clock.
const SLEW: i64 = 8;
/// Difference from the wall clock that people should know of, in milliseconds.
const ALARM_MS: Millis = 60_000;

/// The clock of one process's run of a job. It never falls below the last recorded time,
/// and never jumps forward while the process runs.
pub(crate) struct EpochClock {
    clock: Arc<dyn Clock>,
    /// Monotonic time up to which `now_ns` is computed.
    seen_ns: u64,
    /// Nanoseconds since the Unix epoch.
    now_ns: i128,
    floor: Millis,
    alarmed: bool,
}

impl EpochClock {
    /// Anchored now; `floor` is the last recorded time.
    pub(crate) fn new(clock: Arc<dyn Clock>, floor: Millis) -> Self {
        let now_ns = i128::from(clock.wall_ms()) * 1_000_000;
        let seen_ns = clock.monotonic_ns();
        Self { clock, seen_ns, now_ns, floor, alarmed: false }
    }

    /// "Now".
    pub(crate) fn now(&mut self) -> Millis {
        let monotonic = self.clock.monotonic_ns();
        let passed = i128::from(monotonic.saturating_sub(self.seen_ns));
        self.seen_ns = monotonic;
        let wall_ns = i128::from(self.clock.wall_ms()) * 1_000_000;
        let slew = passed / i128::from(SLEW);
        let behind = wall_ns - (self.now_ns + passed);
        // Below a millisecond the difference is the wall clock's grain.
        let correction = if behind.abs() < 1_000_000 { 0 } else { behind.clamp(-slew, slew) };
        self.now_ns += passed + correction;
        self.floor = self.floor.max((self.now_ns / 1_000_000) as Millis);
        self.floor
    }

    /// Says once that the wall clock is far from "now".
    pub(crate) fn alarm(&mut self) -> Option<String> {
        let off = self.clock.wall_ms() - self.floor;
        if off.abs() <= ALARM_MS {
            self.alarmed = false;
            return None;
        }
        let first = !std::mem::replace(&mut self.alarmed, true);
        first.then(|| {
            format!("the wall clock is {} s away from the job's processing time", off / 1000)
        })
    }

    /// Monotonic time at which "now" will have reached `time`, about.
    pub(crate) fn monotonic_at(&self, time: Millis) -> u64 {
        let left = i128::from(time) * 1_000_000 - self.now_ns;
        self.seen_ns.saturating_add(u64::try_from(left.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thalweg_core::env::sim::SimEnv;

    use super::*;

    #[test]
    fn wall_jumps_are_followed_slowly_and_alarmed() {
        let sim = SimEnv::new(1);
        let mut clock = EpochClock::new(sim.clock.clone(), 0);
        let start = clock.now();
        sim.clock.advance(Duration::from_millis(10));
        assert_eq!(clock.now(), start + 10);
        assert_eq!(clock.alarm(), None);
        sim.clock.jump_wall(3_600_000);
        sim.clock.advance(Duration::from_millis(800));
        assert_eq!(clock.now(), start + 10 + 900);
        assert!(clock.alarm().is_some());
        assert_eq!(clock.alarm(), None, "said once");
    }

    #[test]
    fn it_never_falls() {
        let sim = SimEnv::new(1);
        let floor = sim.clock.wall_ms() + 5_000;
        let mut clock = EpochClock::new(sim.clock.clone(), floor);
        assert_eq!(clock.now(), floor);
        sim.clock.jump_wall(-10_000);
        sim.clock.advance(Duration::from_millis(80));
        assert_eq!(clock.now(), floor);
    }
}
