//! How a large file is dealt out to several splits.
//!
//! Ranges one after another would let the splits be far apart in event time, so that the
//! watermark stands still and every window stays open. Instead a file is cut into stripes
//! that are dealt out in turn: split `k` of `n` has the stripes `k`, `k + n`, `k + 2n`...
//! The splits then move through the file side by side.
//!
//! A line belongs to the stripe in which it starts. So the records of a range of positions
//! are those lines that start in it, whatever the ends of the range are.

use std::ops::Range;

/// Bytes of a stripe.
const STRIPE_BYTES: u64 = 1 << 20;

/// Which stripes of a file a split has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stripes {
    /// Number of the split, below `of`.
    pub(super) index: u64,
    /// Splits of the file.
    pub(super) of: u64,
}

impl Stripes {
    /// The whole file.
    pub(super) const WHOLE: Self = Self { index: 0, of: 1 };

    /// What follows a file's path in a split's id.
    pub(super) fn suffix(self) -> String {
        if self == Self::WHOLE { String::new() } else { format!("#{}/{}", self.index, self.of) }
    }

    /// The path and the stripes of a split's id.
    pub(super) fn parse(id: &str) -> (&str, Self) {
        let parsed = id.rsplit_once('#').and_then(|(path, stripes)| {
            let (index, of) = stripes.split_once('/')?;
            let stripes = Self { index: index.parse().ok()?, of: of.parse().ok()? };
            (stripes.index < stripes.of && stripes.suffix() == id[path.len()..])
                .then_some((path, stripes))
        });
        parsed.unwrap_or((id, Self::WHOLE))
    }

    /// The first range of own stripes that starts at or after `from`, or holds it.
    pub(super) fn next_range(self, from: u64) -> Range<u64> {
        if self.of == 1 {
            return from..u64::MAX;
        }
        let stripe = from / STRIPE_BYTES;
        let wait = (self.index + self.of - stripe % self.of) % self.of;
        let own = stripe + wait;
        from.max(own * STRIPE_BYTES)..(own + 1) * STRIPE_BYTES
    }

    /// The position after `bytes` own bytes from `from` on, at most `end`.
    pub(super) fn advance(self, from: u64, bytes: u64, end: u64) -> u64 {
        let mut at = from;
        let mut left = bytes;
        loop {
            let range = self.next_range(at);
            if range.start >= end {
                return end;
            }
            let len = range.end.min(end) - range.start;
            if left < len {
                return range.start + left;
            }
            left -= len;
            at = range.end.min(end);
            if at == end || left == 0 {
                return at;
            }
        }
    }

    /// Own bytes of `from..to`.
    pub(super) fn bytes_between(self, from: u64, to: u64) -> u64 {
        let mut bytes = 0;
        let mut at = from;
        while at < to {
            let range = self.next_range(at);
            if range.start < to {
                bytes += range.end.min(to) - range.start;
            }
            at = range.end;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_owner() {
        let end = 10 * STRIPE_BYTES + 17;
        for of in 1..5 {
            let total: u64 = (0..of).map(|index| Stripes { index, of }.bytes_between(0, end)).sum();
            assert_eq!(total, end, "{of}");
        }
    }

    #[test]
    fn steps_of_any_size_reach_the_end() {
        let end = 7 * STRIPE_BYTES + 5;
        for step in [1, STRIPE_BYTES - 1, STRIPE_BYTES, 3 * STRIPE_BYTES + 1, u64::MAX] {
            let stripes = Stripes { index: 1, of: 3 };
            let mut at = if step == 1 { end - 1000 } else { 0 };
            while at < end {
                let next = stripes.advance(at, step, end);
                assert!(next > at, "{at} by {step}");
                assert!(stripes.bytes_between(at, next) <= step);
                at = next;
            }
        }
    }

    #[test]
    fn ids_go_there_and_back() {
        for (path, stripes) in [
            ("/a/b.json", Stripes::WHOLE),
            ("/a/b.json", Stripes { index: 2, of: 4 }),
            ("/a#b/c#1/2x", Stripes::WHOLE),
        ] {
            let id = format!("{path}{}", stripes.suffix());
            assert_eq!(Stripes::parse(&id), (path, stripes));
        }
    }
}
