//! What the table says of each sampler is what its steps do, and what the documentation says.

use super::*;
use crate::{
    Clip, Evals, GridSpec, Parameterisation, Prediction, Recipe, Row, Schedule, Start, Variance,
};

fn chain() -> Parameterisation {
    let schedule = Schedule::linear(100, 1e-3, 0.2).unwrap();
    Parameterisation::discrete(schedule, Prediction::Eps, Variance::FixedSmall)
}

/// The steps of every sampler with its default options; restart as it fits the grid.
fn all_steps(network: &Parameterisation) -> Vec<(Sampler, Vec<Step>)> {
    let grid = GridSpec::default_of(&network.process).grid(&network.process, 8).unwrap();
    let denoiser = Denoiser { network, clip: Clip::None, guidance: None };
    let restart = Sampler::from(Restart { t_min: 1.0, t_max: 5.0, ..Restart::DEFAULT });
    let fitting = |sampler: Sampler| if sampler.name() == "restart" { restart } else { sampler };
    let samplers = Sampler::ALL.into_iter().map(fitting);
    samplers.map(|sampler| (sampler, sampler.steps(&denoiser, &grid).unwrap())).collect()
}

/// Whether the rows of a step read a push or an anchor that an earlier step left.
fn reads_earlier_steps(rows: &[Row]) -> bool {
    let (mut pushes, mut has_anchor) = (0, false);
    rows.iter().any(|row| {
        let reads_h = |h: &[f64; 3]| h.iter().skip(pushes).any(|h| *h != 0.0);
        let reads_y = !has_anchor && row.u.y != 0.0;
        let reads = reads_h(&row.u.h) || reads_h(&row.y.h) || reads_y;
        pushes += usize::from(row.push.is_some());
        has_anchor |= row.y.y == 0.0;
        reads
    })
}

#[test]
fn a_sampler_is_multistep_if_its_steps_read_what_earlier_ones_left() {
    for (sampler, steps) in all_steps(&chain()) {
        let reads = steps.iter().any(|step| reads_earlier_steps(&step.rows));
        assert_eq!(reads, !sampler.is_one_step(), "{sampler}");
    }
}

#[test]
fn steps_have_the_rows_that_the_table_promises() {
    for (sampler, steps) in all_steps(&chain()) {
        let [rest @ .., _] = &steps[..] else { panic!("{sampler} has no steps") };
        let fewest = rest.iter().map(|step| step.rows.len()).min().unwrap();
        assert_eq!(fewest, sampler.facts().rows_per_step, "{sampler}");
    }
}

#[test]
fn a_sampler_encodes_if_it_ends_with_more_noise() {
    for (sampler, steps) in all_steps(&chain()) {
        let (first, last) = (&steps[0], &steps[steps.len() - 1]);
        let rises = last.to.noise_level() > first.from.noise_level();
        assert_eq!(rises, sampler.encodes(), "{sampler}");
    }
}

#[test]
fn a_sampler_that_divides_by_its_steps_says_so() {
    let network = chain();
    for sampler in Sampler::ALL.into_iter().filter(|sampler| !sampler.encodes()) {
        let recipe = Recipe::new(sampler, &network);
        let twice = Recipe { grid: GridSpec::DdpmTorchQuadratic, num_steps: 20, ..recipe };
        let refused = twice.compile(&network).err().map(|error| error.to_string());
        let divides = refused.as_ref().is_some_and(|error| error.contains("divides by"));
        assert_eq!(divides, sampler.facts().divides_by_steps, "{sampler}: {refused:?}");
        let numbers = refused.is_some_and(|error| error.contains("finite"));
        assert!(!numbers, "{sampler} makes numbers that are none");
    }
}

#[test]
fn a_sampler_that_takes_a_mean_runs_on_a_network_that_predicts_it() {
    let mean = Parameterisation { prediction: Prediction::Mean, ..chain() };
    for sampler in Sampler::ALL {
        let start = if sampler.encodes() { Start::State } else { Start::Noise };
        let recipe = Recipe { start, num_steps: 20, ..Recipe::new(sampler, &mean) };
        let runs = recipe.compile(&mean).is_ok();
        assert_eq!(runs, sampler.facts().takes_mean, "{sampler}");
    }
}

#[test]
fn names_and_fields_are_distinct_and_default_options_in_range() {
    for (k, sampler) in Sampler::ALL.into_iter().enumerate() {
        sampler.check().unwrap();
        for other in &Sampler::ALL[..k] {
            assert!(sampler.name() != other.name() && sampler.field() != other.field());
        }
    }
}

#[test]
fn a_sampler_is_built_from_its_fields_or_not_at_all() {
    let built = |field, values: &[_]| Sampler::from_wire(field, values).map(|s| s.to_string());
    let shifted = [("sigma_min", Value::Absent), ("shifted", Value::Flag(true))];
    let text = built("consistency", &shifted);
    assert_eq!(text.as_deref(), Some("consistency:precondition=consistency"));
    assert_eq!(built("dpm_solver_pp", &[]).as_deref(), Some("dpm++"));
    assert_eq!(built("dpm++", &[]), None);
    assert_eq!(built("ddim", &[("order", Value::Count(2))]), None);
    assert_eq!(built("ddim", &[("eta", Value::Count(1))]), None);
    assert_eq!(built("ddim", &[("clip_rule", Value::Choice("none"))]), None);
}

/// The options of a sampler as the documentation shows them.
fn documented(sampler: Sampler) -> String {
    let option = |option: OptionInfo| {
        let name = option.name;
        let set = match option.value {
            Value::Absent => format!("`{name}`"),
            value => format!("`{name}={value}`"),
        };
        let others = |names: Vec<&str>| -> String {
            let others = names.into_iter().filter(|name| option.value.to_string() != *name);
            others.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        match option.allowed {
            Allowed::Number(range) => format!("{set} ({} to {})", range.start(), range.end()),
            Allowed::Count(range) => format!("{set} ({} to {})", range.start(), range.end()),
            Allowed::Flag => set,
            Allowed::Choice(names) => format!("{set} (or {})", others(names)),
        }
    };
    sampler.options().into_iter().map(option).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_documentation_lists_every_sampler_with_its_options_defaults_and_ranges() {
    let page = include_str!("../../../../docs/samplers/README.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Samplers\n")).unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let shown: Vec<(&str, &str)> = rows.iter().map(|cells| (cells[1], cells[2])).collect();
    let table = Sampler::ALL.map(|one| (format!("`{}`", one.name()), documented(one)));
    let want: Vec<(&str, &str)> = table.iter().map(|(a, b)| (&**a, &**b)).collect();
    for want in &want {
        assert!(shown.contains(want), "docs/samplers/README.md lacks {want:?}");
    }
    assert_eq!(shown.len(), want.len());
}

#[test]
fn every_evaluation_has_its_label_or_none() {
    assert_eq!(Evals::Guided { scale: 2.0 }.with_label(), [true, false]);
    assert_eq!(Evals::Unconditional.with_label(), [false]);
    assert_eq!(Evals::One.with_label(), [true]);
    assert!(Evals::Zero.with_label().is_empty());
}
