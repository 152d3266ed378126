//! Files and directories as the environment gives them.
//!
//! The contract is that of a POSIX file system after a power loss, no better: a write
//! is durable only after [`DiskFile::sync_data`], and a created, renamed or removed
//! name only after [`Disk::sync_dir`] of its directory. Closing syncs nothing.

use std::io;
use std::path::{Path, PathBuf};

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// Existing file, for reading only.
    Read,
    /// Existing file, for reading and writing.
    Write,
    /// Reading and writing; created empty where it is missing.
    Create,
    /// Reading and writing; an existing file is an error.
    CreateNew,
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// The name, without its directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// A file system.
///
/// All methods block. Errors are those of the operating system; out of space is
/// [`io::ErrorKind::StorageFull`].
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a directory and its parents; existing ones are fine. The names are
    /// durable once each parent is synced, which this does for those it created.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or directory, replacing a file that has the new name.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// Makes the names of a directory durable.
    ///
    /// # Errors
    /// As the operating system reports them. As with [`DiskFile::sync_data`], an error
    /// must end the process.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Whether the path exists.
    fn exists(&self, path: &Path) -> bool;

    /// Bytes that may still be written below this path.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Size of the file system that holds this path.
    ///
    /// # Errors
    /// As the operating system reports them; [`io::ErrorKind::Unsupported`] where there is
    /// no such size.
    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes an exclusive lock on a file, creating it where it is missing. Held until
    /// the value is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
}

/// An open file. Positions are explicit, so that one handle serves many readers.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buf.len()` bytes; 0 at the end of the file.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf`. After an error any part of it may have been written.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Makes all earlier writes and the length durable (`fdatasync`).
    ///
    /// # Errors
    /// After an error nobody knows what is durable, and a second call may succeed
    /// without having written it (PostgreSQL's fsync lesson): the caller must end the
    /// process and recover from disk.
    fn sync_data(&self) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends (with zeros) the file.
    ///
    /// # Errors
    /// As the operating system reports them.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reads exactly `buf.len()` bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file ends before.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(())
    }
}

/// A held lock; dropping it lets go.
pub trait DiskLock: Send + Sync {}

/// Replaces a file in one step that survives a crash: writes a temporary file beside
/// it, syncs it, renames it over the old one and syncs the directory.
///
/// # Errors
/// As the operating system reports them, but for the last step: after the rename nobody
/// knows which file a crash leaves, and that must not be taken for want of space.
pub fn replace_file(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut temporary = PathBuf::from(path).into_os_string();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_at(contents, 0)?;
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(parent).map_err(|error| io::Error::other(format!("a sync failed: {error}")))
}

/// Reads a whole file that is at most `limit` bytes long.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] where it is longer; else as the operating system
/// reports them.
pub fn read_file(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.len()?;
    if len > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut contents = vec![0; len as usize];
    file.read_exact_at(&mut contents, 0)?;
    Ok(contents)
}
