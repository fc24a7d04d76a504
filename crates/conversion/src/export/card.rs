//! The model card, the README of a package.

use ddpm_diffusion::Edm;
use ddpm_package::Manifest;

use super::contents::{Contents, is_visible};

/// Writes the model card: a table of `rows` and of the facts in the manifest, and how to use the
/// package.
///
/// * `rows`: names and values of facts that the manifest lacks.
pub fn render(manifest: &Manifest, rows: &[(&str, String)]) -> String {
    let classes = match manifest.classes.as_slice() {
        [] => "unconditional".to_owned(),
        names => format!("{} classes: {}", names.len(), names.join(", ")),
    };
    let sampler = &manifest.default_sampler;
    let picture = match is_visible(manifest) {
        true => format!("![samples]({})\n\n", Contents::PICTURE),
        false => String::new(),
    };
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    format!(
        "# {name} {version}\n\n\
         {picture}\
         A diffusion model of samples of shape {shape:?}, {classes}.\n\n\
         | | |\n|---|---|\n\
         {rows}\
         | predicts | {prediction} |\n\
         | process | {process} |\n\
         | variance | {variance} |\n\
         | default sampler | `{sampler}`, {num_steps} steps, grid `{grid}` |\n\n\
         `training.json` has every setting, `ddpm.json` all that a server needs. `unet/` holds the \
         network's graphs: `model.onnx` for every machine and, where they are there, \
         `model.cuda.onnx` for NVIDIA GPUs and `model.int8.onnx` for processors.\n\n\
         ```text\n\
         ddpm-server --models <the folder that holds this one>\n\
         ddpm sample {name} --count 16\n\
         ```\n",
        name = manifest.name,
        version = manifest.version,
        shape = manifest.sample_shape,
        prediction = manifest.prediction.name(),
        process = process(manifest),
        variance = manifest.variance.name(),
        sampler = sampler.sampler,
        num_steps = sampler.num_steps,
        grid = sampler.grid,
    )
}

fn process(manifest: &Manifest) -> String {
    let schedule = &manifest.schedule;
    match schedule.edm {
        Some(edm) => {
            let Edm { sigma_min, sigma_max, sigma_data } = edm;
            format!("EDM, sigma {sigma_min} to {sigma_max}, sigma_data {sigma_data}")
        }
        None if schedule.betas.is_empty() => "straight flow".to_owned(),
        None => format!("{} betas, T = {}", schedule.kind, schedule.betas.len()),
    }
}
