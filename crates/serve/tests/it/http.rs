//! The HTTP door, asked over a plain socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_core::authorizer::{AllowAll, Authorizer, Operation, Principal, Resource};
use thalweg_core::env::bind_listener;
use thalweg_serve::http::{
    AlarmLine, HttpHandle, HttpServer, HttpState, JobLine, MetricFamily, MetricKind, MetricsSource,
    Overview, OverviewSource, Sample,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fuzz::{counted, fuzz, http_request, talk};

#[derive(Default)]
struct Source {
    is_ready: AtomicBool,
}

impl MetricsSource for Source {
    fn families(&self) -> Vec<MetricFamily> {
        vec![MetricFamily {
            name: "thalweg_epochs_total".into(),
            help: "Epochs.".into(),
            kind: MetricKind::Counter,
            samples: vec![Sample { value: 7.0, ..Sample::default() }],
        }]
    }
}

impl OverviewSource for Source {
    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    fn overview(&self) -> Overview {
        let job = JobLine {
            name: "<script>x</script>".into(),
            state: "running".into(),
            epoch: 3,
            rows_in: 1,
            rows_out: 2,
            problem: String::new(),
        };
        let alarm = AlarmLine { subject: "readings-0".into(), reason: "damaged & shut".into() };
        let alarms = if self.is_ready() { vec![alarm] } else { Vec::new() };
        Overview { version: "1".into(), jobs: vec![job], alarms, ..Overview::default() }
    }
}

fn start(source: Arc<Source>, authorizer: Arc<dyn Authorizer>) -> HttpHandle {
    let any = "127.0.0.1:0".parse().expect("address");
    let listener = bind_listener("HTTP", "--http", any, false).expect("free port");
    let state = HttpState { metrics: source.clone(), overview: source, authorizer };
    HttpServer::start(listener, state).expect("starts")
}

async fn get(server: &HttpHandle, path: &str, host: &str) -> String {
    let mut socket = TcpStream::connect(server.local_addr()).await.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("reads");
    answer
}

#[test]
fn it_says_what_runs_here() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let source = Arc::new(Source::default());
        let server = start(Arc::clone(&source), Arc::new(AllowAll));
        let get = async |path: &str| get(&server, path, "localhost").await;
        assert!(get("/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get("/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(!get("/").await.contains("Alarms"), "none, so nothing of them");
        source.is_ready.store(true, Ordering::Relaxed);
        assert!(get("/readyz").await.starts_with("HTTP/1.1 200"));
        let metrics = get("/metrics").await;
        assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("\nthalweg_epochs_total 7\n"), "{metrics}");
        let page = get("/").await;
        assert!(page.contains("&lt;script&gt;x") && !page.contains("<script>"), "{page}");
        assert!(page.contains("<td>readings-0<td>damaged &amp; shut"), "{page}");
        assert!(get("/nothing").await.starts_with("HTTP/1.1 404"));
        server.shutdown().await;
    });
}

#[test]
fn pages_of_the_web_and_people_who_may_not_see_nothing() {
    struct Nobody;
    impl Authorizer for Nobody {
        fn authorize(&self, _: &Principal, _: Operation, _: Resource<'_>) -> bool {
            false
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let open = start(Arc::default(), Arc::new(AllowAll));
        assert!(get(&open, "/metrics", "evil.example").await.starts_with("HTTP/1.1 421"));
        let shut = start(Arc::default(), Arc::new(Nobody));
        for path in ["/", "/metrics"] {
            assert!(get(&shut, path, "127.0.0.1").await.starts_with("HTTP/1.1 403"));
        }
        assert!(get(&shut, "/healthz", "127.0.0.1").await.starts_with("HTTP/1.1 200"));
        // A client that keeps its connection does not keep the door open.
        let _idle = TcpStream::connect(open.local_addr()).await.expect("connects");
        open.shutdown().await;
        shut.shutdown().await;
    });
}

/// Bytes from a connection: no panic, and the next one is served.
fn target(sent: &[u8]) {
    counted(async || {
        let door = start(Arc::new(Source::default()), Arc::new(AllowAll));
        let heard = talk(door.local_addr(), sent).await.len();
        let answer = get(&door, "/healthz", "localhost").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        door.shutdown().await;
        sent.len() + heard + answer.len()
    });
}

#[test]
fn fuzz_http() {
    fuzz("http", "-p thalweg-serve --test it fuzz_http", 400).run(http_request, target);
}
