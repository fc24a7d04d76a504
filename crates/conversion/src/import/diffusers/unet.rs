//! The settings of the network: `config.json` of a `UNet2DModel`.

use std::path::Path;

use ddpm_network::{DiffusersUnetConfig, DownBlockType, Resampling, TimeScaleShift, UpBlockType};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::Keys;
use crate::import::{ImportError, ImportOptions};

/// Keys that `EMAModel.save_pretrained` adds: the settings and the age of the moving average.
const AVERAGE: [&str; 7] = [
    "decay",
    "inv_gamma",
    "min_decay",
    "optimization_step",
    "power",
    "update_after_step",
    "use_ema_warmup",
];

/// The settings of a network, and what they say of its weights.
#[derive(Debug)]
pub(super) struct Unet {
    pub(super) config: DiffusersUnetConfig,
    /// Whether the weights are a moving average.
    pub(super) is_average: bool,
}

/// Reads the settings of a network; `num_classes` is the number of rows of its table of classes.
///
/// # Errors
///
/// [`ImportError::Setting`] for a key or a value that is not supported; [`ImportError::Missing`] if
/// neither file nor user gives the size of pictures.
pub(super) fn read(
    path: &Path,
    options: &ImportOptions,
    assumptions: &mut Vec<String>,
) -> Result<Unet, ImportError> {
    let mut keys = Keys::open(path)?;
    refuse_others(&keys, path)?;
    let is_average = AVERAGE.map(|key| keys.ignore(key)).contains(&true);
    let config = config(&mut keys, path, options)?;
    let defaults =
        keys.finish("the key is unknown, and it may change the outputs of the network")?;
    if !defaults.is_empty() {
        assumptions.push(format!("{}, the defaults of diffusers", defaults.join(", ")));
    }
    let norm_eps = options.norm_eps.unwrap_or(config.norm_eps);
    Ok(Unet { config: DiffusersUnetConfig { norm_eps, ..config }, is_average })
}

/// Refuses settings of other libraries, which use the same file name.
fn refuse_others(keys: &Keys, path: &Path) -> Result<(), ImportError> {
    let other = [
        ("model_type", "Hugging Face's transformers"),
        ("architectures", "Hugging Face's transformers"),
        ("architecture", "timm"),
    ];
    match other.into_iter().find(|(key, _)| keys.has(key) && !keys.has("_class_name")) {
        Some((key, library)) => {
            let problem = format!(
                "its key {key} is that of a model of {library}; import takes a UNet2DModel of \
                 diffusers"
            );
            Err(ImportError::format(path, &problem))
        }
        None => Ok(()),
    }
}

fn config(
    keys: &mut Keys,
    path: &Path,
    options: &ImportOptions,
) -> Result<DiffusersUnetConfig, ImportError> {
    keys.expect("_class_name", &[json!("UNet2DModel"), json!("UNetUnconditionalModel")])?;
    keys.expect("time_embedding_type", &[json!("positional")])?;
    keys.expect("mid_block_scale_factor", &[json!(1), json!(1.0)])?;
    keys.expect("act_fn", &[json!("silu"), json!("swish")])?;
    keys.expect("class_embed_type", &[Value::Null])?;
    // Used only by learned time embeddings.
    keys.ignore("num_train_timesteps");
    let levels = json!(["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"]);
    let up = json!(["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]);
    Ok(DiffusersUnetConfig {
        sample_size: sample_size(keys, path, options)?,
        in_channels: keys.take("in_channels", 3)?,
        out_channels: keys.take("out_channels", 3)?,
        center_input_sample: keys.take("center_input_sample", false)?,
        time_embedding_dim: keys.take("time_embedding_dim", None)?,
        freq_shift: keys.take("freq_shift", 0.0)?,
        flip_sin_to_cos: keys.take("flip_sin_to_cos", true)?,
        down_block_types: blocks::<DownBlockType>(keys, "down_block_types", levels)?,
        up_block_types: blocks::<UpBlockType>(keys, "up_block_types", up)?,
        mid_block: mid_block(keys)?,
        add_attention: keys.take("add_attention", true)?,
        block_out_channels: keys.take("block_out_channels", vec![224, 448, 672, 896])?,
        layers_per_block: keys.take("layers_per_block", 2)?,
        downsample_padding: keys.take("downsample_padding", 1)?,
        downsample_type: keys.take("downsample_type", Resampling::Conv)?,
        upsample_type: keys.take("upsample_type", Resampling::Conv)?,
        dropout: keys.take("dropout", 0.0)?,
        attention_head_dim: keys.take("attention_head_dim", Some(8))?,
        norm_num_groups: keys.take("norm_num_groups", 32)?,
        attn_norm_num_groups: keys.take("attn_norm_num_groups", None)?,
        norm_eps: keys.take("norm_eps", 1e-5)?,
        resnet_time_scale_shift: keys.take("resnet_time_scale_shift", TimeScaleShift::Default)?,
        num_classes: keys.take("num_class_embeds", None)?,
    })
}

/// Returns height and width: the user's, or the file's, which has one number for both or two.
fn sample_size(
    keys: &mut Keys,
    path: &Path,
    options: &ImportOptions,
) -> Result<[i64; 2], ImportError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Side(i64),
        Both([i64; 2]),
    }
    let value: Value = keys.take("sample_size", Value::Null)?;
    if let Some(size) = options.image_size {
        return Ok(size);
    }
    if value.is_null() {
        return Err(ImportError::Missing {
            path: path.into(),
            what: "the size of pictures (sample_size)",
            flag: "--image-size",
        });
    }
    match serde_json::from_value(value.clone()) {
        Ok(Size::Side(side)) => Ok([side; 2]),
        Ok(Size::Both(size)) => Ok(size),
        Err(_) => Err(keys.refuse("sample_size", &value, &"it must be a side or [height, width]")),
    }
}

/// Reads types of blocks; in very old folders they begin with `UNetRes`.
fn blocks<T: for<'de> Deserialize<'de>>(
    keys: &mut Keys,
    key: &str,
    default: Value,
) -> Result<Vec<T>, ImportError> {
    let names: Vec<String> = serde_json::from_value(keys.take(key, default)?)
        .map_err(|error| keys.refuse(key, &Value::Null, &error))?;
    let block = |name: &String| {
        let modern = json!(name.strip_prefix("UNetRes").unwrap_or(name));
        T::deserialize(&modern).map_err(|error| keys.refuse(key, &json!(name), &error))
    };
    names.iter().map(block).collect()
}

fn mid_block(keys: &mut Keys) -> Result<bool, ImportError> {
    let value: Value = keys.take("mid_block_type", json!("UNetMidBlock2D"))?;
    match value.as_str() {
        None if value.is_null() => Ok(false),
        Some("UNetMidBlock2D") => Ok(true),
        _ => Err(keys.refuse("mid_block_type", &value, &"supported are UNetMidBlock2D and null")),
    }
}
