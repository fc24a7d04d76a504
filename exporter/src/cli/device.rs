//! Chooses where libtorch computes, and prints why; never falls back silently.

use ddpm_console::note;
use ddpm_onnx::DeviceChoice;
use ddpm_torch::distributed::Launch;
use tch::{Cuda, Device};

use super::Failure;

/// Where to compute.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DeviceArgs {
    /// auto, cpu, cuda or cuda:N [default: auto, which uses a GPU if one works].
    #[arg(long, env = "DDPM_DEVICE", value_name = "DEVICE")]
    device: Option<DeviceChoice>,

    /// Threads for CPU computations [default: one per core].
    #[arg(long, env = "DDPM_THREADS", value_name = "N")]
    threads: Option<std::num::NonZeroU16>,
}

impl DeviceArgs {
    /// Spells the flags that are set, for a command that computes in the same place.
    pub(super) fn spelt(&self) -> String {
        let device = self.device.map(|device| format!(" --device {device}"));
        let threads = self.threads.map(|threads| format!(" --threads {threads}"));
        device.unwrap_or_default() + &threads.unwrap_or_default()
    }

    /// Returns the requested device, for ONNX Runtime.
    pub(super) fn choice(&self) -> DeviceChoice {
        self.device.unwrap_or_default()
    }

    /// Chooses the device and prints the choice. Must come before any other query for CUDA, whose
    /// answer libtorch would cache.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] says why a requested GPU does not work.
    pub(super) fn choose(&self) -> Result<Device, Failure> {
        self.choose_for(None)
    }

    /// Chooses the device of one of several processes: the number of its GPU is the requested one,
    /// or 0, plus its rank on the machine.
    ///
    /// # Errors
    ///
    /// As [`DeviceArgs::choose`].
    pub(super) fn choose_for(&self, launch: Option<&Launch>) -> Result<Device, Failure> {
        let first_gpu = launch.map_or(0, |launch| launch.local_rank as u32);
        let (device, reason) = choose(self.device.unwrap_or_default(), first_gpu)
            .map_err(|reason| Failure::Refused(reason.into()))?;
        if let Some(threads) = self.threads {
            tch::set_num_threads(i32::from(threads.get().min(1024)));
        }
        let who = launch.map_or(String::new(), |launch| format!("rank {}: ", launch.rank));
        match device {
            Device::Cuda(number) => note!("{who}device cuda:{number} ({reason})"),
            _ => note!("{who}device cpu, {} threads ({reason})", tch::get_num_threads()),
        }
        Ok(device)
    }
}

fn choose(choice: DeviceChoice, first_gpu: u32) -> Result<(Device, String), String> {
    match choice {
        DeviceChoice::Cpu => Ok((Device::Cpu, "requested".to_owned())),
        DeviceChoice::Cuda(number) => match cuda(number.saturating_add(first_gpu)) {
            Ok(device) => Ok((device, "requested".to_owned())),
            Err(reason) => Err(format!("device {choice} cannot be used: {reason}")),
        },
        DeviceChoice::Auto => Ok(match cuda(first_gpu) {
            Ok(device) => (device, "CUDA works".to_owned()),
            Err(reason) => (Device::Cpu, format!("no CUDA: {reason}")),
        }),
    }
}

fn cuda(number: u32) -> Result<Device, String> {
    ddpm_torch::load_cuda()?;
    let count = Cuda::device_count();
    if i64::from(number) >= count {
        return Err(format!("there are {count} GPUs, numbered from 0"));
    }
    // Shapes stay the same for a whole run, so benchmarking algorithms pays off.
    Cuda::cudnn_set_benchmark(true);
    Ok(Device::Cuda(number as usize))
}
