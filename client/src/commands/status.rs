//! `ddpm status`: versions, device, limits and load of the server.

use std::process::ExitCode;

use ddpm_client::{Error, ServerInfo};

use super::context::Context;
use super::output;

pub(crate) async fn run(context: &Context) -> Result<ExitCode, Error> {
    let info = context.connect().await?.server_info().await?;
    if context.json {
        output::print_json(&info)?;
    } else {
        output::print(&output::pairs(&lines(&info)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(info: &ServerInfo) -> Vec<(&'static str, String)> {
    let ServerInfo { device, limits, load, .. } = info;
    vec![
        ("server", format!("ddpm-server {}", info.version)),
        ("onnxruntime", info.onnxruntime_version.clone()),
        ("device", format!("{} ({}): {}", device.name, device.provider, device.reason)),
        ("fingerprint", info.fingerprint.clone()),
        ("state", if load.draining { "draining" } else { "serving" }.to_owned()),
        (
            "load",
            format!(
                "{} requests, {} samples waiting, {} running, {} evals left",
                load.requests, load.samples_waiting, load.samples_running, load.backlog_evals
            ),
        ),
        (
            "since start",
            format!(
                "{} ticks, {} evals; {:.1} % of active time in the network, {:.1} % in kernel and \
                 noise",
                load.ticks,
                load.evals,
                load.busy_ratio * 100.0,
                load.kernel_ratio() * 100.0
            ),
        ),
        (
            "per request",
            format!(
                "at most {} samples, {} evals, {} watched samples, {} bytes",
                limits.max_samples,
                limits.max_evals,
                limits.max_watched_samples,
                limits.max_request_bytes
            ),
        ),
        (
            "per server",
            format!(
                "at most {} requests, {} samples queued, {} in a batch, {} bytes held ({} now)",
                limits.max_requests,
                limits.max_queued_samples,
                limits.max_batch,
                limits.max_held_bytes,
                load.held_bytes
            ),
        ),
    ]
}
