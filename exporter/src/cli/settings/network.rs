//! Flags and keys of the network.

use ddpm_network::{ModelConfig, ToyConfig, UnetConfig};
use ddpm_training::TrainError;
use serde::Deserialize;

use super::set::set;

/// The network; anything unset has the default for the data.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct NetworkFlags {
    /// Channels of the first level, or width of a network for points.
    #[arg(long, value_name = "N", help_heading = "Network")]
    hid_channels: Option<i64>,

    /// Channels of each level as multiples of --hid-channels, such as 1,2,2.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Network")]
    ch_multipliers: Option<Vec<i64>>,

    /// Residual blocks per level.
    #[arg(long, value_name = "N", help_heading = "Network")]
    num_res_blocks: Option<i64>,

    /// Whether each level has self-attention, such as false,true,false.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Network")]
    apply_attn: Option<Vec<bool>>,

    /// Groups of each GroupNorm; must divide the channels of every level.
    #[arg(long, value_name = "N", help_heading = "Network")]
    num_groups: Option<i64>,

    /// Constant added to the variance in each GroupNorm [default: 1e-6].
    #[arg(long, value_name = "EPS", help_heading = "Network")]
    norm_eps: Option<f64>,

    /// Dropout rate, in [0, 1).
    #[arg(long, value_name = "RATE", help_heading = "Network")]
    drop_rate: Option<f64>,

    /// Width of the time embedding [default: 4 times --hid-channels].
    #[arg(long, value_name = "N", help_heading = "Network")]
    time_embedding_dim: Option<i64>,

    /// Resample between levels by convolution, not by pooling and plain up-sampling [default:
    /// true].
    #[arg(long, value_name = "BOOL", help_heading = "Network")]
    resample_with_conv: Option<bool>,

    /// Side of the squares of pixels that become channels for the network, and pixels again after
    /// it [default: 1].
    #[arg(long, value_name = "N", help_heading = "Network")]
    block_size: Option<i64>,

    /// Start self-attention with a GroupNorm [default: true].
    #[arg(long, value_name = "BOOL", help_heading = "Network")]
    attn_norm: Option<bool>,

    /// Applications of the temporal layer of a network for points [default: 3].
    #[arg(long, value_name = "N", help_heading = "Network")]
    num_temporal_layers: Option<i64>,
}

impl NetworkFlags {
    /// Overrides the settings that are set here.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for a setting that the network does not have.
    pub(super) fn apply(&self, model: &mut ModelConfig) -> Result<(), TrainError> {
        match model {
            ModelConfig::Unet(unet) => self.apply_to_unet(unet),
            ModelConfig::Toy(toy) => self.apply_to_toy(toy),
            // Imported networks bring their own settings.
            ModelConfig::Diffusers(_) => self.refuse_unet_settings(),
        }
    }

    fn apply_to_unet(&self, unet: &mut UnetConfig) -> Result<(), TrainError> {
        if self.num_temporal_layers.is_some() {
            return refuse("num_temporal_layers", "is for networks for points; leave it out");
        }
        if let Some(multipliers) = &self.ch_multipliers {
            // Attention stays at its level if that level still exists.
            unet.apply_attn.resize(multipliers.len(), false);
            unet.ch_multipliers.clone_from(multipliers);
        }
        set(&mut unet.hid_channels, self.hid_channels);
        set(&mut unet.num_res_blocks, self.num_res_blocks);
        set(&mut unet.apply_attn, self.apply_attn.clone());
        set(&mut unet.num_groups, self.num_groups);
        set(&mut unet.norm_eps, self.norm_eps);
        set(&mut unet.drop_rate, self.drop_rate);
        set(&mut unet.time_embedding_dim, self.time_embedding_dim.map(Some));
        set(&mut unet.resample_with_conv, self.resample_with_conv);
        set(&mut unet.block_size, self.block_size);
        set(&mut unet.attn_norm, self.attn_norm);
        Ok(())
    }

    fn apply_to_toy(&self, toy: &mut ToyConfig) -> Result<(), TrainError> {
        self.refuse_unet_settings()?;
        set(&mut toy.mid_features, self.hid_channels);
        set(&mut toy.num_temporal_layers, self.num_temporal_layers);
        Ok(())
    }

    fn refuse_unet_settings(&self) -> Result<(), TrainError> {
        let unet_settings = [
            ("ch_multipliers", self.ch_multipliers.is_some()),
            ("num_res_blocks", self.num_res_blocks.is_some()),
            ("apply_attn", self.apply_attn.is_some()),
            ("num_groups", self.num_groups.is_some()),
            ("norm_eps", self.norm_eps.is_some()),
            ("drop_rate", self.drop_rate.is_some()),
            ("time_embedding_dim", self.time_embedding_dim.is_some()),
            ("resample_with_conv", self.resample_with_conv.is_some()),
            ("block_size", self.block_size.is_some()),
            ("attn_norm", self.attn_norm.is_some()),
        ];
        if let Some((setting, _)) = unet_settings.into_iter().find(|(_, is_set)| *is_set) {
            return refuse(setting, "is for networks for pictures; leave it out for points");
        }
        Ok(())
    }
}

fn refuse(setting: &'static str, problem: &str) -> Result<(), TrainError> {
    Err(TrainError::Setting { setting, problem: problem.to_owned() })
}
