//! Writes the snapshot that tests/fixtures holds of the current format, into the
//! directory that is named.

#[allow(clippy::unwrap_used, unreachable_pub, reason = "shared with the tests")]
#[path = "../tests/it/helpers.rs"]
mod helpers;

use thalweg_core::env::Env;
use thalweg_core::ids::Epoch;
use thalweg_state::{SnapshotStore, StateError};

fn main() -> Result<(), StateError> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "fixture".into());
    let mut writer =
        SnapshotStore::new(Env::real(), directory).begin(Epoch(42), b"fixture of format 1")?;
    writer.add("operator-1", 0, "groups", &helpers::batch(1, 12))?;
    writer.add("operator-1", 1, "groups", &helpers::batch(2, 3))?;
    writer.finish()?;
    Ok(())
}
