//! Where libtorch computes, with the reason; never a silent fall back.

use ddpm_onnx::DeviceChoice;
use tch::{Cuda, Device};

use super::Failure;

/// Where to compute.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DeviceArgs {
    /// auto, cpu, cuda or cuda:N [default: auto, which takes a GPU that works].
    #[arg(long, env = "DDPM_DEVICE", value_name = "DEVICE")]
    device: Option<DeviceChoice>,

    /// Threads of CPU computations [default: one a core].
    #[arg(long, env = "DDPM_THREADS", value_name = "N")]
    threads: Option<std::num::NonZeroU16>,
}

impl DeviceArgs {
    /// What was asked for, for ONNX Runtime.
    pub(super) fn choice(&self) -> DeviceChoice {
        self.device.unwrap_or_default()
    }

    /// Chooses the device and prints the choice. To be called before anything else asks libtorch
    /// for CUDA, which would remember "none".
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] if CUDA was asked for and does not work, with the reason.
    pub(super) fn choose(&self) -> Result<Device, Failure> {
        let (device, reason) = choose(self.device.unwrap_or_default())
            .map_err(|reason| Failure::Refused(reason.into()))?;
        if let Some(threads) = self.threads {
            tch::set_num_threads(i32::from(threads.get().min(1024)));
        }
        match device {
            Device::Cuda(number) => eprintln!("device cuda:{number} ({reason})"),
            _ => eprintln!("device cpu, {} threads ({reason})", tch::get_num_threads()),
        }
        Ok(device)
    }
}

fn choose(choice: DeviceChoice) -> Result<(Device, String), String> {
    match choice {
        DeviceChoice::Cpu => Ok((Device::Cpu, "asked for".to_owned())),
        DeviceChoice::Cuda(number) => match cuda(number) {
            Ok(device) => Ok((device, "asked for".to_owned())),
            Err(reason) => Err(format!("device {choice} cannot be used: {reason}")),
        },
        DeviceChoice::Auto => Ok(match cuda(0) {
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
    // Shapes stay the same for a whole run, so trying algorithms pays.
    Cuda::cudnn_set_benchmark(true);
    Ok(Device::Cuda(number as usize))
}
