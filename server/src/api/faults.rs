//! Gathers the invalid fields of a request, so that all of them are reported at once.

use ddpm_diffusion::{Error as MathError, GridField, GridSpec, OptionField, RowField, Sampler};
use ddpm_proto::convert::Fault;

use crate::error::{Error, Violation};

/// Most violations in one response: a status must fit into a trailer.
const MAX: usize = 20;

/// The invalid fields found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Violation>);

impl Faults {
    /// Adds a fault, unless the list is full.
    pub(super) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.left() == 0 {
            return;
        }
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Returns the room left in the list; once it is full, input need not be read.
    pub(super) fn left(&self) -> usize {
        MAX - self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value, or adds a fault of its field.
    pub(super) fn take<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|description| self.add(field, description)).ok()
    }

    /// Returns the value, or adds a fault below a field; an empty prefix is the request itself.
    pub(super) fn read<T>(&mut self, prefix: &str, value: Result<T, Fault>) -> Option<T> {
        value.map_err(|fault| self.add_fault(prefix, fault)).ok()
    }

    pub(super) fn add_fault(&mut self, prefix: &str, fault: Fault) {
        let dot = if prefix.is_empty() { "" } else { "." };
        self.add(format!("{prefix}{dot}{}", fault.field), fault.description);
    }

    /// Reads a value of an enum; adds a fault and returns `otherwise` if it is unknown.
    pub(super) fn code<E: TryFrom<i32>>(&mut self, field: &str, code: i32, otherwise: E) -> E {
        E::try_from(code).unwrap_or_else(|_| {
            self.add(field, format!("{code} is no value that this server knows"));
            otherwise
        })
    }

    /// Returns the value, or adds a fault of the field that the mathematics rejects.
    pub(super) fn math<T>(
        &mut self,
        sampler: Sampler,
        grid: &GridSpec,
        value: Result<T, MathError>,
    ) -> Option<T> {
        value
            .map_err(|error| {
                let (field, reason) = place(sampler, grid, error);
                self.add(field, reason);
            })
            .ok()
    }

    /// Returns all faults as an error.
    pub(super) fn result<T>(mut self) -> Result<T, Error> {
        if self.left() == 0 {
            let description = format!("there may be more faults; {MAX} are listed at most");
            self.0.push(Violation { field: String::new(), description });
        }
        Err(Error::Invalid(self.0))
    }
}

/// Returns the field of a request that the mathematics rejects, and the reason.
fn place(sampler: Sampler, grid: &GridSpec, error: MathError) -> (String, String) {
    match error {
        MathError::Grid { field, reason } => (grid_field(grid, field).into(), reason),
        MathError::Option { option, reason } => (option_field(sampler, option), reason),
        MathError::Sampler(reason) => ("sampler".into(), reason),
        MathError::Row { row, field, reason } => (row_field(row, field), reason),
        other @ (MathError::Schedule(_) | MathError::Spec(_) | MathError::Program(_)) => {
            ("sampler".into(), other.to_string())
        }
    }
}

fn grid_field(grid: &GridSpec, field: GridField) -> &'static str {
    match (field, grid) {
        (GridField::NumSteps, _) => "num_steps",
        (GridField::Points, GridSpec::Sections(_)) => "grid_options.sections",
        (GridField::Points, GridSpec::Timesteps(_)) => "grid_options.timesteps",
        (GridField::Points, GridSpec::Sigmas(_)) => "grid_options.sigmas",
        (
            GridField::Points,
            GridSpec::Leading { .. }
            | GridSpec::Trailing
            | GridSpec::Linspace
            | GridSpec::Quadratic
            | GridSpec::DdpmTorchLinear
            | GridSpec::DdpmTorchQuadratic
            | GridSpec::DdimStride(_)
            | GridSpec::Karras { .. }
            | GridSpec::Exponential
            | GridSpec::Flow { .. },
        ) => "grid",
    }
}

fn option_field(sampler: Sampler, option: OptionField) -> String {
    match option {
        OptionField::Sampler(name) => format!("sampler.{}", sampler.option_field(name)),
        OptionField::GuidanceScale => "guidance.scale".into(),
        OptionField::GuidanceSigmaMin => "guidance.sigma_min".into(),
        OptionField::Strength => "initial.images.strength".into(),
        OptionField::Resampling => "inpaint.replace_x_t.resampling".into(),
        OptionField::JumpLength => "inpaint.replace_x_t.jump_length".into(),
    }
}

/// Returns the path of a field in a row of the client's own program.
pub(super) fn row_field(row: usize, field: RowField) -> String {
    let name = match field {
        RowField::Evals => "evals".into(),
        RowField::GuidanceScale => "guidance_scale".into(),
        RowField::T => "t".into(),
        RowField::CIn => "c_in".into(),
        RowField::PU => "p_u".into(),
        RowField::PF => "p_f".into(),
        RowField::Clip => "dynamic_threshold".into(),
        RowField::Y(of) => format!("y.{of}"),
        RowField::U(of) => format!("u.{of}"),
        RowField::Push(of) => format!("push.{of}"),
        RowField::Variance => "variance.range".into(),
        RowField::Step | RowField::NumSteps => "step".into(),
        RowField::EndsStep => "ends_step".into(),
        RowField::NoiseLevel => "noise_level".into(),
    };
    format!("sampler.program.rows[{row}].{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_rows_are_those_of_the_contract() {
        use ddpm_diffusion::MixField;
        for (field, want) in [
            (RowField::GuidanceScale, "guidance_scale"),
            (RowField::U(MixField::X0), "u.x_0"),
            (RowField::Push(MixField::F), "push.f"),
            (RowField::Clip, "dynamic_threshold"),
            (RowField::EndsStep, "ends_step"),
        ] {
            assert_eq!(row_field(3, field), format!("sampler.program.rows[3].{want}"));
        }
    }

    #[test]
    fn an_error_of_the_mathematics_is_placed_in_the_request() {
        let placed = |sampler: &str, grid: &str, error: MathError| {
            place(sampler.parse().unwrap(), &grid.parse().unwrap(), error).0
        };
        let option = |option| MathError::Option { option, reason: String::new() };
        let grid = |field| MathError::Grid { field, reason: String::new() };
        let sampler = |name| option(OptionField::Sampler(name));
        assert_eq!(placed("edm-heun", "karras", sampler("s-tmax")), "sampler.edm_heun.s_tmax");
        let precondition = placed("consistency", "karras", sampler("precondition"));
        assert_eq!(precondition, "sampler.consistency.shifted");
        let strength = placed("ddim", "trailing", option(OptionField::Strength));
        assert_eq!(strength, "initial.images.strength");
        assert_eq!(placed("ddim", "sigmas:3-0", grid(GridField::NumSteps)), "num_steps");
        let sigmas = placed("ddim", "sigmas:3-0", grid(GridField::Points));
        assert_eq!(sigmas, "grid_options.sigmas");
        assert_eq!(placed("ddim", "karras", grid(GridField::Points)), "grid");
    }

    #[test]
    fn no_more_faults_are_kept_than_are_reported_and_the_rest_is_mentioned() {
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
