//! Connections from a chosen address, and what a server says about itself.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use ddpm_proto::v1;
use ddpm_proto::v1::server_service_client::ServerServiceClient;
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};

pub use ddpm_proto::v1::{Limits, Load};

/// Connects to `server` from the address `source`, which a server takes for the principal.
///
/// # Errors
///
/// Nobody listens, or `source` is no address of this machine.
pub async fn connect(server: SocketAddr, source: IpAddr) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{server}"))?
        .local_address(Some(source))
        .connect_timeout(Duration::from_secs(10));
    let channel = endpoint.connect().await;
    channel.with_context(|| format!("no connection from {source} to {server}"))
}

/// Asks a server for its load.
///
/// # Errors
///
/// The server gave none.
pub async fn load(channel: &Channel) -> anyhow::Result<Load> {
    info(channel).await?.load.context("the server's state has no load")
}

/// Asks a server for its limits.
///
/// # Errors
///
/// The server gave none.
pub async fn limits(channel: &Channel) -> anyhow::Result<Limits> {
    info(channel).await?.limits.context("the server's state has no limits")
}

async fn info(channel: &Channel) -> anyhow::Result<v1::GetServerInfoResponse> {
    let mut request = tonic::Request::new(v1::GetServerInfoRequest {});
    request.set_timeout(Duration::from_secs(20));
    let answer = ServerServiceClient::new(channel.clone()).get_server_info(request).await;
    Ok(answer.context("the server does not say its state")?.into_inner())
}

/// Waits until a server has nothing in flight and holds nothing; returns how long that took, or
/// `None` if it took longer than `limit`.
///
/// # Errors
///
/// The server does not answer.
pub async fn wait_until_idle(
    channel: &Channel,
    limit: Duration,
) -> anyhow::Result<Option<Duration>> {
    let start = Instant::now();
    loop {
        let load = load(channel).await?;
        let samples = load.samples_waiting + load.samples_running;
        if (load.requests, samples, load.backlog_evals, load.held_bytes) == (0, 0, 0, 0) {
            return Ok(Some(start.elapsed()));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        sleep(Duration::from_millis(10)).await;
    }
}
