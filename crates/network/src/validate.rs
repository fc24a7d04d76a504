//! Checks of the settings of a network.
//!
//! A number that would fail later, inside libtorch or after hours of training, fails here.

use super::config::{ModelConfig, REFERENCE_GROUPS, ToyConfig, UnetConfig};
use super::error::{ConfigError, check_classes, check_range, check_real};

impl ModelConfig {
    /// Checks every setting, so that none can fail while the network is made or run.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first setting at fault.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            ModelConfig::Unet(unet) => unet.validate(),
            ModelConfig::Toy(toy) => toy.validate(),
            ModelConfig::Diffusers(unet) => unet.validate(),
        }
    }

    /// Returns a sentence for each setting that is legal but probably a mistake.
    pub fn warnings(&self) -> Vec<String> {
        let ModelConfig::Unet(unet) = self else { return Vec::new() };
        let blind = |level| {
            format!(
                "level {level} is blind to the timestep, as in the reference: its {width} channels \
                 are {width} groups of one; use a smaller model.num_groups",
                width = unet.width(level)
            )
        };
        unet.blind_levels().map(blind).collect()
    }
}

impl UnetConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        self.check_levels()?;
        self.check_groups()
    }

    fn check_ranges(&self) -> Result<(), ConfigError> {
        for extent in self.image_size {
            check_range("image_size", extent, 1, 8192)?;
        }
        check_range("block_size", self.block_size, 1, 64)?;
        if let Some(extent) =
            self.image_size.into_iter().find(|extent| extent % self.block_size != 0)
        {
            return Err(ConfigError::Block { extent, block_size: self.block_size });
        }
        check_range("in_channels", self.in_channels, 1, 4096)?;
        check_range("out_channels", self.out_channels, 1, 8192)?;
        check_range("hid_channels", self.hid_channels, 4, 8192)?;
        check_range("num_res_blocks", self.num_res_blocks, 1, 64)?;
        check_range("num_groups", self.num_groups, 1, 8192)?;
        check_range("time_embedding_dim", self.time_width(), 1, 65_536)?;
        check_classes(self.num_classes)?;
        check_real("drop_rate", self.drop_rate, "in [0, 1)", (0.0..1.0).contains(&self.drop_rate))?;
        let positive = self.norm_eps > 0.0 && self.norm_eps.is_finite();
        check_real("norm_eps", self.norm_eps, "positive", positive)
    }

    fn check_levels(&self) -> Result<(), ConfigError> {
        check_range("ch_multipliers' length", self.levels() as i64, 1, 16)?;
        for &multiplier in &self.ch_multipliers {
            check_range("ch_multipliers", multiplier, 1, 64)?;
        }
        if self.ch_multipliers[0] != 1 {
            return Err(ConfigError::FirstMultiplier { got: self.ch_multipliers[0] });
        }
        if self.apply_attn.len() != self.levels() {
            let got = self.apply_attn.len();
            return Err(ConfigError::Levels { levels: self.levels(), got });
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), ConfigError> {
        let num_groups = self.num_groups;
        for level in 0..self.levels() {
            let widths = [self.width(level)].into_iter().chain(self.up_inputs(level));
            if let Some(width) = widths.into_iter().find(|width| width % num_groups != 0) {
                return Err(ConfigError::Groups { level, width, num_groups });
            }
        }
        // Checkpoints of the reference have such levels; `warnings` reports them.
        match self.blind_levels().next() {
            Some(level) if num_groups != REFERENCE_GROUPS => {
                Err(ConfigError::Blind { level, num_groups })
            }
            _ => Ok(()),
        }
    }

    /// Returns the levels where the norm after the time embedding removes exactly what was added.
    fn blind_levels(&self) -> impl Iterator<Item = usize> {
        (0..self.levels()).filter(|&level| self.width(level) == self.num_groups)
    }
}

impl ToyConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        check_range("in_features", self.in_features, 1, 4096)?;
        check_range("out_features", self.out_features, 1, 8192)?;
        check_range("mid_features", self.mid_features, 4, 65_536)?;
        check_range("num_temporal_layers", self.num_temporal_layers, 1, 1024)?;
        check_classes(self.num_classes)
    }
}
