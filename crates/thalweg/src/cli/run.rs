//! `thalweg run`: the statements of a file in one process, opening no port.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use thalweg_core::env::{Env, read_file};

use super::{Failure, shutdown};
use crate::node::{Node, NodeOptions, ResultMode, Script};

/// Largest script that is read.
const SCRIPT_BYTES_MAX: u64 = 16 << 20;

#[derive(Args)]
pub(crate) struct Options {
    /// SQL file; - for stdin
    file: String,
    /// Parallelism of jobs that do not set it
    #[arg(short, long, default_value_t = 1)]
    parallelism: usize,
    /// Keep the log and the jobs' state here instead of in a temporary directory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Sets an option, or a ${NAME} of the script
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// How the rows of a top-level SELECT are printed
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Print one JSON object a job on stderr at the end
    #[arg(long, value_enum)]
    stats: Option<Stats>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Mode {
    /// One change a line: +I[..], -U[..], +U[..], -D[..]
    #[default]
    Changelog,
    /// Aligned columns, once the result is complete
    Table,
    /// One JSON object a line
    Json,
    /// Comma-separated values with a header
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Stats {
    Json,
}

impl From<Mode> for ResultMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Changelog => Self::Changelog,
            Mode::Table => Self::Table,
            Mode::Json => Self::Json,
            Mode::Csv => Self::Csv,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let script = read_script(&options.file)?;
    let mut settings = Vec::new();
    for setting in &options.settings {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("'{setting}' is not KEY=VALUE")))?;
        settings.push((key.to_owned(), value.to_owned()));
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let node = Node::open(NodeOptions {
            data_dir: options.data_dir.clone(),
            parallelism: options.parallelism.max(1),
            ..NodeOptions::default()
        })?;
        let mut running = Script::new(&node, settings, options.mode.into());
        let result = tokio::select! {
            result = execute(&node, &mut running, &script) => result,
            stop = shutdown::requested() => stop.map_err(Failure::from),
        };
        let jobs = tokio::task::block_in_place(|| node.stop());
        let result = result.and_then(|()| running.print_results());
        if options.stats == Some(Stats::Json) {
            for job in &jobs {
                eprintln!("{}", job.stats_json());
            }
        }
        result
    })
}

async fn execute(node: &Node, running: &mut Script, script: &str) -> Result<(), Failure> {
    running.run(script).await?;
    node.wait_for_jobs().await
}

/// Reads a script from a file or, for `-`, from stdin.
pub(crate) fn read_script(file: &str) -> Result<String, Failure> {
    if file == "-" {
        return Ok(std::io::read_to_string(std::io::stdin())?);
    }
    let env = Env::real();
    let bytes = read_file(env.disk.as_ref(), file.as_ref(), SCRIPT_BYTES_MAX)
        .map_err(|error| Failure::Usage(format!("cannot read '{file}': {error}")))?;
    String::from_utf8(bytes).map_err(|_| Failure::Usage(format!("'{file}' is not UTF-8")))
}
