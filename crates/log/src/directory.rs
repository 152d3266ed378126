//! The data directory: whose it is, in which format, and that nobody else uses it.

use std::io;
use std::path::Path;

use thalweg_core::env::{DiskLock, Env, read_file, replace_file};

use crate::catalog;
use crate::format::{self, Fields, FormatError, Magic};

const FORMAT_NAME: &str = "FORMAT";
const LOCK_NAME: &str = "LOCK";
const MAGIC: Magic = *b"thwl-log";
const CLEAN_NAME: &str = "CLEAN";
const CLEAN_MAGIC: Magic = *b"thwl-cln";
const MAX_FORMAT_BYTES: u64 = 4096;

/// A directory taken.
pub(crate) struct Claim {
    /// Keeps others out.
    pub(crate) lock: Box<dyn DiskLock>,
    /// Whether the last process closed the log: then what is read is durable.
    pub(crate) clean: bool,
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
    match read_file(&*env.disk, &path, MAX_FORMAT_BYTES) {
        Ok(bytes) => check(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let entries = env.disk.list(root).map_err(io)?;
            // What a first start that was cut short leaves.
            let own = |name: &str| {
                name == LOCK_NAME || name == catalog::FILE_NAME || name.ends_with(".tmp")
            };
            if let Some(other) = entries.iter().find(|entry| !own(&entry.name) || entry.is_dir) {
                return Err(format!(
                    "the directory holds '{}' and no {FORMAT_NAME} file: it is not a log of ours",
                    other.name
                ));
            }
            replace_file(&*env.disk, &path, &contents(env)).map_err(io)?;
        }
        Err(error) => return Err(error.to_string()),
    }
    let clean = take_clean(env, root).map_err(io)?;
    Ok(Claim { lock, clean })
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

fn contents(env: &Env) -> Vec<u8> {
    let mut payload = Vec::with_capacity(24);
    payload.extend_from_slice(&env.random.next_u128().to_be_bytes());
    payload.extend_from_slice(&env.clock.wall_ms().to_be_bytes());
    format::seal(&MAGIC, &payload)
}

fn check(bytes: &[u8]) -> Result<(), String> {
    let payload = format::open(&MAGIC, bytes).and_then(|payload| {
        let mut fields = Fields(payload);
        fields.u128()?; // Id of the directory.
        fields.i64()?; // When it was made.
        fields.end()
    });
    payload.map_err(|error| match error {
        FormatError::Newer { .. } => {
            format!("the directory was written by a newer program: {error}")
        }
        other => format!("the {FORMAT_NAME} file is not valid: {other}"),
    })
}
