//! The samplers by name, with their options.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::{
    Denoiser, Step, ancestral, consistency, ddim,
    dpm_solver::{self, DpmSolver},
    euler,
    heun::{self, Churn},
    multistep,
    restart::{self, Restart},
    unipc::{self, UniPc},
};
use crate::{
    Error, Grid, Network, Prediction, Process, Variance,
    spec::{Spec, Text, serde_as_text},
};

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

/// Which noise estimate goes with a clipped x_0. The two differ only where the
/// clip acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClippedEps {
    /// Recomputed from x_t and the clipped x_0: ddpm-torch's rule, and diffusers'
    /// with `use_clipped_model_output=True`.
    #[default]
    Recompute,
    /// The network's own: diffusers' default.
    Keep,
}

/// The first difference of DPM-Solver++ at order 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// (1 − e^(−h))/2.
    #[default]
    Midpoint,
    /// (e^(−h) − 1)/h + 1.
    Heun,
}

/// B(h) of UniPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UniPcVariant {
    /// −h.
    Bh1,
    /// e^(−h) − 1.
    #[default]
    Bh2,
}

/// An enum of options with names.
macro_rules! named {
    ($type:ident: $($name:literal => $variant:ident),+) => {
        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of {}", [$($name),+].join(", "))),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }
    };
}

named!(ClippedEps: "recompute-eps" => Recompute, "keep-eps" => Keep);
named!(Form: "midpoint" => Midpoint, "heun" => Heun);
named!(UniPcVariant: "bh1" => Bh1, "bh2" => Bh2);

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

    /// Checks the options.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] with the option that is out of range.
    pub fn check(self) -> Result<(), Error> {
        match self {
            Self::Ddim { eta, .. } => within("eta", eta, 0.0..=1.0),
            Self::EulerAncestral { eta, s_noise } => {
                within("eta", eta, 0.0..=1.0)?;
                within("s-noise", s_noise, 1e-6..=2.0)
            }
            Self::EdmHeun { s_churn, s_tmin, s_tmax, s_noise } => {
                within("s-churn", s_churn, 0.0..=1000.0)?;
                within("s-tmin", s_tmin, 0.0..=1e6)?;
                within("s-tmax", s_tmax, s_tmin..=1e6)?;
                within("s-noise", s_noise, 1e-6..=2.0)
            }
            Self::DpmSolverPp { order, .. } | Self::UniPc { order, .. } | Self::Deis { order } => {
                count("order", order, 1..=3)
            }
            Self::SdeDpmSolverPp { order, eta, .. } => {
                count("order", order, 1..=2)?;
                within("eta", eta, 0.0..=1.0)
            }
            Self::Ipndm { order } | Self::Lms { order } => count("order", order, 1..=4),
            Self::Restart { t_min, t_max, steps, repeats } => {
                within("t-min", t_min, 1e-6..=1e6)?;
                within("t-max", t_max, t_min..=1e6)?;
                count("steps", steps, 1..=100)?;
                count("repeats", repeats, 1..=100)
            }
            Self::Consistency { sigma_min, .. } => within("sigma-min", sigma_min, 0.0..=1e6),
            _ => Ok(()),
        }
    }

    /// The steps of a run on `grid`.
    pub(crate) fn steps(self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        self.check()?;
        self.check_network(denoiser.network)?;
        match self {
            Self::Ddpm { variance } => {
                ancestral::ddpm(denoiser, grid, variance.unwrap_or(denoiser.network.variance))
            }
            Self::Ddim { eta, clip_rule } => ddim::ddim(denoiser, grid, eta, clip_rule),
            Self::DdimInverse => ddim::ddim_inverse(denoiser, grid),
            Self::Euler | Self::FlowEuler => euler::euler(denoiser, grid),
            Self::EulerAncestral { eta, s_noise } => {
                euler::euler_ancestral(denoiser, grid, eta, s_noise)
            }
            Self::Heun => heun::heun(denoiser, grid),
            Self::EdmHeun { s_churn, s_tmin, s_tmax, s_noise } => {
                heun::edm_heun(denoiser, grid, Churn { s_churn, s_tmin, s_tmax, s_noise })
            }
            Self::UniPc { order, variant, lower_order_final } => {
                let order = order as usize;
                unipc::unipc(denoiser, grid, UniPc { order, variant, lower_order_final })
            }
            Self::Deis { order } => multistep::deis(denoiser, grid, order as usize),
            Self::Ipndm { order } => multistep::ipndm(denoiser, grid, order as usize),
            Self::Pndm => multistep::pndm(denoiser, grid),
            Self::Lms { order } => multistep::lms(denoiser, grid, order as usize),
            Self::Restart { t_min, t_max, steps, repeats } => {
                let (steps, repeats) = (steps as usize, repeats as usize);
                restart::restart(denoiser, grid, Restart { t_min, t_max, steps, repeats })
            }
            Self::Consistency { sigma_min, shifted } => {
                consistency::consistency(denoiser, grid, sigma_min, shifted)
            }
            Self::Lcm => consistency::lcm(denoiser, grid),
            Self::DpmSolverPp { .. }
            | Self::DpmSolverPp3Corrected
            | Self::SdeDpmSolverPp { .. } => {
                dpm_solver::dpm_solver_pp(denoiser, grid, self.dpm_solver())
            }
        }
    }

    fn dpm_solver(self) -> DpmSolver {
        let plain = DpmSolver {
            order: 3,
            form: Form::Midpoint,
            eta: 0.0,
            lower_order_final: false,
            corrected: false,
        };
        match self {
            Self::DpmSolverPp { order, form, lower_order_final } => {
                DpmSolver { order: order as usize, form, lower_order_final, ..plain }
            }
            Self::SdeDpmSolverPp { order, form, eta } => {
                DpmSolver { order: order as usize, form, eta, ..plain }
            }
            // With the line through two predictions integrated exactly, as is the
            // parabola through three.
            _ => DpmSolver { form: Form::Heun, corrected: true, ..plain },
        }
    }

    fn check_network(self, network: &Network) -> Result<(), Error> {
        network.check()?;
        if network.prediction == Prediction::Mean && !matches!(self, Self::Ddpm { .. }) {
            return Err(Error::Sampler(format!(
                "{} has no use for a network that predicts the mean: use ddpm",
                self.name()
            )));
        }
        Ok(())
    }
}

fn within(option: &'static str, value: f64, range: RangeInclusive<f64>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (start, end) = (range.start(), range.end());
    Err(Error::Option { option, reason: format!("must be in [{start}, {end}], got {value}") })
}

fn count(option: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (start, end) = (range.start(), range.end());
    Err(Error::Option { option, reason: format!("must be in {start}..={end}, got {value}") })
}

impl FromStr for Sampler {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut spec = Spec::parse("sampler", text)?;
        let Some(default) = Self::ALL.into_iter().find(|sampler| sampler.name() == spec.name)
        else {
            return Err(spec.unknown(Self::ALL.map(Self::name)));
        };
        let sampler = default.with_options(&mut spec)?;
        spec.finish()?;
        sampler.check()?;
        Ok(sampler)
    }
}

impl Sampler {
    /// The same with the options that `spec` sets.
    fn with_options(mut self, spec: &mut Spec<'_>) -> Result<Self, Error> {
        match &mut self {
            Self::Ddpm { variance } => *variance = spec.take_optional("variance")?,
            Self::Ddim { eta, clip_rule } => {
                *eta = spec.take("eta", *eta)?;
                *clip_rule = spec.take("clip-rule", *clip_rule)?;
            }
            Self::EulerAncestral { eta, s_noise } => {
                *eta = spec.take("eta", *eta)?;
                *s_noise = spec.take("s-noise", *s_noise)?;
            }
            Self::EdmHeun { s_churn, s_tmin, s_tmax, s_noise } => {
                *s_churn = spec.take("s-churn", *s_churn)?;
                *s_tmin = spec.take("s-tmin", *s_tmin)?;
                *s_tmax = spec.take("s-tmax", *s_tmax)?;
                *s_noise = spec.take("s-noise", *s_noise)?;
            }
            Self::DpmSolverPp { order, form, lower_order_final } => {
                *order = spec.take("order", *order)?;
                *form = spec.take("form", *form)?;
                *lower_order_final = spec.take("lower-order-final", *lower_order_final)?;
            }
            Self::SdeDpmSolverPp { order, form, eta } => {
                *order = spec.take("order", *order)?;
                *form = spec.take("form", *form)?;
                *eta = spec.take("eta", *eta)?;
            }
            Self::UniPc { order, variant, lower_order_final } => {
                *order = spec.take("order", *order)?;
                *variant = spec.take("variant", *variant)?;
                *lower_order_final = spec.take("lower-order-final", *lower_order_final)?;
            }
            Self::Deis { order } | Self::Ipndm { order } | Self::Lms { order } => {
                *order = spec.take("order", *order)?;
            }
            Self::Restart { t_min, t_max, steps, repeats } => {
                *t_min = spec.take("t-min", *t_min)?;
                *t_max = spec.take("t-max", *t_max)?;
                *steps = spec.take("steps", *steps)?;
                *repeats = spec.take("repeats", *repeats)?;
            }
            Self::Consistency { sigma_min, shifted } => {
                *sigma_min = spec.take("sigma-min", *sigma_min)?;
                *shifted = match spec.take("precondition", String::from("network"))?.as_str() {
                    "network" => false,
                    "consistency" => true,
                    other => {
                        let reason = format!("must be network or consistency, got `{other}`");
                        return Err(Error::Option { option: "precondition", reason });
                    }
                };
            }
            Self::DdimInverse
            | Self::Euler
            | Self::Heun
            | Self::DpmSolverPp3Corrected
            | Self::Pndm
            | Self::Lcm
            | Self::FlowEuler => {}
        }
        Ok(self)
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Text::new(self.name());
        let text = match self {
            Self::Ddpm { variance: Some(variance) } => {
                text.option("variance", &variance.name(), &"")
            }
            Self::Ddim { eta, clip_rule } => {
                text.option("eta", eta, &0.0).option("clip-rule", clip_rule, &ClippedEps::default())
            }
            Self::EulerAncestral { eta, s_noise } => {
                text.option("eta", eta, &1.0).option("s-noise", s_noise, &1.0)
            }
            Self::EdmHeun { s_churn, s_tmin, s_tmax, s_noise } => text
                .option("s-churn", s_churn, &40.0)
                .option("s-tmin", s_tmin, &0.05)
                .option("s-tmax", s_tmax, &50.0)
                .option("s-noise", s_noise, &1.003),
            Self::DpmSolverPp { order, form, lower_order_final } => text
                .option("order", order, &2)
                .option("form", form, &Form::default())
                .option("lower-order-final", lower_order_final, &false),
            Self::SdeDpmSolverPp { order, form, eta } => text
                .option("order", order, &2)
                .option("form", form, &Form::default())
                .option("eta", eta, &1.0),
            Self::UniPc { order, variant, lower_order_final } => text
                .option("order", order, &2)
                .option("variant", variant, &UniPcVariant::default())
                .option("lower-order-final", lower_order_final, &false),
            Self::Deis { order } => text.option("order", order, &3),
            Self::Ipndm { order } | Self::Lms { order } => text.option("order", order, &4),
            Self::Restart { t_min, t_max, steps, repeats } => text
                .option("t-min", t_min, &0.05)
                .option("t-max", t_max, &0.3)
                .option("steps", steps, &4)
                .option("repeats", repeats, &2),
            Self::Consistency { sigma_min, shifted } => {
                let precondition = if *shifted { "consistency" } else { "network" };
                text.option("sigma-min", sigma_min, &0.002).option(
                    "precondition",
                    &precondition,
                    &"network",
                )
            }
            Self::Ddpm { variance: None }
            | Self::DdimInverse
            | Self::Euler
            | Self::Heun
            | Self::DpmSolverPp3Corrected
            | Self::Pndm
            | Self::Lcm
            | Self::FlowEuler => text,
        };
        text.fmt(f)
    }
}

serde_as_text!(Sampler);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sampler_reads_back_from_its_text() {
        let texts = [
            "ddpm:variance=learned-range",
            "ddim:eta=0.5,clip-rule=keep-eps",
            "euler-ancestral:eta=0.5,s-noise=1.1",
            "edm-heun:s-churn=30,s-tmin=0.1,s-tmax=1,s-noise=1.01",
            "dpm++:order=3,form=heun,lower-order-final=true",
            "sde-dpm++:order=1,form=heun,eta=0.5",
            "unipc:order=3,variant=bh1,lower-order-final=true",
            "deis:order=2",
            "ipndm:order=3",
            "lms:order=2",
            "restart:t-min=0.1,t-max=0.5,steps=3,repeats=4",
            "consistency:sigma-min=0.01,precondition=consistency",
        ];
        let plain = Sampler::ALL.map(Sampler::name);
        for text in texts.into_iter().chain(plain) {
            assert_eq!(text.parse::<Sampler>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        let refused = |text: &str| text.parse::<Sampler>().unwrap_err().to_string();
        assert_eq!(refused("ddim:eta=1.5"), "eta: must be in [0, 1], got 1.5");
        assert_eq!(refused("ddim:eta=NaN"), "eta: must be in [0, 1], got NaN");
        assert_eq!(refused("dpm++:order=4"), "order: must be in 1..=3, got 4");
        assert_eq!(refused("heun:order=2"), "the sampler `heun` has no option `order`");
        assert!(refused("hoin").contains("there is no sampler `hoin`; there are ddpm, ddim"));
        assert!(refused("dpm++:form=round").contains("midpoint, heun"));
        assert!(refused("ddpm:variance=large").contains("fixed-small"));
    }
}
