//! Which settings make a network, and a sentence for those that do not.
//!
//! Every number that would fail later, inside libtorch or after hours of training, fails here.

use super::config::{ModelConfig, REFERENCE_GROUPS, ToyConfig, UnetConfig};

/// Which setting to change, and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A number outside what makes sense (or would fit into memory).
    #[error("model.{key} must be in {min}..={max}, got {got}")]
    Range {
        /// The setting.
        key: &'static str,
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
        /// The value given.
        got: i64,
    },
    /// A real number outside its interval.
    #[error("model.{key} must be {expected}, got {got}")]
    Real {
        /// The setting.
        key: &'static str,
        /// The interval in words.
        expected: &'static str,
        /// The value given.
        got: f64,
    },
    /// Squares of pixels must tile the picture.
    #[error("model.image_size has {extent}, which model.block_size = {block_size} does not divide")]
    Block {
        /// Height or width.
        extent: i64,
        /// `block_size`.
        block_size: i64,
    },
    /// Each level has exactly half the size of the one above.
    #[error(
        "model.sample_size has {extent}, but with so many levels it must be a multiple of {multiple}"
    )]
    Multiple {
        /// Height or width.
        extent: i64,
        /// 2^(levels − 1).
        multiple: i64,
    },
    /// One flag a level.
    #[error(
        "model.apply_attn has {got} entries, but model.ch_multipliers has {levels}: give one a level"
    )]
    Levels {
        /// Levels according to `ch_multipliers`.
        levels: usize,
        /// Entries of `apply_attn`.
        got: usize,
    },
    /// The last norm is sized for the first level.
    #[error("model.ch_multipliers must begin with 1, got {got}: scale model.hid_channels instead")]
    FirstMultiplier {
        /// The first multiplier given.
        got: i64,
    },
    /// GroupNorm needs groups of equal size.
    #[error(
        "level {level} has a layer {width} channels wide, which {num_groups} groups do not divide: change model.hid_channels or model.num_groups"
    )]
    Groups {
        /// The level, from 0.
        level: usize,
        /// Channels of the layer, skip connection included.
        width: i64,
        /// `num_groups`.
        num_groups: i64,
    },
    /// A norm over single channels cancels the time embedding, which is one number a channel.
    #[error(
        "level {level} would be blind to the timestep: with model.num_groups = {num_groups} each of its {num_groups} channels is a group of its own; use fewer groups"
    )]
    Blind {
        /// The level, from 0.
        level: usize,
        /// `num_groups`, equal to the level's width.
        num_groups: i64,
    },
    /// libtorch could not make the parameters.
    #[error("cannot make the parameters")]
    Torch(#[from] tch::TchError),
}

impl ModelConfig {
    /// Checks every setting, so that making and running the network cannot fail on them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first setting that does not fit.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            ModelConfig::Unet(unet) => unet.validate(),
            ModelConfig::Toy(toy) => toy.validate(),
            ModelConfig::Diffusers(unet) => unet.validate(),
        }
    }

    /// What is legal but most likely not wanted, a sentence each.
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
            in_range("image_size", extent, 1, 8192)?;
        }
        in_range("block_size", self.block_size, 1, 64)?;
        if let Some(extent) =
            self.image_size.into_iter().find(|extent| extent % self.block_size != 0)
        {
            return Err(ConfigError::Block { extent, block_size: self.block_size });
        }
        in_range("in_channels", self.in_channels, 1, 4096)?;
        in_range("out_channels", self.out_channels, 1, 8192)?;
        in_range("hid_channels", self.hid_channels, 4, 8192)?;
        in_range("num_res_blocks", self.num_res_blocks, 1, 64)?;
        in_range("num_groups", self.num_groups, 1, 8192)?;
        in_range("time_embedding_dim", self.time_width(), 1, 65_536)?;
        check_classes(self.num_classes)?;
        real("drop_rate", self.drop_rate, "in [0, 1)", (0.0..1.0).contains(&self.drop_rate))?;
        let positive = self.norm_eps > 0.0 && self.norm_eps.is_finite();
        real("norm_eps", self.norm_eps, "positive", positive)
    }

    fn check_levels(&self) -> Result<(), ConfigError> {
        in_range("ch_multipliers' length", self.levels() as i64, 1, 16)?;
        for &multiplier in &self.ch_multipliers {
            in_range("ch_multipliers", multiplier, 1, 64)?;
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
        // Checkpoints of the reference have such levels; `warnings` tells.
        match self.blind_levels().next() {
            Some(level) if num_groups != REFERENCE_GROUPS => {
                Err(ConfigError::Blind { level, num_groups })
            }
            _ => Ok(()),
        }
    }

    /// Levels where the norm after the time embedding takes out exactly what was added.
    fn blind_levels(&self) -> impl Iterator<Item = usize> {
        (0..self.levels()).filter(|&level| self.width(level) == self.num_groups)
    }
}

impl ToyConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        in_range("in_features", self.in_features, 1, 4096)?;
        in_range("out_features", self.out_features, 1, 8192)?;
        in_range("mid_features", self.mid_features, 4, 65_536)?;
        in_range("num_temporal_layers", self.num_temporal_layers, 1, 1024)?;
        check_classes(self.num_classes)
    }
}

pub(super) fn check_classes(num_classes: Option<i64>) -> Result<(), ConfigError> {
    num_classes.map_or(Ok(()), |got| in_range("num_classes", got, 1, 1_000_000))
}

pub(super) fn in_range(key: &'static str, got: i64, min: i64, max: i64) -> Result<(), ConfigError> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(ConfigError::Range { key, min, max, got }) }
}

pub(super) fn real(
    key: &'static str,
    got: f64,
    expected: &'static str,
    ok: bool,
) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError::Real { key, expected, got }) }
}
