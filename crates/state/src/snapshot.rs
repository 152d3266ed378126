//! Reading one snapshot.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use thalweg_core::env::{Env, read_file};
use thalweg_core::ids::Epoch;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Result, StateError};
use crate::file;
use crate::manifest::{self, FileEntry, Manifest, SnapshotId};

/// A complete snapshot. All its files were checked when it was opened.
#[derive(Debug)]
pub struct Snapshot {
    env: Env,
    directory: PathBuf,
    manifest: Manifest,
}

/// One batch of a snapshot.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// The subtask that wrote it.
    pub subtask: usize,
    /// The name that the operator gave it.
    pub name: String,
    /// The rows.
    pub rows: RecordBatch,
}

impl Snapshot {
    /// Opens the snapshot in `directory`; `None` where it was never finished.
    pub(crate) fn open(env: &Env, directory: &Path, id: SnapshotId) -> Result<Option<Self>> {
        let path = directory.join(manifest::FILE_NAME);
        let bytes = match read_file(&*env.disk, &path, manifest::MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::io("read", &path, error)),
        };
        let manifest = Manifest::decode(&bytes, &path)?;
        if manifest.id != id {
            let detail = format!("is the manifest of snapshot {}", manifest.id);
            return Err(StateError::corrupt(&path, detail));
        }
        for entry in &manifest.files {
            let path = directory.join(&entry.file);
            file::verify(&*env.disk, &path, entry.bytes, entry.checksum)?;
        }
        Ok(Some(Self { env: env.clone(), directory: directory.to_owned(), manifest }))
    }

    /// Its identity.
    pub fn id(&self) -> SnapshotId {
        self.manifest.id
    }

    /// The epoch whose end the state is of.
    pub fn epoch(&self) -> Epoch {
        self.manifest.id.epoch
    }

    /// What the engine stored along with it.
    pub fn meta(&self) -> &[u8] {
        &self.manifest.meta
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|file| file.bytes).sum()
    }

    /// The operators that have state in it, each once, in order of first writing.
    pub fn operators(&self) -> Vec<&str> {
        let mut uids: Vec<&str> = Vec::new();
        for file in &self.manifest.files {
            if !uids.contains(&file.operator_uid.as_str()) {
                uids.push(&file.operator_uid);
            }
        }
        uids
    }

    /// The batches of an operator, in the order in which they were added. One is held in
    /// memory at a time.
    pub fn read<'a>(
        &'a self,
        operator_uid: &'a str,
    ) -> impl Iterator<Item = Result<StoredBatch>> + 'a {
        let entries = self.manifest.files.iter();
        entries.filter(move |entry| entry.operator_uid == operator_uid).map(|entry| {
            let rows = self.read_rows(entry)?;
            Ok(StoredBatch { subtask: entry.subtask as usize, name: entry.name.clone(), rows })
        })
    }

    fn read_rows(&self, entry: &FileEntry) -> Result<RecordBatch> {
        let path = self.directory.join(&entry.file);
        let bytes = read_file(&*self.env.disk, &path, entry.bytes)
            .map_err(|error| StateError::io("read", &path, error))?;
        // Checked again: what was fine at opening may have been damaged or removed since,
        // and Arrow's reader trusts its input.
        if bytes.len() as u64 != entry.bytes || xxh3_64(&bytes) != entry.checksum {
            return Err(StateError::corrupt(&path, "the checksum differs"));
        }
        let unreadable = |error| StateError::corrupt(&path, format!("no Arrow file: {error}"));
        let mut batches = FileReader::try_new(Cursor::new(bytes), None).map_err(unreadable)?;
        match (batches.next(), batches.next()) {
            (Some(rows), None) => rows.map_err(unreadable),
            _ => Err(StateError::corrupt(&path, "does not hold exactly one batch")),
        }
    }
}
