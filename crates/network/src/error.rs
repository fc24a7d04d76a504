//! The error of a setting that makes no network, and the checks that raise it.

/// A setting to change, and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A number out of range, or too large to fit into memory.
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
        /// The interval, spelled out.
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
        "model.sample_size has {extent}, but this number of levels needs a multiple of {multiple}"
    )]
    Multiple {
        /// Height or width.
        extent: i64,
        /// 2^(levels − 1).
        multiple: i64,
    },
    /// One flag per level.
    #[error(
        "model.apply_attn has {got} entries, but model.ch_multipliers has {levels}: give one per \
         level"
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
        /// The first multiplier.
        got: i64,
    },
    /// GroupNorm needs groups of equal size.
    #[error(
        "level {level} has a layer {width} channels wide, which {num_groups} groups do not divide: \
         change model.hid_channels or model.num_groups"
    )]
    Groups {
        /// The level, from 0.
        level: usize,
        /// Channels of the layer, skip connection included.
        width: i64,
        /// `num_groups`.
        num_groups: i64,
    },
    /// A norm over single channels cancels the time embedding, which is one number per channel.
    #[error(
        "level {level} would be blind to the timestep: with model.num_groups = {num_groups} each \
         of its {num_groups} channels is a group of its own; use fewer groups"
    )]
    Blind {
        /// The level, from 0.
        level: usize,
        /// `num_groups`, equal to the level's width.
        num_groups: i64,
    },
    /// libtorch cannot make the parameters.
    #[error("cannot make the parameters")]
    Torch(#[from] tch::TchError),
}

/// Checks a number of classes, if there is one.
pub(crate) fn check_classes(num_classes: Option<i64>) -> Result<(), ConfigError> {
    num_classes.map_or(Ok(()), |got| check_range("num_classes", got, 1, 1_000_000))
}

/// Checks that `got` is in `min..=max`.
pub(crate) fn check_range(
    key: &'static str,
    got: i64,
    min: i64,
    max: i64,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(ConfigError::Range { key, min, max, got }) }
}

/// Fails unless `ok`, with the interval that `got` is expected in.
pub(crate) fn check_real(
    key: &'static str,
    got: f64,
    expected: &'static str,
    ok: bool,
) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError::Real { key, expected, got }) }
}
