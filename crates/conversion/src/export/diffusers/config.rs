//! The settings of our networks as those of a `UNet2DModel`.

use ddpm_network::{DiffusersUnetConfig, ModelConfig, UnetConfig};
use serde_json::{Value, json};

use super::version::VERSION;

/// Returns `config.json`, or a sentence about what diffusers lacks.
pub(super) fn unet(model: &ModelConfig) -> Result<Value, String> {
    match model {
        ModelConfig::Toy(_) => Err("diffusers has no networks for points".to_owned()),
        ModelConfig::Unet(unet) => from_unet(unet),
        ModelConfig::Diffusers(unet) => Ok(from_diffusers(unet)),
    }
}

/// Expresses the reference's network as theirs, with the conventions of the DDPM authors' code.
fn from_unet(unet: &UnetConfig) -> Result<Value, String> {
    check_expressible(unet)?;
    let blocks = |plain: &str, attention: &str| -> Vec<String> {
        let name = |&attends: &bool| if attends { attention } else { plain }.to_owned();
        unet.apply_attn.iter().map(name).collect()
    };
    let mut up_blocks = blocks("UpBlock2D", "AttnUpBlock2D");
    up_blocks.reverse();
    let widths: Vec<i64> =
        unet.ch_multipliers.iter().map(|multiplier| multiplier * unet.hid_channels).collect();
    Ok(json!({
        "_class_name": "UNet2DModel",
        "_diffusers_version": VERSION,
        "sample_size": unet.image_size,
        "in_channels": unet.in_channels,
        "out_channels": unet.out_channels,
        "center_input_sample": false,
        "time_embedding_type": "positional",
        "time_embedding_dim": unet.time_embedding_dim,
        "freq_shift": 1,
        "flip_sin_to_cos": false,
        "down_block_types": blocks("DownBlock2D", "AttnDownBlock2D"),
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": up_blocks,
        "block_out_channels": widths,
        "layers_per_block": unet.num_res_blocks,
        "mid_block_scale_factor": 1,
        "downsample_padding": 0,
        "downsample_type": "conv",
        "upsample_type": "conv",
        "dropout": unet.drop_rate,
        "act_fn": "silu",
        "attention_head_dim": null,
        "norm_num_groups": unet.num_groups,
        "attn_norm_num_groups": null,
        "norm_eps": unet.norm_eps,
        "resnet_time_scale_shift": "default",
        "add_attention": true,
        "class_embed_type": null,
        "num_class_embeds": unet.num_classes.map(rows),
        "num_train_timesteps": null,
    }))
}

/// Checks that diffusers can express the network; fails with a sentence about what it lacks.
fn check_expressible(unet: &UnetConfig) -> Result<(), String> {
    let levels = unet.ch_multipliers.len();
    if unet.block_size != 1 {
        return Err("diffusers has no pixel shuffle around its network".to_owned());
    }
    if !unet.attn_norm {
        return Err("attention of diffusers begins with a norm, this network's does not".to_owned());
    }
    if !unet.resample_with_conv && levels > 1 {
        return Err("levels of diffusers change by convolutions, this network's do not".to_owned());
    }
    let multiple = 1 << (levels - 1);
    if unet.image_size.iter().any(|extent| extent % multiple != 0) {
        let [height, width] = unet.image_size;
        return Err(format!(
            "with {levels} levels diffusers needs sizes that {multiple} divides, not \
             {height}x{width}"
        ));
    }
    Ok(())
}

/// Adds the keys that have only one value here; all others are the same.
fn from_diffusers(unet: &DiffusersUnetConfig) -> Value {
    let mut config = json!(unet);
    let middle = unet.mid_block.then_some("UNetMidBlock2D");
    for (key, value) in [
        ("_class_name", json!("UNet2DModel")),
        ("_diffusers_version", json!(VERSION)),
        ("time_embedding_type", json!("positional")),
        ("mid_block_type", json!(middle)),
        ("mid_block_scale_factor", json!(1)),
        ("act_fn", json!("silu")),
        ("class_embed_type", Value::Null),
        ("num_class_embeds", json!(unet.num_classes.map(rows))),
        ("num_train_timesteps", Value::Null),
    ] {
        config[key] = value;
    }
    if let Some(keys) = config.as_object_mut() {
        keys.remove("mid_block");
        keys.remove("num_classes");
    }
    config
}

/// Returns the rows of the table of classes; the last one means "no label".
fn rows(classes: i64) -> i64 {
    classes + 1
}
