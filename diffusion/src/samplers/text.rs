//! Samplers as text: the name, then the options that differ from the defaults.

use std::{fmt, str::FromStr};

use super::{ClippedEps, Form, Sampler, UniPcVariant};
use crate::{
    Error,
    spec::{Spec, Text, serde_as_text},
};

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
