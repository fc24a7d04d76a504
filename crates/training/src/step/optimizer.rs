//! Adam with linear warm-up and a limit on the gradients' norm.

use ddpm_network::{StateError, load_state};
use ddpm_torch::{Adam, AdamState, clear_grads, clip_grad_norm, fused_adam};
use tch::{Kind, TchError, Tensor};

use crate::config::OptimizerConfig;
use crate::error::TrainError;

/// Added to the root of the second moment: PyTorch's default.
const EPS: f64 = 1e-8;

/// Adam for the parameters of one network.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    names: Vec<String>,
    parameters: Vec<Tensor>,
    exp_avg: Vec<Tensor>,
    exp_avg_sq: Vec<Tensor>,
    steps: Vec<Tensor>,
}

impl Optimizer {
    /// Makes an optimiser that has taken no step. `parameters` are handles: steps change the
    /// network.
    ///
    /// # Errors
    ///
    /// libtorch's, if memory is short.
    pub fn new(
        config: OptimizerConfig,
        parameters: Vec<(String, Tensor)>,
    ) -> Result<Self, TchError> {
        let (names, parameters): (Vec<_>, Vec<_>) = parameters.into_iter().unzip();
        let zeros = || parameters.iter().map(Tensor::f_zeros_like).collect::<Result<Vec<_>, _>>();
        let step = |parameter: &Tensor| Tensor::f_zeros([0; 0], (Kind::Float, parameter.device()));
        Ok(Self {
            config,
            names,
            exp_avg: zeros()?,
            exp_avg_sq: zeros()?,
            steps: parameters.iter().map(step).collect::<Result<_, _>>()?,
            parameters,
        })
    }

    /// Returns the learning rate of a step, from 0: lr · min((step + 1) / warmup, 1).
    #[must_use]
    pub fn lr(&self, step: u32) -> f64 {
        let OptimizerConfig { lr, warmup, .. } = self.config;
        if warmup == 0 { lr } else { lr * ((f64::from(step) + 1.0) / f64::from(warmup)).min(1.0) }
    }

    /// Clears the gradients before a backward pass.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn zero_grad(&self) -> Result<(), TrainError> {
        Ok(clear_grads(&self.parameters)?)
    }

    /// Limits the gradients' joint norm, and returns the norm before. If that is not finite,
    /// [`Optimizer::step`] must not follow.
    ///
    /// # Errors
    ///
    /// [`TrainError::Shim`] if there was no backward pass.
    pub fn clip(&self) -> Result<f64, TrainError> {
        let limit = if self.config.grad_norm > 0.0 { self.config.grad_norm } else { f64::INFINITY };
        Ok(clip_grad_norm(&self.gradients(), limit)?)
    }

    /// Takes step number `step`, from 0, along the gradients.
    ///
    /// # Errors
    ///
    /// [`TrainError::Shim`] if there was no backward pass.
    pub fn step(&mut self, step: u32) -> Result<(), TrainError> {
        let OptimizerConfig { beta1, beta2, .. } = self.config;
        let adam = Adam { lr: self.lr(step), beta1, beta2, eps: EPS, weight_decay: 0.0 };
        let state =
            AdamState { exp_avg: &self.exp_avg, exp_avg_sq: &self.exp_avg_sq, steps: &self.steps };
        Ok(fused_adam(&adam, &self.parameters, &self.gradients(), &state)?)
    }

    fn gradients(&self) -> Vec<Tensor> {
        self.parameters.iter().map(Tensor::grad).collect()
    }

    /// Returns both moments of every parameter and the number of steps, by name.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = |prefix: &str, tensors: &[Tensor]| -> Vec<_> {
            let names = self.names.iter().map(|name| format!("{prefix}.{name}"));
            names.zip(tensors.iter().map(Tensor::shallow_clone)).collect()
        };
        [
            named("exp_avg", &self.exp_avg),
            named("exp_avg_sq", &self.exp_avg_sq),
            named("step", &self.steps),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Restores what [`Optimizer::state`] returned.
    ///
    /// # Errors
    ///
    /// [`StateError`] if it belongs to another network; then nothing is changed.
    pub fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<(), StateError> {
        load_state(&self.state(), state)
    }
}
