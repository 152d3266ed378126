//! What the registry says to tables that cannot work.

use arrow_schema::DataType;
use thalweg_stream::connector::Connectors;

use crate::support::{World, schema, table, with_metadata};

#[test]
fn mistakes_are_named_with_a_suggestion() {
    let world = World::new();
    let columns = schema(&[("a", DataType::Int64)]);
    let check = |options: &[(&str, &str)], expected: &str| {
        let error = world.registry.validate(&table(&columns, options)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&[], "table 't' needs option 'connector'");
    check(&[("connector", "kafak")], "there is no connector 'kafak'; did you mean 'kafka'?");
    check(&[("connector", "kafka"), ("format", "json")], "option 'topic' is required");
    check(&[("connector", "kafka"), ("topic", "t")], "option 'format' is required");
    check(
        &[("connector", "kafka"), ("topic", "t"), ("format", "jsn")],
        "option 'format': there is no format 'jsn'; did you mean 'json'?",
    );
    check(
        &[
            ("connector", "kafka"),
            ("topic", "t"),
            ("format", "json"),
            ("json.ignore-parse-error", "true"),
        ],
        "did you mean 'json.ignore-parse-errors'?",
    );
    check(
        &[("connector", "kafka"), ("topic", "t"), ("format", "json"), ("csv.null-literal", "x")],
        "unknown option 'csv.null-literal' for connector 'kafka' with format 'json'",
    );
    check(
        &[("connector", "kafka"), ("topic", "t"), ("format", "json"), ("key.format", "raw")],
        "belong together",
    );
    check(
        &[
            ("connector", "kafka"),
            ("topic", "t"),
            ("format", "json"),
            ("properties.bootstrap.servers", "localhost:9092"),
        ],
        "external Kafka clusters are not supported yet",
    );
    check(
        &[("connector", "filesystem"), ("path", "s3://b/x"), ("format", "json")],
        "only local files",
    );
    check(
        &[
            ("connector", "filesystem"),
            ("path", "/x"),
            ("format", "json"),
            ("source.monitor-interval", "soon"),
        ],
        "expected a time span such as '10 s'",
    );
    check(&[("connector", "print"), ("topic", "t")], "unknown option 'topic'");
    let marked = with_metadata(&[], &[("p", "partition", DataType::Int32)]);
    let error = world.registry.validate(&table(&marked, &[("connector", "print")])).unwrap_err();
    assert!(error.to_string().contains("has no metadata"), "{error}");
}

#[test]
fn what_can_be_read_and_written() {
    let world = World::new();
    let columns = schema(&[("a", DataType::Int64)]);
    let spec = |options: &[(&str, &str)]| table(&columns, options);
    let print = spec(&[("connector", "print")]);
    assert!(
        world.registry.source(&print, &[0]).err().unwrap().to_string().contains("cannot be read")
    );
    let datagen = spec(&[("connector", "datagen")]);
    assert!(world.registry.sink(&datagen).err().unwrap().to_string().contains("cannot be written"));
    assert!(!world.registry.is_bounded(&datagen).unwrap());
    let ten = spec(&[("connector", "datagen"), ("number-of-rows", "10")]);
    assert!(world.registry.is_bounded(&ten).unwrap());
    let files = spec(&[("connector", "filesystem"), ("path", "/x"), ("format", "json")]);
    assert!(world.registry.is_bounded(&files).unwrap());
    let kafka = spec(&[("connector", "kafka"), ("topic", "t"), ("format", "json")]);
    assert!(!world.registry.is_bounded(&kafka).unwrap());
    assert!(!world.registry.accepts_updates(&kafka).unwrap());
    assert!(world.registry.accepts_updates(&print).unwrap());
}

/// The DDL of Flink's Nexmark suite for Kafka, as far as options go.
#[test]
fn nexmark_tables_are_understood() {
    let world = World::new();
    let columns = schema(&[("event_type", DataType::Int32)]);
    let options = [
        ("connector", "kafka"),
        ("topic", "nexmark"),
        ("properties.group.id", "nexmark"),
        ("scan.startup.mode", "earliest-offset"),
        ("sink.partitioner", "round-robin"),
        ("format", "json"),
    ];
    world.registry.validate(&table(&columns, &options)).unwrap();
    let files = [
        ("connector", "filesystem"),
        ("path", "file:///data/nexmark"),
        ("format", "json"),
        ("json.fail-on-missing-field", "false"),
        ("json.ignore-parse-errors", "false"),
        ("json.timestamp-format.standard", "SQL"),
    ];
    world.registry.validate(&table(&columns, &files)).unwrap();
}
