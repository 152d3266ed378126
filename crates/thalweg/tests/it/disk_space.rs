//! What people are told while the disk is nearly full.

use thalweg::node::NodeOptions;
use thalweg_core::env::Env;
use thalweg_engine::JobState;

use crate::harness::Bench;

#[test]
fn jobs_say_that_the_disk_is_nearly_full() {
    let free = Env::real().disk.free_bytes(&std::env::temp_dir()).expect("known");
    // Too little for records, enough for what the server itself writes.
    let options = NodeOptions { reserve_bytes: free / 2 * 3, ..NodeOptions::default() };
    let mut bench = Bench::with(options);
    bench.run(
        "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen',
           'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '20');
         CREATE TABLE copies (n BIGINT) WITH ('connector' = 'kafka', 'topic' = 'copies',
           'format' = 'json');
         INSERT INTO copies SELECT n FROM numbers",
    );
    let job = bench.node().jobs().remove(0);
    assert_eq!(job.wait().state, JobState::Failed);
    let row = bench.rows("SHOW JOBS").remove(0);
    assert_eq!(row[2], "failed");
    let why = "copies-0: no space left for new records";
    assert!(row[8].starts_with(why) && row[8].contains("delete topics"), "{row:?}");
    let rows = bench.rows(&format!("SHOW JOB '{}'", job.id()));
    let of = |name: &str| rows.iter().find(|row| row[0] == name).map(|row| row[1].as_str());
    assert!(of("error").is_some_and(|error| error.starts_with(why)), "{rows:?}");
    let alarm = of("alarm").expect("an alarm");
    assert!(alarm.contains("nearly full") && alarm.contains("RESTART JOB"), "{alarm}");
    drop(job);
    // With room it goes on where it was.
    bench.close();
    bench.open_with(NodeOptions::default());
    let job = bench.node().jobs().remove(0);
    assert_eq!(job.wait().state, JobState::Finished);
    assert_eq!(bench.rows("SELECT COUNT(*), MAX(n) FROM copies"), [["20", "20"]]);
    let rows = bench.rows(&format!("SHOW JOB '{}'", job.id()));
    assert!(rows.iter().all(|row| row[0] != "alarm"), "{rows:?}");
}
