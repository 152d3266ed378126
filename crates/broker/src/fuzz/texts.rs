//! What the texts of each request are names of, in the order in which they stand in its
//! shape, so that handlers get beyond "unknown topic".

use Text::{Any, Config, Entity, Group, Instance, Kind, Member, Protocol, Regex, Topic, Tx, Value};

/// What a text is a name of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Text {
    Topic,
    Group,
    Member,
    Instance,
    /// Type of a classic group.
    Kind,
    Protocol,
    Tx,
    Config,
    Value,
    Entity,
    Regex,
    Any,
}

/// The texts of an API's requests.
pub(super) fn of(key: i16) -> &'static [Text] {
    match key {
        0 => &[Tx, Topic],
        1 => &[Topic, Topic, Any],
        8 => &[Group, Member, Instance, Topic, Any],
        9 => &[Group, Topic, Group, Member, Topic],
        10 => &[Group, Group],
        11 => &[Group, Member, Instance, Kind, Protocol, Any],
        12 => &[Group, Member, Instance],
        13 => &[Group, Member, Member, Instance, Any],
        14 => &[Group, Member, Instance, Kind, Protocol, Member],
        15 | 42 | 69 => &[Group],
        19 | 32 | 33 | 44 => &[Topic, Config, Value],
        2 | 3 | 20 | 21 | 23 | 27 | 35 | 37 | 43 | 45 | 46 | 61 | 75 => &[Topic, Topic],
        22 | 26 | 65 => &[Tx],
        24 => &[Tx, Topic, Tx, Topic],
        25 => &[Tx, Group],
        28 => &[Tx, Group, Member, Instance, Topic, Any],
        47 => &[Group, Topic],
        48 | 49 => &[Entity, Any, Config],
        68 => &[Group, Member, Instance, Any, Topic, Regex, Protocol],
        _ => &[],
    }
}

impl Text {
    /// Texts that mean something.
    pub(super) fn known(self) -> &'static [&'static str] {
        match self {
            Topic => &["plain", "plain", "compacted", "new", "__consumer_offsets", "bad name", ""],
            Group => &["classic", "classic", "consumers", "consumers", "empty", "new", ""],
            Member => &["", "m", "m", "n", "member"],
            Instance => &["instance", "instance", "other"],
            Kind => &["consumer", "consumer", "connect", ""],
            Protocol => &["range", "range", "uniform", "cooperative-sticky", "x"],
            Tx => &["tx", "tx", "tx-2", ""],
            Config => &[
                "cleanup.policy",
                "retention.ms",
                "segment.bytes",
                "max.message.bytes",
                "compression.type",
                "message.timestamp.type",
                "min.insync.replicas",
                "producer_byte_rate",
                "request_percentage",
                "unknown",
            ],
            Value => &["compact", "delete", "-1", "0", "1", "9223372036854775807", "lz4", "x", ""],
            Entity => &["user", "client-id", "ip", "x"],
            Regex => &["pl.*", ".*", "(", "(a{1000}){1000}", ""],
            Any => &["a", "range", "classic", "Stable", "Ongoing", "1"],
        }
    }
}
