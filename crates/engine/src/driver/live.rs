//! Cutting epochs: ranges under a byte budget, new splits, idleness, ends, timers.

use std::collections::HashSet;

use thalweg_core::env::Env;
use thalweg_core::time::Millis;
use thalweg_stream::source::{Available, SourceRef, SplitReader};

use super::{DriveInput, Driven};
use crate::epoch::{EpochInput, Event, SplitIndex, SplitRange};
use crate::error::Result;
use crate::ledger::{Ledger, SplitState};
use crate::options::JobOptions;

/// New splits that one epoch takes, so that its entry stays small.
const NEW_SPLITS: usize = 10_000;
/// Splits with a known end that are read at once, so that a folder of many files does not
/// take as many file handles.
const ENDING_SPLITS: usize = 64;
/// Smallest share of a split in an epoch, in bytes.
const SMALLEST_SHARE: u64 = 16 << 10;

/// A source as the driver sees it.
pub(crate) struct SourceFeed {
    /// The source.
    pub source: SourceRef,
    /// After how long an empty split no longer counts.
    pub idle_timeout: Option<Millis>,
    /// It calls when there may be more; otherwise the driver has to look.
    pub calls: bool,
}

/// What the driver remembers of a split. Nothing of it decides a result.
#[derive(Default)]
struct SplitFeed {
    reader: Option<Box<dyn SplitReader>>,
    available: u64,
    /// Since when it was found empty each time, in monotonic nanoseconds.
    empty_since_ns: Option<u64>,
}

/// Cuts epochs out of what sources have.
pub(crate) struct LiveDriver {
    env: Env,
    feeds: Vec<SourceFeed>,
    splits: Vec<SplitFeed>,
    /// Names of the known splits, by source.
    known: Vec<HashSet<String>>,
    /// When sources are asked for new splits; `None`: not again.
    discover_at_ns: Option<u64>,
    discovery_ns: u64,
    poll_ns: u64,
    /// Input of the next epoch, in bytes, and its bounds.
    budget: u64,
    least: u64,
    most: u64,
    /// The split that is served first, so that all get their turn.
    first: usize,
}

impl LiveDriver {
    pub(crate) fn new(env: Env, feeds: Vec<SourceFeed>, options: &JobOptions) -> Self {
        let least = options.epoch_bytes_min.max(1);
        Self {
            env,
            known: feeds.iter().map(|_| HashSet::new()).collect(),
            feeds,
            splits: Vec::new(),
            discover_at_ns: Some(0),
            discovery_ns: options.discovery_interval_ms.saturating_mul(1_000_000),
            poll_ns: options.poll_interval_ms.max(1).saturating_mul(1_000_000),
            budget: least,
            least,
            most: options.epoch_bytes_max.max(least),
            first: 0,
        }
    }

    /// Cuts the epoch behind `ledger`, if there is a reason for one.
    pub(super) fn cut(&mut self, input: &DriveInput, ledger: &Ledger) -> Result<Driven> {
        self.follow(ledger);
        let mut events = Vec::new();
        let mut driven = Driven::default();
        driven.more |= self.discover(input.now_ns, &mut events)?;
        // Splits of this epoch's own events are read from the next one on.
        driven.more |= !events.is_empty();
        let ready = self.look(ledger)?;
        let ranges = self.take_ranges(ledger, &ready, &mut driven.more)?;
        // Where a split ends, another one's turn may come.
        driven.more |= self.find_ends(ledger, &ready, &ranges, &mut events);
        self.find_idle(ledger, &ready, input.now_ns, &mut events);
        let now = input.now.max(ledger.now);
        let timer_due = input.timer.is_some_and(|timer| timer <= now && timer > ledger.now);
        let last = self.is_last(ledger, &events);
        driven.available = self.splits.iter().map(|split| split.available).collect();
        driven.again_ns = self.next_look(ledger, input.now_ns);
        if !events.is_empty() || !ranges.is_empty() || timer_due || last {
            let epoch = ledger.epoch.next();
            driven.epoch = Some(EpochInput { epoch, now, last, events, ranges });
        }
        Ok(driven)
    }

    /// Takes over the splits that were decided elsewhere: by replay, or just now.
    fn follow(&mut self, ledger: &Ledger) {
        for split in &ledger.splits[self.splits.len()..] {
            self.known[split.source].insert(split.info.id.clone());
            self.feeds[split.source].source.known(&split.info);
            self.splits.push(SplitFeed::default());
        }
    }

    /// Asks the sources for splits; says whether there are more than an epoch takes.
    fn discover(&mut self, now_ns: u64, events: &mut Vec<Event>) -> Result<bool> {
        let due = self.discover_at_ns.is_some_and(|at| at <= now_ns)
            || self.feeds.iter().any(|feed| {
                let wall = self.env.clock.wall_ms();
                !feed.source.is_bounded() && feed.source.next_due(wall).is_some_and(|at| at <= wall)
            });
        if !due {
            return Ok(false);
        }
        for (source, feed) in self.feeds.iter().enumerate() {
            for split in feed.source.splits()? {
                if self.known[source].contains(&split.id) {
                    continue;
                }
                if events.len() >= NEW_SPLITS {
                    return Ok(true);
                }
                events.push(Event::NewSplit {
                    source,
                    id: split.id,
                    fingerprint: split.fingerprint,
                    start: split.start,
                    end: split.end,
                });
            }
        }
        let unbounded = self.feeds.iter().any(|feed| !feed.source.is_bounded());
        self.discover_at_ns = unbounded.then(|| now_ns.saturating_add(self.discovery_ns));
        Ok(false)
    }

    /// How far each split can be read; `None` for those that are finished, or wait until
    /// others are.
    fn look(&mut self, ledger: &Ledger) -> Result<Vec<Option<Available>>> {
        let mut ready = Vec::with_capacity(self.splits.len());
        let mut ending = 0;
        for (feed, split) in self.splits.iter_mut().zip(&ledger.splits) {
            let ends = split.info.end.is_some();
            if split.finished || (ends && ending == ENDING_SPLITS) {
                ready.push(None);
                continue;
            }
            ending += usize::from(ends);
            let reader = match &mut feed.reader {
                Some(reader) => reader,
                None => feed.reader.insert(self.feeds[split.source].source.open(&split.info)?),
            };
            let available = reader.available()?;
            feed.available = available.end;
            ready.push(Some(available));
        }
        Ok(ready)
    }

    /// Chooses ranges, each split in turn, until the budget is used up.
    fn take_ranges(
        &mut self,
        ledger: &Ledger,
        ready: &[Option<Available>],
        more: &mut bool,
    ) -> Result<Vec<SplitRange>> {
        let has_data = |split: &SplitIndex| {
            ready[*split].is_some_and(|available| available.end > ledger.splits[*split].position)
        };
        let number = self.splits.len();
        let start = self.first % number.max(1);
        let waiting: Vec<_> = (start..number).chain(0..start).filter(has_data).collect();
        let mut ranges = Vec::with_capacity(waiting.len());
        let mut left = self.budget;
        for (place, &split) in waiting.iter().enumerate() {
            if left == 0 {
                self.first = split;
                *more = true;
                break;
            }
            let share = (left / (waiting.len() - place) as u64).max(SMALLEST_SHARE.min(left));
            let from = ledger.splits[split].position;
            let Some(reader) = &mut self.splits[split].reader else { continue };
            let cut = reader.cut(from, share)?;
            if cut.end > from {
                ranges.push(SplitRange { split, from, to: cut.end, bytes: cut.bytes });
                left = left.saturating_sub(cut.bytes.max(1));
                *more |= ready[split].is_some_and(|available| available.end > cut.end);
            }
        }
        ranges.sort_unstable_by_key(|range| range.split);
        self.adapt(self.budget - left, *more);
        Ok(ranges)
    }

    /// Large epochs under a backlog, small ones otherwise.
    fn adapt(&mut self, used: u64, more: bool) {
        if more && used >= self.budget / 2 {
            self.budget = self.budget.saturating_mul(2).min(self.most);
        } else if used < self.budget / 4 {
            self.budget = (self.budget / 2).max(self.least);
        }
    }

    /// Splits that end with this epoch; says whether there are any.
    fn find_ends(
        &mut self,
        ledger: &Ledger,
        ready: &[Option<Available>],
        ranges: &[SplitRange],
        events: &mut Vec<Event>,
    ) -> bool {
        let before = events.len();
        let mut ranges = ranges.iter().peekable();
        for (split, available) in ready.iter().enumerate() {
            let range = ranges.next_if(|range| range.split == split);
            let position = range.map_or(ledger.splits[split].position, |range| range.to);
            if available.is_some_and(|a| a.finished && position >= a.end) {
                self.splits[split].reader = None;
                events.push(Event::EndOfSplit(split));
            }
        }
        events.len() > before
    }

    /// Splits that were empty for their whole timeout.
    fn find_idle(
        &mut self,
        ledger: &Ledger,
        ready: &[Option<Available>],
        now_ns: u64,
        events: &mut Vec<Event>,
    ) {
        for (number, (feed, split)) in self.splits.iter_mut().zip(&ledger.splits).enumerate() {
            let empty = ready[number].is_some_and(|available| available.end <= split.position);
            let timeout_ns = idle_timeout_ns(&self.feeds, split);
            let (true, Some(timeout_ns), false) = (empty, timeout_ns, split.idle) else {
                feed.empty_since_ns = None;
                continue;
            };
            let since = *feed.empty_since_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since) >= timeout_ns {
                feed.empty_since_ns = None;
                events.push(Event::Idle(number));
            }
        }
    }

    /// Whether every input ends with these events.
    fn is_last(&self, ledger: &Ledger, events: &[Event]) -> bool {
        let all_bounded = self.feeds.iter().all(|feed| feed.source.is_bounded());
        let any_new = events.iter().any(|event| matches!(event, Event::NewSplit { .. }));
        let ending = |split: SplitIndex| {
            events.iter().any(|event| matches!(event, Event::EndOfSplit(ends) if *ends == split))
        };
        let mut splits = ledger.splits.iter().enumerate();
        all_bounded && !any_new && splits.all(|(number, split)| split.finished || ending(number))
    }

    /// When to look again although nobody calls.
    fn next_look(&self, ledger: &Ledger, now_ns: u64) -> Option<u64> {
        let idle = self.splits.iter().zip(&ledger.splits).filter_map(|(feed, split)| {
            let timeout_ns = idle_timeout_ns(&self.feeds, split)?;
            Some(feed.empty_since_ns?.saturating_add(timeout_ns))
        });
        let wall = self.env.clock.wall_ms();
        let due = self.feeds.iter().filter_map(|feed| {
            let wait = feed.source.next_due(wall)?.saturating_sub(wall).max(0) as u64;
            Some(now_ns.saturating_add(wait.saturating_mul(1_000_000)))
        });
        let unwatched = |split: &SplitState| {
            let feed = &self.feeds[split.source];
            let called = feed.calls || feed.source.next_due(wall).is_some();
            !split.finished && !called
        };
        let poll = ledger.splits.iter().any(unwatched).then(|| now_ns + self.poll_ns);
        idle.chain(due).chain(poll).chain(self.discover_at_ns).min()
    }
}

fn idle_timeout_ns(feeds: &[SourceFeed], split: &SplitState) -> Option<u64> {
    let timeout = feeds[split.source].idle_timeout?;
    Some((timeout.max(0) as u64).saturating_mul(1_000_000))
}
