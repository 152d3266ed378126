//! What a partition remembers of its idempotent producers, as pure state: no clock, no
//! disk.
//!
//! The last five batches of each producer are kept, so that a retry gets the offsets of
//! the first time (KIP-98); sequences wrap to 0 behind the largest; a newer epoch fences
//! an older one. A producer that is not remembered may begin anywhere (KIP-360), and so
//! may one of which only the end of a transaction is left.
//! Transactions under way are tracked for the last stable offset, and those that end with
//! an abort are told to the caller.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thalweg_core::ids::{Offset, ProducerId};
use thalweg_core::partition_log::ProducerPosition;
use thalweg_core::record_batch::{
    BatchHeader, ControlKind, EndMarker, NO_SEQUENCE, last_sequence_of,
};
use thalweg_core::time::Millis;

use crate::format::{self, Fields, FormatError, Magic};
use crate::mark::UNKNOWN;
use crate::segment::aborted::Aborted;

/// Batches remembered per producer: as many as a client may have in flight.
pub(crate) const REMEMBERED_BATCHES: usize = 5;

const MAGIC: Magic = *b"thwl-prd";

/// Version 1 had no coordinators, times and aborted transactions.
const VERSION: u16 = 2;

/// A batch that a producer wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct WrittenBatch {
    last_sequence: i32,
    offset_delta: i32,
    last_offset: Offset,
    max_time: Millis,
}

impl WrittenBatch {
    fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            offset_delta: header.last_offset_delta,
            last_offset: header.last_offset(),
            max_time: header.max_timestamp,
        }
    }

    fn base_sequence(&self) -> i32 {
        ((i64::from(self.last_sequence) - i64::from(self.offset_delta)) & i64::from(i32::MAX))
            as i32
    }
}

/// A producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    /// The last batches, oldest first; those of this epoch only.
    batches: [WrittenBatch; REMEMBERED_BATCHES],
    len: u8,
    /// Of this epoch there may have been batches that nobody remembers.
    forgotten: bool,
    /// Wall time of its last append.
    last_seen: Millis,
    /// First offset of its transaction, while one is under way.
    pub(crate) open_since: Option<Offset>,
    /// Epoch of the coordinator that ended the last one; -1 before that.
    pub(crate) coordinator_epoch: i32,
    /// Timestamp of its last batch or marker.
    pub(crate) last_timestamp: Millis,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        let batches = [WrittenBatch::default(); REMEMBERED_BATCHES];
        Self {
            epoch,
            batches,
            len: 0,
            forgotten: false,
            last_seen: 0,
            open_since: None,
            coordinator_epoch: -1,
            last_timestamp: -1,
        }
    }

    /// One that is first heard of by this batch.
    fn unknown(header: &BatchHeader) -> Self {
        let forgotten = header.attributes.is_control();
        Self { forgotten, ..Self::new(header.producer_epoch) }
    }

    fn batches(&self) -> &[WrittenBatch] {
        &self.batches[..usize::from(self.len).min(REMEMBERED_BATCHES)]
    }

    /// What others may know of it.
    pub(crate) fn position(&self) -> ProducerPosition {
        let (last_sequence, last_offset) = self.last().unwrap_or((NO_SEQUENCE, -1));
        ProducerPosition {
            epoch: self.epoch,
            last_sequence,
            last_offset,
            open_since: self.open_since,
            coordinator_epoch: self.coordinator_epoch,
            last_timestamp: self.last_timestamp,
        }
    }

    /// Sequence and offset of the last record, where a batch is remembered.
    pub(crate) fn last(&self) -> Option<(i32, Offset)> {
        self.batches().last().map(|batch| (batch.last_sequence, batch.last_offset))
    }

    fn push(&mut self, batch: WrittenBatch) {
        let len = usize::from(self.len);
        if len == REMEMBERED_BATCHES {
            self.batches.rotate_left(1);
            self.batches[len - 1] = batch;
        } else {
            self.batches[len] = batch;
            self.len += 1;
        }
    }

    /// Takes in a batch that is in the log, whatever its sequence. Returns the first
    /// offset of a transaction that it aborts.
    fn take_in(
        &mut self,
        header: &BatchHeader,
        control: Option<EndMarker>,
        now: Millis,
    ) -> Option<Offset> {
        if header.producer_epoch != self.epoch {
            *self = Self {
                open_since: self.open_since,
                coordinator_epoch: self.coordinator_epoch,
                ..Self::new(header.producer_epoch)
            };
        }
        self.last_seen = now;
        self.last_timestamp = header.max_timestamp;
        if header.attributes.is_control() {
            let marker = control?;
            self.coordinator_epoch = marker.coordinator_epoch;
            let ended = self.open_since.take();
            return ended.filter(|_| marker.kind == ControlKind::Abort);
        }
        self.push(WrittenBatch::of(header));
        if header.attributes.is_transactional() && self.open_since.is_none() {
            self.open_since = Some(header.base_offset);
        }
        None
    }

    /// Whether the batch may come now.
    fn judge(&self, header: &BatchHeader, control: Option<EndMarker>) -> Result<Verdict, Refusal> {
        if header.producer_epoch < self.epoch {
            let (current, found) = (self.epoch, header.producer_epoch);
            return Err(Refusal::Fenced { current, found });
        }
        if header.attributes.is_control() {
            let (current, found) =
                (self.coordinator_epoch, control.map_or(i32::MAX, |m| m.coordinator_epoch));
            return match found {
                found if found < current => Err(Refusal::CoordinatorFenced { current, found }),
                _ => Ok(Verdict::New),
            };
        }
        let found = header.base_sequence;
        let newest = self.last().filter(|_| header.producer_epoch == self.epoch);
        let Some((last, _)) = newest else {
            // A new epoch counts from 0.
            let anywhere = self.forgotten && header.producer_epoch == self.epoch;
            return match found {
                _ if anywhere => self.in_its_place(header),
                0 => self.in_its_place(header),
                _ => Err(Refusal::OutOfOrder { expected: 0, found }),
            };
        };
        let repeated = |batch: &&WrittenBatch| {
            batch.base_sequence() == found && batch.offset_delta == header.last_offset_delta
        };
        if let Some(batch) = self.batches().iter().find(repeated) {
            return Ok(Verdict::Repeated(Repeated {
                base_offset: batch.last_offset - i64::from(batch.offset_delta),
                last_offset: batch.last_offset,
                max_time: batch.max_time,
            }));
        }
        let expected = last_sequence_of(last, 1);
        if found == expected {
            return self.in_its_place(header);
        }
        // In a circle of 2^31 numbers, what lies less than half behind is the past.
        let behind = expected.wrapping_sub(header.last_sequence()) & i32::MAX;
        if (1..1 << 30).contains(&behind) {
            Err(Refusal::LongPast { sequence: found })
        } else {
            Err(Refusal::OutOfOrder { expected, found })
        }
    }
}

impl Producer {
    /// A batch that follows on the one before: within a transaction there is nothing else.
    fn in_its_place(&self, header: &BatchHeader) -> Result<Verdict, Refusal> {
        if self.open_since.is_some() && !header.attributes.is_transactional() {
            return Err(Refusal::NotTransactional);
        }
        Ok(Verdict::New)
    }
}

/// Where a repeated batch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Repeated {
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) max_time: Millis,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    New,
    Repeated(Repeated),
}

/// Why a batch may not come now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// A newer epoch is known.
    Fenced { current: i16, found: i16 },
    /// The end of a transaction by a coordinator that was replaced.
    CoordinatorFenced { current: i32, found: i32 },
    /// It is not of the transaction that its producer has under way.
    NotTransactional,
    /// A batch before it is missing.
    OutOfOrder { expected: i32, found: i32 },
    /// It repeats one that is not remembered any more.
    LongPast { sequence: i32 },
    /// Some batches of one append are repeated and others not.
    Mixed,
}

/// A batch on its way into the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    /// With the offsets that it is to get.
    pub(crate) header: BatchHeader,
    /// How the transaction ended, for a control batch of a known kind.
    pub(crate) control: Option<EndMarker>,
}

/// What the state says to an append.
#[derive(Debug)]
pub(crate) enum Staged {
    /// All of it is in the log already, from the first offset to the last.
    Repeated(Repeated),
    /// It may be written.
    New(Changes),
}

/// What an append changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The producers as they are to be then.
    producers: Vec<(i64, Producer)>,
    /// The transactions that it aborts: producer, first offset, offset of the marker.
    aborts: Vec<(i64, Offset, Offset)>,
}

/// How much of the list of aborted transactions a snapshot covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listed {
    /// Base offset of the segment whose list it is.
    pub(crate) base: Offset,
    /// Its entries, or [`UNKNOWN`].
    pub(crate) entries: u32,
}

impl Listed {
    /// Nothing is known.
    pub(crate) const NONE: Self = Self { base: -1, entries: UNKNOWN };
}

/// All producers of a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerState {
    producers: BTreeMap<i64, Producer>,
    /// Transactions under way: first offset and producer.
    open: BTreeSet<(Offset, i64)>,
}

impl ProducerState {
    /// Checks the batches of one append against the state, which stays as it is.
    pub(crate) fn stage(&self, batches: &[Incoming], now: Millis) -> Result<Staged, Refusal> {
        let mut changes = Changes::default();
        let staged = &mut changes.producers;
        let mut places: HashMap<i64, usize> = HashMap::new();
        let mut repeated: Option<Repeated> = None;
        let mut fresh = false;
        for Incoming { header, control } in batches {
            if !header.has_producer() {
                fresh = true;
                continue;
            }
            let id = header.producer_id;
            let place = places.get(&id).copied();
            let known = place.map(|place| staged[place].1).or(self.producers.get(&id).copied());
            let verdict = known.map_or(Ok(Verdict::New), |known| known.judge(header, *control))?;
            match verdict {
                Verdict::New => fresh = true,
                Verdict::Repeated(this) => {
                    let whole = repeated.get_or_insert(this);
                    whole.last_offset = this.last_offset;
                    continue;
                }
            }
            let mut producer = known.unwrap_or_else(|| Producer::unknown(header));
            if let Some(first) = producer.take_in(header, *control, now) {
                changes.aborts.push((id, first, header.base_offset));
            }
            match place {
                Some(place) => staged[place].1 = producer,
                None => {
                    if batches.len() > 1 {
                        places.insert(id, staged.len());
                    }
                    staged.push((id, producer));
                }
            }
        }
        match repeated {
            Some(_) if fresh => Err(Refusal::Mixed),
            Some(repeated) => Ok(Staged::Repeated(repeated)),
            None => Ok(Staged::New(changes)),
        }
    }

    /// Puts a staged append in force, behind which the log ends at `end`. Returns the
    /// transactions that it aborted.
    pub(crate) fn apply(&mut self, changes: Changes, end: Offset) -> Vec<Aborted> {
        let before = self.first_open();
        for (id, producer) in changes.producers {
            self.put(id, producer);
        }
        if changes.aborts.is_empty() {
            return Vec::new();
        }
        let after = self.first_open().unwrap_or(end);
        // Of several in one append, the earlier ones may not look past the later ones.
        let last_stable = match &changes.aborts[..] {
            [_] => after,
            all => all.iter().map(|abort| abort.1).chain(before).fold(after, Offset::min),
        };
        let aborts = changes.aborts.into_iter();
        aborts
            .map(|(producer, first, last)| Aborted { producer, first, last, last_stable })
            .collect()
    }

    fn put(&mut self, id: i64, producer: Producer) {
        let before = self.producers.insert(id, producer).and_then(|before| before.open_since);
        if before != producer.open_since {
            if let Some(first) = before {
                self.open.remove(&(first, id));
            }
            if let Some(first) = producer.open_since {
                self.open.insert((first, id));
            }
        }
    }

    /// Takes in a batch found in the log. Returns the transaction that it aborted.
    pub(crate) fn replay(
        &mut self,
        header: &BatchHeader,
        control: Option<EndMarker>,
        now: Millis,
    ) -> Option<Aborted> {
        if !header.has_producer() {
            return None;
        }
        let id = header.producer_id;
        let known = self.producers.get(&id).copied();
        let mut producer = known.unwrap_or_else(|| Producer::unknown(header));
        let aborted = producer.take_in(header, control, now);
        self.put(id, producer);
        let last_stable = self.first_open().unwrap_or(header.next_offset());
        aborted.map(|first| Aborted { producer: id, first, last: header.base_offset, last_stable })
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Producer> {
        self.producers.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer))
    }

    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }

    /// First offset of the oldest transaction under way.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.open.first().map(|(offset, _)| *offset)
    }

    /// Forgets producers that were silent for too long, and the longest silent ones
    /// beyond `most`; never one in a transaction or one of a job. Returns how many went
    /// for number.
    pub(crate) fn expire(&mut self, silent_since: Millis, most: usize) -> usize {
        self.producers.retain(|id, producer| {
            producer.open_since.is_some()
                || producer.last_seen >= silent_since
                || ProducerId(*id).is_internal()
        });
        let surplus = self.producers.len().saturating_sub(most);
        if surplus == 0 {
            return 0;
        }
        let idle = self.producers.iter().filter(|(id, producer)| {
            producer.open_since.is_none() && !ProducerId(**id).is_internal()
        });
        let mut idle: Vec<_> = idle.map(|(id, producer)| (producer.last_seen, *id)).collect();
        idle.sort_unstable();
        idle.truncate(surplus);
        for (_, id) in &idle {
            self.producers.remove(id);
        }
        idle.len()
    }

    /// The state as of an offset, for a snapshot file, with what is in the list of aborted
    /// transactions of the last segment.
    pub(crate) fn encode(&self, owner: (u128, i32), at: Offset, listed: Listed) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.producers.len() * 176);
        out.extend_from_slice(&owner.0.to_be_bytes());
        out.extend_from_slice(&owner.1.to_be_bytes());
        out.extend_from_slice(&at.to_be_bytes());
        out.extend_from_slice(&listed.base.to_be_bytes());
        out.extend_from_slice(&listed.entries.to_be_bytes());
        out.extend_from_slice(&(self.producers.len() as u32).to_be_bytes());
        for (id, producer) in &self.producers {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.to_be_bytes());
            out.extend_from_slice(&producer.last_seen.to_be_bytes());
            out.extend_from_slice(&producer.open_since.unwrap_or(-1).to_be_bytes());
            out.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
            out.extend_from_slice(&producer.last_timestamp.to_be_bytes());
            out.push(u8::from(producer.forgotten));
            out.push(producer.batches().len() as u8);
            for batch in producer.batches() {
                out.extend_from_slice(&batch.last_sequence.to_be_bytes());
                out.extend_from_slice(&batch.offset_delta.to_be_bytes());
                out.extend_from_slice(&batch.last_offset.to_be_bytes());
                out.extend_from_slice(&batch.max_time.to_be_bytes());
            }
        }
        format::seal_version(&MAGIC, VERSION, &out)
    }

    /// Reads a snapshot, which must be of this partition and offset.
    pub(crate) fn decode(
        bytes: &[u8],
        owner: (u128, i32),
        at: Offset,
    ) -> Result<(Self, Listed), FormatError> {
        let (version, payload) = format::open_version(&MAGIC, VERSION, bytes)?;
        let mut fields = Fields(payload);
        if (fields.u128()?, fields.i32()?) != owner || fields.i64()? != at {
            return Err(FormatError::Malformed("it is of another partition or offset"));
        }
        let mut listed = Listed::NONE;
        if version >= 2 {
            listed = Listed { base: fields.i64()?, entries: fields.u32()? };
        }
        let mut state = Self::default();
        for _ in 0..fields.u32()? {
            let id = fields.i64()?;
            let mut producer = Producer::new(fields.i16()?);
            producer.last_seen = fields.i64()?;
            producer.open_since = Some(fields.i64()?).filter(|&first| first >= 0);
            if version >= 2 {
                producer.coordinator_epoch = fields.i32()?;
                producer.last_timestamp = fields.i64()?;
                producer.forgotten = fields.u8()? != 0;
            }
            for _ in 0..fields.u8()?.min(REMEMBERED_BATCHES as u8) {
                producer.push(WrittenBatch {
                    last_sequence: fields.i32()?,
                    offset_delta: fields.i32()?,
                    last_offset: fields.i64()?,
                    max_time: fields.i64()?,
                });
            }
            if version == 1 {
                producer.last_timestamp = producer.batches().last().map_or(-1, |b| b.max_time);
            }
            state.put(id, producer);
        }
        fields.end()?;
        Ok((state, listed))
    }

    /// The state without what only the clock decides, for comparing a rebuilt one.
    #[cfg(test)]
    pub(crate) fn timeless(&self) -> Vec<(i64, Producer)> {
        let timeless =
            |(id, producer): (&i64, &Producer)| (*id, Producer { last_seen: 0, ..*producer });
        self.producers.iter().map(timeless).collect()
    }
}

#[cfg(test)]
mod tests;
