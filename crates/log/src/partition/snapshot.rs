//! Snapshots of producer state, so that a restart need not read the whole log.
//!
//! A snapshot is synced when it is made. One that stands behind the end of the recovered
//! log is removed before anything is appended; one before the log start is not used,
//! since what came between is gone.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use thalweg_core::env::{Disk, read_file, replace_file};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::LogError;

use super::producer_state::{Listed, ProducerState};
use super::{Partition, Writer};
use crate::segment::{PRODUCERS_SUFFIX, file_path, parse_name};
use crate::shared::is_storage_full;

/// Largest snapshot that is read.
const MAX_BYTES: u64 = 256 << 20;

impl Partition {
    /// Saves the producers as of the writer's end, where something came since the last
    /// time. Out of space is harmless: the next start reads more of the log.
    ///
    /// # Errors
    /// The disk failed; the log has stopped then.
    pub(super) fn save_producers(&self, writer: &mut Writer) -> Result<(), LogError> {
        if writer.unsaved_bytes == 0 {
            return Ok(());
        }
        let bytes = writer.producers.encode(self.owner(), writer.end, self.listed()?);
        let durable = self.view.lock().offsets.high_watermark;
        match save(&*self.shared.env.disk, &self.dir, writer.end, &bytes, durable) {
            Ok(()) => {
                writer.unsaved_bytes = 0;
                writer.saved_at = writer.end;
            }
            Err(error) if is_storage_full(&error) => {
                tracing::warn!(partition = %self.name, %error, "no snapshot of producers");
            }
            Err(error) => return Err(self.shared.fail(&self.dir, &error)),
        }
        Ok(())
    }

    /// Sees to a snapshot that does not need what stands before an offset.
    pub(super) fn save_producers_for(&self, log_start: Offset) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        if writer.saved_at >= log_start || writer.producers.len() == 0 {
            return Ok(());
        }
        self.save_producers(&mut writer)
    }

    /// Saves the producers if enough came since the last time, after forgetting those
    /// that were silent for long.
    pub(crate) fn tend_producers(&self) {
        let options = &self.shared.options;
        let silent_since =
            self.shared.env.clock.wall_ms().saturating_sub(options.producer_id_expiration_ms);
        let mut writer = self.writer.lock();
        if writer.producers.len() > 0 {
            let forgotten = writer.producers.expire(silent_since, options.max_producers);
            if forgotten > 0 {
                tracing::warn!(
                    partition = %self.name, forgotten, limit = options.max_producers,
                    "more producers than are remembered; retries of the forgotten ones may double"
                );
            }
        }
        let saved = if writer.unsaved_bytes >= options.snapshot_interval_bytes {
            self.save_producers(&mut writer)
        } else {
            Ok(())
        };
        drop(writer);
        if saved.is_err() {
            self.shared.tell_failure();
        }
    }
}

/// Writes a snapshot and removes those that are not needed any more: all before the
/// newest one that is not behind what is durable.
fn save(disk: &dyn Disk, dir: &Path, at: Offset, bytes: &[u8], durable: Offset) -> io::Result<()> {
    replace_file(disk, &file_path(dir, at, PRODUCERS_SUFFIX), bytes)?;
    let entries = disk.list(dir)?;
    let all = entries.iter().filter_map(|entry| parse_name(&entry.name, PRODUCERS_SUFFIX));
    let needed = all.clone().filter(|&at| at <= durable).max().unwrap_or(0);
    for old in all.filter(|&at| at < needed) {
        disk.remove_file(&file_path(dir, old, PRODUCERS_SUFFIX))?;
    }
    Ok(())
}

/// Reads the newest whole snapshot among `at` (ascending) that stands within a range.
pub(crate) fn load(
    disk: &dyn Disk,
    dir: &Path,
    owner: (u128, i32),
    at: &[Offset],
    range: RangeInclusive<Offset>,
) -> Option<(Offset, ProducerState, Listed)> {
    at.iter().rev().filter(|at| range.contains(at)).find_map(|&at| {
        let bytes = read_file(disk, &file_path(dir, at, PRODUCERS_SUFFIX), MAX_BYTES).ok()?;
        ProducerState::decode(&bytes, owner, at).ok().map(|(state, listed)| (at, state, listed))
    })
}
