//! What goes wrong on a simulated disk, and when.

use std::io;
use std::time::Duration;

use super::super::Random;
use super::SimRandom;

/// The operations that a fault can hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpKind {
    /// Opening or creating a file, and taking a lock.
    Open,
    /// Creating one directory.
    CreateDir,
    /// Renaming.
    Rename,
    /// Removing a file, or a directory with everything in it.
    Remove,
    /// Listing a directory.
    List,
    /// Making a directory's names durable.
    SyncDir,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Cutting or extending a file.
    SetLen,
    /// Making a file's contents durable.
    Sync,
}

/// Number of [`OpKind`]s.
pub(super) const OP_KINDS: usize = OpKind::Sync as usize + 1;

/// What goes wrong, from the moment the plan is handed to the disk. The default plan
/// is a disk of 1 GiB on which nothing does.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// Bytes that all files together may have; what goes beyond is out of space after
    /// having been written in part. Removing files makes room again.
    pub capacity_bytes: u64,
    /// Overwriting takes new room as well, until the next operation: a copy-on-write file
    /// system can be too full for it.
    pub copy_on_write: bool,
    /// The `n`-th operation of a kind from now, counted from 1, fails with an I/O error.
    pub fail_nth: Vec<(OpKind, u64)>,
    /// The `n`-th operation of a kind from now, counted from 1, is out of space: a write
    /// writes nothing, a sync fails as others do.
    pub full_nth: Vec<(OpKind, u64)>,
    /// Each operation of a kind fails with this probability, in millionths.
    pub fail_per_million: Vec<(OpKind, u32)>,
    /// Each read of more than one byte returns fewer bytes than it could with this
    /// probability, in millionths.
    pub short_read_per_million: u32,
    /// Each operation stalls with this probability, in millionths.
    pub stall_per_million: u32,
    /// Longest stall; the clock moves on by up to this much.
    pub longest_stall: Duration,
    /// Power fails during the operation of this number from now, counted from 1: it
    /// and all later ones return errors until [`SimDisk::crash`](super::SimDisk::crash).
    /// The one that was hit may or may not take effect. Running a scenario once for
    /// each number up to [`SimDisk::operations`](super::SimDisk::operations) visits
    /// every crash point.
    pub power_off_at: Option<u64>,
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self {
            capacity_bytes: 1 << 30,
            copy_on_write: false,
            fail_nth: Vec::new(),
            full_nth: Vec::new(),
            fail_per_million: Vec::new(),
            short_read_per_million: 0,
            stall_per_million: 0,
            longest_stall: Duration::ZERO,
            power_off_at: None,
        }
    }
}

/// What a fault plan does to one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It goes well.
    Well,
    /// It fails with an I/O error.
    Fails,
    /// It fails for want of space.
    OutOfSpace,
    /// Power fails while it runs.
    PowerFails,
    /// There is no power.
    PowerIsOff,
}

impl Verdict {
    /// The error of an operation that fails, where this is one.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            Self::Fails => Some(rustix::io::Errno::IO.into()),
            Self::OutOfSpace => Some(io::ErrorKind::StorageFull.into()),
            Self::Well | Self::PowerFails | Self::PowerIsOff => None,
        }
    }
}

/// A plan with its counters.
pub(super) struct Faults {
    pub(super) plan: FaultPlan,
    counts: [u64; OP_KINDS],
    total: u64,
    power_is_off: bool,
}

impl Faults {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Self { plan, counts: [0; OP_KINDS], total: 0, power_is_off: false }
    }

    /// Counts an operation and says how it goes.
    pub(super) fn judge(&mut self, kind: OpKind, random: &SimRandom) -> Verdict {
        if self.power_is_off {
            return Verdict::PowerIsOff;
        }
        self.total += 1;
        let count = &mut self.counts[kind as usize];
        *count += 1;
        if self.plan.power_off_at == Some(self.total) {
            self.power_is_off = true;
            return Verdict::PowerFails;
        }
        let nth = (kind, *count);
        let by_chance = |&(of, chance): &(OpKind, u32)| of == kind && random.chance(chance);
        if self.plan.fail_nth.contains(&nth) || self.plan.fail_per_million.iter().any(by_chance) {
            Verdict::Fails
        } else if self.plan.full_nth.contains(&nth) {
            Verdict::OutOfSpace
        } else {
            Verdict::Well
        }
    }

    /// Operations of a kind so far.
    pub(super) fn count(&self, kind: OpKind) -> u64 {
        self.counts[kind as usize]
    }

    /// How long this operation stalls, if it does.
    pub(super) fn stall(&self, random: &SimRandom) -> Option<Duration> {
        let longest = self.plan.longest_stall.as_nanos() as u64;
        random
            .chance(self.plan.stall_per_million)
            .then(|| Duration::from_nanos(random.below(longest.saturating_add(1))))
    }

    pub(super) fn power_is_off(&self) -> bool {
        self.power_is_off
    }

    /// Power is back; it does not fail again unless a new plan says so.
    pub(super) fn power_on(&mut self) {
        self.power_is_off = false;
        self.plan.power_off_at = None;
    }
}
