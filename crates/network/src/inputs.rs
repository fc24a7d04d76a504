//! The inputs of a network.

/// A batch of noisy samples, each at its own timestep.
#[derive(Debug)]
pub struct Inputs<T> {
    /// x_t, `[B, C, H, W]` or `[B, in_features]`, f32.
    pub sample: T,
    /// t, `[B]`, f32, in [0, T-1]; may be fractional.
    pub timestep: T,
    /// `[B]`, int64, in 0..=K; the label K, the number of classes, means "no label".
    /// `Some` exactly if the network is conditional.
    pub class_labels: Option<T>,
}
