//! Figure 4: storms that others hardly notice.

mod attacks;
mod cancels;
mod unread;

pub(crate) use attacks::attacks;
pub(crate) use cancels::cancels;
pub(crate) use unread::unread;

use ddpm_tests::report::Verdict;

use crate::server::Server;

/// Memory that a server may use beyond its idle memory and its limit, in MiB.
const MORE_MIB: f64 = 100.0;

/// Adds the line about memory: never above idle + the limit + 100 MiB.
fn memory(verdict: &mut Verdict, server: &Server, limit_mib: u32) -> anyhow::Result<()> {
    let (idle, peak) = (server.idle_mib, server.peak_mib()?);
    let most = idle + f64::from(limit_mib) + MORE_MIB;
    verdict.line(
        format!("resident memory at most idle + {limit_mib} + {MORE_MIB} MiB"),
        format!("{peak:.0} MiB at most, {idle:.0} idle"),
        peak <= most,
    );
    Ok(())
}
