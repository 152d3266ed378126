//! What must hold when all work is finished, however it came to that.

use std::collections::BTreeMap;

use super::super::super::record;
use super::super::super::state::{Protocol, State};
use super::{Entry, ID, Partition, Step, TIMEOUT_MS, Tag, World};

impl World {
    /// Finishes all work, with the clients gone. Says when that has to be done: as soon as
    /// the transaction that is open has had its time.
    pub(in super::super) fn drain(&mut self) -> u64 {
        let open = self.coordinator.get(ID).filter(|known| known.state == State::Ongoing);
        let times_out_at = open.map_or(0, |known| known.started_at as u64 + TIMEOUT_MS as u64);
        let until_ms = self.now_ms.max(times_out_at);
        loop {
            let steps = self.steps();
            let work = |step: &Step| {
                !matches!(step, Step::Client(_) | Step::ArriveLate(_) | Step::Crash(_) | Step::Wait)
            };
            if let Some(step) = steps.into_iter().find(work) {
                self.take(step);
            } else if self.state_of(State::Ongoing)
                && let Some(due_ms) = self.coordinator.deadline()
            {
                self.now_ms = self.now_ms.max(self.booted_ms + due_ms);
                self.fire_timers();
            } else {
                return until_ms;
            }
        }
    }

    /// What holds of all that was written, once all work is finished.
    pub(in super::super) fn check(&self, until_ms: u64) {
        let state = self.coordinator.get(ID).map(|known| known.state);
        let is_idle =
            !matches!(state, Some(State::Ongoing | State::PrepareCommit | State::PrepareAbort));
        assert!(is_idle, "an end does not come: {state:?}");
        assert!(self.now_ms <= until_ms, "{} ms late", self.now_ms - until_ms);
        self.check_ends();
        self.check_epochs();
        let outcomes = self.outcomes();
        self.check_promises(&outcomes);
    }

    /// That an end which was decided stays as it was decided until it is complete.
    fn check_ends(&self) {
        let states: Vec<State> = self
            .state
            .iter()
            .map(|(_, value)| record::decode_value(ID.into(), value).expect("own value").state)
            .collect();
        for pair in states.windows(2) {
            let wanted = match pair[0] {
                State::PrepareCommit => State::CompleteCommit,
                State::PrepareAbort => State::CompleteAbort,
                _ => continue,
            };
            assert_eq!(pair[1], wanted, "an end became another one: {states:?}");
        }
    }

    /// That nothing of a fenced epoch comes behind a newer one, and that no transaction is
    /// both committed and aborted.
    fn check_epochs(&self) {
        assert_eq!(self.stale_markers, 0, "markers of a fenced epoch");
        let mut ends: BTreeMap<(i64, i16), bool> = BTreeMap::new();
        for Partition { entries, .. } in &self.partitions {
            let of = |entry: &Entry| match *entry {
                Entry::Data { producer, .. } | Entry::Marker { producer, .. } => producer,
            };
            // Producer ids only grow, too.
            assert!(entries.is_sorted_by_key(of), "a fenced producer wrote: {entries:?}");
            for entry in entries {
                // With the classic protocol an epoch may have several transactions.
                if let Entry::Marker { producer, commit } = *entry
                    && self.protocol == Protocol::EpochBump
                {
                    let first = *ends.entry(producer).or_insert(commit);
                    assert_eq!(first, commit, "{producer:?} is committed and aborted");
                }
            }
        }
    }

    /// How the transaction of each record ended, as readers of committed records see it.
    fn outcomes(&self) -> BTreeMap<Tag, bool> {
        let mut outcomes = BTreeMap::new();
        for partition in &self.partitions {
            let mut open: Vec<(i64, Tag, bool)> = Vec::new();
            for entry in &partition.entries {
                match *entry {
                    Entry::Data { producer: (id, _), tag, is_zombies } => {
                        open.push((id, tag, is_zombies));
                    }
                    Entry::Marker { producer: (id, _), commit } => {
                        for (_, tag, is_zombies) in open.extract_if(.., |(of, ..)| *of == id) {
                            outcomes.insert(tag, commit);
                            let wrong = commit && is_zombies;
                            assert!(!wrong, "a zombie's record is committed: {tag:?}");
                        }
                    }
                }
            }
            assert!(open.is_empty(), "a transaction is left open: {open:?}");
        }
        outcomes
    }

    /// Holds what readers see against what clients were told.
    fn check_promises(&self, outcomes: &BTreeMap<Tag, bool>) {
        for (tag, committed) in outcomes {
            let other = |(of, is): (&Tag, &bool)| {
                (of.client, of.transaction) == (tag.client, tag.transaction) && is != committed
            };
            assert!(!outcomes.iter().any(other), "half a transaction is committed: {outcomes:?}");
        }
        for ((client, transaction), committed) in &self.promises.ended {
            let of = |tag: &&Tag| (tag.client, tag.transaction) == (*client, *transaction);
            if *committed {
                for tag in self.promises.acknowledged.iter().filter(of) {
                    assert_eq!(outcomes.get(tag), Some(&true), "lost though committed: {tag:?}");
                }
            } else {
                let wrong = outcomes.iter().find(|(tag, is)| of(tag) && **is);
                assert_eq!(wrong, None, "committed though aborted");
            }
        }
    }

    /// What there is to see when a check fails.
    pub(in super::super) fn dump(&self) -> String {
        format!("{:?}\n{:?}", self.partitions, self.clients)
    }
}
