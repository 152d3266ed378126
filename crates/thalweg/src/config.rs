//! Settings: one TOML file, every key optional; `THALWEG__SECTION__KEY` in the environment
//! wins over the file, the command line over both. Unknown keys are errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thalweg_core::env::{Env, read_file};

/// Largest settings file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Prefix of environment variables that set something.
const VARIABLE_PREFIX: &str = "THALWEG__";

/// All settings.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Doors and data directory.
    pub server: ServerConfig,
    /// The Kafka door.
    pub kafka: KafkaConfig,
    /// The log.
    pub log: LogConfig,
    /// Jobs.
    pub jobs: JobsConfig,
}

/// Doors and data directory.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Address of the Kafka door.
    pub kafka: String,
    /// Host and port that Kafka clients are told; empty for the address itself.
    pub advertise: String,
    /// Address of the PostgreSQL door.
    pub sql: String,
    /// Address of the HTTP door.
    pub http: String,
    /// Allow addresses that other machines reach, without TLS and authentication.
    pub insecure_public: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./thalweg-data"),
            kafka: "127.0.0.1:9092".to_owned(),
            advertise: String::new(),
            sql: "127.0.0.1:6875".to_owned(),
            http: "127.0.0.1:8081".to_owned(),
            insecure_public: false,
        }
    }
}

/// The Kafka door.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Create a topic when a client first names it.
    pub auto_create_topics: bool,
    /// Partitions of a topic that is created so.
    pub default_partitions: i32,
    /// Connections at a time (`max.connections`).
    pub max_connections: usize,
    /// Connections of one address at a time (`max.connections.per.ip`).
    pub max_connections_per_ip: usize,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            auto_create_topics: true,
            default_partitions: 1,
            max_connections: 400,
            max_connections_per_ip: usize::MAX,
        }
    }
}

/// The log.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Produce is refused, to be tried again, while less than this is free on the disk. Half
    /// of it is for offsets of groups, transactions and journals of jobs.
    pub reserve_bytes: u64,
    /// How often old segments are looked for, in milliseconds.
    pub retention_check_ms: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { reserve_bytes: 64 << 20, retention_check_ms: 30_000 }
    }
}

/// Jobs.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Parallelism of a job that does not set `parallelism.default`.
    pub parallelism: usize,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self { parallelism: 1 }
    }
}

impl Config {
    /// Reads the file, if one is named, and lays the environment over it.
    ///
    /// # Errors
    /// A file that cannot be read, a key that does not exist, a value of the wrong type.
    pub fn load(env: &Env, file: Option<&Path>) -> anyhow::Result<Self> {
        let text = match file {
            None => String::new(),
            Some(path) => {
                let bytes = read_file(env.disk.as_ref(), path, FILE_BYTES_MAX)
                    .map_err(|error| anyhow::anyhow!("settings {}: {error}", path.display()))?;
                String::from_utf8(bytes)
                    .map_err(|_| anyhow::anyhow!("settings {}: not UTF-8", path.display()))?
            }
        };
        let variables = std::env::vars().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX));
        Self::parse(&text, variables.collect())
    }

    fn parse(text: &str, variables: BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut table: toml::Table =
            text.parse().map_err(|error| anyhow::anyhow!("settings: {error}"))?;
        for (name, value) in variables {
            let path = name[VARIABLE_PREFIX.len()..].to_lowercase();
            let Some((section, key)) = path.split_once("__") else {
                anyhow::bail!("{name}: expected {VARIABLE_PREFIX}SECTION__KEY");
            };
            let section = table
                .entry(section)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .ok_or_else(|| anyhow::anyhow!("{name}: '{section}' is not a section"))?;
            section.insert(key.to_owned(), variable_value(&value));
        }
        toml::Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| anyhow::anyhow!("settings: {}", error.message()))
    }
}

/// A variable's text as the TOML value that it looks like.
fn variable_value(text: &str) -> toml::Value {
    if let Ok(number) = text.parse::<i64>() {
        toml::Value::Integer(number)
    } else if let Ok(boolean) = text.parse::<bool>() {
        toml::Value::Boolean(boolean)
    } else {
        toml::Value::String(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::parse(text, variables.collect())
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = parse(
            "[kafka]\ndefault_partitions = 3\nauto_create_topics = false\n",
            &[("THALWEG__KAFKA__DEFAULT_PARTITIONS", "5"), ("THALWEG__SERVER__SQL", "127.0.0.1:0")],
        )
        .expect("config");
        assert_eq!(config.kafka.default_partitions, 5);
        assert!(!config.kafka.auto_create_topics);
        assert_eq!(config.server.sql, "127.0.0.1:0");
        assert_eq!(config.server.kafka, "127.0.0.1:9092");
    }

    #[test]
    fn unknown_keys_are_errors_that_name_the_known_ones() {
        let error = parse("[kafka]\ndefault_partition = 3\n", &[]).expect_err("error").to_string();
        assert!(
            error.contains("default_partition") && error.contains("default_partitions"),
            "{error}"
        );
        assert!(parse("", &[("THALWEG__KAFKA", "1")]).is_err());
    }
}
