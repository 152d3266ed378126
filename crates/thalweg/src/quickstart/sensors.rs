//! The quickstart's sensors: readings that wander, and now and then one that is late,
//! unreadable or too hot.

use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::time::Millis;

/// A record for the topic.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// The sensor's name.
    pub key: String,
    /// JSON, or something that only looks like it.
    pub value: String,
    /// What the record is, for the summary.
    pub kind: ReadingKind,
    /// Whether it is above the threshold of the example's alerts.
    pub is_hot: bool,
}

/// What a reading was made to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadingKind {
    /// As it should be.
    Good,
    /// Measured long ago.
    Late,
    /// Not JSON of the table's shape.
    Unreadable,
}

/// How long ago a late reading was measured: well beyond the watermark's two seconds and
/// the window's five.
const LATE_BY: Millis = 30_000;

/// Above so many degrees the example warns.
const THRESHOLD: f64 = 80.0;

/// A set of simulated sensors.
pub struct Sensors {
    random: SeededRandom,
    level: Vec<f64>,
    readings: u64,
}

impl std::fmt::Debug for Sensors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sensors").field("sensors", &self.level.len()).finish_non_exhaustive()
    }
}

impl Sensors {
    /// So many sensors; the same seed gives the same readings.
    pub fn new(sensors: usize, seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let level = (0..sensors).map(|sensor| 40.0 + 38.0 * (sensor % 2) as f64).collect();
        Self { random, level, readings: 0 }
    }

    /// One reading of each sensor at `now`.
    pub fn read(&mut self, now: Millis) -> Vec<Reading> {
        (0..self.level.len()).map(|sensor| self.reading(sensor, now)).collect()
    }

    fn reading(&mut self, sensor: usize, now: Millis) -> Reading {
        self.readings += 1;
        let step = self.random.below(2_001) as f64 / 1_000.0 - 1.0;
        let home = 40.0 + 38.0 * (sensor % 2) as f64;
        self.level[sensor] += step + (home - self.level[sensor]) * 0.05;
        let key = format!("sensor-{}", sensor + 1);
        // Now and then one runs hot for a reading.
        let heat = if self.random.below(25) == 0 { 15.0 } else { 0.0 };
        let celsius = ((self.level[sensor] + heat) * 10.0).round() / 10.0;
        // Not before the first windows are complete, so that late readings are late.
        let settled = self.readings > 20 * self.level.len() as u64;
        let (kind, measured_at) = match self.random.below(40) {
            0 => (ReadingKind::Unreadable, now),
            1 if settled => (ReadingKind::Late, now - LATE_BY),
            _ => (ReadingKind::Good, now),
        };
        let value = match kind {
            ReadingKind::Unreadable => format!("{{\"sensor\": \"{key}\", \"celsius\": \"??\""),
            _ => format!(
                "{{\"sensor\": \"{key}\", \"celsius\": {celsius:.1}, \"measured_at\": \"{}\"}}",
                sql_timestamp(measured_at)
            ),
        };
        Reading { key, value, kind, is_hot: celsius > THRESHOLD }
    }
}

/// `yyyy-MM-dd HH:mm:ss.SSS` in UTC, as Flink's JSON format writes a TIMESTAMP(3).
pub fn sql_timestamp(millis: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(millis)
        .unwrap_or_default()
        .format("%Y-%m-%d %H:%M:%S%.3f")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_in_sql_form() {
        assert_eq!(sql_timestamp(0), "1970-01-01 00:00:00.000");
        assert_eq!(sql_timestamp(951_782_400_123), "2000-02-29 00:00:00.123");
        assert_eq!(sql_timestamp(-1), "1969-12-31 23:59:59.999");
    }

    #[test]
    fn a_long_run_has_every_kind_of_reading() {
        let mut sensors = Sensors::new(4, 7);
        let readings: Vec<Reading> = (0..1_000).flat_map(|i| sensors.read(i * 100)).collect();
        let count = |kind| readings.iter().filter(|reading| reading.kind == kind).count();
        assert!(count(ReadingKind::Late) > 0 && count(ReadingKind::Unreadable) > 0);
        assert!(count(ReadingKind::Good) > 3_700);
        for reading in &readings {
            let parsed = serde_json::from_str::<serde_json::Value>(&reading.value);
            assert_eq!(parsed.is_err(), reading.kind == ReadingKind::Unreadable);
        }
    }
}
