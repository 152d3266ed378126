//! Settings as Kafka clients see them: names, values, where these come from, and what
//! they mean.

mod alter;
mod broker;
mod topic;

use thalweg_log::topic_config::ConfigType;

pub(crate) use alter::{Alterations, Change, Op, altered, replaced};
pub(crate) use broker::of_broker;
pub(crate) use topic::{check, max_message_bytes, of_topic};

/// Where a value comes from, in Kafka's codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub(crate) enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set when the server was started.
    StaticBroker = 4,
    /// Built in.
    Default = 5,
}

/// A setting and its value.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: Source,
    kind: ConfigType,
    /// Whether no client can change it.
    pub(crate) read_only: bool,
    pub(crate) documentation: &'static str,
    /// Where the value was looked for, and found, the first one first.
    pub(crate) synonyms: Vec<Synonym>,
}

/// A setting from which the value of another may come.
#[derive(Debug)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: Source,
}

impl Setting {
    /// Type of the value, in Kafka's codes.
    pub(crate) fn kind_code(&self) -> i8 {
        match self.kind {
            ConfigType::Boolean => 1,
            ConfigType::String => 2,
            ConfigType::Int => 3,
            ConfigType::Long => 5,
            ConfigType::Double => 6,
            ConfigType::List => 7,
        }
    }
}
