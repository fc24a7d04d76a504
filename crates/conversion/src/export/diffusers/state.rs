//! The parameters of our networks under the names of diffusers.

use ddpm_network::{ModelConfig, Network, UnetConfig};
use tch::{TchError, Tensor};

/// Returns every parameter under its name in diffusers, which keeps some tensors as three.
///
/// # Errors
///
/// libtorch's, if memory is short.
pub(super) fn renamed(network: &Network) -> Result<Vec<(String, Tensor)>, TchError> {
    let ModelConfig::Unet(unet) = network.config() else { return Ok(network.parameters()) };
    let mut renamed = Vec::new();
    for (name, tensor) in network.parameters() {
        let parts: Vec<&str> = name.split('.').collect();
        renamed.extend(rename(&parts, tensor, unet)?);
    }
    Ok(renamed)
}

fn rename(
    parts: &[&str],
    tensor: Tensor,
    unet: &UnetConfig,
) -> Result<Vec<(String, Tensor)>, TchError> {
    let (place, inner) = match parts {
        ["embed", "0", inner @ ..] => ("time_embedding.linear_1".to_owned(), inner),
        ["embed", _, inner @ ..] => ("time_embedding.linear_2".to_owned(), inner),
        ["in_conv", inner @ ..] => ("conv_in".to_owned(), inner),
        ["out_conv", "0", inner @ ..] => ("conv_norm_out".to_owned(), inner),
        ["out_conv", _, inner @ ..] => ("conv_out".to_owned(), inner),
        ["class_embed", inner @ ..] => ("class_embedding".to_owned(), inner),
        ["middle", "0", inner @ ..] => return Ok(res("mid_block.resnets.0", inner, tensor)),
        ["middle", "1", inner @ ..] => return attention("mid_block.attentions.0", inner, &tensor),
        ["middle", _, inner @ ..] => return Ok(res("mid_block.resnets.1", inner, tensor)),
        ["downsamples", level, block, inner @ ..] => {
            return level_part(Way::Down, index(level), index(block), inner, tensor, unet);
        }
        ["upsamples", level, block, inner @ ..] => {
            return level_part(Way::Up, index(level), index(block), inner, tensor, unet);
        }
        _ => unreachable!("the UNet has no parameter {parts:?}"),
    };
    Ok(vec![(format!("{place}.{}", inner.join(".")), tensor)])
}

#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
}

/// Renames a parameter of a level: of one of its blocks, or of the step to the next level.
fn level_part(
    way: Way,
    level: usize,
    block: usize,
    inner: &[&str],
    tensor: Tensor,
    unet: &UnetConfig,
) -> Result<Vec<(String, Tensor)>, TchError> {
    let levels = unet.ch_multipliers.len();
    let (place, blocks, sampler) = match way {
        Way::Down => (format!("down_blocks.{level}"), unet.num_res_blocks, "downsamplers"),
        Way::Up => {
            (format!("up_blocks.{}", levels - 1 - level), unet.num_res_blocks + 1, "upsamplers")
        }
    };
    if block as i64 == blocks {
        return Ok(vec![(format!("{place}.{sampler}.0.conv.{}", inner[1..].join(".")), tensor)]);
    }
    match (unet.apply_attn[level], inner) {
        (true, ["1", inner @ ..]) => {
            attention(&format!("{place}.attentions.{block}"), inner, &tensor)
        }
        (true, [_, inner @ ..]) => Ok(res(&format!("{place}.resnets.{block}"), inner, tensor)),
        (_, inner) => Ok(res(&format!("{place}.resnets.{block}"), inner, tensor)),
    }
}

/// Renames a parameter of a residual block.
fn res(place: &str, inner: &[&str], tensor: Tensor) -> Vec<(String, Tensor)> {
    let layer = match inner[0] {
        "fc" => "time_emb_proj",
        "skip" => "conv_shortcut",
        layer => layer,
    };
    vec![(format!("{place}.{layer}.{}", inner[1..].join(".")), tensor)]
}

/// Renames a parameter of attention; in diffusers these are matrices, with one projection each for
/// queries, keys and values.
fn attention(
    place: &str,
    inner: &[&str],
    tensor: &Tensor,
) -> Result<Vec<(String, Tensor)>, TchError> {
    let kind = inner[1..].join(".");
    // A 1 × 1 kernel is a matrix.
    let matrix = if tensor.dim() == 4 { tensor.f_flatten(1, 3)? } else { tensor.shallow_clone() };
    Ok(match inner[0] {
        "norm" => vec![(format!("{place}.group_norm.{kind}"), matrix)],
        "project_out" => vec![(format!("{place}.to_out.0.{kind}"), matrix)],
        _ => {
            let parts = matrix.f_chunk(3, 0)?;
            let names = ["to_q", "to_k", "to_v"].map(|name| format!("{place}.{name}.{kind}"));
            names.into_iter().zip(parts).collect()
        }
    })
}

/// Returns the 7 of `7` and of `level_7`.
fn index(part: &str) -> usize {
    let digits = part.trim_start_matches("level_");
    digits.parse().expect("levels and blocks of the UNet are numbered")
}
