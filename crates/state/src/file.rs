//! Bytes to and from a file of the environment's disk, with their checksum.

use std::io::{self, Write};
use std::path::Path;

use thalweg_core::env::{Disk, DiskFile, OpenMode};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Result, StateError};

/// Bytes that are written or read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Appends to a new file, in large writes, and sums up what it wrote.
pub(crate) struct ChecksumWriter {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    checksum: Xxh3,
}

impl ChecksumWriter {
    pub(crate) fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk
            .open(path, OpenMode::CreateNew)
            .map_err(|error| StateError::io("create", path, error))?;
        Ok(Self { file, buffer: Vec::new(), written: 0, checksum: Xxh3::new() })
    }

    /// Writes what is left and syncs; gives the count of bytes and their checksum.
    pub(crate) fn finish(mut self) -> io::Result<(u64, u64)> {
        self.write_out()?;
        self.file.sync_data()?;
        Ok((self.written, self.checksum.digest()))
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.written)?;
        self.checksum.update(&self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for ChecksumWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.write_out()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checks that a file has this length and checksum, without holding it in memory.
pub(crate) fn verify(disk: &dyn Disk, path: &Path, bytes: u64, checksum: u64) -> Result<()> {
    let read = |error| StateError::io("read", path, error);
    let file = disk.open(path, OpenMode::Read).map_err(read)?;
    let len = file.len().map_err(read)?;
    if len != bytes {
        return Err(StateError::corrupt(path, format!("{len} bytes long instead of {bytes}")));
    }
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; CHUNK_BYTES.min(bytes as usize)];
    let mut at = 0;
    while at < bytes {
        let count = buffer.len().min((bytes - at) as usize);
        file.read_exact_at(&mut buffer[..count], at).map_err(read)?;
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
    if hasher.digest() != checksum {
        return Err(StateError::corrupt(path, "the checksum differs"));
    }
    Ok(())
}
