//! Snapshots of producer state, so that a restart need not read the whole log.
//!
//! A snapshot is derived: it is not synced, its checksum tells whether it is whole, and
//! one that stands behind the end of the recovered log is removed before anything is
//! appended.

use std::io;
use std::path::Path;

use thalweg_core::env::{Disk, OpenMode, read_file};
use thalweg_core::ids::Offset;

use super::producer_state::ProducerState;
use super::{Partition, Writer};
use crate::segment::{PRODUCERS_SUFFIX, TEMPORARY_SUFFIX, file_path, parse_name};

/// Snapshots kept: the newest may be torn by a crash.
const KEPT: usize = 2;
/// Largest snapshot that is read.
const MAX_BYTES: u64 = 256 << 20;

impl Partition {
    /// Saves the producers as of the writer's end, where something came since the last
    /// time. Failing is harmless: the next start reads more of the log.
    pub(super) fn save_producers(&self, writer: &mut Writer) {
        if writer.unsaved_bytes == 0 {
            return;
        }
        let bytes = writer.producers.encode(self.owner(), writer.end);
        let disk = &*self.shared.env.disk;
        match save(disk, &self.dir, writer.end, &bytes) {
            Ok(()) => writer.unsaved_bytes = 0,
            Err(error) => {
                tracing::warn!(partition = %self.name, %error, "no snapshot of producers");
            }
        }
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
        if writer.unsaved_bytes >= options.snapshot_interval_bytes {
            self.save_producers(&mut writer);
        }
    }
}

fn save(disk: &dyn Disk, dir: &Path, at: Offset, bytes: &[u8]) -> io::Result<()> {
    let path = file_path(dir, at, PRODUCERS_SUFFIX);
    let temporary = file_path(dir, at, &format!("{PRODUCERS_SUFFIX}{TEMPORARY_SUFFIX}"));
    let file = disk.open(&temporary, OpenMode::Create)?;
    let written = file.set_len(0).and_then(|()| file.write_at(bytes, 0));
    if let Err(error) = written {
        let _ = disk.remove_file(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, &path)?;
    let mut all: Vec<Offset> = disk
        .list(dir)?
        .iter()
        .filter_map(|entry| parse_name(&entry.name, PRODUCERS_SUFFIX))
        .collect();
    all.sort_unstable();
    for old in all.iter().rev().skip(KEPT) {
        disk.remove_file(&file_path(dir, *old, PRODUCERS_SUFFIX))?;
    }
    Ok(())
}

/// Reads the newest whole snapshot among `at` (ascending) that is not beyond `limit`.
pub(crate) fn load(
    disk: &dyn Disk,
    dir: &Path,
    owner: (u128, i32),
    at: &[Offset],
    limit: Offset,
) -> Option<(Offset, ProducerState)> {
    at.iter().rev().filter(|&&at| at <= limit).find_map(|&at| {
        let bytes = read_file(disk, &file_path(dir, at, PRODUCERS_SUFFIX), MAX_BYTES).ok()?;
        ProducerState::decode(&bytes, owner, at).ok().map(|state| (at, state))
    })
}
