//! The samplers by name, with their options and what sets them apart.

use super::{ClippedEps, Form, UniPcVariant};
use crate::{Process, Variance};

/// A sampler with its options.
///
/// Its text form is the name with the options that differ from the defaults, as
/// in `dpm++:order=3` or `edm-heun:s-churn=40,s-noise=1.003`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// Ancestral sampling (Ho et al. 2020, algorithm 2). 1 eval a step.
    Ddpm {
        /// Of each step; absent: the network's own.
        variance: Option<Variance>,
    },
    /// Denoising diffusion implicit models (Song et al. 2020, equation 12). 1 eval
    /// a step.
    Ddim {
        /// η: 0 is deterministic, 1 has DDPM's noise (fixed-small); in [0, 1].
        eta: f64,
        /// Which noise estimate goes with a clipped x_0.
        clip_rule: ClippedEps,
    },
    /// DDIM from data to noise: encodes a given image. 1 eval a step, one step
    /// fewer than points; as many on a grid that ends above 0.
    DdimInverse,
    /// Euler's method on the probability-flow ODE (Karras et al. 2022). 1 eval a
    /// step.
    Euler,
    /// Euler's method with fresh noise in each step (k-diffusion). 1 eval a step.
    EulerAncestral {
        /// Share of the fresh noise, in [0, 1].
        eta: f64,
        /// Scale of it, in (0, 2].
        s_noise: f64,
    },
    /// Heun's method (Karras et al. 2022, algorithm 1). 2 evals a step, 1 in the
    /// last.
    Heun,
    /// Heun's method with churn (Karras et al. 2022, algorithm 2).
    EdmHeun {
        /// Noise added over the whole run, in [0, 1000].
        s_churn: f64,
        /// Least sigma at which noise is added.
        s_tmin: f64,
        /// Largest sigma at which noise is added.
        s_tmax: f64,
        /// Scale of it, in (0, 2].
        s_noise: f64,
    },
    /// DPM-Solver++ multistep, the ODE (Lu et al. 2022). 1 eval a step.
    DpmSolverPp {
        /// 1, 2 or 3. As published, 3 converges with order 2: see
        /// [`Sampler::DpmSolverPp3Corrected`].
        order: u32,
        /// Of the difference at order 2.
        form: Form,
        /// Whether the order falls with the steps that are left.
        lower_order_final: bool,
    },
    /// DPM-Solver++ of order 3 with the whole second difference, so that it is of
    /// order 3. 1 eval a step.
    DpmSolverPp3Corrected,
    /// DPM-Solver++ multistep, the SDE (Lu et al. 2022; k-diffusion). 1 eval a
    /// step.
    SdeDpmSolverPp {
        /// 1 or 2.
        order: u32,
        /// Of the difference at order 2.
        form: Form,
        /// Share of the noise, in [0, 1].
        eta: f64,
    },
    /// UniPC (Zhao et al. 2023) in the prediction of x_0. 1 eval a step.
    UniPc {
        /// 1, 2 or 3: of the predictor. With the corrector it is one more.
        order: u32,
        /// B(h).
        variant: UniPcVariant,
        /// Whether the order falls with the steps that are left.
        lower_order_final: bool,
    },
    /// DEIS with polynomials in ln ρ (Zhang & Chen 2022, tAB). 1 eval a step.
    Deis {
        /// 1, 2 or 3.
        order: u32,
    },
    /// Improved PNDM: Adams–Bashforth with fixed weights (Zhang & Chen 2022). 1
    /// eval a step.
    Ipndm {
        /// 1 to 4.
        order: u32,
    },
    /// Pseudo linear multistep (Liu et al. 2022); its Runge–Kutta start is left
    /// out for an improved Euler step. 1 eval a step, 2 in the first.
    Pndm,
    /// Linear multistep with exact weights (k-diffusion). 1 eval a step.
    Lms {
        /// 1 to 4.
        order: u32,
    },
    /// Heun's method that goes back to more noise and down again (Xu et al. 2023).
    Restart {
        /// It restarts at the first point at or below this sigma, or at the last one
        /// before the data if none is.
        t_min: f64,
        /// The sigma it goes back to.
        t_max: f64,
        /// Steps of each way down, from 1 to 100.
        steps: u32,
        /// How often, from 1 to 100.
        repeats: u32,
    },
    /// Multistep consistency sampling (Song et al. 2023). 1 eval a step.
    Consistency {
        /// The least sigma that the network was trained for.
        sigma_min: f64,
        /// Whether x_0 follows by the shifted coefficients of consistency models.
        shifted: bool,
    },
    /// Latent consistency (Luo et al. 2023). 1 eval a step.
    Lcm,
    /// Euler's method along a rectified flow; its own grid is `flow`. 1 eval a
    /// step.
    FlowEuler,
}

impl Sampler {
    /// One of each kind with its default options, in the order in which lists show
    /// them.
    pub const ALL: [Self; 19] = [
        Self::Ddpm { variance: None },
        Self::Ddim { eta: 0.0, clip_rule: ClippedEps::Recompute },
        Self::DdimInverse,
        Self::Euler,
        Self::EulerAncestral { eta: 1.0, s_noise: 1.0 },
        Self::Heun,
        Self::EdmHeun { s_churn: 40.0, s_tmin: 0.05, s_tmax: 50.0, s_noise: 1.003 },
        Self::DpmSolverPp { order: 2, form: Form::Midpoint, lower_order_final: false },
        Self::DpmSolverPp3Corrected,
        Self::SdeDpmSolverPp { order: 2, form: Form::Midpoint, eta: 1.0 },
        Self::UniPc { order: 2, variant: UniPcVariant::Bh2, lower_order_final: false },
        Self::Deis { order: 3 },
        Self::Ipndm { order: 4 },
        Self::Pndm,
        Self::Lms { order: 4 },
        Self::Restart { t_min: 0.05, t_max: 0.3, steps: 4, repeats: 2 },
        Self::Consistency { sigma_min: 0.002, shifted: false },
        Self::Lcm,
        Self::FlowEuler,
    ];

    /// The name, without options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddpm { .. } => "ddpm",
            Self::Ddim { .. } => "ddim",
            Self::DdimInverse => "ddim-inverse",
            Self::Euler => "euler",
            Self::EulerAncestral { .. } => "euler-ancestral",
            Self::Heun => "heun",
            Self::EdmHeun { .. } => "edm-heun",
            Self::DpmSolverPp { .. } => "dpm++",
            Self::DpmSolverPp3Corrected => "dpm++-3-corrected",
            Self::SdeDpmSolverPp { .. } => "sde-dpm++",
            Self::UniPc { .. } => "unipc",
            Self::Deis { .. } => "deis",
            Self::Ipndm { .. } => "ipndm",
            Self::Pndm => "pndm",
            Self::Lms { .. } => "lms",
            Self::Restart { .. } => "restart",
            Self::Consistency { .. } => "consistency",
            Self::Lcm => "lcm",
            Self::FlowEuler => "flow-euler",
        }
    }

    /// Steps when nothing is said: all timesteps for ancestral sampling, few for
    /// samplers that jump, 50 otherwise.
    #[must_use]
    pub fn default_steps(self, process: &Process) -> usize {
        let most = process.timesteps().unwrap_or(1000);
        match self {
            Self::Ddpm { .. } => most,
            Self::DdimInverse => most.min(200),
            Self::Consistency { .. } => most.min(2),
            Self::Lcm => most.min(4),
            _ => most.min(50),
        }
    }

    /// Whether a step knows nothing of earlier steps, so that it may be done again
    /// after a jump back.
    #[must_use]
    pub fn is_one_step(self) -> bool {
        !matches!(
            self,
            Self::DpmSolverPp { .. }
                | Self::DpmSolverPp3Corrected
                | Self::SdeDpmSolverPp { .. }
                | Self::UniPc { .. }
                | Self::Deis { .. }
                | Self::Ipndm { .. }
                | Self::Pndm
                | Self::Lms { .. }
        )
    }

    /// Whether it divides by the length of its steps, so that none may be 0.
    pub(crate) fn divides_by_steps(self) -> bool {
        match self {
            Self::DpmSolverPp { order, .. }
            | Self::SdeDpmSolverPp { order, .. }
            | Self::UniPc { order, .. }
            | Self::Deis { order }
            | Self::Lms { order } => order > 1,
            Self::DpmSolverPp3Corrected => true,
            _ => false,
        }
    }

    /// The fewest rows that a step becomes, but for the last.
    pub(crate) fn rows_a_step(self) -> usize {
        match self {
            Self::Heun | Self::EdmHeun { .. } | Self::Restart { .. } => 2,
            _ => 1,
        }
    }
}
