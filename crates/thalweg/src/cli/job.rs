//! `thalweg job`: list, show, stop, restart and cancel the jobs of a running server.

use clap::{Args, Subcommand};
use tokio_postgres::SimpleQueryMessage;

use super::Failure;
use super::client::block_on;
use super::output::{OutputFormat, print_rows};
use super::sql::ServerOptions;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List jobs
    List {
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Show where a job stands: splits, watermarks, lag
    Show {
        /// Name or id of the job
        name: String,
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Stop a job after a last snapshot
    Stop {
        /// Name or id of the job
        name: String,
    },
    /// Start a job again that was stopped or that failed; one that runs is stopped first
    Restart {
        /// Name or id of the job
        name: String,
    },
    /// Stop a job for good and delete its state
    Cancel {
        /// Name or id of the job
        name: String,
    },
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (statement, output) = match &options.command {
        Command::List { output } => ("SHOW JOBS".to_owned(), Some(*output)),
        Command::Show { name, output } => (format!("SHOW JOB {}", quoted(name)), Some(*output)),
        Command::Stop { name } => (format!("STOP JOB {}", quoted(name)), None),
        Command::Restart { name } => (format!("RESTART JOB {}", quoted(name)), None),
        Command::Cancel { name } => (format!("CANCEL JOB {}", quoted(name)), None),
    };
    block_on(async {
        let client = options.server.connect().await?;
        let messages =
            client.simple_query(&statement).await.map_err(|error| match error.as_db_error() {
                Some(db) => Failure::Running(db.message().to_owned()),
                None => Failure::running(error),
            })?;
        let mut headings = Vec::new();
        let mut rows = Vec::new();
        for message in &messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    headings = columns.iter().map(|column| column.name().to_uppercase()).collect();
                }
                SimpleQueryMessage::Row(row) => rows.push(
                    (0..row.len())
                        .map(|index| row.get(index).unwrap_or_default().to_owned())
                        .collect::<Vec<_>>(),
                ),
                _ => {}
            }
        }
        match output {
            Some(output) => {
                let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
                print_rows(output, &headings, &rows)?;
            }
            None => eprintln!("done"),
        }
        Ok(())
    })
}

/// A string literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
