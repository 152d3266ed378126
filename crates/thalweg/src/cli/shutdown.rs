//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a second Ctrl-C, as shells give it.
const INTERRUPTED: i32 = 130;

/// Waits for the first Ctrl-C or SIGTERM. From then on another Ctrl-C ends the process.
pub(crate) async fn requested() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        interrupt.recv().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// A runtime for a command that talks to a server.
pub(crate) fn client_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
