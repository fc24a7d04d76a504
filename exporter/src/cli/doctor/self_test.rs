//! Trains a toy model, saves it, reads it back, exports it, and verifies it in both engines.

use std::error::Error;
use std::sync::Arc;

use ddpm_conversion::export::verify::verify;
use ddpm_onnx::{DeviceChoice, RuntimeOptions};
use ddpm_package::Package;
use ddpm_training::{Batches, Checkpoint, DataConfig, RunDir, TrainConfig, Trainer};
use tch::Device;

use crate::package::Export;

/// Enough steps to halve the loss.
const STEPS: u32 = 60;

/// Runs the self-test; the error says where it stopped.
pub(super) fn run(options: &RuntimeOptions) -> Result<String, String> {
    train_and_export(options).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        format!("a toy model could not be trained and exported: {text}")
    })
}

fn train_and_export(options: &RuntimeOptions) -> Result<String, Box<dyn Error>> {
    let data = DataConfig::from_source("gaussian8:2000");
    let dataset = Arc::new(ddpm_data::load(&data.source()?, &data.load_options(0))?);
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
        return Err(format!("its loss only fell from {first:.3} to {last:.3}").into());
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
        cuda: false,
    };
    export.write(&package, false)?;
    for check in verify(&Package::open(&package)?, options, DeviceChoice::Cpu)? {
        if !check.passes() {
            return Err(format!("{} computes different outputs", check.engine).into());
        }
    }
    Ok("a toy model was trained, saved, exported, and verified in both engines".to_owned())
}
