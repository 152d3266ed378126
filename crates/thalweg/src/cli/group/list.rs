//! `thalweg group list`.

use clap::Args;
use krafka::Kafka;
use krafka::admin::ListConsumerGroupsOptions;

use crate::cli::Failure;
use crate::cli::output::{OutputFormat, print_rows};

#[derive(Args)]
pub(crate) struct Options {
    /// Only groups in these states: Empty, Stable, ...
    #[arg(short, long = "states", value_delimiter = ',', value_name = "STATE")]
    states: Vec<String>,
    /// Only groups of these types: classic, consumer
    #[arg(short, long = "types", value_delimiter = ',', value_name = "TYPE")]
    types: Vec<String>,
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let how = ListConsumerGroupsOptions::default()
        .states(options.states.clone())
        .types(options.types.clone());
    let groups = kafka.admin().list_consumer_groups(how).await?;
    let mut rows = Vec::new();
    for of_broker in groups.into_values() {
        for group in of_broker? {
            let kind = group.group_type.map_or_else(|| "-".to_owned(), |kind| kind.to_string());
            let state = group.state.unwrap_or_default();
            rows.push(vec![group.group_id, state, kind, group.protocol_type]);
        }
    }
    rows.sort();
    Ok(print_rows(options.output, &["GROUP", "STATE", "TYPE", "PROTOCOL"], &rows)?)
}
