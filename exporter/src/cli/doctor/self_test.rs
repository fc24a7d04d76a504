//! A toy goes the whole way: trained, saved, read back, exported, and recomputed in both engines.

use std::error::Error;
use std::sync::Arc;

use ddpm_onnx::{DeviceChoice, RuntimeOptions};
use ddpm_package::Package;
use tch::Device;

use crate::data;
use crate::export::package::Export;
use crate::export::verify::verify;
use crate::train::{Batches, Checkpoint, DataConfig, RunDir, TrainConfig, Trainer};

/// Enough for the loss to fall by half.
const STEPS: u32 = 60;

/// Runs it; what it found, or where it ended.
pub(super) fn run(options: &RuntimeOptions) -> Result<String, String> {
    whole_way(options).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        format!("a toy did not go the whole way: {text}")
    })
}

fn whole_way(options: &RuntimeOptions) -> Result<String, Box<dyn Error>> {
    let data = DataConfig::of("gaussian8:2000");
    let dataset = Arc::new(data::load(&data.source()?, &data.load_options(0))?);
    let config = TrainConfig {
        batch_size: 200,
        ..TrainConfig::defaults("self-test".to_owned(), data, Vec::new(), dataset.kind())
    };
    let folder = tempfile::tempdir()?;
    let (run, package) =
        (RunDir::create(&folder.path().join("run"))?, folder.path().join("package"));
    let mut trainer = Trainer::new(&config, Device::Cpu)?;
    let batches = Batches::new(&config, Arc::clone(&dataset))?;
    let mut losses = Vec::new();
    for step in 0..STEPS {
        losses.push(trainer.step(&batches.make(step)?)?.loss);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    if last > 0.8 * first {
        return Err(format!("its loss went from {first:.3} to {last:.3} only").into());
    }
    let checkpoint = Checkpoint::save(&run, &config, &trainer, Some(last))?;
    let network = checkpoint.network(false, Device::Cpu)?;
    let export = Export {
        network: &network,
        state: checkpoint.state(),
        dataset: &dataset,
        name: "self-test",
        version: "1",
        weights: false,
    };
    export.write(&package, false)?;
    for check in verify(&Package::open(&package)?, options, DeviceChoice::Cpu)? {
        if !check.passes() {
            return Err(format!("{} computes something else", check.engine).into());
        }
    }
    Ok("a toy was trained, saved, exported, and recomputed in both engines".to_owned())
}
