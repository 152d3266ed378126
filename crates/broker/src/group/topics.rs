//! The topics there are, as the coordinator sees them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thalweg_core::ids::TopicId;
use thalweg_core::partition_log::TopicMeta;

use super::partitions::Partitions;

/// A topic that can be assigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) partitions: i32,
}

/// All topics at some time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TopicsImage {
    by_name: BTreeMap<String, Topic>,
    names: HashMap<TopicId, String>,
}

impl TopicsImage {
    pub(crate) fn new(topics: &[TopicMeta]) -> Self {
        let mut image = Self::default();
        for meta in topics {
            image.add(&meta.name, Topic { id: meta.id, partitions: meta.partitions });
        }
        image
    }

    /// Adds a topic, or changes one.
    pub(crate) fn add(&mut self, name: &str, topic: Topic) {
        if let Some(former) = self.by_name.insert(name.to_owned(), topic) {
            self.names.remove(&former.id);
        }
        self.names.insert(topic.id, name.to_owned());
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Topic> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn name(&self, id: TopicId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Partitions by topic id; topics that are not there are left out.
    pub(crate) fn ids_of(&self, topics: &[(String, Vec<i32>)]) -> Partitions {
        let mut ids = Partitions::default();
        for (name, partitions) in topics {
            if let Some(topic) = self.topic(name) {
                ids.extend(partitions.iter().map(|partition| (topic.id, *partition)));
            }
        }
        ids
    }

    /// Partitions by topic name; topics that are not there are left out.
    pub(crate) fn names_of(&self, partitions: &Partitions) -> BTreeMap<String, BTreeSet<i32>> {
        let named =
            |(id, all): (TopicId, &BTreeSet<i32>)| Some((self.name(id)?.into(), all.clone()));
        partitions.topics().filter_map(named).collect()
    }

    /// Changes whenever one of these topics comes, goes, is made anew or gets partitions.
    /// FNV-1a, 64 bits; 0 is kept for "not known".
    pub(crate) fn hash_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> i64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for name in names {
            if let Some(topic) = self.topic(name) {
                take(name.as_bytes());
                take(&[0xff]);
                take(&topic.id.0.to_be_bytes());
                take(&topic.partitions.to_be_bytes());
            }
        }
        if hash == 0 { 1 } else { hash as i64 }
    }
}
