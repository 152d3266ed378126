//! The filesystem source: whole and growing files, long lines, several splits.

use std::ops::ControlFlow;
use std::path::Path;

use arrow_schema::DataType;
use thalweg_connect::ConnectorRegistry;
use thalweg_core::env::sim::SimEnv;
use thalweg_core::env::{Disk, OpenMode};
use thalweg_stream::StreamError;
use thalweg_stream::connector::Connectors;
use thalweg_stream::record::RawRecord;
use thalweg_stream::source::{SourceBatch, SourceRef};

use crate::conformance::check_source;
use crate::support::{World, schema, table};

/// A simulated disk with a registry on it. (The log lies elsewhere.)
struct Files {
    world: World,
    sim: SimEnv,
}

impl Files {
    fn new() -> Self {
        let sim = SimEnv::new(1);
        let mut world = World::new();
        let printed = std::sync::Arc::new(|_: &[u8]| {});
        world.registry = ConnectorRegistry::new(sim.env(), world.log.clone(), printed);
        Self { world, sim }
    }

    fn write(&self, path: &str, contents: &[u8]) {
        let path = Path::new(path);
        self.sim.disk.create_dir_all(path.parent().unwrap()).unwrap();
        let file = self.sim.disk.open(path, OpenMode::Create).unwrap();
        file.write_at(contents, 0).unwrap();
    }

    fn append(&self, path: &str, contents: &[u8]) {
        let file = self.sim.disk.open(Path::new(path), OpenMode::Write).unwrap();
        file.write_at(contents, file.len().unwrap()).unwrap();
    }

    fn source(&self, options: &[(&str, &str)]) -> SourceRef {
        let schema = schema(&[("n", DataType::Int64), ("s", DataType::Utf8)]);
        let mut all = vec![("connector", "filesystem"), ("format", "json"), ("path", "/in")];
        all.extend(options);
        self.world.registry.source(&table(&schema, &all), &[0, 1]).unwrap()
    }
}

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("{{\"n\":{n},\"s\":\"{}\"}}\n", "x".repeat(n % 97))).collect()
}

fn numbers(rows: &[String]) -> Vec<usize> {
    let number = |row: &String| row[5..row.find(',').unwrap()].parse().unwrap();
    rows.iter().map(number).collect()
}

#[test]
fn a_file_is_read_whole_in_any_pieces() {
    let files = Files::new();
    let mut contents = lines(500);
    contents.push_str("\n  \n{\"n\":oops}\n");
    contents.push_str("{\"n\":500,\"s\":\"\"}"); // No line end.
    files.write("/in", contents.as_bytes());
    let source = files.source(&[]);
    assert!(source.is_bounded());
    let splits = source.splits().unwrap();
    assert_eq!(splits.len(), 1);
    assert_eq!((splits[0].start, splits[0].end), (0, Some(contents.len() as u64)));
    let found = check_source(&*source, &splits[0], 7);
    assert_eq!(numbers(&found.rows), (0..=500).collect::<Vec<_>>());
    assert_eq!(found.bad.len(), 1);
    let bad = &found.bad[0];
    assert_eq!((bad.raw.as_deref(), &*bad.split), (Some(&b"{\"n\":oops}"[..]), "/in"));
    assert_eq!(bad.position as usize, contents.find("{\"n\":oops").unwrap());
    assert!(bad.reason.contains("field 'n'"), "{}", bad.reason);
}

#[test]
fn empty_files_and_a_byte_order_mark() {
    let files = Files::new();
    files.write("/in/a", b"");
    files.write("/in/b", "\u{feff}{\"n\":1}\r\n{\"n\":2}\r\n".as_bytes());
    files.write("/in/c", b"\n\n\n");
    let source = files.source(&[]);
    let splits = source.splits().unwrap();
    let ids: Vec<_> = splits.iter().map(|split| &*split.id).collect();
    assert_eq!(ids, ["/in/b", "/in/c"]);
    assert_eq!(numbers(&check_source(&*source, &splits[0], 1).rows), [1, 2]);
    assert!(check_source(&*source, &splits[1], 1).rows.is_empty());
}

#[test]
fn bad_lines_are_kept_as_they_are_and_stand_where_they_start() {
    let files = Files::new();
    let lines: [&[u8]; 8] = [
        b"\xef\xbb\xbf{first\r\n",
        b"\r\n",
        b"{\"n\":1}\r\n",
        b"\t {oops \r\n",
        b"\x0c\n",
        b"{\"n\":\"\xff\"}\r\n",
        b"  {\"n\":2} \n",
        b" last",
    ];
    files.write("/in", &lines.concat());
    let source = files.source(&[]);
    let split = source.splits().unwrap().remove(0);
    let found = check_source(&*source, &split, 3);
    assert_eq!(numbers(&found.rows), [1, 2]);
    let start = |line: usize| lines[..line].iter().map(|line| line.len()).sum::<usize>() as u64;
    let bad: Vec<_> =
        found.bad.iter().map(|bad| (bad.position, bad.raw.as_deref().unwrap())).collect();
    let expected: [(u64, &[u8]); 5] = [
        (0, b"{first"),
        (start(3), b"\t {oops "),
        (start(4), b"\x0c"),
        (start(5), b"{\"n\":\"\xff\"}"),
        (start(7), b" last"),
    ];
    assert_eq!(bad, expected);
}

#[test]
fn folders_are_followed_and_hidden_names_passed_over() {
    let files = Files::new();
    for name in ["/in/2", "/in/10", "/in/sub/x", "/in/.hidden", "/in/_SUCCESS", "/in/_t/y"] {
        files.write(name, b"{\"n\":1}\n");
    }
    let ids: Vec<_> =
        files.source(&[]).splits().unwrap().into_iter().map(|split| split.id).collect();
    assert_eq!(ids, ["/in/10", "/in/2", "/in/sub/x"]);
}

#[test]
fn what_is_missing_or_was_changed_is_said() {
    let files = Files::new();
    let error = files.source(&[]).splits().unwrap_err();
    assert_eq!(error.to_string(), "option 'path': '/in' does not exist");
    files.write("/in", lines(10).as_bytes());
    let source = files.source(&[]);
    let split = source.splits().unwrap().remove(0);
    files.append("/in", b"{\"n\":10}\n");
    let mut reader = source.open(&split).unwrap();
    assert_eq!(reader.available().unwrap().end, split.end.unwrap(), "what came later is not read");
    files.write("/in", b"{\"n\":7");
    assert!(matches!(source.open(&split), Err(StreamError::Incompatible(_))));
    let file = files.sim.disk.open(Path::new("/in"), OpenMode::Write).unwrap();
    file.set_len(20).unwrap();
    let outcome = reader.read(0, split.end.unwrap(), 100, &mut |_| Ok(()));
    assert!(matches!(outcome, Err(StreamError::Incompatible(_))), "{outcome:?}");
}

#[test]
fn lines_longer_than_a_read_and_longer_than_the_limit() {
    let files = Files::new();
    let long = "y".repeat(3 << 20);
    let mut contents = format!("{{\"n\":1,\"s\":\"{long}\"}}\n").into_bytes();
    let oversized_at = contents.len() as u64;
    contents.extend(format!("{{\"n\":2,\"s\":\"{}\"}}\n", "z".repeat(9 << 20)).bytes());
    contents.extend(b"{\"n\":3,\"s\":\"\"}\n");
    files.write("/in", &contents);
    let source = files.source(&[]);
    let split = source.splits().unwrap().remove(0);
    let found = check_source(&*source, &split, 3);
    assert_eq!(numbers(&found.rows), [1, 3]);
    assert_eq!(found.bad.len(), 1);
    let kept = found.bad[0].raw.as_ref().map(|raw| raw.len());
    assert_eq!((found.bad[0].position, kept), (oversized_at, Some(64 << 10)));
    assert!(found.bad[0].reason.contains("at most 8388608 are read"), "{}", found.bad[0].reason);
}

#[test]
fn a_file_without_any_line_break_that_is_too_long() {
    let files = Files::new();
    files.write("/in", &vec![b'q'; (8 << 20) + 4096]);
    let source = files.source(&[]);
    let split = source.splits().unwrap().remove(0);
    let found = check_source(&*source, &split, 3);
    assert_eq!((found.rows.len(), found.bad.len()), (0, 1));
}

#[test]
fn splits_of_one_file_share_its_lines() {
    let files = Files::new();
    let contents = lines(150_000);
    assert!(contents.len() > 8 << 20);
    files.write("/in", contents.as_bytes());
    let source = files.source(&[("source.file-splits", "3")]);
    let splits = source.splits().unwrap();
    let ids: Vec<_> = splits.iter().map(|split| &*split.id).collect();
    assert_eq!(ids, ["/in#0/3", "/in#1/3", "/in#2/3"]);
    let mut all = Vec::new();
    for split in &splits {
        let mut reader = source.open(split).unwrap();
        let end = reader.available().unwrap().end;
        let (mut at, mut own) = (split.start, Vec::new());
        while at < end {
            let cut = reader.cut(at, 700_000).unwrap();
            assert!(cut.bytes <= 800_000);
            reader
                .read(at, cut.end, 8192, &mut |batch| {
                    assert!(batch.bad.is_empty());
                    assert_eq!(count(&batch), batch.rows.num_rows());
                    own.extend(numbers(&crate::support::objects(&batch.rows)));
                    Ok(())
                })
                .unwrap();
            at = cut.end;
        }
        assert!(own.is_sorted());
        assert!(own.len() > 30_000, "{} of them", own.len());
        all.extend(own);
    }
    all.sort_unstable();
    assert_eq!(all, (0..150_000).collect::<Vec<_>>());
}

/// Records at the positions of a batch.
fn count(batch: &SourceBatch) -> usize {
    let mut count = 0;
    let visitor = &mut |_: &RawRecord<'_>| {
        count += 1;
        ControlFlow::Continue(())
    };
    batch.records.as_ref().unwrap().visit(batch.positions.clone(), visitor).unwrap();
    count
}

#[test]
fn a_watched_folder_grows() {
    let files = Files::new();
    files.write("/in/a", b"{\"n\":0}\n{\"n\":1}\n{\"n\":2");
    files.write("/in/b", b"{\"n\":9");
    let source = files.source(&[("source.monitor-interval", "2 s")]);
    assert!(!source.is_bounded());
    let splits = source.splits().unwrap();
    assert_eq!(splits.len(), 1, "a file without a whole line is none yet");
    let split = &splits[0];
    assert_eq!(split.end, None);
    let now = files.sim.env().clock.wall_ms();
    assert_eq!(source.next_due(now), Some(now + 2000));
    let mut reader = source.open(split).unwrap();
    let first = reader.available().unwrap();
    assert_eq!((first.end, first.finished), (16, false));
    assert_eq!(numbers2(&check_source(&*source, split, 5).rows), ["0", "1"]);
    files.append("/in/a", b"2}\n");
    files.append("/in/b", b"9}\n");
    assert_eq!(reader.available().unwrap().end, 25);
    let cut = reader.cut(16, 1000).unwrap();
    let mut rows = Vec::new();
    reader
        .read(16, cut.end, 10, &mut |batch| {
            rows.extend(crate::support::objects(&batch.rows));
            Ok(())
        })
        .unwrap();
    assert_eq!(numbers2(&rows), ["22"]);
    assert_eq!(source.splits().unwrap().len(), 2);
    assert_eq!(source.splits().unwrap()[0], *split, "a growing file stays the same split");
}

fn numbers2(rows: &[String]) -> Vec<&str> {
    rows.iter().map(|row| &row[5..row.find(',').unwrap()]).collect()
}

#[test]
fn csv_lines_and_no_columns_at_all() {
    let files = Files::new();
    files.write("/in", b"1,a\n# no record\n2,b\n\nx,c\n");
    let schema = schema(&[("n", DataType::Int64), ("s", DataType::Utf8)]);
    let options = [
        ("connector", "filesystem"),
        ("format", "csv"),
        ("path", "file:///in"),
        ("csv.allow-comments", "true"),
    ];
    let table = table(&schema, &options);
    let source = files.world.registry.source(&table, &[1, 0]).unwrap();
    let split = source.splits().unwrap().remove(0);
    let found = check_source(&*source, &split, 11);
    assert_eq!(found.rows, [r#"{"s":"a","n":1}"#, r#"{"s":"b","n":2}"#]);
    assert_eq!(found.bad.len(), 1);
    let none = files.world.registry.source(&table, &[]).unwrap();
    let mut rows = 0;
    let mut count = |batch: SourceBatch| {
        rows += batch.rows.num_rows();
        Ok(())
    };
    none.open(&split).unwrap().read(0, split.end.unwrap(), 2, &mut count).unwrap();
    assert_eq!(rows, 3);
}
