//! Settings as Kafka clients see them: names, values, where these come from, and what
//! they mean.

mod alter;
mod alterable;
mod broker;
mod dynamic;
mod group;
mod record;
mod topic;

use thalweg_log::topic_config::ConfigType;

pub(crate) use alter::{Alterations, Change, Op, Subject, altered, replaced};
pub(crate) use alterable::{
    MAX_CONNECTIONS, MAX_CONNECTIONS_PER_IP, check_broker, number, topic_defaults,
};
pub(crate) use broker::{of_all_brokers, of_broker, overridden};
pub(crate) use dynamic::{DynamicConfigs, RESOURCES_MAX, Resource, Settings, TEXT_BYTES_MAX};
pub(crate) use group::{check as check_group, effect as effect_on_group, of_group};
pub(crate) use topic::{check, max_message_bytes, of_topic};

/// Where a value comes from, in Kafka's codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub(crate) enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set on this broker while it ran.
    DynamicBroker = 2,
    /// Set for all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// Set when the server was started.
    StaticBroker = 4,
    /// Built in.
    Default = 5,
    /// Set on the group.
    Group = 8,
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
#[derive(Clone, Debug)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: Source,
}

impl Setting {
    /// A setting that can be altered and has the value of the first synonym. `None` where
    /// there is no synonym.
    fn of_synonyms(
        name: &'static str,
        kind: ConfigType,
        documentation: &'static str,
        synonyms: Vec<Synonym>,
    ) -> Option<Self> {
        let Synonym { value, source, .. } = synonyms.first()?.clone();
        Some(Self { name, value, source, kind, read_only: false, documentation, synonyms })
    }

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
