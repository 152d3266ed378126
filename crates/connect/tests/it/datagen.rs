//! The datagen source.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{DataType, TimeUnit};
use thalweg_connect::ConnectorRegistry;
use thalweg_core::env::Clock;
use thalweg_core::env::sim::SimEnv;
use thalweg_stream::connector::Connectors;
use thalweg_stream::source::SourceRef;

use crate::conformance::check_source;
use crate::support::{World, schema, table};

fn source(
    world: &mut World,
    sim: &SimEnv,
    options: &[(&str, &str)],
    columns: &[usize],
) -> SourceRef {
    world.registry = ConnectorRegistry::new(sim.env(), world.log.clone(), Arc::new(|_: &[u8]| {}));
    let schema = schema(&[
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("temperature", DataType::Float64),
        ("price", DataType::Decimal128(8, 2)),
        ("small", DataType::Int8),
        ("flag", DataType::Boolean),
        ("at", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ]);
    let mut all = vec![
        ("connector", "datagen"),
        ("fields.id.kind", "sequence"),
        ("fields.id.start", "10"),
        ("fields.id.end", "509"),
        ("fields.name.length", "5"),
        ("fields.temperature.min", "-10"),
        ("fields.temperature.max", "40"),
        ("fields.small.null-rate", "0.5"),
    ];
    all.extend(options);
    world.registry.source(&table(&schema, &all), columns).unwrap()
}

#[test]
fn the_same_rows_again_and_within_their_ranges() {
    let (mut world, sim) = (World::new(), SimEnv::new(1));
    let source = source(&mut world, &sim, &[("rows-per-second", "100")], &[0, 1, 2, 3, 4, 5, 6]);
    assert!(source.is_bounded());
    let split = source.splits().unwrap().remove(0);
    assert_eq!(split.end, Some(500));
    sim.clock.sleep(Duration::from_secs(60));
    let found = check_source(&*source, &split, 3);
    assert_eq!(found.rows.len(), 500);
    let parsed: Vec<serde_json::Value> =
        found.rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let mut nulls = 0;
    for (n, row) in parsed.iter().enumerate() {
        assert_eq!(row["id"], n + 10);
        assert_eq!(row["name"].as_str().unwrap().len(), 5);
        assert!((-10.0..=40.0).contains(&row["temperature"].as_f64().unwrap()));
        nulls += usize::from(row["small"].is_null());
        assert!(row["flag"].is_boolean());
    }
    assert!((150..350).contains(&nulls), "{nulls} of 500 null at one half");
    let flags = parsed.iter().filter(|row| row["flag"] == true).count();
    assert!((150..350).contains(&flags), "{flags} of 500 true");
    // Another selection of columns has the same values.
    let fewer = self::source(&mut world, &sim, &[("rows-per-second", "100")], &[2]);
    let first = &check_source(&*fewer, &split, 3).rows[0];
    let value: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!(value["temperature"], parsed[0]["temperature"]);
}

#[test]
fn rows_come_at_their_rate_and_time_stands_still_for_them() {
    let (mut world, sim) = (World::new(), SimEnv::new(1));
    let options = [("rows-per-second", "10")];
    let source = source(&mut world, &sim, &options, &[6]);
    let split = source.splits().unwrap().remove(0);
    let mut reader = source.open(&split).unwrap();
    let end = |reader: &mut Box<dyn thalweg_stream::source::SplitReader>| {
        let available = reader.available().unwrap();
        (available.end, available.finished)
    };
    assert_eq!(end(&mut reader), (1, false));
    sim.clock.sleep(Duration::from_millis(950));
    assert_eq!(end(&mut reader), (10, false));
    let now = sim.clock.wall_ms();
    assert!(source.next_due(now).unwrap() > now);
    let before = check_source(&*source, &split, 1).rows;
    // After a restart the split is what was recorded, and so are its times.
    sim.clock.sleep(Duration::from_secs(3600));
    let restarted = self::source(&mut world, &sim, &options, &[6]);
    let after = check_source(&*restarted, &split, 1).rows;
    assert_eq!(after[..10], before[..]);
    assert_eq!(end(&mut reader), (500, true));
}

#[test]
fn mistakes_are_named() {
    let world = World::new();
    let schema = schema(&[("id", DataType::Int64), ("tags", DataType::Time32(TimeUnit::Second))]);
    let check = |options: &[(&str, &str)]| {
        let mut all = vec![("connector", "datagen")];
        all.extend(options);
        world.registry.validate(&table(&schema, &all)).unwrap_err().to_string()
    };
    assert!(check(&[]).contains("column 'tags': 'datagen' makes no values of type TIME"));
    assert!(check(&[("fields.idd.min", "1")]).contains("no column 'idd'; did you mean 'id'?"));
    assert!(check(&[("fields.id.kind", "sequence")]).contains("'fields.id.start' is required"));
    assert!(check(&[("fields.id.min", "5"), ("fields.id.max", "1")]).contains("expected a range"));
    assert!(check(&[("rows-per-second", "0")]).contains("more than 0"));
}
