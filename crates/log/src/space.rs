//! Free space: who may still write, and the alarm while there is too little.
//!
//! ```text
//!  free   0 ------- reserve / 2 ------- reserve ------- 9/8 ------- 5/4 -------
//!           nobody               internal        all, with   as before   all, and the
//!           appends              topics only     the alarm               alarm ends
//! ```
//!
//! Internal topics (offsets of groups, ends of transactions, journals of jobs) may use half
//! of the reserve, so that what was begun can be ended while nothing new comes in. The rest
//! is for deletes and side files. The disk is asked each second and each time a grant is
//! used up, since others write to it, too.

use parking_lot::Mutex;

/// Free space is asked for again after at most so many bytes were granted. It is also what
/// others may take of the reserve unnoticed until the next second.
const GRANT_BYTES_MAX: u64 = 4 << 20;

/// For what space is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Records of clients, or what can wait, as compaction can.
    Ordinary,
    /// The server's own records.
    Internal,
}

/// How full the disk of a log is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DiskSpace {
    /// Bytes that are free, as of about a second ago; `None` where that cannot be told.
    pub free_bytes: Option<u64>,
    /// [`LogOptions::reserve_bytes`](crate::LogOptions::reserve_bytes).
    pub reserve_bytes: u64,
    /// While too little is free: how much that is, what is refused, and what to do.
    pub alarm: Option<String>,
}

/// Keeps a reserve free on a disk.
pub(crate) struct Space {
    reserve: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes that may be written before the disk is asked again.
    granted: u64,
    free: Option<u64>,
    is_low: bool,
}

impl Space {
    pub(crate) fn new(reserve: u64) -> Self {
        Self { reserve, state: Mutex::default() }
    }

    /// Grants space for `bytes` unless the disk is nearly full; else says how full. `ask`
    /// tells how much is free; where that cannot be told, everything is granted.
    pub(crate) fn grant(
        &self,
        bytes: u64,
        purpose: Purpose,
        ask: impl FnOnce() -> Option<u64>,
    ) -> Result<(), String> {
        let mut state = self.state.lock();
        if let Some(left) = state.granted.checked_sub(bytes) {
            state.granted = left;
            return Ok(());
        }
        let Some(free) = ask() else { return Ok(()) };
        self.take_in(&mut state, free);
        let kept = match purpose {
            Purpose::Ordinary => self.reserve,
            Purpose::Internal => self.reserve / 2,
        };
        if free < kept.saturating_add(bytes) {
            state.granted = 0;
            return Err(format!(
                "{free} bytes are free on the disk and {kept} of them are reserved; \
                 delete topics, shorten their retention, or enlarge the disk"
            ));
        }
        state.granted = state.granted.saturating_sub(bytes);
        Ok(())
    }

    /// Asks how much is free, for the alarm; the next append asks again.
    pub(crate) fn look(&self, ask: impl FnOnce() -> Option<u64>) {
        let mut state = self.state.lock();
        if let Some(free) = ask() {
            self.take_in(&mut state, free);
        }
        state.granted = 0;
    }

    /// Asks before the next append: something was out of space.
    pub(crate) fn forget_grant(&self) {
        self.state.lock().granted = 0;
    }

    pub(crate) fn read(&self) -> DiskSpace {
        let state = self.state.lock();
        DiskSpace {
            free_bytes: state.free,
            reserve_bytes: self.reserve,
            alarm: state.is_low.then(|| self.alarm(state.free.unwrap_or(0))),
        }
    }

    fn take_in(&self, state: &mut State, free: u64) {
        state.free = Some(free);
        state.granted = free.saturating_sub(self.reserve).min(GRANT_BYTES_MAX);
        let eighth = self.reserve / 8;
        let begins = !state.is_low && free < self.reserve.saturating_add(eighth);
        let ends = state.is_low && free >= self.reserve.saturating_add(2 * eighth);
        if begins {
            state.is_low = true;
            tracing::error!("{}", self.alarm(free));
        } else if ends {
            state.is_low = false;
            tracing::warn!("{free} bytes are free on the disk again: records are taken");
        }
    }

    fn alarm(&self, free: u64) -> String {
        let reserve = self.reserve;
        format!(
            "the disk is nearly full: {free} bytes are free; records that would leave less than \
             {reserve} are refused until there is room (clients try again by themselves, failed \
             jobs are restarted by RESTART JOB), offsets of groups, transactions and journals of \
             jobs go on down to {}; delete topics, shorten their retention, or enlarge the disk",
            reserve / 2
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(space: &Space, bytes: u64, purpose: Purpose, free: u64) -> bool {
        space.forget_grant();
        space.grant(bytes, purpose, || Some(free)).is_ok()
    }

    #[test]
    fn half_of_the_reserve_is_for_internal_topics() {
        let space = Space::new(1000);
        for (free, ordinary, internal) in
            [(1010, true, true), (1009, false, true), (510, false, true), (509, false, false)]
        {
            assert_eq!(asked(&space, 10, Purpose::Ordinary, free), ordinary, "{free}");
            assert_eq!(asked(&space, 10, Purpose::Internal, free), internal, "{free}");
        }
    }

    #[test]
    fn what_internal_topics_take_is_granted_to_nobody_else() {
        let space = Space::new(1000);
        space.look(|| Some(1000));
        assert!(space.grant(10, Purpose::Internal, || Some(1000)).is_ok());
        assert!(space.grant(1, Purpose::Ordinary, || Some(990)).is_err());
        assert!(asked(&space, 100, Purpose::Ordinary, 1200));
        let asked_again = space.grant(101, Purpose::Ordinary, || Some(1100)).is_err();
        assert!(asked_again, "of 200 that were granted 100 were left");
    }

    #[test]
    fn the_alarm_begins_and_ends_once() {
        let space = Space::new(1000);
        let is_on = |free| {
            space.look(|| Some(free));
            let shown = space.read();
            assert_eq!(shown.free_bytes, Some(free));
            shown.alarm.is_some()
        };
        let seen: Vec<bool> = [1300, 1125, 1124, 1200, 1249, 1250, 1130].map(is_on).to_vec();
        assert_eq!(seen, [false, false, true, true, true, false, false]);
        space.look(|| Some(7));
        let alarm = space.read().alarm.expect("nearly full");
        assert!(alarm.contains("7 bytes are free") && alarm.contains("delete topics"), "{alarm}");
    }

    #[test]
    fn an_unknown_size_refuses_nothing() {
        let space = Space::new(1000);
        assert!(space.grant(1 << 40, Purpose::Ordinary, || None).is_ok());
        assert_eq!(space.read().free_bytes, None);
    }
}
