//! Bytes that no client sends, at both doors: every input is a whole connection, and must
//! leave a door that serves the next one, with at most 8 times its bytes and those of the
//! answers and 1 MiB allocated at a time. See `thalweg_testkit::fuzz`.

use std::net::SocketAddr;

use thalweg_core::env::{Random, SeededRandom};
use thalweg_testkit::fuzz::Fuzz;
use thalweg_testkit::memory::{uncounted, used};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A target of this crate.
pub(super) fn fuzz(name: &'static str, test: &'static str, rounds: u64) -> Fuzz<'static> {
    Fuzz { name, folder: env!("CARGO_MANIFEST_DIR"), test, rounds }
}

/// Runs something that opens a door and talks to it, all on this thread, and checks what it
/// allocated. `run` gives the bytes that went either way.
pub(super) fn counted(run: impl AsyncFnOnce() -> usize) {
    let builder = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = builder().expect("a runtime");
    let (bytes, used) = used(|| runtime.block_on(run()));
    used.check("a connection", bytes);
}

/// Sends all, says that no more will come, and gives what is answered.
pub(super) async fn talk(door: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = TcpStream::connect(door).await.expect("connects").into_split();
    let mut answer = Vec::new();
    let send = async {
        // The door may close before it has heard all.
        let _ = writer.write_all(bytes).await;
        let _ = writer.shutdown().await;
    };
    let hear = async {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut chunk).await {
            uncounted(|| answer.extend_from_slice(&chunk[..read]));
        }
    };
    tokio::join!(send, hear);
    answer
}

/// A request of the HTTP door, damaged or not.
pub(super) fn http_request(random: &SeededRandom) -> Vec<u8> {
    use thalweg_testkit::mutate::{extreme, mutate, pick};
    let method = pick(random, &["GET", "GET", "HEAD", "POST", "PRI", "get"]);
    let path = pick(random, &["/", "/metrics", "/healthz", "/readyz", "/x?%ff=%", "*", "//"]);
    let version = pick(random, &["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]);
    let mut request = format!("{method} {path} {version}\r\nHost: localhost\r\n");
    for _ in 0..random.below(4) {
        let length = extreme(random, 10);
        request += &match random.below(5) {
            0 => format!("Content-Length: {length}\r\n"),
            1 => "Transfer-Encoding: chunked\r\n".to_owned(),
            2 => "Expect: 100-continue\r\n".to_owned(),
            3 => format!("X: {}\r\n", "y".repeat(random.below(9_000) as usize)),
            _ => "Host: evil.example\r\n".to_owned(),
        };
    }
    if random.chance(20_000) {
        request += &"a: b\r\n".repeat(random.below(2_000) as usize);
    }
    request += "\r\n";
    request += &format!("{:x}\r\nhello\r\n0\r\n\r\n", extreme(random, 5));
    let mut bytes = request.into_bytes();
    if random.chance(600_000) {
        let donor = bytes.clone();
        mutate(random, &mut bytes, &donor);
    }
    bytes
}
