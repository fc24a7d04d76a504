//! The networks: written once, against a small vocabulary of tensor operations.
//!
//! [`Network::forward`] speaks only [`Ops`]. With [`Eager`] it computes on libtorch (training,
//! sampling); with the exporter's `Trace` the same lines record an ONNX graph. Parity of the two
//! holds by construction, and is tested all the same.
//!
//! Three kinds: the UNet of DDPM for images, a small residual MLP for points in the plane, and the UNet of
//! the diffusers library, for models that come from there. Parameter names equal those of the reference
//! implementation's checkpoints, or diffusers'.

mod config;
pub use config::{ModelConfig, ToyConfig, UnetConfig};

mod validate;
pub use validate::ConfigError;

mod ops;
pub use ops::{Ops, Param};

mod masks;
pub use masks::Masks;

mod eager;
pub use eager::Eager;

mod layers;

mod time;
pub use time::timestep_embedding;

mod blocks;

mod unet;

mod toy;

mod diffusers;
pub use diffusers::{DiffusersUnetConfig, DownBlockType, Resampling, TimeScaleShift, UpBlockType};

mod state;
pub use state::{StateError, load_state};

use tch::{Tensor, nn};

use diffusers::DiffusersUnet;
use layers::Scope;
use toy::Toy;
use unet::Unet;

/// What a network is asked about: one noisy sample a row, each at its own timestep.
#[derive(Debug)]
pub struct Inputs<T> {
    /// x_t, `[B, C, H, W]` or `[B, in_features]`, f32.
    pub sample: T,
    /// t, `[B]`, f32, in [0, T-1]; need not be whole.
    pub timestep: T,
    /// `[B]`, int64, in 0..=K; the label K, the number of classes, means "no label".
    /// `Some` exactly if the network is conditional.
    pub class_labels: Option<T>,
}

/// A network with its parameters, which live in the `VarStore` it was made in.
#[derive(Debug)]
pub struct Network {
    config: ModelConfig,
    body: Body,
    parameters: Vec<(String, Tensor)>,
}

#[derive(Debug)]
enum Body {
    Unet(Box<Unet>),
    Toy(Box<Toy>),
    Diffusers(Box<DiffusersUnet>),
}

impl Network {
    /// Makes a network with random weights (libtorch's global generator) below `path`.
    ///
    /// # Errors
    ///
    /// What [`ModelConfig::validate`] finds; [`ConfigError::Torch`] if memory is short.
    pub fn new(path: &nn::Path<'_>, config: &ModelConfig) -> Result<Network, ConfigError> {
        config.validate()?;
        let scope = Scope::root(path);
        let body = match config {
            ModelConfig::Unet(unet) => Body::Unet(Box::new(Unet::new(&scope, unet)?)),
            ModelConfig::Toy(toy) => Body::Toy(Box::new(Toy::new(&scope, toy)?)),
            ModelConfig::Diffusers(unet) => {
                Body::Diffusers(Box::new(DiffusersUnet::new(&scope, unet)?))
            }
        };
        Ok(Network { config: config.clone(), body, parameters: scope.into_parameters() })
    }

    /// Predicts what the network was trained to predict: eps, x_0, v …
    ///
    /// The result is `[B, out_channels, H, W]` for a UNet, `[B, out_features]` for a toy; f32,
    /// except under autocast, where the last layer leaves bf16.
    ///
    /// # Panics
    ///
    /// If `class_labels` are given to an unconditional network or missing for a conditional one.
    pub fn forward<O: Ops>(&self, o: &O, inputs: &Inputs<O::T>) -> O::T {
        assert_eq!(
            inputs.class_labels.is_some(),
            self.config.num_classes().is_some(),
            "class labels go with conditional networks, and only with them"
        );
        match &self.body {
            Body::Unet(unet) => unet.forward(o, inputs),
            Body::Toy(toy) => toy.forward(o, inputs),
            Body::Diffusers(unet) => unet.forward(o, inputs),
        }
    }

    /// What the network was made from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Every learnable tensor once, in the order of the reference's checkpoints.
    ///
    /// Names are relative to the path given to [`Network::new`]. The tensors are handles: writing
    /// to them changes the network.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.parameters.iter().map(|(name, value)| (name.clone(), value.shallow_clone())).collect()
    }

    /// Copies `state`, by name, into the parameters.
    ///
    /// Entries that repeat a shared parameter (`temp_fc.1.*` of the toy) may be there, if they
    /// hold the same values.
    ///
    /// # Errors
    ///
    /// [`StateError`] lists every name that is missing, unexpected or of another shape; then
    /// nothing was changed.
    pub fn load_state(&self, state: &[(String, Tensor)]) -> Result<(), StateError> {
        match &self.body {
            Body::Unet(_) | Body::Diffusers(_) => load_state(&self.parameters, state),
            Body::Toy(toy) => load_state(
                &self.parameters,
                &state::without_repeats(state, |name| toy.shared_name(name))?,
            ),
        }
    }
}
