//! The data directory: whose it is, in which format, and that nobody else uses it.
//!
//! A lock of the operating system keeps other processes out. Where it does not (some
//! network file systems), the *incarnation* does: FORMAT counts the openings, and a
//! process that finds another count than its own there has lost the directory.

use std::io;
use std::path::Path;

use thalweg_core::env::{DiskLock, Env, read_file, replace_file};
use thalweg_core::time::Millis;

use crate::catalog;
use crate::format::{self, Fields, FormatError, Magic};
use crate::shared::is_storage_full;

const FORMAT_NAME: &str = "FORMAT";
const LOCK_NAME: &str = "LOCK";
const MAGIC: Magic = *b"thwl-log";
const CLEAN_NAME: &str = "CLEAN";
const CLEAN_MAGIC: Magic = *b"thwl-cln";
const MAX_FORMAT_BYTES: u64 = 4096;
/// Version 1 did not count openings.
const VERSION: u16 = 2;

/// A directory taken.
pub(crate) struct Claim {
    /// Keeps others out.
    pub(crate) lock: Box<dyn DiskLock>,
    /// Whether the last process closed the log: then what is read is durable.
    pub(crate) clean: bool,
    /// How often the directory was opened, this time included.
    pub(crate) incarnation: u64,
}

/// What the FORMAT file says.
struct Format {
    /// Id of the directory.
    id: u128,
    /// When it was made.
    created_at: Millis,
    incarnation: u64,
}

impl Format {
    fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(32);
        payload.extend_from_slice(&self.id.to_be_bytes());
        payload.extend_from_slice(&self.created_at.to_be_bytes());
        payload.extend_from_slice(&self.incarnation.to_be_bytes());
        format::seal_version(&MAGIC, VERSION, &payload)
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let (version, payload) = format::open_version(&MAGIC, VERSION, bytes)?;
        let mut fields = Fields(payload);
        let (id, created_at) = (fields.u128()?, fields.i64()?);
        let incarnation = if version >= 2 { fields.u64()? } else { 0 };
        fields.end()?;
        Ok(Self { id, created_at, incarnation })
    }
}

/// Takes the directory: locks it and checks its format, or makes it where it is missing
/// or empty. The error is one line for the user.
pub(crate) fn claim(env: &Env, root: &Path) -> Result<Claim, String> {
    let io = |error: io::Error| error.to_string();
    env.disk.create_dir_all(root).map_err(io)?;
    if let Some(parent) = root.parent() {
        env.disk.sync_dir(parent).map_err(io)?; // Perhaps made by a process that ended before.
    }
    let lock = env.disk.lock(&root.join(LOCK_NAME)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => "the directory is in use by another process".to_owned(),
        _ => error.to_string(),
    })?;
    let path = root.join(FORMAT_NAME);
    let format = match read_file(&*env.disk, &path, MAX_FORMAT_BYTES) {
        Ok(bytes) => Format::decode(&bytes).map_err(refusal)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            check_is_new(env, root)?;
            let (id, created_at) = (env.random.next_u128(), env.clock.wall_ms());
            Format { id, created_at, incarnation: 0 }
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut incarnation = format.incarnation + 1;
    match replace_file(&*env.disk, &path, &Format { incarnation, ..format }.encode()) {
        // A full disk must open, to be read and made room on; the lock is held all the same.
        Err(error) if is_storage_full(&error) && format.incarnation > 0 => {
            tracing::warn!(%error, "no space to count this opening of the log");
            incarnation = format.incarnation;
        }
        written => written.map_err(io)?,
    }
    let clean = take_clean(env, root).map_err(io)?;
    Ok(Claim { lock, clean, incarnation })
}

/// Whether the log was closed; it counts as open from now on.
fn take_clean(env: &Env, root: &Path) -> io::Result<bool> {
    let path = root.join(CLEAN_NAME);
    let clean = match read_file(&*env.disk, &path, MAX_FORMAT_BYTES) {
        Ok(bytes) => format::open(&CLEAN_MAGIC, &bytes).is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(_) => false,
    };
    env.disk.remove_file(&path)?;
    env.disk.sync_dir(root)?;
    Ok(clean)
}

/// Leaves word that everything is durable.
pub(crate) fn leave_clean(env: &Env, root: &Path) -> io::Result<()> {
    replace_file(&*env.disk, &root.join(CLEAN_NAME), &format::seal(&CLEAN_MAGIC, &[]))
}

/// Whether another process has opened the directory since; `false` where it cannot be
/// read.
pub(crate) fn is_lost(env: &Env, root: &Path, incarnation: u64) -> bool {
    let read = read_file(&*env.disk, &root.join(FORMAT_NAME), MAX_FORMAT_BYTES);
    let format = read.ok().and_then(|bytes| Format::decode(&bytes).ok());
    format.is_some_and(|format| format.incarnation != incarnation)
}

/// A directory without a FORMAT file is empty, or what a first start that was cut short
/// leaves.
fn check_is_new(env: &Env, root: &Path) -> Result<(), String> {
    let entries = env.disk.list(root).map_err(|error| error.to_string())?;
    let own =
        |name: &str| name == LOCK_NAME || name == catalog::FILE_NAME || name.ends_with(".tmp");
    match entries.iter().find(|entry| !own(&entry.name) || entry.is_dir) {
        Some(other) => Err(format!(
            "the directory holds '{}' and no {FORMAT_NAME} file: it is not a log of ours",
            other.name
        )),
        None => Ok(()),
    }
}

fn refusal(error: FormatError) -> String {
    match error {
        FormatError::Newer { .. } => {
            format!("the directory was written by a newer program: {error}")
        }
        other => format!("the {FORMAT_NAME} file is not valid: {other}"),
    }
}
