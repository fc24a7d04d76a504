//! A network of any kind, with its parameters.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tch::{Tensor, nn};

use super::config::ModelConfig;
use super::diffusers::DiffusersUnet;
use super::error::ConfigError;
use super::inputs::Inputs;
use super::layers::Scope;
use super::ops::Ops;
use super::state::{self, StateError};
use super::toy::Toy;
use super::unet::Unet;

/// A network and its parameters, which live in the `VarStore` it was made in.
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

/// Locks libtorch's generator, which the whole process shares, while weights are drawn.
fn lock_generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    /// Makes a network with random weights below `path`.
    ///
    /// # Errors
    ///
    /// Those of [`ModelConfig::validate`]; [`ConfigError::Torch`] if memory is short.
    pub fn new(path: &nn::Path<'_>, config: &ModelConfig) -> Result<Self, ConfigError> {
        let _generator = lock_generator();
        Self::build(path, config)
    }

    /// Makes a network below `path` whose random weights depend on `seed` alone, whatever other
    /// threads draw.
    ///
    /// # Errors
    ///
    /// As [`Network::new`].
    pub fn seeded(
        path: &nn::Path<'_>,
        config: &ModelConfig,
        seed: i64,
    ) -> Result<Self, ConfigError> {
        let _generator = lock_generator();
        tch::manual_seed(seed);
        Self::build(path, config)
    }

    fn build(path: &nn::Path<'_>, config: &ModelConfig) -> Result<Self, ConfigError> {
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

    /// Predicts eps, x_0, v, … — whatever the network was trained to predict.
    ///
    /// The result is `[B, out_channels, H, W]` for a UNet, `[B, out_features]` for a toy; f32,
    /// except under autocast, where the last layer leaves bf16.
    ///
    /// # Panics
    ///
    /// If an unconditional network gets `class_labels`, or a conditional one does not.
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

    /// Returns the settings the network was made from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Returns every learnable tensor once, in the order of the reference's checkpoints.
    ///
    /// Names are relative to the path given to [`Network::new`]. The tensors are handles: writing
    /// to them changes the network.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.parameters.iter().map(|(name, value)| (name.clone(), value.shallow_clone())).collect()
    }

    /// Copies `state`, by name, into the parameters.
    ///
    /// Entries that repeat a shared parameter (`temp_fc.1.*` of the toy) are allowed if they hold
    /// the same values.
    ///
    /// # Errors
    ///
    /// [`StateError`] lists every name that is missing, unexpected or of another shape; nothing
    /// is changed then.
    pub fn load_state(&self, state: &[(String, Tensor)]) -> Result<(), StateError> {
        match &self.body {
            Body::Unet(_) | Body::Diffusers(_) => state::load_state(&self.parameters, state),
            Body::Toy(toy) => state::load_state(
                &self.parameters,
                &state::without_repeats(state, |name| toy.shared_name(name))?,
            ),
        }
    }
}
