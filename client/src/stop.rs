//! Signals that end the program.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for a signal and returns 128 plus its number, the exit code. All that wait are told at
/// once.
pub(crate) async fn signalled() -> u8 {
    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => signals.recv().await,
        // Without a handler, the signal itself ends the process.
        Err(_) => std::future::pending().await,
    };
    let hangup = async {
        // Under `nohup` it stays ignored.
        if ddpm_console::ignores_hangup() {
            std::future::pending::<()>().await;
        }
        wait(SignalKind::hangup()).await;
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => 130,
        _ = wait(SignalKind::terminate()) => 143,
        () = hangup => 129,
    }
}
