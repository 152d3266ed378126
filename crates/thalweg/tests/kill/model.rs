//! Readings, how they stand in JSON, and the queries computed over a whole input at once:
//! what the system's results are compared with. Nothing here is the system's code.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

/// 2026-01-31 12:00:00 UTC: the event time of the first reading.
pub(crate) const BASE_MS: i64 = 1_769_860_800_000;
/// How far the watermark stays behind the newest event time.
pub(crate) const DELAY_MS: i64 = 2_000;
/// Length of the tumbling windows.
pub(crate) const WINDOW_MS: i64 = 1_000;
/// Above this many quarters of a degree (80 degrees) a reading is an alert.
pub(crate) const ALERT_QUARTERS: i64 = 320;
/// The sensors read half a degree too high.
pub(crate) const CORRECTION_QUARTERS: i64 = 2;

/// One reading. Degrees are counted in quarters, so that sums are exact in `DOUBLE`, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reading {
    /// Unique among all readings sent.
    pub(crate) id: u64,
    /// Name of the sensor.
    pub(crate) sensor: String,
    /// Temperature in quarters of a degree.
    pub(crate) quarters: i64,
    /// Event time, milliseconds since 1970.
    pub(crate) at_ms: i64,
}

impl Reading {
    /// The reading as its producers write it.
    pub(crate) fn json(&self) -> String {
        format!(
            r#"{{"id": {}, "sensor": "{}", "celsius": {:?}, "measured_at": "{}"}}"#,
            self.id,
            self.sensor,
            self.quarters as f64 / 4.0,
            timestamp(self.at_ms)
        )
    }

    /// Reads one back; `None` is an undecodable record.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let row = Row::parse(value)?;
        Some(Self {
            id: u64::try_from(row.integer("id")?).ok()?,
            sensor: row.text("sensor")?.to_owned(),
            quarters: row.quarters("celsius")?,
            at_ms: row.time("measured_at")?,
        })
    }

    /// Start of the window that the reading falls into.
    pub(crate) fn window(&self) -> i64 {
        self.at_ms.div_euclid(WINDOW_MS) * WINDOW_MS
    }
}

/// `2026-01-31 12:00:00.250`, the SQL standard's form.
pub(crate) fn timestamp(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).expect("a time of this century");
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// Milliseconds since 1970 of a timestamp in the form above, with any number of digits
/// behind the seconds.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim_end_matches('Z').replace('T', " ");
    let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(time.and_utc().timestamp_millis())
}

/// A JSON object, column by column.
pub(crate) struct Row(serde_json::Map<String, Value>);

impl Row {
    /// `None` where the bytes are not a JSON object.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        match serde_json::from_slice(value) {
            Ok(Value::Object(columns)) => Some(Self(columns)),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, column: &str) -> Option<i64> {
        self.0.get(column)?.as_i64()
    }

    pub(crate) fn number(&self, column: &str) -> Option<f64> {
        self.0.get(column)?.as_f64()
    }

    pub(crate) fn text(&self, column: &str) -> Option<&str> {
        self.0.get(column)?.as_str()
    }

    pub(crate) fn time(&self, column: &str) -> Option<i64> {
        parse_timestamp(self.text(column)?)
    }

    pub(crate) fn quarters(&self, column: &str) -> Option<i64> {
        quarters(self.number(column)?)
    }
}

/// Degrees as a whole number of quarters; `None` where it is none.
pub(crate) fn quarters(degrees: f64) -> Option<i64> {
    let quarters = degrees * 4.0;
    (quarters.fract() == 0.0 && quarters.abs() < 1e15).then_some(quarters as i64)
}

/// A record as it stands in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    pub(crate) value: Bytes,
    /// Headers whose value is text.
    pub(crate) headers: Vec<(String, String)>,
}

impl Stored {
    /// A record without headers.
    pub(crate) fn new(offset: i64, value: Bytes) -> Self {
        Self { offset, value, headers: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// A topic read from beginning to end: the records of each partition in their order.
pub(crate) type Log = Vec<Vec<Stored>>;

/// A reading and where it stands in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) partition: usize,
    pub(crate) offset: i64,
    pub(crate) reading: Reading,
}

/// The decodable readings of the input, partition by partition.
pub(crate) fn readings(input: &Log) -> Vec<Placed> {
    let mut placed = Vec::new();
    for (partition, records) in input.iter().enumerate() {
        placed.extend(records.iter().filter_map(|record| {
            let reading = Reading::decode(&record.value)?;
            Some(Placed { partition, offset: record.offset, reading })
        }));
    }
    placed
}

/// `COUNT(*)`, `SUM`, `MIN` and `MAX` of temperatures, in quarters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) count: i64,
    pub(crate) sum: i64,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

impl Totals {
    /// Of no reading.
    pub(crate) const EMPTY: Self = Self { count: 0, sum: 0, min: i64::MAX, max: i64::MIN };

    /// With one reading more.
    pub(crate) fn with(self, quarters: i64) -> Self {
        Self {
            count: self.count + 1,
            sum: self.sum + quarters,
            min: self.min.min(quarters),
            max: self.max.max(quarters),
        }
    }
}

/// Totals of each sensor.
pub(crate) fn totals<'a>(rows: impl Iterator<Item = &'a Reading>) -> BTreeMap<String, Totals> {
    let mut totals = BTreeMap::new();
    for row in rows {
        let entry = totals.entry(row.sensor.clone()).or_insert(Totals::EMPTY);
        *entry = entry.with(row.quarters);
    }
    totals
}

/// A sensor and the start of a window.
pub(crate) type WindowKey = (String, i64);

/// Totals of each sensor and window, without the readings at these places.
pub(crate) fn windows(
    rows: &[Placed],
    late: &BTreeSet<(usize, i64)>,
) -> BTreeMap<WindowKey, Totals> {
    let mut windows = BTreeMap::new();
    for row in rows.iter().filter(|row| !late.contains(&(row.partition, row.offset))) {
        let key = (row.reading.sensor.clone(), row.reading.window());
        let entry = windows.entry(key).or_insert(Totals::EMPTY);
        *entry = entry.with(row.reading.quarters);
    }
    windows
}

/// The watermark once all was read: the lowest of the partitions, each `DELAY_MS` behind
/// its newest event time. `None` while a partition has no reading.
pub(crate) fn watermark(rows: &[Placed], partitions: usize) -> Option<i64> {
    let newest = |partition| {
        let of_partition = rows.iter().filter(|row| row.partition == partition);
        of_partition.map(|row| row.reading.at_ms - DELAY_MS).max()
    };
    (0..partitions).map(newest).min().flatten()
}

/// Whether a window has fired at a watermark.
pub(crate) fn fired(window_start: i64, watermark: i64) -> bool {
    window_start + WINDOW_MS - 1 <= watermark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_survives_its_json() {
        let reading =
            Reading { id: 7, sensor: "s-1".into(), quarters: 285, at_ms: BASE_MS + 1_250 };
        assert_eq!(
            reading.json(),
            r#"{"id": 7, "sensor": "s-1", "celsius": 71.25, "measured_at": "2026-01-31 12:00:01.250"}"#
        );
        assert_eq!(Reading::decode(reading.json().as_bytes()), Some(reading.clone()));
        assert_eq!(reading.window(), BASE_MS + 1_000);
        assert_eq!(Reading::decode(b"boiler on fire"), None);
    }

    #[test]
    fn a_window_fires_at_its_last_millisecond() {
        assert!(!fired(BASE_MS, BASE_MS + 998));
        assert!(fired(BASE_MS, BASE_MS + 999));
    }
}
