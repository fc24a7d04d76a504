//! The table of samplers.

use super::{
    Allowed, Consistency, Ddim, DdimInverse, Ddpm, DefaultSteps, Deis, Denoiser, Dpm2,
    Dpm2Ancestral, DpmSolverPp, DpmSolverPp2sAncestral, DpmSolverPp3Corrected, EdmHeun, Euler,
    EulerAncestral, Facts, FlowEuler, Heun, Ipndm, Lcm, Lms, Method, Pndm, Restart, SaSolver,
    SamplerOption, SdeDpmSolverPp, Step, UniPc, Value,
};
use crate::{Error, Grid, GridSpec, Parameterisation, Prediction, Process};

/// Makes the enum of all samplers, in the order in which lists show them.
macro_rules! samplers {
    ($($method:ident),+ $(,)?) => {
        /// A sampler with its options.
        ///
        /// Its text form is the name with the options that differ from the defaults, as
        /// in `dpm++:order=3` or `edm-heun:s-churn=40,s-noise=1.003`.
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[allow(missing_docs, reason = "each variant is the struct of its name")]
        pub enum Sampler {
            $($method($method),)+
        }

        impl Sampler {
            /// One of each kind with its default options, in the order in which lists show
            /// them.
            pub const ALL: [Self; [$(stringify!($method)),+].len()] =
                [$(Self::$method($method::DEFAULT)),+];

            pub(super) fn method(&self) -> &dyn Method {
                match self {
                    $(Self::$method(method) => method,)+
                }
            }

            pub(super) fn method_mut(&mut self) -> &mut dyn Method {
                match self {
                    $(Self::$method(method) => method,)+
                }
            }
        }

        $(
            impl From<$method> for Sampler {
                fn from(method: $method) -> Self {
                    Self::$method(method)
                }
            }

            impl Default for $method {
                fn default() -> Self {
                    Self::DEFAULT
                }
            }
        )+
    };
}

samplers! {
    Ddpm,
    Ddim,
    DdimInverse,
    Euler,
    EulerAncestral,
    Heun,
    EdmHeun,
    Dpm2,
    Dpm2Ancestral,
    DpmSolverPp,
    DpmSolverPp3Corrected,
    SdeDpmSolverPp,
    DpmSolverPp2sAncestral,
    UniPc,
    SaSolver,
    Deis,
    Ipndm,
    Pndm,
    Lms,
    Restart,
    Consistency,
    Lcm,
    FlowEuler,
}

/// An option of a sampler, for documentation and for the contract.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionInfo {
    /// Its name in text.
    pub name: &'static str,
    /// Its field in the sampler's message.
    pub field: String,
    /// Its value in text; absent if it is not set.
    pub value: Value,
    /// Its value in the sampler's message.
    pub wire_value: Value,
    /// The values that it allows.
    pub allowed: Allowed,
}

impl Sampler {
    /// The name, without options.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Its field of `Sampler.kind` in the contract.
    #[must_use]
    pub fn field(self) -> &'static str {
        self.facts().field
    }

    /// Its options with their values.
    #[must_use]
    pub fn options(mut self) -> Vec<OptionInfo> {
        let options = self.method_mut().options();
        let info = |option: &SamplerOption<'_>| OptionInfo {
            name: option.name,
            field: option.field(),
            value: option.value(),
            wire_value: option.wire_value(),
            allowed: option.allowed(),
        };
        options.iter().map(info).collect()
    }

    /// The field of an option, named as in text, below `Sampler` in the contract: `ddim.eta`.
    #[must_use]
    pub fn option_field(mut self, name: &str) -> String {
        let options = self.method_mut().options();
        let option = options.iter().find(|option| option.name == name);
        let field = option.map(SamplerOption::field);
        drop(options);
        field.map_or_else(|| self.field().into(), |field| format!("{}.{field}", self.field()))
    }

    /// The sampler of a field of `Sampler.kind`, with the options that its message sets. Ranges are
    /// [`Sampler::check`]'s business.
    ///
    /// `None` if there is no such sampler, or it has no such option.
    #[must_use]
    pub fn from_wire(field: &str, values: &[(&str, Value)]) -> Option<Self> {
        let mut sampler = Self::ALL.into_iter().find(|sampler| sampler.field() == field)?;
        let mut options = sampler.method_mut().options();
        for (field, value) in values {
            options.iter_mut().find(|option| option.field() == *field)?.set_wire_value(*value)?;
        }
        drop(options);
        Some(sampler)
    }

    /// The same sampler with its default options.
    pub(crate) fn with_defaults(self) -> Self {
        let same = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(&self);
        Self::ALL.into_iter().find(same).unwrap_or(self)
    }

    /// Steps of a run that names none: all timesteps for ancestral sampling, few for
    /// samplers that jump, 50 for most others.
    #[must_use]
    pub fn default_steps(self, process: &Process) -> usize {
        let most = process.timesteps().unwrap_or(1000);
        match self.facts().default_steps {
            DefaultSteps::WholeChain => most,
            DefaultSteps::AtMost(steps) => most.min(steps),
        }
    }

    /// The grid of a run that names none, if the sampler has its own; the model's otherwise.
    #[must_use]
    pub fn own_grid(self) -> Option<GridSpec> {
        self.facts().grid
    }

    /// Whether a step knows nothing of earlier steps, so that it may run again
    /// after a jump back.
    #[must_use]
    pub fn is_one_step(self) -> bool {
        !self.facts().multistep
    }

    /// Whether it goes from data to noise: it starts from an image and ends in x_T.
    #[must_use]
    pub fn encodes(self) -> bool {
        self.facts().encodes
    }

    pub(crate) fn facts(&self) -> Facts {
        self.method().facts()
    }

    /// Checks the options.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] with the option that is out of range.
    pub fn check(mut self) -> Result<(), Error> {
        self.method_mut().options().iter().try_for_each(SamplerOption::check)
    }

    /// The steps of a run on `grid`.
    pub(crate) fn steps(self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        self.check()?;
        self.check_network(denoiser.network)?;
        self.method().steps(denoiser, grid)
    }

    fn check_network(self, network: &Parameterisation) -> Result<(), Error> {
        network.check()?;
        let Facts { name, takes_mean, .. } = self.facts();
        if network.prediction == Prediction::Mean && !takes_mean {
            let reason =
                format!("{name} has no use for a network that predicts the mean: use ddpm");
            return Err(Error::Sampler(reason));
        }
        Ok(())
    }
}
