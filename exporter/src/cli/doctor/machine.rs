//! Checks of the machine. Each returns what it found, or what is wrong and how to fix it.

use std::fs;
use std::path::Path;

use ddpm_torch::distributed::HAS_NCCL;
use indicatif::HumanBytes;
use rustix::fs::statvfs;
use tch::{Cuda, Kind, Tensor};

/// Disk space below which to warn: a checkpoint of the CIFAR-10 network takes 572 MB.
const ENOUGH_DISK: u64 = 2 << 30;
/// Memory below which to warn: training that network in batches of 16 took 2.2 GB.
const ENOUGH_MEMORY: u64 = 2 << 30;

/// Finds the loaded library, and checks that it computes.
pub(super) fn libtorch() -> Result<String, String> {
    let product = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
    let product = product.f_matmul(&product).map_err(|error| error.to_string())?;
    // (1 2; 3 4)² = (7 10; 15 22).
    let sum = product.sum(Kind::Float).double_value(&[]);
    let place =
        path_of_loaded("libtorch_cpu.so").unwrap_or_else(|| "linked into the program".to_owned());
    if sum == 54.0 {
        Ok(format!("{} at {place}", ddpm_torch::VERSION))
    } else {
        Err(format!("{place} computes {sum} instead of 54; fetch it again with `make setup`"))
    }
}

/// Returns the path of a loaded library.
fn path_of_loaded(name: &str) -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find(|line| line.ends_with(name))?;
    path.find('/').map(|start| path[start..].to_owned())
}

/// Counts the GPUs.
pub(super) fn cuda() -> Result<String, String> {
    match ddpm_torch::load_cuda() {
        Ok(()) => Ok(format!("{} GPUs", Cuda::device_count())),
        Err(reason) => Err(format!("not used: {reason}")),
    }
}

/// Checks whether several GPUs can train one network.
pub(super) fn nccl() -> Result<String, String> {
    if HAS_NCCL {
        Ok("in this build, for train --distributed on GPUs".to_owned())
    } else {
        Err("not in this build: train --distributed works on the CPU only; build with the CUDA \
             libraries of `make setup DEVICE=cuda`"
            .to_owned())
    }
}

/// Checks for bf16 instructions.
pub(super) fn bf16() -> Result<String, String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    match ["amx_bf16", "avx512_bf16"].iter().find(|flag| flags.contains(**flag)) {
        Some(flag) => Ok(format!("the processor has {flag}: try --precision bf16")),
        None => {
            Err("the processor has no bf16 instructions: stay with --precision fp32".to_owned())
        }
    }
}

/// Measures the available memory.
pub(super) fn memory() -> Result<String, String> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = available.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    match kilobytes.map(|kilobytes: u64| kilobytes << 10) {
        None => Err("the system does not report it".to_owned()),
        Some(bytes) if bytes < ENOUGH_MEMORY => Err(format!(
            "{} available: train small networks, or large ones with --accumulation",
            HumanBytes(bytes)
        )),
        Some(bytes) => Ok(format!("{} available", HumanBytes(bytes))),
    }
}

/// Checks that a folder can be written to.
pub(super) fn disk(dir: &Path) -> Result<String, String> {
    let place = dir.display();
    match tempfile::tempfile_in(dir) {
        Ok(_) => Ok(format!("{place} can be written to")),
        Err(cause) => Err(format!("{place} cannot be written to: {cause}; name another --dir")),
    }
}

/// Measures the free disk space of a folder.
pub(super) fn space(dir: &Path) -> Result<String, String> {
    let place = dir.display();
    let found = statvfs(dir).map_err(|cause| format!("{place}: {cause}; name another --dir"))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < ENOUGH_DISK {
        return Err(format!(
            "{} free at {place}: train small networks, free some space, or name another --dir",
            HumanBytes(free)
        ));
    }
    Ok(format!("{} free at {place}", HumanBytes(free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_computes_and_its_path_is_found() {
        let found = libtorch().unwrap();
        assert!(found.contains("libtorch_cpu.so"), "{found}");
    }

    #[test]
    fn a_missing_folder_is_reported_with_a_remedy() {
        let error = disk(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.contains("/no/such/folder") && error.contains("--dir"), "{error}");
    }
}
