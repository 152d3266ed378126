//! The command line: a command, a broker, a topic, and what was named.

#[derive(Clone)]
pub struct Arguments {
    pub command: String,
    pub bootstrap: String,
    pub topic: String,
    pub records: usize,
    /// Bytes of a record's value, at least the eight of its time.
    pub size: usize,
    pub producers: usize,
    pub consumers: usize,
    pub partitions: usize,
    pub acks: String,
    pub codec: String,
    /// Records a second, all producers together; 0 is as fast as it goes.
    pub rate: f64,
}

impl Arguments {
    pub fn from_environment() -> Self {
        let mut words = std::env::args().skip(1);
        let mut next = |what: &str| words.next().unwrap_or_else(|| panic!("{what} is missing"));
        let mut arguments = Self {
            command: next("the command"),
            bootstrap: next("the broker's address"),
            topic: next("the topic"),
            records: 1_000_000,
            size: 100,
            producers: 1,
            consumers: 1,
            partitions: 1,
            acks: "all".into(),
            codec: "none".into(),
            rate: 0.0,
        };
        while let Some(name) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{name} needs a value"));
            let number = || value.parse().unwrap_or_else(|_| panic!("{name} needs a number"));
            match name.as_str() {
                "--records" => arguments.records = number(),
                "--size" => arguments.size = number().max(8),
                "--producers" => arguments.producers = number().max(1),
                "--consumers" => arguments.consumers = number().max(1),
                "--partitions" => arguments.partitions = number().max(1),
                "--rate" => arguments.rate = number() as f64,
                "--acks" => arguments.acks = value,
                "--codec" => arguments.codec = value,
                other => panic!("no such option: {other}"),
            }
        }
        arguments.records -= arguments.records % arguments.producers;
        arguments
    }
}
