//! What a network's output means.

use serde::{Deserialize, Serialize};

/// Which quantity the network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise ε (Ho et al. 2020).
    Eps,
    /// The data x_0.
    #[serde(rename = "x_0")]
    X0,
    /// The mean of q(x_{t−1} given x_t, x_0); only at trained timesteps.
    Mean,
    /// v = α ε − σ x_0 (Salimans & Ho 2022).
    V,
    /// What is left of x_0 after EDM's skip connection (Karras et al. 2022,
    /// equation 7): x_0 = c_skip x + c_out F.
    Edm,
    /// The velocity ε − x_0 of a straight line from data to noise.
    Flow,
}

impl Prediction {
    /// All of them, under their names in text.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("eps", Self::Eps),
        ("x_0", Self::X0),
        ("mean", Self::Mean),
        ("v", Self::V),
        ("edm", Self::Edm),
        ("flow", Self::Flow),
    ];

    /// Returns the name in text.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Variance of the reverse steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// That of the posterior, β̃_t.
    FixedSmall,
    /// That of the forward step, β_t.
    FixedLarge,
    /// Predicted by the network: a second half of the channels holds the raw
    /// log-variance of each element.
    Learned,
    /// Predicted by the network: a second half of the channels interpolates the
    /// log-variance of each element between ln β̃ and ln β (Nichol & Dhariwal 2021,
    /// equation 15).
    LearnedRange,
}

impl Variance {
    /// All of them, under their names in text.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("fixed-small", Self::FixedSmall),
        ("fixed-large", Self::FixedLarge),
        ("learned", Self::Learned),
        ("learned-range", Self::LearnedRange),
    ];

    /// Returns the name in text.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Returns whether the network has channels for it.
    #[must_use]
    pub fn is_learned(self) -> bool {
        matches!(self, Self::Learned | Self::LearnedRange)
    }
}

/// Reads and writes the name in text.
macro_rules! by_name {
    ($type:ident) => {
        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let known = Self::NAMES.iter().find(|(name, _)| *name == text);
                known.map(|(_, value)| *value).ok_or_else(|| {
                    let names = Self::NAMES.map(|(name, _)| name);
                    format!("must be one of {}", names.join(", "))
                })
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use by_name;

by_name!(Prediction);
by_name!(Variance);
