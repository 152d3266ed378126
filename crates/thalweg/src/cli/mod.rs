//! The command line: what users type. One file or folder a command, listed here.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 error while
//! running, 2 wrong usage or cannot connect, 3 a script stopped on an error, 4 saved
//! state does not fit the query, 130 second Ctrl-C.

mod client;
mod completions;
mod consume;
mod failure;
mod group;
mod job;
mod kafka_error;
mod offsets;
mod output;
mod produce;
mod quickstart;
mod record_format;
mod run;
mod server;
mod shutdown;
mod sql;
mod topic;
mod topic_names;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use failure::Failure;
pub(crate) use output::print_result;

/// Real-time data processing in one binary: a durable Kafka-compatible log, Flink SQL on
/// it, and live views for psql.
#[derive(Parser)]
#[command(name = "thalweg", version, about, max_term_width = 100)]
struct Cli {
    /// More detail on stderr; twice for debugging. RUST_LOG overrides it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the worked example: sensors, alerts and a live view, everything embedded
    Quickstart(quickstart::Options),
    /// Serve the Kafka, PostgreSQL and HTTP doors
    Server(server::Options),
    /// Run the statements of a SQL file in this process, opening no port
    Run(run::Options),
    /// Send SQL to a running server
    Sql(sql::Options),
    /// Create, list, describe, alter, trim and delete topics
    Topic(topic::Options),
    /// Write lines, files or formatted input to a topic
    Produce(produce::Options),
    /// Print the records of topics
    Consume(consume::Options),
    /// List, describe, move and delete consumer groups
    Group(group::Options),
    /// List, show and stop jobs
    Job(job::Options),
    /// Print the completion script of a shell
    Completions(completions::Options),
}

/// Parses the command line, runs the command and gives its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    log_to_stderr(cli.verbose);
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Quickstart(options) => quickstart::run(&options),
        Command::Server(options) => server::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Sql(options) => sql::run(&options),
        Command::Topic(options) => topic::run(&options),
        Command::Produce(options) => produce::run(&options),
        Command::Consume(options) => consume::run(&options),
        Command::Group(options) => group::run(&options),
        Command::Job(options) => job::run(&options),
        Command::Completions(options) => completions::run(&options, &mut Cli::command()),
    }
}

fn log_to_stderr(verbose: u8) {
    use std::io::IsTerminal;
    let default = match verbose {
        0 => "warn,krafka=error",
        1 => "info,krafka=warn",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .try_init();
}
