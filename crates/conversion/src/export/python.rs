//! The section of the model card about Python.

use ddpm_package::Manifest;

use super::diffusers::Pipeline;

/// Describes the use of the package from Python: through ONNX Runtime, and through diffusers or the
/// reason why that is impossible.
pub(super) fn section(manifest: &Manifest, pipeline: &Pipeline) -> String {
    let labels = match manifest.classes.len() {
        0 => String::new(),
        none => format!(
            "\"class_labels\": np.full(4, {none}, np.int64),  # {none}: no label\n          "
        ),
    };
    let shape: Vec<String> = manifest.sample_shape.iter().map(usize::to_string).collect();
    let shape = shape.join(", ");
    let timestep = example_timestep(manifest);
    let diffusers = diffusers(manifest, pipeline);
    format!(
        "\n## In Python\n\n\
         The network alone, with `onnxruntime`: one evaluation, and the loop of \
         sampling is yours.\n\n\
         ```python\n\
         import os\n\
         os.environ[\"ORT_DISABLE_TELEMETRY\"] = \"1\"  # or onnxruntime reports to its vendor\n\
         import numpy as np, onnxruntime\n\
         unet = onnxruntime.InferenceSession(\"unet/model.onnx\")\n\
         inputs = {{\"sample\": np.random.randn(4, {shape}).astype(np.float32),\n          \
         {labels}\"timestep\": np.full(4, {timestep}, np.float32)}}\n\
         (out_sample,) = unet.run(None, inputs)\n\
         ```\n\n\
         {diffusers}\n"
    )
}

/// Returns a valid input of the network: the middle of a schedule, σ = 1 for EDM (ln σ / 4), t = ½
/// for a flow (1000 t).
fn example_timestep(manifest: &Manifest) -> usize {
    match manifest.schedule.betas.len() {
        0 if manifest.schedule.edm.is_some() => 0,
        0 => 500,
        timesteps => timesteps / 2,
    }
}

fn diffusers(manifest: &Manifest, pipeline: &Pipeline) -> String {
    match pipeline {
        Pipeline::Inexpressible(reason) => {
            format!("This folder is no pipeline of diffusers: {reason}.")
        }
        Pipeline::LeftOut => {
            "This folder is no pipeline of diffusers: it was written with --no-weights.".to_owned()
        }
        Pipeline::Files(_) if manifest.classes.is_empty() => {
            "This folder is a pipeline of diffusers too:\n\n\
             ```python\n\
             from diffusers import DDPMPipeline\n\
             images = DDPMPipeline.from_pretrained(\".\")(batch_size=4).images\n\
             ```"
            .to_owned()
        }
        Pipeline::Files(_) => format!(
            "The network is one of diffusers too. Its pipelines have no place for labels, so it is \
             called by itself; label {} means none.\n\n\
             ```python\n\
             from diffusers import DDPMScheduler, UNet2DModel\n\
             unet = UNet2DModel.from_pretrained(\".\", subfolder=\"unet\")\n\
             scheduler = DDPMScheduler.from_pretrained(\".\", subfolder=\"scheduler\")\n\
             out_sample = unet(x_t, t, class_labels=labels).sample\n\
             ```",
            manifest.classes.len()
        ),
    }
}
