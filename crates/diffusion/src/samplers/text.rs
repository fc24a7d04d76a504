//! Samplers as text: the name, then the options that differ from the defaults.

use std::fmt;
use std::str::FromStr;

use super::Sampler;
use crate::Error;
use crate::spec::{Spec, Text, serde_as_text};

impl FromStr for Sampler {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut spec = Spec::parse("sampler", text)?;
        let Some(mut sampler) = Self::ALL.into_iter().find(|sampler| sampler.name() == spec.name)
        else {
            return Err(spec.unknown(Self::ALL.map(Self::name)));
        };
        for mut option in sampler.method_mut().options() {
            option.take_from(&mut spec)?;
        }
        spec.finish()?;
        sampler.check()?;
        Ok(sampler)
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defaults = self.with_defaults().options();
        let mut text = Text::new(self.name());
        for (option, default) in self.options().iter().zip(&defaults) {
            text = text.option(option.name, &option.value, &default.value);
        }
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
            "dpm2-ancestral:eta=0.5,s-noise=1.1",
            "dpm++:order=3,form=heun,lower-order-final=true",
            "sde-dpm++:order=1,form=heun,eta=0.5",
            "dpm++2s-ancestral:eta=0.5,s-noise=1.1",
            "unipc:order=3,variant=bh1,lower-order-final=true",
            "sa-solver:predictor-order=3,corrector-order=0,tau=0.5,lower-order-final=true",
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
