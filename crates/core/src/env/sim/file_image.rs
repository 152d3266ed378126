//! One simulated file: what the process sees, what is durable, and the writes between.

use super::super::Random;
use super::SimRandom;

/// The unit in which a disk writes: a write is torn only at multiples of it.
const SECTOR: usize = 512;

/// Contents of a file.
#[derive(Default)]
pub(super) struct FileImage {
    /// What reads see: every write so far.
    live: Vec<u8>,
    /// What is on the platter.
    durable: Vec<u8>,
    /// Changes since the last sync, oldest first.
    pending: Vec<Change>,
    /// The bytes of the pending writes, back to back; one buffer spares allocations.
    pending_bytes: Vec<u8>,
    /// A sync failed: live and durable differ although nothing may be pending.
    diverged: bool,
}

/// A change that waits for a sync.
#[derive(Clone, Copy)]
enum Change {
    /// Bytes `from..from + len` of the pending buffer go to `offset`.
    Write { offset: usize, from: usize, len: usize },
    /// The file gets this length.
    SetLen(usize),
}

/// What a crash does with the pending changes of one file. Each outcome is one that
/// independent choices could give as well; the moods make the telling ones frequent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Nothing,
    Everything,
    /// All changes up to one, which may be torn.
    Prefix(usize),
    Independent,
}

/// What a crash does with one change, or with the growth that it brings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    Torn,
}

impl FileImage {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Writes bytes; a hole before them reads as zeros.
    pub(super) fn write(&mut self, data: &[u8], offset: usize) {
        if data.is_empty() {
            return;
        }
        put(&mut self.live, data, offset);
        let from = self.pending_bytes.len();
        self.pending_bytes.extend_from_slice(data);
        self.pending.push(Change::Write { offset, from, len: data.len() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.pending.push(Change::SetLen(len));
    }

    /// Makes every pending change durable.
    pub(super) fn sync(&mut self) {
        for change in &self.pending {
            match *change {
                Change::Write { offset, from, len } => {
                    put(&mut self.durable, &self.pending_bytes[from..from + len], offset);
                }
                Change::SetLen(len) => self.durable.resize(len, 0),
            }
        }
        self.forget_pending();
    }

    /// A failed sync: the pending changes are gone from the disk's queue, the page
    /// cache still shows them, and the next sync has nothing to do and succeeds.
    pub(super) fn fail_sync(&mut self) {
        self.diverged |= !self.pending.is_empty();
        self.forget_pending();
    }

    /// Power loss: settles each pending change by lot and reads what is left.
    pub(super) fn crash(&mut self, random: &SimRandom) {
        if self.pending.is_empty() && !self.diverged {
            return;
        }
        let mood = match random.below(8) {
            0 => Mood::Nothing,
            1 => Mood::Everything,
            2 | 3 => Mood::Prefix(random.below(self.pending.len() as u64) as usize),
            _ => Mood::Independent,
        };
        for (number, change) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            let bytes = fate(mood, number, random);
            let growth = if mood == Mood::Independent { fate(mood, number, random) } else { bytes };
            self.settle(change, bytes, growth, random);
        }
        self.forget_pending();
        self.diverged = false;
        self.live.clone_from(&self.durable);
    }

    /// Flips one bit in both images.
    pub(super) fn flip(&mut self, offset: usize, bit: u32) {
        for image in [&mut self.live, &mut self.durable] {
            if let Some(byte) = image.get_mut(offset) {
                *byte ^= 1 << bit;
            }
        }
    }

    /// Applies what is left of a change. A file's length is metadata: it may be durable
    /// without the bytes (zeros are read) and the bytes without it (nothing is read).
    fn settle(&mut self, change: Change, bytes: Fate, growth: Fate, random: &SimRandom) {
        let (offset, from, len) = match change {
            Change::SetLen(len) => {
                if bytes == Fate::Kept || (bytes == Fate::Torn && random.below(2) == 0) {
                    self.durable.resize(len, 0);
                }
                return;
            }
            Change::Write { offset, from, len } => (offset, from, len),
        };
        let end = offset + len;
        if end > self.durable.len() {
            let grown = match growth {
                Fate::Lost => self.durable.len(),
                Fate::Kept => end,
                Fate::Torn => torn_length(self.durable.len(), end, random),
            };
            self.durable.resize(grown, 0);
        }
        if bytes == Fate::Lost {
            return;
        }
        let end = end.min(self.durable.len());
        let mut start = offset;
        while start < end {
            let stop = ((start / SECTOR + 1) * SECTOR).min(end);
            if bytes == Fate::Kept || random.below(2) == 0 {
                let sector = from + start - offset..from + stop - offset;
                self.durable[start..stop].copy_from_slice(&self.pending_bytes[sector]);
            }
            start = stop;
        }
    }

    fn forget_pending(&mut self) {
        self.pending.clear();
        self.pending_bytes.clear();
    }
}

fn fate(mood: Mood, number: usize, random: &SimRandom) -> Fate {
    match mood {
        Mood::Nothing => Fate::Lost,
        Mood::Everything => Fate::Kept,
        Mood::Prefix(last) if number < last => Fate::Kept,
        Mood::Prefix(last) if number > last => Fate::Lost,
        Mood::Prefix(_) | Mood::Independent => match random.below(3) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ => Fate::Torn,
        },
    }
}

/// A length between two, at a sector's edge or at one of the two.
fn torn_length(old: usize, new: usize, random: &SimRandom) -> usize {
    let edges = new.div_ceil(SECTOR) - old / SECTOR;
    ((old / SECTOR + random.below(edges as u64 + 1) as usize) * SECTOR).clamp(old, new)
}

fn put(image: &mut Vec<u8>, data: &[u8], offset: usize) {
    let end = offset + data.len();
    if offset == image.len() {
        image.extend_from_slice(data);
        return;
    }
    if end > image.len() {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}
