//! The print and blackhole sinks.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use thalweg_core::ids::{Epoch, ProducerId};
use thalweg_stream::connector::Connectors;
use thalweg_stream::sink::{Delivery, Publication};
use thalweg_stream::{ChangeBatch, RowKind};

use crate::support::{World, rows, schema, table};

fn print(
    world: &World,
    options: &[(&str, &str)],
    changes: &ChangeBatch,
    parallelism: usize,
) -> String {
    let mut all = vec![("connector", "print")];
    all.extend(options);
    let sink = world.registry.sink(&table(&changes.rows.schema(), &all)).unwrap();
    assert!(sink.accepts_updates());
    let mut writer = sink.writer(0, parallelism).unwrap();
    writer.write(changes).unwrap();
    let chunks = writer.finish_epoch().unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.count as usize).sum::<usize>(), changes.num_rows());
    let mut publisher = sink.publisher().unwrap();
    assert_eq!(publisher.delivery(), Delivery::AtLeastOnce);
    let publication = Publication { producer: ProducerId(1), epoch: Epoch(1), first_sequence: 0 };
    for chunk in &chunks {
        publisher.publish(publication, chunk).unwrap();
    }
    String::from_utf8(std::mem::take(&mut *world.printed.lock().unwrap())).unwrap()
}

#[test]
fn rows_look_as_in_flink() {
    let world = World::new();
    let schema =
        schema(&[("id", DataType::Int32), ("name", DataType::Utf8), ("x", DataType::Float64)]);
    let objects =
        ["{\"id\":1,\"name\":\"Alice\"}", "{\"id\":2,\"x\":1e10}", "{}", "{\"name\":\"\"}"];
    let kinds = vec![RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete];
    let changes = ChangeBatch::changes(rows(&schema, &objects), kinds);
    let expected =
        "+I[1, Alice, null]\n-U[2, null, 1.0E10]\n+U[null, null, null]\n-D[null, , null]\n";
    assert_eq!(print(&world, &[], &changes, 1), expected);
    assert_eq!(print(&world, &[], &changes, 4), expected, "no prefix unless asked for");
    let one = changes.take(vec![0]).unwrap();
    let named = [("print-identifier", "job")];
    assert_eq!(print(&world, &named, &one, 1), "job> +I[1, Alice, null]\n");
    assert_eq!(print(&world, &named, &one, 2), "job:1> +I[1, Alice, null]\n");
}

#[test]
fn values_of_every_type() {
    let world = World::new();
    let nested: Fields =
        [Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]
            .into_iter()
            .collect();
    let pair: Fields =
        [Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)]
            .into_iter()
            .collect();
    let entries = Field::new("entries", DataType::Struct(pair), false);
    let schema = schema(&[
        ("t", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("z", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ("d", DataType::Date32),
        ("c", DataType::Time32(TimeUnit::Millisecond)),
        ("m", DataType::Decimal128(10, 8)),
        ("y", DataType::Binary),
        ("o", DataType::Boolean),
        ("r", DataType::Struct(nested)),
        ("l", DataType::List(Arc::new(Field::new("item", DataType::Int32, true)))),
        ("p", DataType::Map(Arc::new(entries), false)),
        ("f", DataType::Float32),
    ]);
    let object = r#"{"t":"2023-11-14 23:59:10.5","z":"2023-11-14 23:59:10Z","d":"2024-02-29",
        "c":"10:15:00","m":"0.00000001","y":"AP8=","o":true,"r":{"a":1,"b":null},
        "l":[1,null],"p":{"k":1,"j":null},"f":0.1}"#;
    let changes = ChangeBatch::inserts(rows(&schema, &[object]));
    assert_eq!(
        print(&world, &[], &changes, 1),
        "+I[2023-11-14T23:59:10.500, 2023-11-14T23:59:10Z, 2024-02-29, 10:15, 1E-8, [0, -1], \
         true, +I[1, null], [1, null], {k=1, j=null}, 0.1]\n"
    );
}

#[test]
fn the_black_hole_gives_nothing() {
    let world = World::new();
    let schema = schema(&[("a", DataType::Int64)]);
    let sink = world.registry.sink(&table(&schema, &[("connector", "blackhole")])).unwrap();
    assert!(sink.accepts_updates());
    let mut writer = sink.writer(0, 1).unwrap();
    writer.write(&ChangeBatch::inserts(rows(&schema, &["{}"]))).unwrap();
    assert_eq!((writer.buffered_bytes(), writer.finish_epoch().unwrap().len()), (0, 0));
}
