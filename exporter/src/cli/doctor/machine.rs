//! What the machine has. A result is what was found, or what is wrong with a remedy.

use std::fs;
use std::path::Path;

use ddpm_torch::distributed::HAS_NCCL;
use indicatif::HumanBytes;
use rustix::fs::statvfs;
use tch::{Cuda, Kind, Tensor};

/// Less room than this is worth a warning: a checkpoint of the CIFAR-10 network has 572 MB.
const ENOUGH_DISK: u64 = 2 << 30;
/// Training that network in batches of 16 took 2.2 GB.
const ENOUGH_MEMORY: u64 = 2 << 30;

/// The library that is loaded, and whether it computes.
pub(super) fn libtorch() -> Result<String, String> {
    let product = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
    let product = product.f_matmul(&product).map_err(|error| error.to_string())?;
    // (1 2; 3 4)² = (7 10; 15 22).
    let sum = product.sum(Kind::Float).double_value(&[]);
    let place = loaded("libtorch_cpu.so").unwrap_or_else(|| "linked into the program".to_owned());
    if sum == 54.0 {
        Ok(format!("2.11.0 at {place}"))
    } else {
        Err(format!("{place} computes a sum of {sum} instead of 54; fetch it again: `make setup`"))
    }
}

/// Where a loaded library is.
fn loaded(name: &str) -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find(|line| line.ends_with(name))?;
    path.find('/').map(|start| path[start..].to_owned())
}

/// The GPUs.
pub(super) fn cuda() -> Result<String, String> {
    match ddpm_torch::load_cuda() {
        Ok(()) => Ok(format!("{} GPUs", Cuda::device_count())),
        Err(reason) => Err(format!("not used: {reason}")),
    }
}

/// Whether GPUs can train one network together.
pub(super) fn nccl() -> Result<String, String> {
    if HAS_NCCL {
        Ok("in this build, for train --distributed on GPUs".to_owned())
    } else {
        Err("not in this build: train --distributed works on the CPU only; with the CUDA libraries of \
             `make setup DEVICE=cuda` it is"
            .to_owned())
    }
}

/// Whether bf16 has instructions of its own.
pub(super) fn bf16() -> Result<String, String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    match ["amx_bf16", "avx512_bf16"].iter().find(|flag| flags.contains(**flag)) {
        Some(flag) => Ok(format!("the processor has {flag}: --precision bf16 is worth a try")),
        None => {
            Err("the processor has no instructions for it: stay with --precision fp32".to_owned())
        }
    }
}

/// Memory that programs may still take.
pub(super) fn memory() -> Result<String, String> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = available.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    match kilobytes.map(|kilobytes: u64| kilobytes << 10) {
        None => Err("the system does not tell how much there is".to_owned()),
        Some(bytes) if bytes < ENOUGH_MEMORY => Err(format!(
            "{} are left: train small networks, or large ones with --accumulation",
            HumanBytes(bytes)
        )),
        Some(bytes) => Ok(format!("{} are left", HumanBytes(bytes))),
    }
}

/// Whether a folder can be written to, and how much fits.
pub(super) fn disk(dir: &Path) -> Result<String, String> {
    let place = dir.display();
    tempfile::tempfile_in(dir)
        .map_err(|cause| format!("{place} cannot be written to: {cause}; name another --dir"))?;
    let found = statvfs(dir).map_err(|cause| format!("{place}: {cause}"))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < ENOUGH_DISK {
        return Err(format!(
            "{} are free at {place}: make room, or name another --dir",
            HumanBytes(free)
        ));
    }
    Ok(format!("{} are free at {place}", HumanBytes(free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_computes_and_says_where_it_is() {
        let found = libtorch().unwrap();
        assert!(found.contains("libtorch_cpu.so"), "{found}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_finding_with_a_remedy() {
        let error = disk(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.contains("/no/such/folder") && error.contains("--dir"), "{error}");
    }
}
