//! A token bucket that can be in debt: who takes more than there is waits afterwards.

/// How many seconds' worth may be taken at once after a rest.
const BURST_SECONDS: f64 = 1.0;

/// What one client may use of one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// What may be taken now; below zero is debt.
    available: f64,
    at_ns: u64,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: f64, now_ns: u64) -> Self {
        Self { available: rate * BURST_SECONDS, at_ns: now_ns }
    }

    /// Takes an amount at a rate per second. Gives the seconds until there is no debt.
    pub(super) fn take(&mut self, amount: f64, rate: f64, now_ns: u64) -> f64 {
        let seconds = now_ns.saturating_sub(self.at_ns) as f64 / 1e9;
        self.at_ns = self.at_ns.max(now_ns);
        self.available = (self.available + seconds * rate).min(rate * BURST_SECONDS) - amount;
        (-self.available / rate).max(0.0)
    }

    /// Whether it is full by now, and so as good as a new one.
    pub(super) fn is_full(&self, rate: f64, now_ns: u64) -> bool {
        let seconds = now_ns.saturating_sub(self.at_ns) as f64 / 1e9;
        self.available + seconds * rate >= rate * BURST_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn debt_is_waited_off() {
        let mut bucket = Bucket::new(100.0, 0);
        assert_eq!(bucket.take(100.0, 100.0, 0), 0.0, "a second's worth at once");
        assert_eq!(bucket.take(50.0, 100.0, 0), 0.5);
        assert_eq!(bucket.take(50.0, 100.0, 0), 1.0);
        assert_eq!(bucket.take(0.0, 100.0, SECOND / 2), 0.5);
        assert_eq!(bucket.take(0.0, 100.0, SECOND), 0.0);
        assert!(!bucket.is_full(100.0, SECOND) && bucket.is_full(100.0, 2 * SECOND));
        assert_eq!(bucket.take(200.0, 100.0, 100 * SECOND), 1.0, "a rest earns one second's worth");
    }

    /// Over a long time the rate holds, however much is taken at a time.
    #[test]
    fn the_rate_holds() {
        for amount in [1.0, 30.0, 1_000.0] {
            let (mut bucket, mut now, mut taken) = (Bucket::new(100.0, 0), 0, 0.0);
            while now < 1_000 * SECOND {
                taken += amount;
                now += (bucket.take(amount, 100.0, now) * 1e9) as u64;
            }
            let rate: f64 = taken / 1_000.0;
            assert!((99.0..=101.5).contains(&rate), "{amount} at a time: {rate}");
        }
    }
}
