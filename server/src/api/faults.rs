//! The fields of a request that are wrong, gathered so that all of them are
//! reported at once.

use ddpm_diffusion::{Error as MathError, GridSpec, Sampler};
use ddpm_proto::convert::{Fault, sampler_field};

use crate::error::{Error, Violation};

/// Most violations of one answer: a status has to fit into a trailer.
const MAX: usize = 20;

/// The fields that are wrong so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Violation>);

impl Faults {
    /// Adds a fault, unless there are as many as are reported already.
    pub(super) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.left() == 0 {
            return;
        }
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// How many more are reported: lists need not be read any further than that.
    pub(super) fn left(&self) -> usize {
        MAX - self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, or a fault of its field.
    pub(super) fn take<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|description| self.add(field, description)).ok()
    }

    /// The value, or a fault below a field; an empty prefix is the request itself.
    pub(super) fn read<T>(&mut self, prefix: &str, value: Result<T, Fault>) -> Option<T> {
        value.map_err(|fault| self.add_fault(prefix, fault)).ok()
    }

    pub(super) fn add_fault(&mut self, prefix: &str, fault: Fault) {
        let dot = if prefix.is_empty() { "" } else { "." };
        self.add(format!("{prefix}{dot}{}", fault.field), fault.description);
    }

    /// A value of an enum, or a fault if this server does not know it.
    pub(super) fn code<E: TryFrom<i32>>(&mut self, field: &str, code: i32, otherwise: E) -> E {
        E::try_from(code).unwrap_or_else(|_| {
            self.add(field, format!("{code} is no value that this server knows"));
            otherwise
        })
    }

    /// The value, or a fault of the field that the mathematics objects to.
    pub(super) fn math<T>(
        &mut self,
        sampler: Sampler,
        grid: &GridSpec,
        value: Result<T, MathError>,
    ) -> Option<T> {
        value
            .map_err(|error| {
                let (field, reason) = words(sampler, grid, error);
                self.add(field, reason);
            })
            .ok()
    }

    /// All of them as an error.
    pub(super) fn result<T>(mut self) -> Result<T, Error> {
        if self.left() == 0 {
            let description = format!("there may be more faults; {MAX} are listed at most");
            self.0.push(Violation { field: String::new(), description });
        }
        Err(Error::Invalid(self.0))
    }
}

/// Where in a request the mathematics finds a fault, and its words.
fn words(sampler: Sampler, grid: &GridSpec, error: MathError) -> (String, String) {
    match error {
        MathError::Grid(reason) => (grid_field(grid, &reason).into(), reason),
        MathError::Option { option, reason } => (option_field(sampler, option), reason),
        MathError::Sampler(reason) => ("sampler".into(), reason),
        other => ("sampler".into(), other.to_string()),
    }
}

fn grid_field(grid: &GridSpec, reason: &str) -> &'static str {
    match grid {
        _ if reason.contains("num_steps") => "num_steps",
        GridSpec::Sections(_) => "grid_options.sections",
        GridSpec::Timesteps(_) => "grid_options.timesteps",
        GridSpec::Sigmas(_) => "grid_options.sigmas",
        _ => "grid",
    }
}

fn option_field(sampler: Sampler, option: &str) -> String {
    match option {
        "strength" => "initial.images.strength".into(),
        "resampling" | "jump_length" => format!("inpaint.replace_x_t.{option}"),
        _ if option.starts_with("guidance.") => option.into(),
        "precondition" => "sampler.consistency.shifted".into(),
        _ => format!("sampler.{}.{}", sampler_field(sampler), option.replace('-', "_")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_faults_are_kept_than_are_reported_and_the_rest_is_said() {
        let mut faults = Faults::default();
        (0..MAX).for_each(|at| faults.add(format!("a[{at}]"), "bad"));
        assert_eq!(faults.left(), 0);
        (0..1000).for_each(|at| faults.add(format!("b[{at}]"), "bad"));
        assert_eq!(faults.0.len(), MAX);
        let Err(Error::Invalid(violations)) = faults.result::<()>() else { panic!("no fault") };
        assert_eq!(violations.len(), MAX + 1);
        assert!(violations[..MAX].iter().all(|violation| violation.field.starts_with('a')));
        assert!(violations[MAX].description.contains("may be more"));
    }
}
