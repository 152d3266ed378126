//! The shapes of the requests that the broker takes, as far as the guard needs them:
//! what is fixed in size, what carries a length, what repeats, and since when.
//!
//! Source: Kafka's published message definitions (clients/src/main/resources/common/
//! message). A test holds this table against the codec, version by version.

use Kind::{Array, Bytes, Fixed, Optional, Scalars, Str};

/// Shape of a request.
pub(crate) struct Schema {
    /// API key.
    pub(crate) key: i16,
    /// First version with compact lengths and tagged fields.
    pub(crate) flexible_since: i16,
    /// The fields in wire order.
    pub(crate) fields: &'static [Field],
    /// Tagged fields of the request itself that the codec decodes.
    pub(crate) tagged: &'static [Tagged],
}

/// A field and the versions that carry it.
pub(crate) struct Field {
    pub(crate) since: i16,
    pub(crate) until: i16,
    pub(crate) kind: Kind,
}

/// A tagged field that the codec knows.
pub(crate) struct Tagged {
    pub(crate) tag: u32,
    pub(crate) since: i16,
    pub(crate) fields: &'static [Field],
    /// The fields form a structure, which has tagged fields of its own.
    pub(crate) is_struct: bool,
}

/// What a field looks like on the wire.
pub(crate) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A length and text; may be null.
    Str,
    /// A length and bytes; may be null.
    Bytes,
    /// A count and elements of so many bytes each.
    Scalars(usize),
    /// A count and texts.
    Strs,
    /// A count and structures; may be null.
    Array(&'static [Field]),
    /// A byte that says whether there is a structure, and the structure.
    Optional(&'static [Field]),
}

const BOOL: Kind = Fixed(1);
const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const F64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);
const ARRAY_I32: Kind = Scalars(4);
const ARRAY_STR: Kind = Kind::Strs;

/// Topics and partition numbers in requests about transactions.
const TXN_TOPICS: Kind = Array(&[always(Str), always(ARRAY_I32)]);

const LAST: i16 = i16::MAX;

/// In all versions.
const fn always(kind: Kind) -> Field {
    Field { since: 0, until: LAST, kind }
}

/// From this version on.
const fn since(since: i16, kind: Kind) -> Field {
    Field { since, until: LAST, kind }
}

/// From the first to the last of these versions.
const fn between(since: i16, until: i16, kind: Kind) -> Field {
    Field { since, until, kind }
}

const fn plain(key: i16, flexible_since: i16, fields: &'static [Field]) -> Schema {
    Schema { key, flexible_since, fields, tagged: &[] }
}

/// The shape of the requests of an API.
pub(crate) fn schema_of(key: i16) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|schema| schema.key == key)
}

/// All shapes, by API key.
pub(crate) static SCHEMAS: &[Schema] = &[
    // Produce
    plain(
        0,
        9,
        &[
            always(Str),
            always(I16),
            always(I32),
            always(Array(&[always(Str), always(Array(&[always(I32), always(Bytes)]))])),
        ],
    ),
    FETCH,
    // ListOffsets
    plain(
        2,
        6,
        &[
            always(I32),
            since(2, I8),
            always(Array(&[
                always(Str),
                always(Array(&[always(I32), since(4, I32), always(I64)])),
            ])),
        ],
    ),
    // Metadata
    plain(
        3,
        9,
        &[
            always(Array(&[since(10, UUID), always(Str)])),
            since(4, BOOL),
            between(8, 10, BOOL),
            since(8, BOOL),
        ],
    ),
    // OffsetCommit
    plain(
        8,
        8,
        &[
            always(Str),
            always(I32),
            always(Str),
            since(7, Str),
            between(2, 4, I64),
            always(Array(&[
                always(Str),
                always(Array(&[always(I32), always(I64), since(6, I32), always(Str)])),
            ])),
        ],
    ),
    // OffsetFetch
    plain(
        9,
        6,
        &[
            between(1, 7, Str),
            between(1, 7, Array(&[always(Str), always(ARRAY_I32)])),
            since(
                8,
                Array(&[
                    always(Str),
                    since(9, Str),
                    since(9, I32),
                    always(Array(&[always(Str), always(ARRAY_I32)])),
                ]),
            ),
            since(7, BOOL),
        ],
    ),
    // FindCoordinator
    plain(10, 3, &[between(0, 3, Str), since(1, I8), since(4, ARRAY_STR)]),
    // JoinGroup
    plain(
        11,
        6,
        &[
            always(Str),
            always(I32),
            since(1, I32),
            always(Str),
            since(5, Str),
            always(Str),
            always(Array(&[always(Str), always(Bytes)])),
            since(8, Str),
        ],
    ),
    // Heartbeat
    plain(12, 4, &[always(Str), always(I32), always(Str), since(3, Str)]),
    // LeaveGroup
    plain(
        13,
        4,
        &[
            always(Str),
            between(0, 2, Str),
            since(3, Array(&[always(Str), always(Str), since(5, Str)])),
        ],
    ),
    // SyncGroup
    plain(
        14,
        4,
        &[
            always(Str),
            always(I32),
            always(Str),
            since(3, Str),
            since(5, Str),
            since(5, Str),
            always(Array(&[always(Str), always(Bytes)])),
        ],
    ),
    // DescribeGroups
    plain(15, 5, &[always(ARRAY_STR), since(3, BOOL)]),
    // ListGroups
    plain(16, 3, &[since(4, ARRAY_STR), since(5, ARRAY_STR)]),
    // ApiVersions
    plain(18, 3, &[since(3, Str), since(3, Str)]),
    // CreateTopics
    plain(
        19,
        5,
        &[
            always(Array(&[
                always(Str),
                always(I32),
                always(I16),
                always(Array(&[always(I32), always(ARRAY_I32)])),
                always(Array(&[always(Str), always(Str)])),
            ])),
            always(I32),
            always(BOOL),
        ],
    ),
    // DeleteTopics
    plain(
        20,
        4,
        &[since(6, Array(&[always(Str), always(UUID)])), between(1, 5, ARRAY_STR), always(I32)],
    ),
    // DeleteRecords
    plain(
        21,
        2,
        &[always(Array(&[always(Str), always(Array(&[always(I32), always(I64)]))])), always(I32)],
    ),
    // InitProducerId
    plain(22, 2, &[always(Str), always(I32), since(3, I64), since(3, I16)]),
    // OffsetForLeaderEpoch
    plain(
        23,
        4,
        &[
            since(3, I32),
            always(Array(&[always(Str), always(Array(&[always(I32), always(I32), always(I32)]))])),
        ],
    ),
    // AddPartitionsToTxn
    plain(
        24,
        3,
        &[
            since(
                4,
                Array(&[always(Str), always(I64), always(I16), always(BOOL), always(TXN_TOPICS)]),
            ),
            between(0, 3, Str),
            between(0, 3, I64),
            between(0, 3, I16),
            between(0, 3, TXN_TOPICS),
        ],
    ),
    // AddOffsetsToTxn
    plain(25, 3, &[always(Str), always(I64), always(I16), always(Str)]),
    // EndTxn
    plain(26, 3, &[always(Str), always(I64), always(I16), always(BOOL)]),
    // WriteTxnMarkers
    plain(
        27,
        1,
        &[always(Array(&[
            always(I64),
            always(I16),
            always(BOOL),
            always(TXN_TOPICS),
            always(I32),
        ]))],
    ),
    // TxnOffsetCommit
    plain(
        28,
        3,
        &[
            always(Str),
            always(Str),
            always(I64),
            always(I16),
            since(3, I32),
            since(3, Str),
            since(3, Str),
            always(Array(&[
                always(Str),
                always(Array(&[always(I32), always(I64), since(2, I32), always(Str)])),
            ])),
        ],
    ),
    // DescribeConfigs
    plain(
        32,
        4,
        &[
            always(Array(&[always(I8), always(Str), always(ARRAY_STR)])),
            always(BOOL),
            since(3, BOOL),
        ],
    ),
    // AlterConfigs
    plain(
        33,
        2,
        &[
            always(Array(&[always(I8), always(Str), always(Array(&[always(Str), always(Str)]))])),
            always(BOOL),
        ],
    ),
    // DescribeLogDirs
    plain(35, 2, &[always(Array(&[always(Str), always(ARRAY_I32)]))]),
    // CreatePartitions
    plain(
        37,
        2,
        &[
            always(Array(&[always(Str), always(I32), always(Array(&[always(ARRAY_I32)]))])),
            always(I32),
            always(BOOL),
        ],
    ),
    // DeleteGroups
    plain(42, 2, &[always(ARRAY_STR)]),
    // ElectLeaders
    plain(43, 2, &[since(1, I8), always(Array(&[always(Str), always(ARRAY_I32)])), always(I32)]),
    // IncrementalAlterConfigs
    plain(
        44,
        1,
        &[
            always(Array(&[
                always(I8),
                always(Str),
                always(Array(&[always(Str), always(I8), always(Str)])),
            ])),
            always(BOOL),
        ],
    ),
    // AlterPartitionReassignments
    plain(
        45,
        0,
        &[
            always(I32),
            since(1, BOOL),
            always(Array(&[always(Str), always(Array(&[always(I32), always(ARRAY_I32)]))])),
        ],
    ),
    // ListPartitionReassignments
    plain(46, 0, &[always(I32), always(Array(&[always(Str), always(ARRAY_I32)]))]),
    // OffsetDelete
    plain(47, LAST, &[always(Str), always(Array(&[always(Str), always(Array(&[always(I32)]))]))]),
    // DescribeClientQuotas
    plain(48, 1, &[always(Array(&[always(Str), always(I8), always(Str)])), always(BOOL)]),
    // AlterClientQuotas
    plain(
        49,
        1,
        &[
            always(Array(&[
                always(Array(&[always(Str), always(Str)])),
                always(Array(&[always(Str), always(F64), always(BOOL)])),
            ])),
            always(BOOL),
        ],
    ),
    // DescribeCluster
    plain(60, 0, &[always(BOOL), since(1, I8)]),
    // DescribeProducers
    plain(61, 0, &[always(TXN_TOPICS)]),
    // DescribeTransactions
    plain(65, 0, &[always(ARRAY_STR)]),
    // ListTransactions
    plain(66, 0, &[always(ARRAY_STR), always(Scalars(8)), since(1, I64)]),
    // ConsumerGroupHeartbeat
    plain(
        68,
        0,
        &[
            always(Str),
            always(Str),
            always(I32),
            always(Str),
            always(Str),
            always(I32),
            always(ARRAY_STR),
            since(1, Str),
            always(Str),
            always(Array(&[always(UUID), always(ARRAY_I32)])),
        ],
    ),
    // ConsumerGroupDescribe
    plain(69, 0, &[always(ARRAY_STR), always(BOOL)]),
    // ListConfigResources
    plain(74, 0, &[since(1, Scalars(1))]),
    // DescribeTopicPartitions
    plain(
        75,
        0,
        &[
            always(Array(&[always(Str)])),
            always(I32),
            always(Optional(&[always(Str), always(I32)])),
        ],
    ),
];

const FETCH: Schema = Schema {
    key: 1,
    flexible_since: 12,
    fields: &[
        between(4, 14, I32),
        always(I32),
        always(I32),
        always(I32),
        always(I8),
        since(7, I32),
        since(7, I32),
        always(Array(&[
            between(4, 12, Str),
            since(13, UUID),
            always(Array(&[
                always(I32),
                since(9, I32),
                always(I64),
                since(12, I32),
                since(5, I64),
                always(I32),
            ])),
        ])),
        since(7, Array(&[between(7, 12, Str), since(13, UUID), always(ARRAY_I32)])),
        since(11, Str),
    ],
    tagged: &[
        Tagged { tag: 0, since: 12, fields: &[always(Str)], is_struct: false },
        Tagged { tag: 1, since: 15, fields: &[always(I32), always(I64)], is_struct: true },
    ],
};
