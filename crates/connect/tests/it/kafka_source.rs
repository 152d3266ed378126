//! The kafka source: positions, start-up modes, metadata, keys, watching and pinning.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use thalweg_connect::ConnectorRegistry;
use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Clock, Env};
use thalweg_core::partition_log::{LogStore, append_durably};
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, NewRecord, control_batch,
};
use thalweg_stream::StreamError;
use thalweg_stream::connector::Connectors;
use thalweg_stream::source::{SourceRef, SplitInfo};

use crate::conformance::{Contents, check_source};
use crate::support::{Produced, World, objects, schema, table, with_metadata};

fn source(world: &World, options: &[(&str, &str)]) -> SourceRef {
    let schema = schema(&[("n", DataType::Int64)]);
    let mut all = vec![("connector", "kafka"), ("format", "json"), ("topic", "in")];
    all.extend(options);
    world.registry.source(&table(&schema, &all), &[0]).unwrap()
}

fn read_all(source: &SourceRef, split: &SplitInfo) -> Contents {
    check_source(&**source, split, 5)
}

#[test]
fn batches_of_every_codec_in_any_pieces() {
    let world = World::new();
    world.log.create_topic("in", 1, &[]).unwrap();
    let mut next = 0;
    for round in 0..40 {
        let values: Vec<String> = (0..1 + round % 7)
            .map(|_| {
                next += 1;
                if next % 11 == 0 { "{oops".to_owned() } else { format!("{{\"n\":{next}}}") }
            })
            .collect();
        let records: Vec<_> = values
            .iter()
            .map(|value| Produced { value: Some(value.as_bytes()), ..Produced::default() })
            .collect();
        world.produce("in", 0, &records, Compression::ALL[round % 5]);
    }
    let source = source(&world, &[]);
    let splits = source.splits().unwrap();
    assert_eq!((splits.len(), &*splits[0].id, splits[0].start, splits[0].end), (1, "0", 0, None));
    let found = read_all(&source, &splits[0]);
    let good: Vec<_> =
        (1..=next).filter(|n| n % 11 != 0).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(found.rows, good);
    let bad: Vec<_> = found.bad.iter().map(|bad| bad.position + 1).collect();
    assert_eq!(bad, (1..=next).filter(|n| n % 11 == 0).collect::<Vec<_>>());
    let oops = Some(&b"{oops"[..]);
    assert!(found.bad.iter().all(|bad| bad.raw.as_deref() == oops && bad.split == "0"));
}

#[test]
fn any_offset_is_a_boundary() {
    let world = World::new();
    world.log.create_topic("in", 1, &[]).unwrap();
    let values: Vec<String> = (0..10).map(|n| format!("{{\"n\":{n}}}")).collect();
    let records = values
        .iter()
        .map(|value| Produced { value: Some(value.as_bytes()), ..Produced::default() });
    world.produce("in", 0, &records.collect::<Vec<_>>(), Compression::Lz4);
    let source = source(&world, &[]);
    let split = source.splits().unwrap().remove(0);
    let mut reader = source.open(&split).unwrap();
    for from in 0..10 {
        for to in from..=10 {
            let mut rows = Vec::new();
            reader
                .read(from, to, 3, &mut |batch| {
                    rows.extend(objects(&batch.rows));
                    Ok(())
                })
                .unwrap();
            assert_eq!(rows, values[from as usize..to as usize], "{from}..{to}");
        }
    }
    assert!(matches!(reader.read(0, 11, 3, &mut |_| Ok(())), Err(StreamError::Incompatible(_))));
}

#[test]
fn markers_and_aborted_records_are_passed_over() {
    let world = World::new();
    world.log.create_topic("in", 1, &[]).unwrap();
    let log = world.log.partition("in", 0).unwrap();
    let put = |batch| append_durably(&*log, batch).unwrap();
    let end = |kind, producer| put(control_batch(kind, producer, 0, 0, 1).unwrap());
    let part = |producer: i64, sequence: i32, n: i32| {
        let builder = BatchBuilder::new(Compression::None);
        let mut batch = builder.producer(producer, 0, sequence).transactional(true);
        let value = format!("{{\"n\":{n}}}");
        batch.push(&NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() }).unwrap();
        put(batch.build().unwrap());
    };
    world.produce_values("in", 0, &["{\"n\":1}"]);
    part(7, 0, 2);
    part(8, 0, 3);
    part(7, 1, -1);
    world.produce_values("in", 0, &["{\"n\":4}"]);
    end(ControlKind::Commit, 8);
    part(8, 1, 5);
    end(ControlKind::Abort, 7);
    part(7, 2, 6);
    end(ControlKind::Commit, 7);
    end(ControlKind::Commit, 8);
    part(9, 0, -2);
    let source = source(&world, &[]);
    let split = source.splits().unwrap().remove(0);
    let rows = [1, 3, 4, 5, 6].map(|n| format!("{{\"n\":{n}}}"));
    assert_eq!(read_all(&source, &split).rows, rows);
}

#[test]
fn start_and_end_follow_the_options() {
    let committed = Arc::new(|group: &str, at: &thalweg_core::ids::TopicPartition| {
        let at_0 = [("g", 2), ("old", -1), ("ahead", 5), ("end", 4)];
        let found = at_0.iter().find(|(name, _)| *name == group && at.partition == 0);
        Ok(found.map(|(_, offset)| *offset))
    });
    let world = World::with(|registry| registry.with_committed(committed));
    world.log.create_topic("in", 2, &[]).unwrap();
    for timestamp in [10, 20, 30, 40] {
        let record = Produced { timestamp, value: Some(b"{}"), ..Produced::default() };
        world.produce("in", 0, &[record], Compression::None);
    }
    let ranges = |options: &[(&str, &str)]| -> Vec<_> {
        let source = source(&world, options);
        assert_eq!(source.is_bounded(), options.iter().any(|(name, _)| name.contains("bounded")));
        source.splits().unwrap().iter().map(|split| (split.start, split.end)).collect()
    };
    let mode = "scan.startup.mode";
    assert_eq!(ranges(&[]), [(0, None), (0, None)]);
    assert_eq!(ranges(&[(mode, "latest-offset")]), [(4, None), (0, None)]);
    assert_eq!(
        ranges(&[(mode, "timestamp"), ("scan.startup.timestamp-millis", "21")]),
        [(2, None), (0, None)]
    );
    assert_eq!(
        ranges(&[
            (mode, "specific-offsets"),
            ("scan.startup.specific-offsets", "partition:0,offset:3"),
        ]),
        [(3, None), (0, None)]
    );
    assert_eq!(ranges(&[("properties.group.id", "g")]), [(2, None), (0, None)]);
    assert_eq!(ranges(&[("scan.bounded.mode", "latest-offset")]), [(0, Some(4)), (0, Some(0))]);
    let group_offsets = |group, reset: Option<&'static str>| {
        let mut options = vec![(mode, "group-offsets"), ("properties.group.id", group)];
        options.extend(reset.map(|reset| ("properties.auto.offset.reset", reset)));
        options
    };
    for (group, reset, start) in [
        ("g", "earliest", 2),
        ("g", "latest", 2),
        ("end", "earliest", 4),
        ("h", "earliest", 0),
        ("h", "latest", 4),
        ("old", "earliest", 0),
        ("old", "latest", 4),
        ("ahead", "earliest", 0),
        ("ahead", "latest", 4),
    ] {
        let found = ranges(&group_offsets(group, Some(reset)));
        assert_eq!(found, [(start, None), (0, None)], "{group} {reset}");
    }
    for (group, reset, says) in [
        ("h", None, "group 'h' has no committed offset for in-0;"),
        ("h", Some("none"), "group 'h' has no committed offset for in-0;"),
        ("ahead", None, "group 'ahead' has committed offset 5 for in-0, which has 0..4;"),
    ] {
        let error = source(&world, &group_offsets(group, reset)).splits().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let nameless = world.registry.validate(&table(
        &schema(&[("n", DataType::Int64)]),
        &[("connector", "kafka"), ("topic", "in"), ("format", "json"), (mode, "group-offsets")],
    ));
    assert!(nameless.unwrap_err().to_string().contains("needs option 'properties.group.id'"));

    let bounded = source(&world, &[("scan.bounded.mode", "latest-offset")]);
    let split = bounded.splits().unwrap().remove(0);
    world.produce_values("in", 0, &["{}"]);
    let available = bounded.open(&split).unwrap().available().unwrap();
    assert_eq!((available.end, available.finished), (4, true));
    assert_eq!(bounded.splits().unwrap()[0], split, "start-up options are looked at once");
}

#[test]
fn topics_and_partitions_that_come_and_go() {
    let world = World::new();
    let source = source(&world, &[("scan.startup.mode", "latest-offset")]);
    let splits = source.splits().unwrap();
    assert_eq!(splits.len(), 1, "a missing topic is created");
    world.log.add_partitions("in", 2).unwrap();
    world.produce_values("in", 1, &["{\"n\":1}"]);
    let splits = source.splits().unwrap();
    assert_eq!((splits.len(), splits[1].start), (2, 0), "nothing of a new partition is left out");
    // Nor of one that came while the job was down.
    world.log.add_partitions("in", 3).unwrap();
    world.produce_values("in", 2, &["{\"n\":1}"]);
    for mode in ["latest-offset", "earliest-offset"] {
        let again = self::source(&world, &[("scan.startup.mode", mode)]);
        splits.iter().for_each(|split| again.known(split));
        let starts: Vec<_> = again.splits().unwrap().iter().map(|split| split.start).collect();
        assert_eq!(starts, [0, 0, 0], "{mode}");
    }
    let new = self::source(&world, &[("scan.startup.mode", "latest-offset")]);
    assert_eq!(new.splits().unwrap()[2].start, 1);
    world.log.delete_topic("in").unwrap();
    world.log.create_topic("in", 2, &[]).unwrap();
    let fresh = self::source(&world, &[]);
    assert!(matches!(fresh.open(&splits[0]), Err(StreamError::Incompatible(_))));
}

/// A job asks for splits again and again; the table says when there may be new ones.
#[test]
fn new_partitions_are_looked_for_as_often_as_the_table_says() {
    const OPTION: &str = "scan.topic-partition-discovery.interval";
    let mut world = World::new();
    let sim = SimEnv::new(1);
    let env = Env { clock: sim.clock.clone(), ..Env::real() };
    world.registry = ConnectorRegistry::new(env, world.log.clone(), Arc::new(|_: &[u8]| {}));
    world.log.create_topic("in", 1, &[]).unwrap();
    let asked = source(&world, &[]);
    let often = source(&world, &[(OPTION, "10 s")]);
    let never = source(&world, &[(OPTION, "0")]);
    let count = |source: &SourceRef| source.splits().unwrap().len();
    assert_eq!((count(&asked), count(&often), count(&never)), (1, 1, 1));
    let now = sim.clock.wall_ms();
    assert_eq!((asked.next_due(now), never.next_due(now)), (None, None));
    assert_eq!(often.next_due(now), Some(now + 10_000));
    world.log.add_partitions("in", 2).unwrap();
    sim.clock.advance(Duration::from_millis(9_999));
    assert_eq!((count(&asked), count(&often), count(&never)), (2, 1, 1));
    sim.clock.advance(Duration::from_millis(1));
    assert_eq!((count(&asked), count(&often), count(&never)), (2, 2, 1));
    assert_eq!(often.next_due(now), Some(now + 20_000));
    // A new start is another look.
    assert_eq!(count(&source(&world, &[(OPTION, "0")])), 2);
}

#[test]
fn metadata_keys_and_tombstones() {
    let world = World::new();
    world.log.create_topic("in", 3, &[]).unwrap();
    let headers: [(&str, Option<&[u8]>); 2] = [("trace", Some(b"\x00\xff")), ("none", None)];
    let record =
        |key, value| Produced { timestamp: 1_700_000_000_123, key, value, headers: &headers };
    let records = [
        record(Some(&b"{\"id\":7}"[..]), Some(&b"{\"n\":1}"[..])),
        record(Some(b"{\"id\":8}"), None),
        record(Some(b"{\"id\":\"x\"}"), Some(b"{\"n\":3}")),
        record(None, Some(b"{\"n\":4}")),
        record(Some(b"{\"id\":9}"), Some(b"{\"n\":5}")),
    ];
    world.produce("in", 2, &records, Compression::None);
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = with_metadata(
        &[("k_id", DataType::Int64), ("n", DataType::Int64)],
        &[
            ("at", "timestamp", time),
            ("part", "partition", DataType::Int32),
            ("off", "offset", DataType::Int64),
            ("key", "key", DataType::Utf8),
            ("topic", "topic", DataType::Utf8),
            ("kind", "timestamp-type", DataType::Utf8),
        ],
    );
    let options = [
        ("connector", "kafka"),
        ("topic", "in"),
        ("value.format", "json"),
        ("key.format", "json"),
        ("key.fields", "k_id"),
        ("key.fields-prefix", "k_"),
        ("value.fields-include", "EXCEPT_KEY"),
    ];
    let table = table(&schema, &options);
    world.registry.validate(&table).unwrap();
    let columns = [7, 6, 5, 4, 3, 2, 1, 0];
    let source = world.registry.source(&table, &columns).unwrap();
    let split = source.splits().unwrap().remove(2);
    let found = read_all(&source, &split);
    let row = |id: i64, n: i64, offset: i64| {
        format!(
            "{{\"kind\":\"CreateTime\",\"topic\":\"in\",\"key\":\"{{\\\"id\\\":{id}}}\",\
             \"off\":{offset},\"part\":2,\"at\":\"2023-11-14 22:13:20.123Z\",\"n\":{n},\"k_id\":{id}}}"
        )
    };
    assert_eq!(found.rows, [row(7, 1, 0), row(9, 5, 4)]);
    let reasons: Vec<_> = found.bad.iter().map(|bad| (bad.position, &*bad.reason)).collect();
    assert_eq!(
        reasons,
        [
            (1, "the record has no value (a tombstone)"),
            (2, "key: field 'id': 'x' is not of type BIGINT (byte 6)"),
            (3, "key: the record has no value (a tombstone)"),
        ]
    );
    assert_eq!(found.bad[0].key.as_deref(), Some(&b"{\"id\":8}"[..]));
    assert_eq!(found.bad[0].raw, None);
    assert_eq!(found.bad[1].raw.as_deref(), Some(&b"{\"n\":3}"[..]));
    let kept = headers.map(|(name, value)| (Bytes::from(name), value.map(Bytes::from)));
    assert!(found.bad.iter().all(|bad| bad.headers == kept));

    let error = with_metadata(&[], &[("x", "partition", DataType::Utf8)]);
    let error = world.registry.validate(&self::table(&error, &options[..3])).unwrap_err();
    assert!(error.to_string().contains("must be of type INT, not STRING"), "{error}");
}

#[test]
fn raw_values_may_be_null() {
    let world = World::new();
    world.log.create_topic("in", 1, &[]).unwrap();
    let records = [Produced { value: Some(b"a"), ..Produced::default() }, Produced::default()];
    world.produce("in", 0, &records, Compression::None);
    let schema = schema(&[("v", DataType::Utf8)]);
    let table = table(&schema, &[("connector", "kafka"), ("format", "raw"), ("topic", "in")]);
    let source = world.registry.source(&table, &[0]).unwrap();
    let split = source.splits().unwrap().remove(0);
    assert_eq!(read_all(&source, &split).rows, ["{\"v\":\"a\"}", "{\"v\":null}"]);
}

#[test]
fn watching_pinning_and_publishing_positions() {
    let published = Arc::new(Mutex::new(Vec::new()));
    let sink = published.clone();
    let world = World::with(|registry| {
        registry.with_positions(Arc::new(move |group, positions| {
            sink.lock().unwrap().push((group.to_owned(), positions.to_vec()));
        }))
    });
    world.log.create_topic("in", 2, &[]).unwrap();
    let source = source(&world, &[]);
    let splits = source.splits().unwrap();
    let (sender, calls) = sync_channel(1);
    let watch = source.watch(Arc::new(move || {
        let _ = sender.try_send(());
    }));
    world.produce_values("in", 1, &["{}"]);
    calls.recv_timeout(Duration::from_secs(30)).unwrap();
    // Once it is found, a partition that came later calls, too.
    world.log.add_partitions("in", 3).unwrap();
    assert_eq!(source.splits().unwrap().len(), 3);
    while calls.try_recv().is_ok() {}
    world.produce_values("in", 2, &["{}"]);
    calls.recv_timeout(Duration::from_secs(30)).unwrap();
    drop(watch);
    // The waker is gone with its registration, and the channel with it.
    assert!(calls.iter().count() <= 1);
    world.produce_values("in", 1, &["{}"]);
    source.pin(&splits[1], "job", Some(1));
    source.pin(&splits[1], "job", None);
    source.publish_positions("job", &[("1".to_owned(), 2)]);
    let published = published.lock().unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].0, "job");
    assert_eq!((published[0].1[0].0.to_string(), published[0].1[0].1), ("in-1".to_owned(), 2));
    assert_eq!(world.log.partition("in", 1).unwrap().offsets().end, 2);
}
