//! The commands that are Kafka clients, as processes against a server process.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A server of its own; dropping it ends it.
struct Server {
    child: Child,
    kafka: String,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
    code: i32,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(["server", "--kafka", "127.0.0.1:0", "--sql", "127.0.0.1:0"])
            .args(["--http", "127.0.0.1:0", "--data-dir"])
            .arg(directory.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let ready = lines.find(|line| line.starts_with("ready ")).expect("a ready line");
        let kafka = ready.split(' ').find_map(|word| word.strip_prefix("kafka="));
        let kafka = kafka.expect("the Kafka door").to_owned();
        Self { child, kafka, _directory: directory }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(arguments)
            .args(["--brokers", &self.kafka])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts")
    }

    /// Runs a command with this input.
    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = self.spawn(arguments);
        // A command that refuses its options reads nothing.
        let _ = child.stdin.take().expect("its input").write_all(input);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("its end");
        Ran {
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
            code: status.code().expect("an exit code"),
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"")
    }

    /// What a command printed that succeeds.
    fn out(&self, arguments: &[&str]) -> String {
        self.out_with(arguments, b"")
    }

    fn out_with(&self, arguments: &[&str], input: &[u8]) -> String {
        let ran = self.run_with(arguments, input);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out
    }

    /// The JSON of a command, a value a line.
    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let out = self.out(arguments);
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// Splits a command line at blanks.
macro_rules! words {
    ($line:expr) => {
        &$line.split(' ').collect::<Vec<_>>()[..]
    };
}

#[test]
fn a_topic_from_creation_to_deletion() {
    let server = Server::start();
    server.out(words!("topic create plants -p 2 -c retention.ms=3600000"));
    let again = server.run(words!("topic create plants"));
    assert_eq!(again.code, 1);
    assert!(again.err.contains("topic 'plants': the topic exists already"), "{again:?}");
    server.out(words!("topic create plants --if-not-exists"));
    server.out(words!("topic create never --dry-run"));
    assert_eq!(
        server.out(words!("topic list")),
        "NAME    PARTITIONS  REPLICAS\nplants  2           1\n"
    );
    server.out(words!("topic add-partitions plants -n 1"));
    server.out(words!(
        "topic alter plants --set max.message.bytes=2000 --delete-config retention.ms"
    ));
    server.out_with(words!("produce plants -p 2"), b"a\nb\nc\n");

    let described = &server.json(words!("topic describe plants --changed -o json"))[0];
    let settings = described["settings"].as_array().expect("settings");
    assert_eq!(settings.len(), 1, "{described}");
    assert_eq!(
        (&settings[0]["name"], &settings[0]["value"]),
        (&"max.message.bytes".into(), &"2000".into())
    );
    let last = &described["partitions"][2];
    assert_eq!(
        (&last["log_start"], &last["high_watermark"]),
        (&0.into(), &3.into()),
        "{described}"
    );
    assert!(last["bytes"].as_i64().expect("bytes") > 0, "{described}");
    let storage = server.json(words!("topic describe-storage plants -o json"));
    assert_eq!(storage[2]["bytes"], last["bytes"], "{storage:?}");

    let shown = server.out(words!("topic trim plants -p 2 -o 1 --dry-run"));
    assert!(shown.ends_with("plants  2          0          1          1\n"), "{shown}");
    server.out(words!("topic trim plants -p 2 -o -2"));
    assert_eq!(server.out(words!("consume plants -e -f %o%v;")), "1b;2c;");
    server.out(words!("topic trim plants -t 2030-01-01"));
    assert_eq!(server.out(words!("consume plants -e")), "");

    server.out(words!("topic create other"));
    let near = server.run(words!("topic describe plant"));
    assert!(near.err.contains("'plant' does not exist; did you mean 'plants'?"), "{near:?}");
    assert_eq!(near.code, 1);
    server.out(words!("topic delete pl*"));
    server.out(&["topic", "delete", "-r", "oth.r|x"]);
    assert_eq!(server.json(words!("topic list -o json")), Vec::<Value>::new());
    let nothing = server.run(words!("topic delete -r .*"));
    assert!(nothing.err.contains("no topic matches '.*'") || nothing.code == 0, "{nothing:?}");
}

#[test]
fn formats_of_both_tools_go_in_and_out() {
    let server = Server::start();
    let input = "a 1\nb 22\n";
    server.out_with(&["produce", "-f", "%k %v\\n", "-H", "h=x", "formats"], input.as_bytes());
    let out = server.out(&["consume", "formats", "-e", "-f", "%k %v\\n"]);
    assert_eq!(out, input);
    let out = server.out(&[
        "consume",
        "formats",
        "-e",
        "-f",
        "%t[%p]@%o %k{hex} %V %S %h %h{(%k:%v)}\\n",
    ]);
    assert_eq!(out, "formats[0]@0 61 1 1 h=x (h:x)\nformats[0]@1 62 2 2 h=x (h:x)\n");

    // Whole records, topic and all, copied through a pipe.
    let sized = "%T{big16}%t%K{big32}%k%R%v%d{big64}%H{byte}%h{%K{byte}%k%V{big32}%v}";
    let copied = server.run_with(&["produce", "-f", sized], &piped(&server, "formats", sized));
    assert_eq!(copied.code, 0, "{copied:?}");
    let copy = server.out(&["consume", "formats", "-o", "2:4", "-f", "%k %v %h\\n"]);
    assert_eq!(copy, "a 1 h=x\nb 22 h=x\n");

    // Empty and null are two things.
    server.out_with(&["produce", "nulls", "-K", ":"], b"e:\n");
    server.out_with(&["produce", "nulls", "-K", ":", "-Z"], b"n:\n");
    assert_eq!(
        server.out(&["consume", "nulls", "-e", "-Z", "-f", "%k=%v %S\\n"]),
        "e= 0\nn=NULL -1\n"
    );
    assert_eq!(server.out(&["consume", "nulls", "-e", "-K", ":", "-Z"]), "e:\nn:NULL\n");

    let wrong = server.run_with(&["produce", "formats", "-f", "%k{hex} %v\\n"], b"61 x\nzz y\n");
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("record 2 in line 2: expected an even number of hex"), "{wrong:?}");
    let wrong = server.run(&["consume", "formats", "-f", "%q"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.ends_with("\n  %q\n  ^\n"), "{wrong:?}");
    let wrong = server.run_with(&["produce", "formats", "-K", ":"], b"k:v\nno key\n");
    assert!(wrong.err.contains("record 2 in line 2: expected a key and \":\""), "{wrong:?}");
}

/// What `consume` prints in a binary format.
fn piped(server: &Server, topic: &str, format: &str) -> Vec<u8> {
    let child = server.spawn(&["consume", topic, "-e", "-f", format]);
    child.wait_with_output().expect("its end").stdout
}

#[test]
fn produce_takes_files_codecs_delimiters_and_transactions() {
    let server = Server::start();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"1\n2\n").expect("written");
    let path = file.path().to_str().expect("a path");
    server.out(&["produce", "files", path]);
    server.out(&["produce", "files", "-l", path]);
    let out = server.out(&["consume", "files", "-e", "-D", "|"]);
    assert_eq!(out, "1\n2\n|1|2|");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let value = format!("{codec}{}", "x".repeat(2000));
        server.out_with(&["produce", "codecs", "-z", codec, "-D", "\\x00"], value.as_bytes());
        let last = server.out(&["consume", "codecs", "-o", "-1", "-e", "-f", "%v"]);
        assert_eq!(last, value);
    }
    let written = server.out_with(
        &["produce", "acks", "--acks", "1", "-c", "2", "--output-format", "%p:%o:%v\\n"],
        b"a\nb\nc\n",
    );
    assert_eq!(written, "0:0:a\n0:1:b\n");
    assert_eq!(server.out_with(&["produce", "acks", "-T", "-q"], b"d\n"), "d\n");

    let id = ["--transactional-id", "cli"];
    let aborted =
        server.run_with(&[&["produce", "tx", "-K", ":"], &id[..]].concat(), b"a:1\nbroken\n");
    assert_eq!(aborted.code, 1);
    assert!(aborted.err.contains("transaction aborted"), "{aborted:?}");
    server.out_with(&[&["produce", "tx"], &id[..]].concat(), b"kept\n");
    let committed = server.out(&["consume", "tx", "-e", "--read-committed", "-f", "%v\\n"]);
    assert_eq!(committed, "kept\n");
    let missing = server.run(&["produce", "-f", "%v\\n"]);
    assert_eq!((missing.code, missing.err.contains("which topic?")), (2, true), "{missing:?}");
}

#[test]
fn ranges_of_offsets_and_times() {
    let server = Server::start();
    server.out(words!("topic create places"));
    let lines: String =
        (0..10).map(|n| format!("{} {n}\n", 1_700_000_000_000i64 + n * 1000)).collect();
    server.out_with(&["produce", "places", "-f", "%d %v\\n"], lines.as_bytes());
    let cases = [
        (&["-o", "start", "-n", "2"][..], "01"),
        (&["-o", "-3", "-e"], "789"),
        (&["-o", "+8", "-e"], "89"),
        (&["-o", "4:6"], "45"),
        (&["-o", ":3"], "012"),
        (&["-o", "8:end"], "89"),
        (&["-o", "@1700000006000:1700000008000"], "67"),
        (&["-o", "@2023-11-14T22:13:28Z", "-e"], "89"),
        (&["-o", "@2023-11-14T22:13:23Z:2s"], "34"),
        (&["-o", "s@1700000005000", "-o", "e@1700000007000"], "56"),
        (&["-o", "end", "-e"], ""),
        (&["-o", "100", "-e"], ""),
        (&["-p", "0", "-o", "9", "-e"], "9"),
    ];
    for (options, expected) in cases {
        let out = server.out(&[&["consume", "places", "-f", "%v"], options].concat());
        assert_eq!(out, expected, "{options:?}");
    }
    let wrong = server.run(&["consume", "places", "-o", "soon"]);
    assert_eq!((wrong.code, wrong.err.contains("'soon' is no place")), (2, true), "{wrong:?}");
    let wrong = server.run(&["consume", "places", "-p", "3", "-e"]);
    assert!(wrong.err.contains("has no partition 3"), "{wrong:?}");
}

#[test]
fn several_topics_envelopes_and_binary_values() {
    let server = Server::start();
    server.out_with(&["produce", "a-1", "-K", ":", "-H", "x=y"], b"k:v\n");
    server.out_with(&["produce", "a-2", "-f", "%v{hex}\\n"], b"0001ff\n");
    let mut both: Vec<String> = Vec::new();
    for arguments in
        [&["consume", "a-*"][..], &["consume", "-r", "a-."], &["consume", "a-1", "a-2"]]
    {
        let out = server.out(&[arguments, &["-e", "-f", "%t\\n"]].concat());
        let mut lines: Vec<&str> = out.lines().collect();
        lines.sort_unstable();
        both.push(lines.join(","));
    }
    assert_eq!(both, ["a-1,a-2", "a-1,a-2", "a-1,a-2"]);
    let line = &server.json(words!("consume a-1 -e -J"))[0];
    assert_eq!(
        (&line["key"], &line["payload"], &line["tstype"], &line["headers"]),
        (&"k".into(), &"v".into(), &"create".into(), &serde_json::json!(["x", "y"])),
        "{line}"
    );
    assert_eq!(server.out(&["consume", "a-2", "-e", "-s", "value=>hb", "-f", "%s"]), "1-1");
    let short = server.run(&["consume", "a-2", "-e", "-s", "q"]);
    assert_eq!(short.code, 1);
    assert!(short.err.contains("offset 0: value: 'q' needs 8 bytes, 3 are left"), "{short:?}");
    let own = &server.json(words!("consume a-1 -e"))[0];
    assert_eq!((&own["value"], &own["headers"][0]["key"]), (&"v".into(), &"x".into()), "{own}");
    let missing = server.run(words!("consume a-3 -e"));
    assert!(missing.err.contains("did you mean 'a-"), "{missing:?}");
}

#[test]
fn a_group_commits_is_moved_and_deleted() {
    let server = Server::start();
    server.out(words!("topic create work -p 2"));
    for partition in ["0", "1"] {
        server.out_with(&["produce", "work", "-p", partition], b"1\n2\n3\n");
    }
    let read = server.out(words!("consume work -g crew -n 2 -f %v;"));
    assert_eq!(read.matches(';').count(), 2, "{read}");
    let rest = server.out(words!("consume work -g crew -e -f %v;"));
    assert_eq!(rest.matches(';').count(), 4, "{rest}");
    let listed = &server.json(words!("group list -o json"))[0];
    assert_eq!((&listed["group"], &listed["state"]), (&"crew".into(), &"Empty".into()), "{listed}");
    let described = &server.json(words!("group describe crew --json"))[0];
    assert_eq!(described["total_lag"], 0, "{described}");

    let dry = server.json(words!("group reset crew --to start --dry-run -o json"));
    assert_eq!((&dry[0]["prior_offset"], &dry[0]["new_offset"]), (&3.into(), &0.into()), "{dry:?}");
    assert_eq!(server.json(words!("group describe crew --json"))[0]["total_lag"], 0);
    for (to, lag) in [
        (&["--to", "start"][..], 6),
        (&["--to-offset", "2"], 2),
        (&["--shift-by", "-1"], 4),
        (&["--to", "end"], 0),
        (&["--to", "-1h"], 6),
        (&["--to", "2030-01-01"], 0),
    ] {
        server.out(&[&["group", "reset", "crew"], to].concat());
        assert_eq!(
            server.json(words!("group describe crew --json"))[0]["total_lag"],
            lag,
            "{to:?}"
        );
    }
    server.out(words!("group reset newcomers --to start --topics work --allow-new-topics"));
    server.out(words!("group seek crew --to-group newcomers"));
    assert_eq!(server.json(words!("group describe crew --json"))[0]["total_lag"], 6);
    let wrong = server.run(words!("group reset crew --to 5"));
    assert_eq!((wrong.code, wrong.err.contains("--to-offset N")), (2, true), "{wrong:?}");
    server.out(words!("group offset-delete crew -t work:0"));
    let left = server.json(words!("group describe crew --json"));
    assert_eq!(left[0]["partitions"].as_array().map(Vec::len), Some(1), "{left:?}");
    server.out(words!("group delete crew newcomers"));
    assert_eq!(server.json(words!("group list -o json")), Vec::<Value>::new());
}

#[test]
fn an_active_group_is_refused_and_ctrl_c_leaves_it_with_its_commits() {
    let server = Server::start();
    server.out(words!("topic create live"));
    server.out_with(words!("produce live"), b"1\n");
    let mut member = server.spawn(words!("consume live -g crew -f %v\\n"));
    let mut lines = BufReader::new(member.stdout.take().expect("its output")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "1");
    for arguments in ["group reset crew --to start", "group delete crew"] {
        let refused = server.run(words!(arguments));
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains("stop them first"), "{refused:?}");
    }
    let described = &server.json(words!("group describe crew --json"))[0];
    assert_eq!(described["members"][0]["client_id"], "thalweg", "{described}");
    let interrupt = Command::new("kill").args(["-INT", &member.id().to_string()]).status();
    assert!(interrupt.expect("a signal").success());
    assert_eq!(member.wait().expect("its end").code(), Some(0));
    let described = &server.json(words!("group describe crew --json"))[0];
    assert_eq!(
        (&described["state"], &described["total_lag"]),
        (&"Empty".into(), &0.into()),
        "{described}"
    );
}

#[test]
fn a_server_that_is_not_there_is_said_with_code_2() {
    let ran = Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args(["topic", "list", "--brokers", "127.0.0.1:1"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot connect to 127.0.0.1:1") && said.contains("thalweg server"));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(["completions", shell])
            .output()
            .expect("it runs");
        let script = String::from_utf8_lossy(&ran.stdout).into_owned();
        for word in ["produce", "offset-delete", "describe-storage", "isolation"] {
            assert!(script.contains(word), "{word} in {shell}");
        }
    }
}
