//! `ddpm status`: versions, device, limits and load of the server.

use std::process::ExitCode;

use ddpm_client::{Error, Limits, Load, ServerInfo};

use super::context::Context;
use super::output;

pub(crate) async fn run(context: &Context) -> Result<ExitCode, Error> {
    let info = context.connect_at_once().await?.server_info().await?;
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
        ("load", now(load)),
        (
            "readers",
            format!(
                "{} requests wait for them, {} bytes held for them",
                load.blocked_requests, load.reader_bytes
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
        ("per principal", per_principal(limits)),
        ("per stream", per_stream(limits)),
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

fn now(load: &Load) -> String {
    format!(
        "{} requests of {} principals, {} samples waiting, {} running, {} evals ({:.1} s) left",
        load.requests,
        load.principals,
        load.samples_waiting,
        load.samples_running,
        load.backlog_evals,
        load.backlog_time.as_secs_f64()
    )
}

fn per_principal(limits: &Limits) -> String {
    let count = |limit: u64, unit: &str| (limit > 0).then(|| format!("{limit} {unit}"));
    let backlog =
        limits.max_principal_backlog.map(|time| format!("{:.0} s queued", time.as_secs_f64()));
    let parts = [
        count(u64::from(limits.max_principal_requests), "requests"),
        count(limits.max_principal_queued_samples, "samples queued"),
        backlog,
        count(limits.max_principal_evals_per_minute, "evals a minute"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.as_slice() {
        [] => "no limits".to_owned(),
        parts => format!("at most {}", parts.join(", ")),
    }
}

fn per_stream(limits: &Limits) -> String {
    limits.stall_time.map_or_else(
        || "no limit on how long it is not read".to_owned(),
        |time| format!("at most {} s without an event read", time.as_secs_f64()),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_limits_that_exist_are_shown() {
        let none = Limits::default();
        let all = Limits {
            max_principal_requests: 8,
            max_principal_queued_samples: 500,
            max_principal_backlog: Some(Duration::from_secs(60)),
            max_principal_evals_per_minute: 1000,
            stall_time: Some(Duration::from_secs(30)),
            ..none
        };

        assert_eq!(per_principal(&none), "no limits");
        assert_eq!(
            per_principal(&all),
            "at most 8 requests, 500 samples queued, 60 s queued, 1000 evals a minute"
        );
        assert_eq!(per_stream(&none), "no limit on how long it is not read");
        assert_eq!(per_stream(&all), "at most 30 s without an event read");
    }
}
