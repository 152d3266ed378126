//! Where to begin and where to stop, as `-o` says it: rpk's forms, and kcat's.

use super::instant::{is_duration, parse_instant};

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The first record.
    Start,
    /// Behind the last record.
    End,
    /// What the consumer group has committed.
    Stored,
    /// An offset.
    Exact(i64),
    /// So many records behind the start.
    AfterStart(i64),
    /// So many records before the end.
    BeforeEnd(i64),
    /// The first record at or after a time, in milliseconds since the Unix epoch.
    Time(i64),
}

/// Where to begin and, if anywhere, where to stop (that record not included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetRange {
    pub(crate) from: Bound,
    pub(crate) to: Option<Bound>,
}

const FORMS: &str =
    "start, end, stored, N, +N, -N, N:M, :end, @TIME, @TIME:TIME, s@TIME and e@TIME are known";

impl OffsetRange {
    /// Parses the values of `-o`, of which kcat's forms allow two. `now` is the wall clock in
    /// milliseconds.
    ///
    /// # Errors
    /// What is not known, and what is.
    pub(crate) fn parse(texts: &[String], now: i64) -> Result<Self, String> {
        let mut range = Self { from: Bound::Start, to: None };
        for text in texts {
            let unknown = || format!("'{text}' is no place in a topic; {FORMS}");
            if let Some(time) = text.strip_prefix("s@") {
                range.from = Bound::Time(parse_instant(time, now).ok_or_else(unknown)?);
            } else if let Some(time) = text.strip_prefix("e@") {
                range.to = Some(Bound::Time(parse_instant(time, now).ok_or_else(unknown)?));
            } else if let Some(times) = text.strip_prefix('@') {
                range = times_range(times, now).ok_or_else(unknown)?;
            } else {
                range = offsets_range(text).ok_or_else(unknown)?;
            }
        }
        Ok(range)
    }
}

impl Bound {
    /// Parses one place.
    ///
    /// # Errors
    /// What is not known, and what is.
    pub(crate) fn parse(text: &str, now: i64) -> Result<Self, String> {
        let unknown =
            || format!("'{text}' is no place in a topic; start, end, N, -N, @TIME are known");
        match text.strip_prefix('@') {
            Some(time) => parse_instant(time, now).map(Self::Time).ok_or_else(unknown),
            None => offset(text).ok_or_else(unknown),
        }
    }
}

fn offsets_range(text: &str) -> Option<OffsetRange> {
    let Some((from, to)) = text.split_once(':') else {
        return Some(OffsetRange { from: offset(text)?, to: None });
    };
    let from = if from.is_empty() { Bound::Start } else { offset(from)? };
    let to = if to.is_empty() { None } else { Some(offset(to)?) };
    Some(OffsetRange { from, to })
}

fn offset(text: &str) -> Option<Bound> {
    // Digits alone: a second sign is no number.
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok())?
    };
    match text {
        "start" | "beginning" | "earliest" => Some(Bound::Start),
        "end" | "latest" => Some(Bound::End),
        "stored" => Some(Bound::Stored),
        _ => match text.as_bytes().first()? {
            b'-' => number(&text[1..]).map(Bound::BeforeEnd),
            b'+' => number(&text[1..]).map(Bound::AfterStart),
            _ => number(text).map(Bound::Exact),
        },
    }
}

/// Times have colons of their own, so the colon between two is the first one that leaves a
/// time on both sides.
fn times_range(text: &str, now: i64) -> Option<OffsetRange> {
    if let Some(from) = parse_instant(text, now) {
        return Some(OffsetRange { from: Bound::Time(from), to: None });
    }
    text.match_indices(':').find_map(|(at, _)| {
        let (from, to) = (&text[..at], &text[at + 1..]);
        let start = if from.is_empty() { None } else { Some(parse_instant(from, now)?) };
        // A duration counts from the time before it, from now behind another duration.
        let base = start.filter(|_| !is_duration(from)).unwrap_or(now);
        let to = match to {
            "" => None,
            "end" => Some(Bound::End),
            time => Some(Bound::Time(parse_instant(time, base)?)),
        };
        Some(OffsetRange { from: start.map_or(Bound::Start, Bound::Time), to })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const DAY: i64 = 86_400_000;

    fn parsed(texts: &[&str]) -> (Bound, Option<Bound>) {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let range = OffsetRange::parse(&texts, NOW).expect("a range");
        (range.from, range.to)
    }

    #[test]
    fn offsets() {
        use Bound::{AfterStart, BeforeEnd, End, Exact, Start, Stored};
        let cases = [
            ("start", Start, None),
            ("beginning", Start, None),
            ("end", End, None),
            ("stored", Stored, None),
            (":end", Start, Some(End)),
            ("+5", AfterStart(5), None),
            ("-5", BeforeEnd(5), None),
            ("7", Exact(7), None),
            ("7:", Exact(7), None),
            (":7", Start, Some(Exact(7))),
            ("3:7", Exact(3), Some(Exact(7))),
        ];
        for (text, from, to) in cases {
            assert_eq!(parsed(&[text]), (from, to), "{text}");
        }
    }

    #[test]
    fn times() {
        use Bound::{End, Start, Time};
        let valentine = 1_644_796_800_000;
        let cases = [
            ("@1700000000000", Time(NOW), None),
            ("@2022-02-14:1h", Time(valentine), Some(Time(valentine + 3_600_000))),
            ("@-48h:-24h", Time(NOW - 2 * DAY), Some(Time(NOW - DAY))),
            ("@-1m:end", Time(NOW - 60_000), Some(End)),
            ("@:-1hr", Start, Some(Time(NOW - 3_600_000))),
            ("@2022-02-14T01:00:00Z", Time(valentine + 3_600_000), None),
            (
                "@2022-02-14T01:00:00Z:2022-02-14T02:00:00Z",
                Time(valentine + 3_600_000),
                Some(Time(valentine + 7_200_000)),
            ),
            ("@2022-02-14:", Time(valentine), None),
        ];
        for (text, from, to) in cases {
            assert_eq!(parsed(&[text]), (from, to), "{text}");
        }
        assert_eq!(parsed(&["s@1", "e@2"]), (Time(1), Some(Time(2))));
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "x", "--5", "5-", "@", "@x:y", "s@", "1.5"] {
            let error = OffsetRange::parse(&[text.to_owned()], NOW).expect_err(text);
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }
}
