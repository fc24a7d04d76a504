//! Where a package departs from its paper: it does, and ours does not.

use ddpm_diffusion::Sampler;

use crate::FORMULA;
use crate::case::{Case, REFERENCE};
use crate::run::{difference, run};

/// More than rounding, even that of f32.
const DEPARTURE: f64 = 1e-5;

/// A test for each reason; a case is there once for each package that is wrong in it.
macro_rules! departures {
    ($($test:ident: $package:literal in $($case:literal),+;)+) => {
        const LISTED: &[(&str, &str)] = &[$($(($package, $case)),+),+];

        $(
            #[test]
            fn $test() {
                $(check($package, $case);)+
            }
        )+
    };
}

departures! {
    ddpm_of_diffusers_takes_a_learned_log_variance_for_the_variance:
        "diffusers.DDPMScheduler" in "ddpm-learned-eps";
    ddpm_of_diffusers_adds_noise_to_the_sample_where_a_grid_ends_above_timestep_0:
        "diffusers.DDPMScheduler" in "ddpm-large-trailing-eps-clip";
    ddim_of_diffusers_takes_other_steps_than_its_grid_where_these_differ:
        "diffusers.DDIMScheduler" in "ddim-linspace-eps", "ddim-trailing-uneven-eps";
    ddim_inverse_of_diffusers_tells_the_network_the_next_timestep:
        "diffusers.DDIMInverseScheduler" in "ddim-inverse-eps", "ddim-inverse-v";
    dpm_solver_of_diffusers_rounds_the_timesteps_of_karras_sigmas_and_not_the_sigmas:
        "diffusers.DPMSolverMultistepScheduler" in "dpm++2-karras-eps";
    dpm_solver_of_diffusers_has_half_of_the_second_difference_at_order_3:
        "diffusers.DPMSolverMultistepScheduler" in "dpm++3-corrected-log-snr-eps";
    dpm_solver_of_k_diffusion_has_half_of_the_second_difference_at_order_3:
        "k-diffusion.sample_dpmpp_3m_sde" in "dpm++3-corrected-edm";
    unipc_of_diffusers_with_bh1_is_not_a_number_where_sigma_ends_at_0:
        "diffusers.UniPCMultistepScheduler" in
        "unipc1-bh1-linspace-v", "unipc2-bh1-linspace-v", "unipc3-bh1-linspace-v";
    sa_solver_of_diffusers_has_another_first_moment_at_order_2:
        "diffusers.SASolverScheduler" in
        "sa-solver2-linspace-eps", "sa-solver3-4-karras-x0-clip",
        "sa-solver3-lowered-linspace-eps", "sa-solver3-4-ode-to-sigma-min-v";
    pndm_of_diffusers_averages_v_of_several_timesteps:
        "diffusers.PNDMScheduler" in "pndm-leading-v";
}

fn check(package: &str, case: &str) {
    let case = Case::named(case);
    let wrong: Vec<_> = wrong_packages(case).filter(|found| found.name == package).collect();
    assert!(!wrong.is_empty(), "{package} agrees in {}", case.name);
    for found in wrong {
        let departure = difference(&found.output, &case.formula);
        assert!(departure > DEPARTURE, "{package} in {}: only {departure:.1e}", case.name);
    }
    let ours = difference(&run::<f64>(case).state, &case.formula);
    assert!(ours <= FORMULA, "{}: ours is off by {ours:.1e}", case.name);
}

fn wrong_packages(case: &Case) -> impl Iterator<Item = &crate::case::Package> {
    case.packages.iter().filter(|package| !package.agrees)
}

#[test]
fn every_departure_has_its_reason() {
    for case in &REFERENCE.cases {
        for package in wrong_packages(case) {
            let named = (package.name.as_str(), case.name.as_str());
            assert!(LISTED.contains(&named), "{named:?}: {}", package.remark);
        }
    }
}

#[test]
fn sde_dpm_solver_of_diffusers_is_wrong_at_order_3_and_ours_has_none() {
    let mut seen = 0;
    for case in REFERENCE.beyond.iter().filter(|case| case.sampler.starts_with("sde-dpm++-3")) {
        for package in wrong_packages(case) {
            assert_eq!(package.name, "diffusers.DPMSolverMultistepScheduler");
            assert!(difference(&package.output, &case.formula) > DEPARTURE, "{}", case.name);
            seen += 1;
        }
    }
    assert!(seen > 0);
    assert!("sde-dpm++:order=3".parse::<Sampler>().is_err());
}
