//! The sessions of all keys: which one a row belongs to, and which are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use thalweg_core::time::Millis;
use thalweg_stream::window::Bounds;

/// No session.
const NONE: u32 = u32::MAX;

/// Where a session stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The slot is free or its session is gone.
    Gone,
    /// Takes rows and has given no result.
    Open,
    /// Has given a result and still takes late rows.
    Fired,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    bounds: Bounds,
    key: u32,
    /// The next later session of the key.
    next: u32,
    phase: Phase,
    /// The watermark at which the queue looks at it.
    scheduled: Millis,
}

/// What became of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Placed {
    /// It belongs to the session of this slot.
    In(u32),
    /// No session touches it.
    Alone,
}

/// Sessions by slot. The sessions of one key do not touch each other.
pub(super) struct Sessions {
    lateness: Millis,
    by_slot: Vec<Session>,
    /// The earliest session of each key number.
    first: Vec<u32>,
    /// Watermark and slot; entries that are not what the session is scheduled for are void.
    queue: BinaryHeap<Reverse<(Millis, u32)>>,
}

impl Sessions {
    pub(super) fn new(lateness: Millis) -> Self {
        Self { lateness, by_slot: Vec::new(), first: Vec::new(), queue: BinaryHeap::new() }
    }

    /// Makes room for key numbers below `keys`.
    pub(super) fn resize_keys(&mut self, keys: usize) {
        if keys > self.first.len() {
            self.first.resize(keys, NONE);
        }
    }

    /// Whether a key has no session.
    pub(super) fn is_unused(&self, key: u32) -> bool {
        self.first[key as usize] == NONE
    }

    pub(super) fn bounds(&self, slot: u32) -> Bounds {
        self.by_slot[slot as usize].bounds
    }

    pub(super) fn key(&self, slot: u32) -> u32 {
        self.by_slot[slot as usize].key
    }

    pub(super) fn phase(&self, slot: u32) -> Phase {
        self.by_slot[slot as usize].phase
    }

    /// Slots of all sessions, ascending.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        let phases = self.by_slot.iter().map(|session| session.phase);
        phases.enumerate().filter(|(_, phase)| *phase != Phase::Gone).map(|(slot, _)| slot as u32)
    }

    /// The sessions of a key that a window touches, earliest first. Touching is enough: a
    /// row exactly at the end of a session belongs to it.
    pub(super) fn touching(&self, key: u32, window: Bounds, into: &mut Vec<u32>) {
        into.clear();
        let mut slot = self.first[key as usize];
        while slot != NONE {
            let session = &self.by_slot[slot as usize];
            if session.bounds.start > window.end {
                break;
            }
            if session.bounds.end >= window.start {
                into.push(slot);
            }
            slot = session.next;
        }
    }

    /// The quick way for the usual row, which is within or after the key's only session,
    /// an open one. `None`: look closer.
    #[inline]
    pub(super) fn extend_only(&mut self, key: u32, window: Bounds) -> Option<Placed> {
        let slot = self.first[key as usize];
        if slot == NONE {
            return Some(Placed::Alone);
        }
        let session = &mut self.by_slot[slot as usize];
        let inside = window.start >= session.bounds.start && window.start <= session.bounds.end;
        if !inside || session.next != NONE || session.phase != Phase::Open {
            return None;
        }
        session.bounds.end = session.bounds.end.max(window.end);
        Some(Placed::In(slot))
    }

    /// Adds a session in a free slot. It touches none of its key.
    pub(super) fn insert(&mut self, slot: u32, key: u32, bounds: Bounds, phase: Phase) {
        let session = Session { bounds, key, next: NONE, phase, scheduled: Millis::MIN };
        if self.by_slot.len() <= slot as usize {
            let gone = Session { phase: Phase::Gone, ..session };
            self.by_slot.resize(slot as usize + 1, gone);
        }
        self.by_slot[slot as usize] = session;
        self.link(slot);
        self.schedule(slot);
    }

    /// Grows a session by a window that touches it and no other of its key.
    pub(super) fn grow(&mut self, slot: u32, window: Bounds) {
        let session = &mut self.by_slot[slot as usize];
        session.bounds.start = session.bounds.start.min(window.start);
        session.bounds.end = session.bounds.end.max(window.end);
    }

    /// Takes a session off its key.
    pub(super) fn remove(&mut self, slot: u32) {
        self.unlink(slot);
        self.by_slot[slot as usize].phase = Phase::Gone;
    }

    /// Says that a session has given its result, or has to give it anew.
    pub(super) fn set_phase(&mut self, slot: u32, phase: Phase) {
        self.by_slot[slot as usize].phase = phase;
        self.schedule(slot);
    }

    fn link(&mut self, slot: u32) {
        let Session { bounds, key, .. } = self.by_slot[slot as usize];
        let mut before = NONE;
        let mut after = self.first[key as usize];
        while after != NONE && self.by_slot[after as usize].bounds.start < bounds.start {
            before = after;
            after = self.by_slot[after as usize].next;
        }
        self.by_slot[slot as usize].next = after;
        self.set_next(key, before, slot);
    }

    fn unlink(&mut self, slot: u32) {
        let Session { key, next, .. } = self.by_slot[slot as usize];
        let mut before = NONE;
        let mut at = self.first[key as usize];
        while at != slot && at != NONE {
            before = at;
            at = self.by_slot[at as usize].next;
        }
        self.set_next(key, before, next);
    }

    fn set_next(&mut self, key: u32, before: u32, next: u32) {
        match before {
            NONE => self.first[key as usize] = next,
            before => self.by_slot[before as usize].next = next,
        }
    }

    /// The watermark at which something is due for a session as it is now.
    fn due(&self, session: &Session) -> Millis {
        match session.phase {
            Phase::Fired => session.bounds.max_timestamp() + self.lateness,
            _ => session.bounds.max_timestamp(),
        }
    }

    fn schedule(&mut self, slot: u32) {
        let due = self.due(&self.by_slot[slot as usize]);
        self.by_slot[slot as usize].scheduled = due;
        self.queue.push(Reverse((due, slot)));
    }

    /// No session is due at a watermark below this.
    #[inline]
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.queue.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes a session off the queue that is due at this watermark. Sessions that grew
    /// since they were queued are queued again.
    pub(super) fn pop_due(&mut self, watermark: Millis) -> Option<u32> {
        while let Some(&Reverse((due, slot))) = self.queue.peek()
            && due <= watermark
        {
            self.queue.pop();
            let session = &mut self.by_slot[slot as usize];
            if session.phase == Phase::Gone || session.scheduled != due {
                continue;
            }
            session.scheduled = Millis::MIN;
            let session = *session;
            if self.due(&session) <= watermark {
                return Some(slot);
            }
            self.schedule(slot);
        }
        None
    }

    /// Bytes held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.by_slot.capacity() * size_of::<Session>()
            + self.first.capacity() * size_of::<u32>()
            + self.queue.capacity() * size_of::<(Millis, u32)>()
    }
}
