//! Options of samplers: where each is stored, its range, and its value on the wire.

use std::fmt;
use std::ops::RangeInclusive;

use crate::prediction::by_name;
use crate::spec::Spec;
use crate::{Error, Variance};

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

/// How x_0 follows from the output of a consistency model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precondition {
    /// As the network was trained: EDM's own coefficients for an EDM network.
    #[default]
    Network,
    /// By the coefficients of consistency models, shifted so that the network is the identity at
    /// the least sigma; for EDM networks.
    Consistency,
}

/// A place for one of several names.
pub(crate) trait Choice {
    fn names(&self) -> Vec<&'static str>;
    /// `None` if it is not set.
    fn get(&self) -> Option<&'static str>;
    fn set(&mut self, name: &str) -> Result<(), String>;
}

/// Gives an enum its names in text.
macro_rules! named {
    ($type:ident: $($name:literal => $variant:ident),+) => {
        impl $type {
            const NAMES: [(&'static str, Self); [$($name),+].len()] =
                [$(($name, Self::$variant)),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        by_name!($type);

        impl Choice for $type {
            fn names(&self) -> Vec<&'static str> {
                vec![$($name),+]
            }

            fn get(&self) -> Option<&'static str> {
                Some(self.name())
            }

            fn set(&mut self, name: &str) -> Result<(), String> {
                *self = name.parse()?;
                Ok(())
            }
        }
    };
}

named!(ClippedEps: "recompute-eps" => Recompute, "keep-eps" => Keep);
named!(Form: "midpoint" => Midpoint, "heun" => Heun);
named!(UniPcVariant: "bh1" => Bh1, "bh2" => Bh2);
named!(Precondition: "network" => Network, "consistency" => Consistency);

impl Choice for Option<Variance> {
    fn names(&self) -> Vec<&'static str> {
        Variance::NAMES.iter().map(|(name, _)| *name).collect()
    }

    fn get(&self) -> Option<&'static str> {
        self.map(Variance::name)
    }

    fn set(&mut self, name: &str) -> Result<(), String> {
        *self = Some(name.parse()?);
        Ok(())
    }
}

/// The value of an option on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Not set: the default.
    Absent,
    /// A real number.
    Number(f64),
    /// A whole number.
    Count(u32),
    /// Yes or no.
    Flag(bool),
    /// One of several names.
    Choice(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Number(value) => value.fmt(f),
            Self::Count(value) => value.fmt(f),
            Self::Flag(value) => value.fmt(f),
            Self::Choice(name) => name.fmt(f),
        }
    }
}

/// The values that an option allows.
#[derive(Debug, Clone, PartialEq)]
pub enum Allowed {
    /// A real number of this range.
    Number(RangeInclusive<f64>),
    /// A whole number of this range.
    Count(RangeInclusive<u32>),
    /// Yes or no.
    Flag,
    /// One of these names.
    Choice(Vec<&'static str>),
}

/// An option of a sampler: its name, its range, and the place where its value is stored.
pub(crate) struct SamplerOption<'a> {
    pub(crate) name: &'static str,
    slot: Slot<'a>,
    /// The contract's name for a choice of two that is a flag there: true is the second.
    flag: Option<&'static str>,
}

enum Slot<'a> {
    Number(&'a mut f64, RangeInclusive<f64>),
    Count(&'a mut u32, RangeInclusive<u32>),
    Flag(&'a mut bool),
    Choice(&'a mut dyn Choice),
}

impl<'a> SamplerOption<'a> {
    /// A real number in a range.
    pub(crate) fn number(
        name: &'static str,
        value: &'a mut f64,
        range: RangeInclusive<f64>,
    ) -> Self {
        Self { name, slot: Slot::Number(value, range), flag: None }
    }

    /// A whole number in a range. On the wire 0 is the default, unless the field is `optional`, as
    /// it must be if the range has 0.
    pub(crate) fn count(
        name: &'static str,
        value: &'a mut u32,
        range: RangeInclusive<u32>,
    ) -> Self {
        Self { name, slot: Slot::Count(value, range), flag: None }
    }

    /// Yes or no.
    pub(crate) fn flag(name: &'static str, value: &'a mut bool) -> Self {
        Self { name, slot: Slot::Flag(value), flag: None }
    }

    /// One of several names.
    pub(crate) fn choice(name: &'static str, value: &'a mut dyn Choice) -> Self {
        Self { name, slot: Slot::Choice(value), flag: None }
    }

    /// One of two names, which the contract has as a flag called `field`: true is the second.
    pub(crate) fn choice_as_flag(
        name: &'static str,
        value: &'a mut dyn Choice,
        field: &'static str,
    ) -> Self {
        Self { flag: Some(field), ..Self::choice(name, value) }
    }

    /// Its field in the sampler's message.
    pub(crate) fn field(&self) -> String {
        self.flag.map_or_else(|| self.name.replace('-', "_"), str::to_owned)
    }

    /// Its value by the names of the text form.
    pub(crate) fn value(&self) -> Value {
        match &self.slot {
            Slot::Number(value, _) => Value::Number(**value),
            Slot::Count(value, _) => Value::Count(**value),
            Slot::Flag(value) => Value::Flag(**value),
            Slot::Choice(place) => place.get().map_or(Value::Absent, Value::Choice),
        }
    }

    /// Its value on the wire.
    pub(crate) fn wire_value(&self) -> Value {
        match (&self.slot, self.flag) {
            (Slot::Choice(place), Some(_)) => Value::Flag(place.get() != Some(place.names()[0])),
            _ => self.value(),
        }
    }

    /// Stores a value from the wire; an absent one changes nothing. `None` if it is of another type
    /// or a name that does not exist.
    pub(crate) fn set_wire_value(&mut self, value: Value) -> Option<()> {
        match (&mut self.slot, value) {
            (_, Value::Absent) => {}
            (Slot::Number(place, _), Value::Number(value)) => **place = value,
            (Slot::Count(place, _), Value::Count(value)) => **place = value,
            (Slot::Flag(place), Value::Flag(value)) => **place = value,
            (Slot::Choice(place), Value::Flag(value)) if self.flag.is_some() => {
                let name = place.names()[usize::from(value)];
                place.set(name).ok()?;
            }
            (Slot::Choice(place), Value::Choice(name)) => place.set(name).ok()?,
            _ => return None,
        }
        Some(())
    }

    /// Takes the value from text, if it is there.
    pub(crate) fn take_from(&mut self, spec: &mut Spec<'_>) -> Result<(), Error> {
        match &mut self.slot {
            Slot::Number(place, _) => **place = spec.take(self.name, **place)?,
            Slot::Count(place, _) => **place = spec.take(self.name, **place)?,
            Slot::Flag(place) => **place = spec.take(self.name, **place)?,
            Slot::Choice(place) => spec.take_with(self.name, |name| place.set(name))?.unwrap_or(()),
        }
        Ok(())
    }

    /// The values that it allows.
    pub(crate) fn allowed(&self) -> Allowed {
        match &self.slot {
            Slot::Number(_, range) => Allowed::Number(range.clone()),
            Slot::Count(_, range) => Allowed::Count(range.clone()),
            Slot::Flag(_) => Allowed::Flag,
            Slot::Choice(place) => Allowed::Choice(place.names()),
        }
    }

    /// Refuses a value outside the range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.slot {
            Slot::Number(value, range) if !range.contains(value) => {
                let (start, end) = (range.start(), range.end());
                Err(Error::option(self.name, format!("must be in [{start}, {end}], got {value}")))
            }
            Slot::Count(value, range) if !range.contains(value) => {
                let (start, end) = (range.start(), range.end());
                Err(Error::option(self.name, format!("must be in {start}..={end}, got {value}")))
            }
            Slot::Number(..) | Slot::Count(..) | Slot::Flag(_) | Slot::Choice(_) => Ok(()),
        }
    }
}
