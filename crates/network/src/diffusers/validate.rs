//! Checks of the settings of a diffusers UNet.

use super::config::{DiffusersUnetConfig, DownBlockType, UpBlockType};
use crate::error::{ConfigError, check_classes, check_range, check_real};

impl DiffusersUnetConfig {
    /// Checks every setting, so that none can fail while the network is made or run.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        self.check_levels()?;
        self.check_groups()?;
        self.check_heads()
    }

    fn check_ranges(&self) -> Result<(), ConfigError> {
        for extent in self.sample_size {
            check_range("sample_size", extent, 1, 8192)?;
        }
        check_range("in_channels", self.in_channels, 1, 4096)?;
        check_range("out_channels", self.out_channels, 1, 8192)?;
        check_range("block_out_channels' length", self.levels() as i64, 1, 16)?;
        for &width in &self.block_out_channels {
            check_range("block_out_channels", width, 2, 8192)?;
        }
        check_range("layers_per_block", self.layers_per_block, 1, 64)?;
        check_range("downsample_padding", self.downsample_padding, 0, 1)?;
        check_range("norm_num_groups", self.norm_num_groups, 1, 8192)?;
        check_range("attn_norm_num_groups", self.attn_norm_num_groups.unwrap_or(1), 1, 8192)?;
        check_range("time_embedding_dim", self.time_width(), 1, 65_536)?;
        check_classes(self.num_classes)?;
        check_real("dropout", self.dropout, "in [0, 1)", (0.0..1.0).contains(&self.dropout))?;
        let positive = self.norm_eps > 0.0 && self.norm_eps.is_finite();
        check_real("norm_eps", self.norm_eps, "positive", positive)?;
        let half = (self.block_out_channels[0] / 2) as f64;
        let fits = self.freq_shift.is_finite() && self.freq_shift < half;
        check_real("freq_shift", self.freq_shift, "below half of the first width", fits)
    }

    fn check_levels(&self) -> Result<(), ConfigError> {
        let levels = self.levels() as i64;
        check_range(
            "down_block_types' length",
            self.down_block_types.len() as i64,
            levels,
            levels,
        )?;
        check_range("up_block_types' length", self.up_block_types.len() as i64, levels, levels)?;
        let multiple = 1 << (levels - 1);
        match self.sample_size.into_iter().find(|extent| extent % multiple != 0) {
            Some(extent) => Err(ConfigError::Multiple { extent, multiple }),
            None => Ok(()),
        }
    }

    fn check_groups(&self) -> Result<(), ConfigError> {
        let divides = |level: usize, width: i64, num_groups: i64| match width % num_groups {
            0 => Ok(()),
            _ => Err(ConfigError::Groups { level, width, num_groups }),
        };
        for i in 0..self.levels() {
            divides(i, self.block_out_channels[i], self.norm_num_groups)?;
            for width in self.up_inputs(i) {
                divides(self.levels() - 1 - i, width, self.norm_num_groups)?;
            }
        }
        let (bottom, groups) = (self.levels() - 1, self.mid_attention_groups().unwrap_or(1));
        divides(bottom, self.block_out_channels[bottom], groups)
    }

    fn check_heads(&self) -> Result<(), ConfigError> {
        let down = self.down_block_types.iter().zip(&self.block_out_channels);
        let down = down.filter(|(kind, _)| **kind == DownBlockType::AttnDownBlock2D);
        let up = self.up_block_types.iter().zip(self.block_out_channels.iter().rev());
        let up = up.filter(|(kind, _)| **kind == UpBlockType::AttnUpBlock2D);
        let middle = (self.mid_block && self.add_attention).then_some(&self.block_out_channels);
        let widths = down.map(|(_, width)| width).chain(up.map(|(_, width)| width));
        for &width in widths.chain(middle.and_then(|widths| widths.last())) {
            check_range("attention_head_dim", self.attention_head_dim.unwrap_or(1), 1, width)?;
        }
        Ok(())
    }
}
