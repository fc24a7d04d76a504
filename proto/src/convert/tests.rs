//! What is written to the wire reads back unchanged.

use std::collections::{BTreeMap, BTreeSet};

use ddpm_diffusion::samplers::{Allowed, Ddpm, Heun, Value};
use ddpm_diffusion::{
    Clip, GridSpec, Guidance, Inpaint, Parameterisation, Prediction, Program, Recipe, Sampler,
    Schedule, Variance,
};
use prost::Message;

use super::*;
use crate::v1;

fn network() -> Parameterisation {
    let schedule = Schedule::linear(100, 1e-3, 0.2).expect("a schedule");
    Parameterisation::discrete(schedule, Prediction::Eps, Variance::LearnedRange)
}

#[test]
fn every_sampler_comes_back_with_its_options() {
    let more = [
        "ddpm:variance=learned",
        "ddim:eta=0.5,clip-rule=keep-eps",
        "dpm++:form=heun",
        "edm-heun:s-churn=3,s-tmin=0.1,s-tmax=2,s-noise=1.5",
        "dpm2-ancestral:eta=0.5,s-noise=1.1",
        "dpm++2s-ancestral:eta=0.5,s-noise=1.1",
        "restart:t-min=0.1,t-max=0.5,steps=3,repeats=4",
        "consistency:sigma-min=0.01,precondition=consistency",
        "unipc:order=3,variant=bh1,lower-order-final=true",
        "sa-solver:predictor-order=3,corrector-order=0,tau=0,lower-order-final=true",
    ];
    let more = more.map(|text| text.parse::<Sampler>().expect("a sampler"));
    for sampler in Sampler::ALL.into_iter().chain(more) {
        let back = sampler_from_proto(sampler_to_proto(sampler));
        assert_eq!(back, Ok(SamplerChoice::Sampler(sampler)));
    }
}

#[test]
fn every_option_is_described_with_values_that_come_back() {
    use v1::sampler_option::Allowed as Wire;
    for sampler in Sampler::ALL {
        let info = sampler_info(sampler, 7);
        assert_eq!((info.name.as_str(), info.default_num_steps), (sampler.name(), 7));
        assert_eq!(info.options.len(), sampler.options().len(), "{}", info.name);
        for (option, own) in info.options.iter().zip(sampler.options()) {
            let name = format!("{}.{}", info.field, option.field);
            match option.allowed.as_ref().expect("it allows something") {
                Wire::Number(range) => {
                    assert!((range.min..=range.max).contains(&range.default), "{name}");
                }
                Wire::Count(range) => {
                    assert!((range.min..=range.max).contains(&range.default), "{name}");
                }
                Wire::Flag(flag) => assert_eq!(own.wire_value, Value::Flag(flag.default), "{name}"),
                Wire::Choice(choices) => {
                    assert!(choices.choices.len() > 1, "{name}");
                    let names: Vec<&str> =
                        choices.choices.iter().map(|choice| choice.name.as_str()).collect();
                    let Allowed::Choice(own) = own.allowed else { panic!("{name}") };
                    assert_eq!(names, own, "{name}");
                    let known = choices.default.is_empty() || names.contains(&&*choices.default);
                    assert!(known, "{name}: {}", choices.default);
                    assert!(choices.choices.iter().all(|choice| choice.value > 0), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_choice_is_described_by_the_numbers_of_its_enum() {
    let info = sampler_info("ddim".parse().expect("a sampler"), 50);
    let Some(v1::sampler_option::Allowed::Choice(rule)) = &info.options[1].allowed else {
        panic!("{info:?}");
    };
    let choices: Vec<(&str, i32)> =
        rule.choices.iter().map(|choice| (choice.name.as_str(), choice.value)).collect();
    let (recompute, keep) = (v1::DdimClipRule::RecomputeEps, v1::DdimClipRule::KeepEps);
    assert_eq!(choices, [("recompute-eps", recompute as i32), ("keep-eps", keep as i32)]);
    assert_eq!(rule.default, "recompute-eps");
}

#[test]
fn absent_options_are_the_defaults_of_the_text_form() {
    use v1::sampler::Kind;
    let kinds = [
        Kind::DpmSolverPp(v1::DpmSolverPp::default()),
        Kind::EdmHeun(v1::EdmHeun::default()),
        Kind::Restart(v1::Restart::default()),
        Kind::Consistency(v1::Consistency::default()),
        Kind::Unipc(v1::UniPc::default()),
        Kind::SaSolver(v1::SaSolver::default()),
        Kind::Lms(v1::Lms::default()),
        Kind::SdeDpmSolverPp(v1::SdeDpmSolverPp::default()),
        Kind::EulerAncestral(v1::EulerAncestral::default()),
        Kind::Dpm2Ancestral(v1::Dpm2Ancestral::default()),
        Kind::DpmSolverPp2sAncestral(v1::DpmSolverPp2sAncestral::default()),
    ];
    for kind in kinds {
        let Ok(SamplerChoice::Sampler(sampler)) =
            sampler_from_proto(v1::Sampler { kind: Some(kind) })
        else {
            panic!("a sampler without options is one")
        };
        assert!(Sampler::ALL.contains(&sampler), "{sampler:?}");
    }
}

#[test]
fn every_grid_comes_back_with_its_numbers() {
    let texts = [
        "leading:offset=1",
        "trailing",
        "linspace",
        "quadratic",
        "ddpm-torch-linear",
        "ddpm-torch-quadratic",
        "sections:10-15",
        "ddim:25",
        "karras:rho=5",
        "exponential",
        "flow:shift=3",
        "timesteps:99-50.5-0",
        "sigmas:80-5-0",
    ];
    assert_eq!(texts.len(), GridSpec::NAMES.len());
    for text in texts {
        let spec: GridSpec = text.parse().expect("a grid");
        let (grid, options) = grid_to_proto(&spec);
        assert_eq!(grid_from_proto(grid, options, Some(25)), Ok(Some(spec)));
    }
}

#[test]
fn numbers_that_nothing_reads_are_refused() {
    let options = v1::GridOptions { rho: Some(7.0), ..Default::default() };
    let fault = grid_from_proto(v1::Grid::Trailing, Some(options), None).expect_err("refused");
    assert_eq!(fault.field, "grid_options.rho");
    let fault = clip_from_proto(v1::Clip::Unit, Some(v1::DynamicThreshold::default()));
    assert_eq!(fault.expect_err("refused").field, "dynamic_threshold");
}

#[test]
fn the_rows_of_every_program_come_back_bit_for_bit() {
    let network = network();
    let base = Recipe { num_steps: 7, ..Recipe::new(Heun.into(), &network) };
    let mut recipes: Vec<Recipe> = Sampler::ALL
        .into_iter()
        .filter(|sampler| !sampler.encodes())
        .map(|sampler| Recipe { sampler, ..base.clone() })
        .collect();
    let restart = "restart:t-min=1,t-max=3".parse().expect("a sampler");
    recipes.iter_mut().filter(|recipe| recipe.sampler.name() == "restart").for_each(|recipe| {
        recipe.sampler = restart;
    });
    recipes.push(Recipe {
        clip: Clip::Dynamic { quantile: 0.9, max: 3.0 },
        guidance: Some(Guidance { scale: 3.0, sigma_min: 0.1, sigma_max: 2.0 }),
        inpaint: Some(Inpaint::ReplaceXt { resampling: 2, jump_length: 2 }),
        sampler: Ddpm { variance: None }.into(),
        ..base
    });
    for recipe in recipes {
        let program = recipe.compile(&network).expect("a program");
        let back = rows_from_proto(rows_to_proto(program.rows())).expect("rows");
        assert_eq!(back, program.rows());
        assert_eq!(Program::new(back).expect("a program").digest(), program.digest());
    }
}

#[test]
fn rows_that_cannot_be_read_are_refused_by_place_and_field() {
    let whole = v1::Row { evals: 2, u: Some(v1::Mix::default()), ..Default::default() };
    let row = |change: fn(&mut v1::Row)| {
        let mut row = whole.clone();
        change(&mut row);
        row
    };
    let rows = vec![
        row(|row| row.u = None),
        row(|row| row.evals = 0),
        row(|row| row.evals = 77),
        row(|row| row.guidance_scale = 2.0),
        row(|row| row.y = Some(v1::Mix { h: vec![0.0; 4], ..Default::default() })),
        row(|row| row.variance = Some(v1::RowVariance { kind: None })),
        row(|row| row.mask = 9),
    ];
    let faults = rows_from_proto(v1::Program { rows }).expect_err("all of them are wrong");
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    let want = [
        "rows[0].u",
        "rows[1].evals",
        "rows[2].evals",
        "rows[3].guidance_scale",
        "rows[4].y.h",
        "rows[5].variance.kind",
        "rows[6].mask",
    ];
    assert_eq!(fields, want);
}

#[test]
fn the_contract_has_every_sampler_of_the_table_with_its_options_and_no_other() {
    let set = prost_types::FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET);
    let set = set.expect("a descriptor set");
    let messages: Vec<_> = set.file.iter().flat_map(|file| &file.message_type).collect();
    let fields = |name: &str| -> BTreeSet<(String, String)> {
        let bare = name.rsplit('.').next();
        let message = messages.iter().find(|message| Some(message.name()) == bare);
        let fields = message.expect("a message").field.iter();
        fields.map(|field| (field.name().to_owned(), field.type_name().to_owned())).collect()
    };
    let names = |fields: BTreeSet<(String, String)>| -> BTreeSet<String> {
        fields.into_iter().map(|(name, _)| name).collect()
    };
    let kinds = fields("Sampler").into_iter();
    let of_contract: BTreeMap<String, BTreeSet<String>> = kinds
        .filter(|(name, _)| !matches!(name.as_str(), "auto" | "program"))
        .map(|(name, message)| (name, names(fields(&message))))
        .collect();
    let of_table: BTreeMap<String, BTreeSet<String>> = Sampler::ALL
        .iter()
        .map(|sampler| {
            let options = sampler.options().into_iter().map(|option| option.field);
            (sampler.field().to_owned(), options.collect())
        })
        .collect();
    assert_eq!(of_contract, of_table);
}

#[test]
fn every_value_of_every_choice_comes_back() {
    for sampler in Sampler::ALL {
        for option in sampler.options() {
            let Allowed::Choice(names) = option.allowed else { continue };
            for name in names {
                let text = format!("{}:{}={name}", sampler.name(), option.name);
                let sampler: Sampler = text.parse().expect("a sampler");
                let back = sampler_from_proto(sampler_to_proto(sampler));
                assert_eq!(back, Ok(SamplerChoice::Sampler(sampler)), "{text}");
            }
        }
    }
}

#[test]
fn a_value_that_no_enum_has_is_refused_by_its_field() {
    use v1::sampler::Kind;
    let kinds = [
        (Kind::Ddpm(v1::Ddpm { variance: 9 }), "ddpm.variance"),
        (Kind::Ddim(v1::Ddim { clip_rule: -1, ..Default::default() }), "ddim.clip_rule"),
        (Kind::Unipc(v1::UniPc { variant: 3, ..Default::default() }), "unipc.variant"),
    ];
    for (kind, field) in kinds {
        let fault = sampler_from_proto(v1::Sampler { kind: Some(kind) }).expect_err("refused");
        assert_eq!(fault.field, field);
        assert!(fault.description.ends_with("is no value that is known here"));
    }
}

#[test]
fn every_value_of_an_enum_is_an_option_of_its_sampler() {
    use v1::sampler::Kind;
    let ddpm = |variance| Kind::Ddpm(v1::Ddpm { variance });
    let ddim = |clip_rule| Kind::Ddim(v1::Ddim { clip_rule, eta: 0.0 });
    let solver = |form| Kind::DpmSolverPp(v1::DpmSolverPp { form, ..Default::default() });
    let unipc = |variant| Kind::Unipc(v1::UniPc { variant, ..Default::default() });
    let kinds = (0..=4).map(ddpm).chain((0..=2).map(ddim)).chain((0..=2).map(solver));
    let read: Vec<String> = kinds
        .chain((0..=2).map(unipc))
        .map(|kind| {
            let choice = sampler_from_proto(v1::Sampler { kind: Some(kind) });
            let Ok(SamplerChoice::Sampler(sampler)) = choice else { panic!("{choice:?}") };
            sampler.to_string()
        })
        .collect();
    let want = [
        "ddpm",
        "ddpm:variance=fixed-small",
        "ddpm:variance=fixed-large",
        "ddpm:variance=learned",
        "ddpm:variance=learned-range",
        "ddim",
        "ddim",
        "ddim:clip-rule=keep-eps",
        "dpm++",
        "dpm++",
        "dpm++:form=heun",
        "unipc",
        "unipc:variant=bh1",
        "unipc",
    ];
    assert_eq!(read, want);
}
