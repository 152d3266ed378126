//! How a node is opened, and how results are printed.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_core::authorizer::{AllowAll, Authorizer};
use thalweg_core::env::Env;

/// Where lines of `print` and of top-level queries go.
pub(super) type Stdout = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// How to open a node.
#[derive(Clone)]
pub struct NodeOptions {
    /// Time, randomness, disk, threads.
    pub env: Env,
    /// Where everything is kept; `None` takes a temporary directory and removes it.
    pub data_dir: Option<PathBuf>,
    /// Parallelism of jobs that do not set it.
    pub parallelism: usize,
    /// Free bytes below which appends are refused.
    pub reserve_bytes: u64,
    /// How often the log looks for old segments once the node is open; in whole seconds.
    pub retention_check_ms: u64,
    /// Standard output.
    pub stdout: Stdout,
    /// Who may do what at the doors.
    pub authorizer: Arc<dyn Authorizer>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            env: Env::real(),
            data_dir: None,
            parallelism: 1,
            reserve_bytes: 64 << 20,
            retention_check_ms: 30_000,
            authorizer: Arc::new(AllowAll),
            stdout: Arc::new(|bytes| {
                let mut out = std::io::stdout().lock();
                if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
                    // Whoever read it has gone, as `head` does: nothing more to do.
                    std::process::exit(0);
                }
            }),
        }
    }
}

impl std::fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeOptions")
            .field("data_dir", &self.data_dir)
            .field("parallelism", &self.parallelism)
            .finish_non_exhaustive()
    }
}

/// How the rows of a top-level query are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResultMode {
    /// One change a line, in Flink's form.
    #[default]
    Changelog,
    /// Aligned columns, once the result is complete.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
}
