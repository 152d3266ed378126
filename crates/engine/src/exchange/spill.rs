//! Change batches in files that live no longer than the epoch that needs them.
//!
//! Not synced: after a crash the epoch is computed again. What an earlier process left is
//! removed at start.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use thalweg_core::env::{DiskFile, Env, OpenMode};
use thalweg_stream::{ChangeBatch, Marks, RowKind};

use crate::error::{JobError, Result};
use crate::journal::{Decoder, Encoder};

/// The directory of a job's spill files.
#[derive(Debug)]
pub(crate) struct SpillDir {
    env: Env,
    path: PathBuf,
    next: AtomicU64,
}

impl SpillDir {
    /// The directory; removes what an earlier process left in it.
    pub(crate) fn new(env: Env, path: PathBuf) -> Result<Self> {
        if env.disk.exists(&path) {
            env.disk.remove_dir_all(&path).map_err(|error| JobError::disk(&path, &error, false))?;
        }
        Ok(Self { env, path, next: AtomicU64::new(0) })
    }

    fn create(&self) -> Result<SpillFile> {
        let disk = &self.env.disk;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{number:08}.spill"));
        let failed = |error| JobError::disk(&path, &error, false);
        disk.create_dir_all(&self.path).map_err(failed)?;
        let file = disk.open(&path, OpenMode::CreateNew).map_err(failed)?;
        Ok(SpillFile { env: self.env.clone(), path, file })
    }
}

/// A spill file; removed when the last batch in it is read or dropped.
struct SpillFile {
    env: Env,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = self.env.disk.remove_file(&self.path);
    }
}

/// Where a batch stands in a spill file.
pub(super) struct Spilled {
    file: Arc<SpillFile>,
    offset: u64,
    len: usize,
}

impl std::fmt::Debug for Spilled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spilled({}, {}+{})", self.file.path.display(), self.offset, self.len)
    }
}

/// Writes the batches of one unit, into one file.
#[derive(Default)]
pub(super) struct SpillWriter {
    open: Option<(Arc<SpillFile>, u64)>,
}

impl SpillWriter {
    pub(super) fn write(&mut self, dir: &SpillDir, batch: &ChangeBatch) -> Result<Spilled> {
        let (file, end) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert((Arc::new(dir.create()?), 0)),
        };
        let bytes = encode(batch)?;
        file.file
            .write_at(&bytes, *end)
            .map_err(|error| JobError::disk(&file.path, &error, false))?;
        let spilled = Spilled { file: Arc::clone(file), offset: *end, len: bytes.len() };
        *end += bytes.len() as u64;
        Ok(spilled)
    }
}

impl std::fmt::Debug for SpillWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SpillWriter").field(&self.open.as_ref().map(|(_, end)| end)).finish()
    }
}

impl Spilled {
    pub(super) fn read(&self) -> Result<ChangeBatch> {
        let mut bytes = vec![0; self.len];
        read_exact(&*self.file.file, &self.file.path, &mut bytes, self.offset)?;
        decode(&bytes)
    }
}

/// Fills a buffer from a file.
pub(crate) fn read_exact(
    file: &dyn DiskFile,
    path: &Path,
    bytes: &mut [u8],
    offset: u64,
) -> Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let read = file
            .read_at(&mut bytes[done..], offset + done as u64)
            .map_err(|error| JobError::disk(path, &error, false))?;
        if read == 0 {
            return Err(JobError::Corrupt(format!("{} is too short", path.display())));
        }
        done += read;
    }
    Ok(())
}

fn encode(batch: &ChangeBatch) -> Result<Vec<u8>> {
    let mut out = Encoder::default();
    match &batch.kinds {
        None => out.len(0),
        Some(kinds) => {
            out.len(kinds.len());
            out.0.extend(kinds.iter().map(|&kind| kind as u8));
        }
    }
    out.len(batch.marks.iter().len());
    for (row, watermark) in batch.marks.iter() {
        out.len(row);
        out.int(watermark);
    }
    let written = StreamWriter::try_new(out.0, &batch.rows.schema()).and_then(|mut writer| {
        writer.write(&batch.rows)?;
        writer.into_inner()
    });
    written.map_err(|error| JobError::Internal(format!("spilling rows: {error}")))
}

fn decode(bytes: &[u8]) -> Result<ChangeBatch> {
    let mut from = Decoder::new(bytes, "spill file");
    let kinds: Vec<RowKind> = from.list(|from| {
        Ok(match from.byte()? {
            0 => RowKind::Insert,
            1 => RowKind::UpdateBefore,
            2 => RowKind::UpdateAfter,
            _ => RowKind::Delete,
        })
    })?;
    let mut marks = Marks::none();
    for (row, watermark) in from.list(|from| Ok((from.small::<usize>()?, from.int()?)))? {
        marks.push(row, watermark);
    }
    let damaged = |detail: String| JobError::Corrupt(format!("spill file: {detail}"));
    let mut reader = StreamReader::try_new(Cursor::new(from.rest()), None)
        .map_err(|error| damaged(error.to_string()))?;
    let rows = match reader.next() {
        Some(rows) => rows.map_err(|error| damaged(error.to_string()))?,
        None => return Err(damaged("it holds no rows".into())),
    };
    let kinds = (!kinds.is_empty()).then(|| kinds.into());
    Ok(ChangeBatch { rows, kinds, marks })
}
