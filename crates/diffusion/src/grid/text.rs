//! Rules as text: the name, then its option or its numbers.

use std::fmt;
use std::str::FromStr;

use super::GridSpec;
use crate::Error;
use crate::spec::{Spec, Text, serde_as_text};

impl FromStr for GridSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut spec = Spec::parse("grid", text)?;
        let positive = |name: &str, value: f64| match value {
            value if value > 0.0 && value <= 100.0 => Ok(value),
            _ => Err(Error::points(format!("{name} must be in (0, 100], got {value}"))),
        };
        let grid = match spec.name {
            "leading" => Self::Leading { offset: spec.take("offset", 0)? },
            "trailing" => Self::Trailing,
            "linspace" => Self::Linspace,
            "quadratic" => Self::Quadratic,
            "ddpm-torch-linear" => Self::DdpmTorchLinear,
            "ddpm-torch-quadratic" => Self::DdpmTorchQuadratic,
            "sections" => Self::Sections(spec.take_list()?),
            "ddim" => match spec.take_list()?[..] {
                [steps] => Self::DdimStride(steps),
                _ => return Err(Error::points("ddim wants one number, as in ddim:25")),
            },
            "karras" => Self::Karras { rho: positive("rho", spec.take("rho", 7.0)?)? },
            "exponential" | "log-snr" => Self::Exponential,
            "flow" => Self::Flow { shift: positive("shift", spec.take("shift", 1.0)?)? },
            "timesteps" => Self::Timesteps(spec.take_list()?),
            "sigmas" => Self::Sigmas(spec.take_list()?),
            _ => return Err(spec.unknown(Self::NAMES)),
        };
        spec.finish()?;
        Ok(grid)
    }
}

impl fmt::Display for GridSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Text::new(self.name());
        let text = match self {
            Self::Leading { offset } => text.option("offset", offset, &0),
            Self::Sections(counts) => text.list(counts),
            Self::DdimStride(steps) => text.list(&[*steps]),
            Self::Karras { rho } => text.option("rho", rho, &7.0),
            Self::Flow { shift } => text.option("shift", shift, &1.0),
            Self::Timesteps(list) | Self::Sigmas(list) => text.list(list),
            Self::Trailing
            | Self::Linspace
            | Self::Quadratic
            | Self::DdpmTorchLinear
            | Self::DdpmTorchQuadratic
            | Self::Exponential => text,
        };
        text.fmt(f)
    }
}

serde_as_text!(GridSpec);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<GridSpec>().unwrap_err().to_string()
    }

    #[test]
    fn every_grid_reads_back_from_its_text() {
        let texts = [
            "leading",
            "leading:offset=1",
            "trailing",
            "linspace",
            "quadratic",
            "ddpm-torch-linear",
            "ddpm-torch-quadratic",
            "sections:10-15-20",
            "ddim:25",
            "karras",
            "karras:rho=5",
            "exponential",
            "flow",
            "flow:shift=3",
            "timesteps:999-500.5-0",
            "sigmas:80-5.5-0",
        ];
        for text in texts {
            assert_eq!(text.parse::<GridSpec>().unwrap().to_string(), text);
        }
        for name in GridSpec::NAMES {
            assert!(texts.iter().any(|text| text.split(':').next() == Some(name)), "{name}");
        }
    }

    #[test]
    fn an_unknown_grid_is_refused_with_the_known_names() {
        let error = refused("karas");
        assert!(error.contains("there is no grid `karas`") && error.contains("karras"), "{error}");
        let error = refused("trailing:offset=1");
        assert_eq!(error, "the grid `trailing` has no option `offset`");
        assert!(refused("karras:rho=x").contains("rho=x"));
        assert!(refused("karras:rho=0").contains("rho must be in (0, 100], got 0"));
    }

    #[test]
    fn numbers_of_lists_may_have_exponents() {
        let list = |text: &str| text.parse::<GridSpec>().unwrap();
        assert_eq!(list("sigmas:80-1e-3-0"), GridSpec::Sigmas(vec![80.0, 1e-3, 0.0]));
        assert_eq!(list("sigmas:1E2-2.5e+0-1e-1"), GridSpec::Sigmas(vec![100.0, 2.5, 0.1]));
        let error = refused("sigmas:80-1e-0.5");
        assert!(error.contains("`1e-0.5`"), "{error}");
    }
}
