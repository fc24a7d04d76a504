//! Custom programs: rows, and their JSON form.
//!
//! The JSON has the field names and values of the contract: numbers with enough digits
//! to read back exactly, enums by name, defaults omitted, one row per line.

use std::fmt::Write;

use ddpm_diffusion::Row;
use ddpm_proto::convert::{rows_from_proto, rows_to_proto};
use ddpm_proto::v1;

use crate::error::Error;

mod json;

/// Rows, each one application of one linear kernel to one sample. See
/// [`ddpm_diffusion::row`] for what a row computes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    rows: Vec<Row>,
}

impl Program {
    /// Makes a program of `rows`. The server checks the rules of programs, and names
    /// each field that violates one.
    #[must_use]
    pub fn new(rows: Vec<Row>) -> Self {
        Self { rows }
    }

    /// Returns the rows, in the order in which they are applied.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the network evaluations per sample.
    #[must_use]
    pub fn evals(&self) -> u64 {
        self.rows.iter().map(|row| row.evals.count() as u64).sum()
    }

    /// Reads the JSON of a `ddpm.v1.Program`.
    ///
    /// # Errors
    ///
    /// [`Error::Request`], listing up to twenty unreadable fields.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let message = json::read(text).map_err(Error::Request)?;
        Self::from_proto(message).map_err(Error::Request)
    }

    /// Writes the JSON of the `ddpm.v1.Program`, one row per line.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(&self.to_proto())
    }

    pub(crate) fn to_proto(&self) -> v1::Program {
        rows_to_proto(&self.rows)
    }

    pub(crate) fn from_proto(program: v1::Program) -> Result<Self, String> {
        rows_from_proto(program).map(Self::new).map_err(|faults| {
            let mut sentence = "the rows cannot be read".to_owned();
            for fault in faults {
                let _ = write!(sentence, "\n  {}: {}", fault.field, fault.description);
            }
            sentence
        })
    }
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::samplers::{Ddpm, Heun};
    use ddpm_diffusion::{
        Clip, Guidance, Inpaint, Parameterisation, Prediction, Recipe, Sampler, Schedule, Variance,
    };

    use super::*;

    fn recipes(network: &Parameterisation) -> Vec<Recipe> {
        let base = Recipe { num_steps: 7, ..Recipe::new(Heun.into(), network) };
        let one = |sampler: Sampler| Recipe { sampler, ..base.clone() };
        let mut recipes: Vec<Recipe> = Sampler::ALL
            .into_iter()
            .filter(|sampler| !matches!(sampler.name(), "ddim-inverse" | "restart"))
            .map(one)
            .collect();
        recipes.push(Recipe {
            clip: Clip::Dynamic { quantile: 0.9, max: 3.0 },
            guidance: Some(Guidance { scale: 3.0, sigma_min: 0.1, sigma_max: 2.0 }),
            inpaint: Some(Inpaint::ReplaceXt { resampling: 2, jump_length: 2 }),
            ..one(Ddpm { variance: None }.into())
        });
        recipes
    }

    #[test]
    fn every_program_comes_back_from_its_json_bit_for_bit() {
        let schedule = Schedule::linear(100, 1e-3, 0.2).unwrap();
        let network = Parameterisation::discrete(schedule, Prediction::Eps, Variance::LearnedRange);
        for recipe in recipes(&network) {
            let rows = recipe.compile(&network).unwrap().rows().to_vec();
            let program = Program::new(rows.clone());

            let back = Program::from_json(&program.to_json()).unwrap();

            assert_eq!(back, program, "{}", recipe.sampler);
            let digest = |rows| ddpm_diffusion::Program::new(rows).unwrap().digest();
            assert_eq!(digest(back.rows().to_vec()), digest(rows));
        }
    }

    #[test]
    fn the_json_has_the_names_of_the_contract_and_leaves_out_defaults() {
        let mut row = Row::at(999.0);
        row.label.step = 1;
        row.u.h[1] = 1.0 / 3.0;
        row.push = Some(ddpm_diffusion::Push { x_0: 1.0, ..Default::default() });

        let text = Program::new(vec![row]).to_json();

        assert_eq!(
            text,
            "{\"rows\": [\n  {\"evals\":\"EVALS_ONE\",\"t\":999.0,\"c_in\":1.0,\"p_u\":1.0,\
             \"clip\":\"CLIP_NONE\",\"u\":{\"u\":1.0,\"h\":[0.0,0.3333333333333333]},\
             \"push\":{\"x_0\":1.0},\"step\":1,\"ends_step\":true}\n]}\n"
        );
    }

    #[test]
    fn invalid_json_is_refused_with_its_place() {
        let sentence = |text: &str| Program::from_json(text).unwrap_err().to_string();

        let unknown = sentence("{\"rows\": [{\"evals\": \"EVALS_ONE\", \"v\": {}}]}");
        assert!(unknown.contains("unknown field `v`"), "{unknown}");
        let name = sentence("{\"rows\": [{\"evals\": \"ONE\", \"u\": {}}]}");
        assert!(name.contains("EVALS_GUIDED"), "{name}");
        let faults = sentence("{\"rows\": [{\"u\": {}}, {\"evals\": \"EVALS_ONE\"}]}");
        assert!(faults.contains("\n  rows[0].evals: is required"), "{faults}");
        assert!(faults.contains("\n  rows[1].u: is required"), "{faults}");
    }
}
