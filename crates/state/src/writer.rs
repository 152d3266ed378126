//! Writing one snapshot.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use thalweg_core::env::{Env, replace_file};

use crate::error::{Result, StateError};
use crate::file::ChecksumWriter;
use crate::manifest::{self, FileEntry, Manifest, SnapshotId};

/// A snapshot in the making. It exists once [`SnapshotWriter::finish`] has returned, and
/// dropped before that it leaves files that the next [`crate::SnapshotStore::prune`]
/// removes.
#[derive(Debug)]
pub struct SnapshotWriter {
    env: Env,
    directory: PathBuf,
    manifest: Manifest,
}

impl SnapshotWriter {
    pub(crate) fn new(env: Env, directory: PathBuf, id: SnapshotId, meta: Vec<u8>) -> Self {
        Self { env, directory, manifest: Manifest { id, meta, files: Vec::new() } }
    }

    /// The identity that the snapshot will have.
    pub fn id(&self) -> SnapshotId {
        self.manifest.id
    }

    /// Writes one batch of a subtask's state, under a name that the operator chose, and
    /// syncs it.
    ///
    /// # Errors
    /// The disk's, and what Arrow files cannot hold.
    pub fn add(
        &mut self,
        operator_uid: &str,
        subtask: usize,
        name: &str,
        rows: &RecordBatch,
    ) -> Result<()> {
        let file = format!("{:06}.arrow", self.manifest.files.len());
        let path = self.directory.join(&file);
        let what = || format!("{operator_uid}/{name}");
        let unstorable = |detail: String| StateError::Unstorable { what: what(), detail };
        let subtask = u32::try_from(subtask).map_err(|error| unstorable(error.to_string()))?;
        if operator_uid.len().max(name.len()) > manifest::MAX_NAME_BYTES {
            return Err(unstorable("its name is too long".into()));
        }

        let output = ChecksumWriter::create(&*self.env.disk, &path)?;
        let written = (|| {
            let mut writer = FileWriter::try_new(output, &rows.schema())?;
            writer.write(rows)?;
            writer.into_inner()
        })();
        let output = written.map_err(|error| match error {
            arrow_schema::ArrowError::IoError(_, source) => StateError::io("write", &path, source),
            other => unstorable(other.to_string()),
        })?;
        let (bytes, checksum) =
            output.finish().map_err(|error| StateError::io("write", &path, error))?;
        self.manifest.files.push(FileEntry {
            operator_uid: operator_uid.to_owned(),
            subtask,
            name: name.to_owned(),
            file,
            bytes,
            checksum,
        });
        Ok(())
    }

    /// Makes the snapshot exist: durable when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(self) -> Result<SnapshotId> {
        let path = self.directory.join(manifest::FILE_NAME);
        let encoded = self.manifest.encode();
        if encoded.len() as u64 > manifest::MAX_BYTES {
            return Err(StateError::Unstorable {
                what: format!("snapshot {}", self.manifest.id),
                detail: format!("its manifest would take {} bytes", encoded.len()),
            });
        }
        let disk = &*self.env.disk;
        // The names of the files have to be durable before the manifest that lists them.
        disk.sync_dir(&self.directory)
            .map_err(|error| StateError::io("sync", &self.directory, error))?;
        replace_file(disk, &path, &encoded)
            .map_err(|error| StateError::io("write", &path, error))?;
        Ok(self.manifest.id)
    }
}
