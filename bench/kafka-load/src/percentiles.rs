//! Times as they were measured, all of them kept, and their percentiles.

use std::time::Duration;

#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    pub fn push(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// `{"p50":…,"p99":…,"p999":…}` in milliseconds, without the first twentieth (connecting).
    pub fn report(mut self) -> String {
        let warm = &mut self.0[..];
        let skipped = warm.len() / 20;
        let warm = &mut warm[skipped..];
        warm.sort_unstable();
        let at = |share: f64| {
            let place = (warm.len() as f64 * share) as usize;
            f64::from(warm.get(place.min(warm.len().saturating_sub(1))).copied().unwrap_or(0)) / 1e3
        };
        format!("{{\"p50\":{:.3},\"p99\":{:.3},\"p999\":{:.3}}}", at(0.5), at(0.99), at(0.999))
    }
}
