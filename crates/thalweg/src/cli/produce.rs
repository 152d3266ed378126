//! `thalweg produce`: the lines of stdin become records.

use std::io::IsTerminal;

use clap::Args;
use krafka::Record;
use tokio::io::AsyncBufReadExt;
use tokio::task::JoinSet;

use super::Failure;
use super::client::{KafkaOptions, block_on};

/// Longest line that is read; longer ones are an error, not a crash.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Records whose acknowledgement is awaited at the same time.
const IN_FLIGHT_MAX: usize = 10_000;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    kafka: KafkaOptions,
    /// Topic to write to; created by the server where it is missing
    topic: String,
    /// Key of every record
    #[arg(short, long, conflicts_with = "key_delimiter")]
    key: Option<String>,
    /// Splits each line into key and value
    #[arg(short = 'K', long, value_name = "TEXT")]
    key_delimiter: Option<String>,
    /// Partition to write to
    #[arg(short, long)]
    partition: Option<i32>,
    /// A header of every record
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE")]
    headers: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    block_on(produce(options))
}

async fn produce(options: &Options) -> Result<(), Failure> {
    let kafka = options.kafka.connect().await?;
    let producer = kafka.producer().build().await.map_err(Failure::running)?;
    if std::io::stdin().is_terminal() {
        eprintln!("one record a line; end with Ctrl-D");
    }
    let mut input = tokio::io::BufReader::with_capacity(1 << 16, tokio::io::stdin());
    let mut acknowledgements = JoinSet::new();
    let mut count = 0u64;
    let mut line = Vec::new();
    while read_line(&mut input, &mut line).await? {
        let record = record(options, &line)?;
        let acknowledgement = producer.enqueue(record).await.map_err(Failure::running)?;
        acknowledgements.spawn(async move { acknowledgement.await.map(|_| ()) });
        if acknowledgements.len() >= IN_FLIGHT_MAX {
            count += wait_for_one(&mut acknowledgements).await?;
        }
    }
    while !acknowledgements.is_empty() {
        count += wait_for_one(&mut acknowledgements).await?;
    }
    producer.close().await.map_err(Failure::running)?;
    eprintln!("{count} records written to '{}' and synced", options.topic);
    Ok(())
}

async fn wait_for_one(
    acknowledgements: &mut JoinSet<krafka::error::Result<()>>,
) -> Result<u64, Failure> {
    match acknowledgements.join_next().await {
        None => Ok(0),
        Some(Ok(outcome)) => outcome.map(|()| 1).map_err(Failure::running),
        Some(Err(error)) => Err(Failure::running(error)),
    }
}

async fn read_line(
    input: &mut (impl tokio::io::AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> Result<bool, Failure> {
    line.clear();
    loop {
        let available = input.fill_buf().await?;
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let newline = available.iter().position(|byte| *byte == b'\n');
        let taken = newline.unwrap_or(available.len());
        if line.len() + taken > LINE_BYTES_MAX {
            return Err(Failure::Running(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
        }
        line.extend_from_slice(&available[..taken]);
        input.consume(taken + usize::from(newline.is_some()));
        if newline.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
}

fn record(options: &Options, line: &[u8]) -> Result<Record, Failure> {
    let (key, value) = match &options.key_delimiter {
        None => (options.key.as_ref().map(|key| key.as_bytes().to_vec()), line),
        Some(delimiter) => {
            let delimiter = delimiter.as_bytes();
            let at = line.windows(delimiter.len().max(1)).position(|window| window == delimiter);
            match at {
                Some(at) => (Some(line[..at].to_vec()), &line[at + delimiter.len()..]),
                None => {
                    return Err(Failure::Running(format!(
                        "no key delimiter in line '{}'",
                        String::from_utf8_lossy(line)
                    )));
                }
            }
        }
    };
    let mut record = Record::new(&options.topic, value.to_vec());
    if let Some(key) = key {
        record = record.key(key);
    }
    if let Some(partition) = options.partition {
        record = record.partition(partition);
    }
    for header in &options.headers {
        let (key, value) = header
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("'{header}' is not KEY=VALUE")))?;
        record = record.header(key, value.as_bytes().to_vec());
    }
    Ok(record)
}
