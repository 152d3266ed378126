//! The epoch driver: decides which epoch comes next.
//!
//! While recovering it reads decisions from the journal; then it looks at the sources
//! and cuts epochs of its own. It never waits: it says when it wants to be asked again.

mod live;
mod replay;

use thalweg_core::ids::Offset;
use thalweg_core::time::Millis;

use crate::epoch::{EpochInput, EpochPlan};
use crate::error::Result;
use crate::journal::EpochEntry;
use crate::ledger::Ledger;
pub(crate) use live::{LiveDriver, SourceFeed};
pub(crate) use replay::Replay;

/// What the driver needs to know to decide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DriveInput {
    /// "Now" of the job.
    pub now: Millis,
    /// Monotonic time, for what is only scheduling.
    pub now_ns: u64,
    /// The earliest processing-time timer of all tasks.
    pub timer: Option<Millis>,
}

/// What the driver decided.
#[derive(Debug, Default)]
pub(crate) struct Driven {
    /// The next epoch, if there is one.
    pub epoch: Option<EpochInput>,
    /// Its journal entry, where it is replayed.
    pub recorded: Option<Box<EpochEntry>>,
    /// Offset behind that entry.
    pub journal_next: Offset,
    /// There is more to cut at once.
    pub more: bool,
    /// When to ask again in any case, in monotonic nanoseconds.
    pub again_ns: Option<u64>,
    /// The replay is over.
    pub live: bool,
    /// Every input has ended: there will be no other epoch.
    pub ended: bool,
    /// Where each split can be read to, where that was looked at.
    pub available: Vec<u64>,
}

impl Driven {
    /// The plan of the epoch.
    pub(crate) fn plan(&mut self, snapshot: bool) -> Option<EpochPlan> {
        let recorded = self.recorded.take();
        let journal_next = self.journal_next;
        self.epoch.take().map(|input| EpochPlan { input, snapshot, recorded, journal_next })
    }
}

/// Decides epochs, one at a time.
pub(crate) struct Driver {
    replay: Option<Replay>,
    live: LiveDriver,
    /// Decisions so far.
    ledger: Ledger,
}

impl Driver {
    /// Goes on from a ledger; first through `replay`.
    pub(crate) fn new(ledger: Ledger, replay: Option<Replay>, live: LiveDriver) -> Self {
        Self { replay, live, ledger }
    }

    /// Decides what comes next.
    pub(crate) fn drive(&mut self, input: &DriveInput) -> Result<Driven> {
        if let Some(replay) = &mut self.replay {
            if let Some((entry, journal_next)) = replay.next()? {
                self.ledger.apply(&entry.input)?;
                let epoch = Some(entry.input.clone());
                let recorded = Some(Box::new(entry));
                let more = true;
                return Ok(Driven { epoch, recorded, journal_next, more, ..Driven::default() });
            }
            self.replay = None;
        }
        if self.ledger.finished {
            return Ok(Driven { live: true, ended: true, ..Driven::default() });
        }
        let mut driven = self.live.cut(input, &self.ledger)?;
        driven.live = true;
        if let Some(epoch) = &driven.epoch {
            self.ledger.apply(epoch)?;
            driven.ended = epoch.last;
        }
        Ok(driven)
    }
}
