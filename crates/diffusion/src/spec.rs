//! The text form of samplers, grids and the like: `name:key=value,key=value`.
//!
//! One parser for all of them, so that command lines, manifests and documentation
//! agree.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::Error;

/// A name and its options that have not been read yet.
#[derive(Debug)]
pub(crate) struct Spec<'a> {
    /// The name, and what kind of thing it names, for errors.
    pub(crate) name: &'a str,
    what: &'static str,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Spec<'a> {
    /// Reads `name` or `name:key=value,…`.
    pub(crate) fn parse(what: &'static str, text: &'a str) -> Result<Self, Error> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut options = BTreeMap::new();
        for option in rest.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or(("", option));
            if options.insert(key.trim(), value.trim()).is_some() {
                return Err(Error::Spec(format!("{what} `{text}`: `{key}` is set twice")));
            }
        }
        Ok(Self { name: name.trim(), what, options })
    }

    /// Takes the value of an option, or its default.
    pub(crate) fn take<T: FromStr<Err: Display>>(
        &mut self,
        key: &str,
        default: T,
    ) -> Result<T, Error> {
        Ok(self.take_optional(key)?.unwrap_or(default))
    }

    /// Takes the value of an option, if it is set.
    pub(crate) fn take_optional<T: FromStr<Err: Display>>(
        &mut self,
        key: &str,
    ) -> Result<Option<T>, Error> {
        self.take_with(key, str::parse)
    }

    /// Takes the value of an option and converts it with `read`, if it is set.
    pub(crate) fn take_with<T, E: Display>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.options.remove(key) else { return Ok(None) };
        let wrong = |error: E| {
            Error::Spec(format!("{} `{}`: {key}={value}: {error}", self.what, self.name))
        };
        read(value).map(Some).map_err(wrong)
    }

    /// Takes the value without a key, a list separated by dashes. A dash after an
    /// exponent's `e` belongs to the number: `80-1e-3-0` is three numbers.
    pub(crate) fn take_list<T: FromStr<Err: Display>>(&mut self) -> Result<Vec<T>, Error> {
        let list = self.options.remove("").unwrap_or_default();
        let wrong = |part: &str, error: T::Err| {
            Error::Spec(format!("{} `{}`: `{part}`: {error}", self.what, self.name))
        };
        let ends = |at: &usize| list[*at..].starts_with('-') && !list[..*at].ends_with(['e', 'E']);
        let ends = (0..list.len()).filter(|at| list.is_char_boundary(*at)).filter(ends);
        let mut parts = Vec::new();
        let mut start = 0;
        for end in ends.chain([list.len()]) {
            let part = &list[start..end];
            if !part.is_empty() {
                parts.push(part.parse().map_err(|error| wrong(part, error))?);
            }
            start = end + 1;
        }
        Ok(parts)
    }

    /// Refuses options that were not read.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Some((key, value)) = self.options.first_key_value() else { return Ok(()) };
        let unknown = if key.is_empty() { value } else { key };
        let Self { what, name, .. } = &self;
        Err(Error::Spec(format!("the {what} `{name}` has no option `{unknown}`")))
    }

    /// Returns the error for an unknown name.
    pub(crate) fn unknown<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Error {
        let names: Vec<&str> = names.into_iter().collect();
        let Self { what, name, .. } = self;
        Error::Spec(format!("there is no {what} `{name}`; there are {}", names.join(", ")))
    }
}

/// Writes `name:key=value,…` with only the options that differ from a default.
#[derive(Debug)]
pub(crate) struct Text {
    name: String,
    options: Vec<String>,
}

impl Text {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), options: Vec::new() }
    }

    /// Adds an option unless it has its default.
    #[must_use]
    pub(crate) fn option<T: Display + PartialEq>(
        mut self,
        key: &str,
        value: &T,
        default: &T,
    ) -> Self {
        if value != default {
            self.options.push(format!("{key}={value}"));
        }
        self
    }

    /// Adds a list without a key.
    #[must_use]
    pub(crate) fn list<T: Display>(mut self, values: &[T]) -> Self {
        let values: Vec<String> = values.iter().map(T::to_string).collect();
        self.options.push(values.join("-"));
        self
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let colon = if self.options.is_empty() { "" } else { ":" };
        write!(f, "{}{colon}{}", self.name, self.options.join(","))
    }
}

/// Reads and writes a type as its text in serde, through [`FromStr`] and
/// [`Display`].
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
