//! Input in a growing buffer, cut into records by whoever knows where they end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use thalweg_core::env::DiskFile;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Largest record that is read; a larger one is an error, not a crash.
pub(super) const RECORD_BYTES_MAX: usize = 64 << 20;

/// Room that is made for each read.
const READ_BYTES: usize = 256 << 10;

/// An input and what was read from it but not used.
pub(super) struct Input {
    source: Box<dyn AsyncRead + Unpin>,
    buffer: BytesMut,
    ended: bool,
    /// Lines used so far.
    lines: u64,
}

impl Input {
    pub(super) fn new(source: impl AsyncRead + Unpin + 'static) -> Self {
        let buffer = BytesMut::with_capacity(READ_BYTES);
        Self { source: Box::new(source), buffer, ended: false, lines: 0 }
    }

    /// What is there.
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether nothing follows what is there.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Reads more. Dropped, it loses nothing.
    ///
    /// # Errors
    /// The source's, or that a record is too large.
    pub(super) async fn more(&mut self) -> std::io::Result<()> {
        if self.buffer.len() > RECORD_BYTES_MAX {
            return Err(std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                format!("a record is larger than {RECORD_BYTES_MAX} bytes"),
            ));
        }
        self.buffer.reserve(READ_BYTES);
        self.ended = self.source.read_buf(&mut self.buffer).await? == 0;
        Ok(())
    }

    /// Takes the first `used` bytes.
    pub(super) fn take(&mut self, used: usize) -> Bytes {
        let taken = self.buffer.split_to(used).freeze();
        self.lines += memchr::memchr_iter(b'\n', &taken).count() as u64;
        taken
    }

    /// The line (from 1) of the byte `at` in what is there.
    pub(super) fn line(&self, at: usize) -> u64 {
        let before = &self.buffer[..at.min(self.buffer.len())];
        1 + self.lines + memchr::memchr_iter(b'\n', before).count() as u64
    }
}

/// A file read from its beginning. Reads block, as reads of files do.
pub(super) struct FileReader {
    file: Box<dyn DiskFile>,
    at: u64,
}

impl FileReader {
    pub(super) fn new(file: Box<dyn DiskFile>) -> Self {
        Self { file, at: 0 }
    }
}

impl AsyncRead for FileReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = self.file.read_at(buffer.initialize_unfilled(), self.at)?;
        buffer.advance(read);
        self.at += read as u64;
        Poll::Ready(Ok(()))
    }
}
