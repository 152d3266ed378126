//! A broker on a simulated disk, driven on one thread by hand.

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use thalweg_core::env::bind_listener;
use thalweg_core::env::sim::SimEnv;
use thalweg_log::{Log, LogOptions};
use thalweg_testkit::memory::uncounted;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::broker::{Broker, BrokerError, BrokerState};
use crate::net::connection::converse;
use crate::options::{BrokerOptions, GroupOptions, Limits, TransactionOptions};

/// Nothing more happens when nothing has happened for so many rounds.
const QUIET_ROUNDS: usize = 4;
/// Clients that send more than this wait for each answer, so that all answers are seen and
/// count: one to a long request is long.
const PIPELINED_BYTES_MAX: usize = 64 << 10;
/// Nothing takes longer than this.
const ROUNDS_MAX: usize = 100_000;

/// A disk, and the log on it.
pub(super) struct Disk {
    sim: SimEnv,
    pub(super) log: Arc<Log>,
}

/// A broker at work.
pub(super) struct World {
    disk: Disk,
    pub(super) broker: Arc<Broker>,
    /// Only so that timers can be made; they never fire.
    runtime: Arc<Runtime>,
}

/// What came of a connection.
pub(super) struct Heard {
    /// The bytes of all answers.
    pub(super) bytes: Vec<u8>,
    /// The broker closed.
    pub(super) is_closed: bool,
}

impl Disk {
    /// An empty one.
    pub(super) fn new() -> Self {
        let sim = SimEnv::new(1);
        let options = LogOptions { background: false, reserve_bytes: 0, ..LogOptions::default() };
        let log = Log::open(sim.env(), Path::new("/log"), options).expect("a log");
        Self { sim, log }
    }

    /// Reads the broker's own state.
    pub(super) fn open_state(&self) -> Result<BrokerState, BrokerError> {
        let groups = GroupOptions {
            initial_rebalance_delay_ms: 0,
            // So that all is written anew at the start, too.
            rewrite_bytes: 200,
            ..GroupOptions::default()
        };
        let transactions =
            TransactionOptions { rewrite_bytes: 200, ..TransactionOptions::default() };
        let state = BrokerState::open(self.sim.env(), self.log.clone(), groups, transactions);
        while self.log.commit_step() > 0 {}
        state
    }
}

thread_local! {
    static SHARED: (Arc<Runtime>, std::net::TcpListener) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = bind_listener("Kafka", "--kafka", any, false).expect("a free port");
        (Arc::new(runtime.expect("a runtime")), listener)
    };
}

impl World {
    pub(super) fn new(disk: Disk, state: BrokerState) -> Self {
        let (runtime, listener) = SHARED
            .with(|(runtime, door)| (runtime.clone(), door.try_clone().expect("the listener")));
        let address = listener.local_addr().expect("an address");
        let mut options = BrokerOptions::new(listener);
        // Topics may be made, but not so many that their files are all that is counted.
        options.limits = Limits { partitions: 40, ..Limits::default() };
        Self { broker: Broker::new(state, &options, address), disk, runtime }
    }

    /// Lets a client send bytes, and then leave.
    pub(super) fn converse(&self, sent: &[u8]) -> Heard {
        let _entered = self.runtime.enter();
        let released = if sent.len() > PIPELINED_BYTES_MAX { 0 } else { sent.len() };
        let line = Line { sent: sent.to_vec(), released, ..Line::default() };
        let line = Arc::new(Mutex::new(line));
        let (stop, stopping) = watch::channel(false);
        let peer = "127.0.0.1:9".parse().expect("an address");
        let (reader, writer) = (End(line.clone()), End(line.clone()));
        let served = Box::pin(converse(self.broker.clone(), peer, reader, writer, stopping));
        let mut served = served;
        let mut is_closed = self.go_on(served.as_mut(), &line);
        let answered = line.lock().expect("the line").heard.len();
        if !is_closed {
            line.lock().expect("the line").has_left = true;
            self.go_on(served.as_mut(), &line);
        }
        drop((served, stop));
        let mut line = line.lock().expect("the line");
        is_closed |= line.heard.len() < answered;
        Heard { bytes: std::mem::take(&mut line.heard), is_closed }
    }

    /// Goes on until nothing moves any more; true where the connection ended.
    fn go_on(&self, mut served: Pin<&mut impl Future<Output = ()>>, line: &Mutex<Line>) -> bool {
        let (mut seen, mut quiet) = ((0, 0), 0);
        for _ in 0..ROUNDS_MAX {
            if poll(served.as_mut()).is_ready() {
                return true;
            }
            let moved = self.work_off();
            let now = {
                let line = line.lock().expect("the line");
                (line.taken, line.heard.len())
            };
            quiet = if now == seen && !moved { quiet + 1 } else { 0 };
            seen = now;
            if quiet == QUIET_ROUNDS {
                if !line.lock().expect("the line").release() {
                    return false;
                }
                quiet = 0;
            }
        }
        panic!("the connection never comes to rest");
    }

    /// Does what the log and the coordinator of transactions do on their own; whether there
    /// was anything to do.
    fn work_off(&self) -> bool {
        let mut moved = self.disk.log.commit_step() > 0;
        for markers in self.broker.transactions.decided() {
            moved = true;
            let mut end = pin!(self.broker.transactions.clone().carry_out_once(markers));
            // What is refused stays undone, as after a crash.
            for _ in 0..100 {
                if poll(end.as_mut()).is_ready() {
                    break;
                }
                self.disk.log.commit_step();
            }
        }
        moved
    }

    /// Time goes on, for everybody.
    pub(super) fn advance(&self, by: Duration) {
        let _entered = self.runtime.enter();
        self.disk.sim.clock.advance(by);
        for _ in 0..QUIET_ROUNDS {
            self.broker.groups.tick();
            self.broker.transactions.tick();
            while self.work_off() {}
        }
    }

    /// Ends the broker; what it wrote stays.
    pub(super) fn stop(self) -> Disk {
        self.disk
    }
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What goes over a connection.
#[derive(Default)]
struct Line {
    sent: Vec<u8>,
    /// How much of it is there to be read.
    released: usize,
    /// How much of it was read.
    taken: usize,
    heard: Vec<u8>,
    has_left: bool,
}

impl Line {
    /// Lets the next frame go; false where there is none.
    fn release(&mut self) -> bool {
        let rest = &self.sent[self.released..];
        let length = rest.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
        self.released += rest.len().min(4 + length as usize);
        !rest.is_empty()
    }
}

/// One half of a connection, as the broker has it.
struct End(Arc<Mutex<Line>>);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut line = self.0.lock().expect("the line");
        let rest = &line.sent[line.taken..line.released];
        let more = rest.len().min(buffer.remaining());
        if more == 0 && !line.has_left {
            return Poll::Pending;
        }
        buffer.put_slice(&rest[..more]);
        line.taken += more;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let mut line = self.0.lock().expect("the line");
        uncounted(|| line.heard.extend_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
