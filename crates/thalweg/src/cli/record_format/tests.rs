//! The language as a whole: every verb, and what is written read back.

use bytes::Bytes;
use krafka::consumer::{ConsumerRecord, TimestampType};
use proptest::prelude::*;

use super::verbs::{Field, VERBS};
use super::*;

fn record() -> ConsumerRecord {
    let mut record = ConsumerRecord::new(
        "t",
        2,
        7,
        Some(Bytes::from_static(b"k")),
        Some(Bytes::from_static(b"{\"a\": 1}")),
    );
    record.timestamp = 1_700_000_000_123;
    record.timestamp_type = TimestampType::LogAppendTime;
    record.headers =
        vec![("h1".to_owned(), Some(Bytes::from_static(b"x"))), ("h2".to_owned(), None)];
    record.leader_epoch = Some(3);
    record
}

fn printed(format: &str, record: &ConsumerRecord, around: &Surroundings) -> Vec<u8> {
    let mut out = Vec::new();
    let parsed = Format::for_writing(format).unwrap_or_else(|error| panic!("{error}"));
    parsed.write(record, around, &mut out);
    out
}

fn shown(format: &str) -> String {
    let around = Surroundings { printed: 4, ..Surroundings::default() };
    String::from_utf8(printed(format, &record(), &around)).expect("text")
}

fn read_all(format: &str, mut input: &[u8]) -> Vec<Parsed> {
    let plan = ReadPlan::parse(format).unwrap_or_else(|error| panic!("{error}"));
    let mut found = Vec::new();
    while !input.is_empty() {
        match plan.read(input, true).unwrap_or_else(|m| panic!("{format}: {m:?}")) {
            Step::Record(parsed) => {
                input = &input[parsed.used..];
                found.push(parsed);
            }
            Step::More => panic!("{format}: more at the end"),
        }
    }
    found
}

#[test]
fn every_field_is_printed() {
    let cases = [
        ("%t/%p@%o %k=%v\\n", "t/2@7 k={\"a\": 1}\n"),
        ("%s %S %V %K %T", "{\"a\": 1} 8 8 1 1"),
        ("%d %d{hex64}", "1700000000123 0000018bcfe5687b"),
        ("%d{go[2006-01-02T15:04:05.000Z07:00]}", "2023-11-14T22:13:20.123Z"),
        ("%d{go{Mon Jan _2 3:04PM}}", "Tue Nov 14 10:13PM"),
        ("%d{strftime[%F %T]}", "2023-11-14 22:13:20"),
        ("%d{strftime## [%F] ##}", " [2023-11-14] "),
        ("%h|%H", "h1=x,h2=NULL|2"),
        ("%h{<%k:%v{hex}>}", "<h1:78><h2:>"),
        ("%e %i %a{timestamp-type} %a{timestamp-type;bool}", "3 4 1 true"),
        ("%k{hex} %k{base64} %k{base64raw} %v{json} %k{json}", "6b aw== aw {\"a\":1} \"k\""),
        ("%k{unpack[B]} %k{unpack[>H]}", "107 !'H' needs 2 bytes, 1 are left"),
        ("100%% %{%} \\x41\\t\\\\", "100% {} A\t\\"),
        ("%p{big32}%p{little16}%p{hex8}%p{bool}", "\0\0\0\u{2}\u{2}\u{0}02true"),
        ("%[ %| %]", "-1 -1 -1"),
        ("caf\u{e9} %t", "caf\u{e9} t"),
    ];
    for (format, expected) in cases {
        assert_eq!(shown(format), expected, "{format}");
    }
}

#[test]
fn nulls_are_nothing_or_null_and_their_lengths_are_those_of_each_tool() {
    let tombstone = ConsumerRecord::new("t", 0, 0, None, None);
    let plain = printed("[%k|%v] %K %V %S %R", &tombstone, &Surroundings::default());
    assert_eq!(plain, b"[|] 0 0 -1 \xff\xff\xff\xff");
    let named = Surroundings { null: "NULL", ..Surroundings::default() };
    assert_eq!(printed("%k %v{hex}", &tombstone, &named), b"NULL NULL");
}

#[test]
fn the_help_names_every_verb() {
    for verb in VERBS {
        let name = format!("%{}", verb.letter);
        assert!(WRITE_HELP.contains(&name), "{name} in consume --help");
        let reading = READ_HELP.contains(&name);
        // kcat's lengths are read too, but rpk's are the ones to learn.
        let is_kcats = "SR".contains(verb.letter);
        assert!(reading == verb.reads || is_kcats, "{name} in produce --help");
        assert!(!verb.meaning.is_empty());
    }
}

#[test]
fn mistakes_are_shown_under_a_caret() {
    let error = |format: &str| Format::for_writing(format).expect_err(format).to_string();
    assert_eq!(
        error("%k\\n%q"),
        format!(
            "format string: '%q' is not known; there are {}\n  %k\\n%q\n      ^",
            verbs::known()
        )
    );
    let cases = [
        ("%k{base9}", "'base9' is not known for bytes", 3),
        ("%d{go2006}", "'go2006' is not known for numbers", 3),
        ("%p{hex}", "'hex' is not known for numbers; ascii", 3),
        ("%v{unpack[>Iz]}", "'z' is not known in a pack string", 12),
        ("%h{%o}", "'%o' is not known in a header", 3),
        ("%", "ends in '%'", 0),
        ("a\\", "escapes nothing", 1),
        ("\\xg1", "two hexadecimal digits", 0),
        ("%k{hex", "is not closed", 2),
        ("%x", "without producer id", 0),
        ("%a{compression}", "without it", 3),
        ("%d{go[.999]}", "written .000", 6),
        ("%d{strftime[%Q]}", "does not know", 12),
    ];
    for (format, message, at) in cases {
        let text = error(format);
        assert!(text.contains(message), "{format}: {text}");
        let caret = text.lines().last().expect("a caret");
        assert_eq!(caret, format!("  {}^", " ".repeat(at)), "{format}: {text}");
    }
}

#[test]
fn formats_that_cannot_be_read_are_refused_before_any_input() {
    let cases = [
        ("%k%v\\n", "nothing ends this field"),
        ("%o %v\\n", "can be printed, not read"),
        ("%v %h{%k=%v}\\n", "number of headers"),
        ("%H %h{%k=%v}%v", "no text ends this field"),
        ("%h\\n", "headers are read"),
        ("%t\\n", "neither a key"),
        ("%v{unpack[B]}\\n", "not known for bytes"),
        ("%v{re[(]}\\n", "no regular expression"),
        ("%d{strftime[%F]} %v\\n", "as a number"),
        ("%V{99}%v", "digits can be read"),
    ];
    for (format, message) in cases {
        let error = ReadPlan::parse(format).expect_err(format).to_string();
        assert!(error.contains(message), "{format}: {error}");
    }
}

/// The bytes of a slot.
fn of(slot: Option<Slot>, input: &[u8]) -> Option<Vec<u8>> {
    slot.map(|slot| slot.bytes(&Bytes::copy_from_slice(input)).to_vec())
}

#[test]
fn rpks_examples_are_read() {
    type Example<'a> = (&'a str, &'a [u8], &'a [u8], &'a [u8]);
    let cases: &[Example<'_>] = &[
        ("%k %v\\n", b"key the value\n", b"key", b"the value"),
        ("%T{4}%K{4}%V{4}%t%k%v", b"000100020003tkkvvv", b"kk", b"vvv"),
        ("%K{big16} foo %k %v\\n", b"\x00\x03 foo a b v\n", b"a b", b"v"),
        ("%k %v{re#..?.?#}\\n", b"k abc\n", b"k", b"abc"),
        ("%k %v{json}\\n", b"k {\"a\": [1, 2]}\n", b"k", b"{\"a\":[1,2]}"),
        ("%k{hex} %v{base64}\\n", b"6b6b aGk=\n", b"kk", b"hi"),
        ("%k,%v", b"k,all\nthe rest", b"k", b"all\nthe rest"),
    ];
    for (format, input, key, value) in cases {
        let mut found = read_all(format, input);
        assert_eq!(found.len(), 1, "{format}");
        let parsed = found.remove(0);
        assert_eq!(of(parsed.key, input).as_deref(), Some(*key), "{format}");
        assert_eq!(of(parsed.value, input).as_deref(), Some(*value), "{format}");
    }
}

#[test]
fn the_last_line_may_lack_its_end_and_a_cut_record_is_named() {
    assert_eq!(read_all("%v\\n", b"a\nb").len(), 2);
    let plan = ReadPlan::parse("%k %v\\n").expect("a plan");
    assert_eq!(plan.read(b"no-blank", false), Ok(Step::More));
    let mismatch = plan.read(b"no-blank", true).expect_err("no blank");
    assert_eq!(mismatch, Mismatch { at: 8, expected: "\" \"".to_owned() });
    let plan = ReadPlan::parse("%V{big32}%v").expect("a plan");
    assert_eq!(plan.read(b"\0\0\0\x05abc", false), Ok(Step::More));
    assert_eq!(plan.read(b"\0\0\0\x05abc", true).expect_err("cut").at, 4);
    // A length of -1 is a null.
    let found = read_all("%V{big32}%v", b"\xff\xff\xff\xff");
    assert_eq!(found[0].value, None);
}

#[test]
fn lengths_of_the_wire_allocate_nothing() {
    let plan = ReadPlan::parse("%V{big64}%v").expect("a plan");
    assert_eq!(plan.read(b"\x7f\xff\xff\xff\xff\xff\xff\xffx", false), Ok(Step::More));
    let plan = ReadPlan::parse("%H %v\\n").expect("a plan");
    assert!(plan.read(b"999999999 x\n", true).is_err(), "too many headers");
}

/// Formats that say the length of everything, so that any bytes can be read back.
const SIZED: &[&str] = &[
    "%T{big16}%t%K{big32}%k%V{big32}%v%p{little32}%d{big64}%H{big16}%h{%K{big16}%k%V{little32}%v}",
    "%T %t%K %k%V %v%p;%d;%H;%h{%K %k%V %v}",
    "%K{hex32}%k%V{hex32}%v\\n%t|%p{hex32}%d{hex64}%H{byte}%h{%K{hex16}%k%V{hex64}%v}\\x00",
    "%t|%p %d %k{hex}|%v{base64}|%H%h{[%k{hex}=%v{base64raw}]}\\n",
];

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..4),
        value in proptest::collection::vec(any::<u8>(), 0..40),
        headers in proptest::collection::vec(("[a-z]{0,5}", proptest::collection::vec(any::<u8>(), 0..9)), 0..4),
        partition in 0..i32::MAX,
        timestamp in 0..i64::MAX / 2,
    ) {
        for format in SIZED {
            let mut input = Vec::new();
            for key in &keys {
                let (key, value) = (key.clone().into(), value.clone().into());
                let mut record = ConsumerRecord::new("topic", partition, 0, Some(key), Some(value));
                record.timestamp = timestamp;
                record.headers =
                    headers.iter().map(|(k, v)| (k.clone(), Some(v.clone().into()))).collect();
                input.extend(printed(format, &record, &Surroundings::default()));
            }
            let found = read_all(format, &input);
            prop_assert_eq!(found.len(), keys.len(), "{}", format);
            let mut rest = &input[..];
            for (parsed, key) in found.into_iter().zip(&keys) {
                let (bytes, after) = rest.split_at(parsed.used);
                rest = after;
                prop_assert_eq!(of(parsed.topic, bytes), Some(b"topic".to_vec()));
                prop_assert_eq!(of(parsed.key, bytes), Some(key.clone()));
                prop_assert_eq!(of(parsed.value, bytes), Some(value.clone()));
                prop_assert_eq!(parsed.partition, Some(i64::from(partition)));
                prop_assert_eq!(parsed.timestamp, Some(timestamp));
                let read: Vec<_> = parsed
                    .headers
                    .into_iter()
                    .map(|(name, slot)| (name, of(slot, bytes).unwrap_or_default()))
                    .collect();
                prop_assert_eq!(&read, &headers);
            }
        }
    }

    #[test]
    fn input_in_pieces_gives_the_same_records(
        lines in proptest::collection::vec(("[a-z]{1,9}", "[a-z ]{0,20}"), 1..8),
    ) {
        let input: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let plan = ReadPlan::parse("%k=%v\\n").expect("a plan");
        let whole = read_all("%k=%v\\n", input.as_bytes());
        // Byte by byte: a record is found when its last byte is there, not before.
        let (mut pieces, mut start) = (Vec::new(), 0);
        for end in 1..=input.len() {
            match plan.read(&input.as_bytes()[start..end], false) {
                Ok(Step::More) => {}
                Ok(Step::Record(parsed)) => {
                    start += parsed.used;
                    prop_assert_eq!(start, end);
                    pieces.push(parsed);
                }
                Err(mismatch) => prop_assert!(false, "{:?}", mismatch),
            }
        }
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn no_format_and_no_input_is_too_strange(format in "[%{}\\\\a-zA-Z\\[\\]#|; 0-9]{0,24}", input: Vec<u8>) {
        let _ = Format::for_writing(&format).map(|format| {
            let mut out = Vec::new();
            format.write(&record(), &Surroundings::default(), &mut out);
        });
        if let Ok(plan) = ReadPlan::parse(&format) {
            let _ = plan.read(&input, true);
        }
    }

    #[test]
    fn every_verb_is_parsed_alone_and_in_line(index in 0..VERBS.len(), before in "[a-z]{0,4}") {
        let verb = &VERBS[index];
        let modifier = if verb.field == Field::Attribute { "{timestamp-type}" } else { "" };
        let format = format!("{before}%{}{modifier}", verb.letter);
        prop_assert!(Format::for_writing(&format).is_ok(), "{}", format);
    }
}
