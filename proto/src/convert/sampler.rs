//! Samplers with their options.

use ddpm_diffusion::{ClippedEps, Form, Sampler, UniPcVariant, Variance};

use super::{Fault, code};
use crate::v1::{self, sampler::Kind};

/// What a `Sampler` message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum SamplerChoice {
    /// This sampler.
    Sampler(Sampler),
    /// What the server thinks best for the budget.
    Auto,
    /// The sender's own rows, not read yet.
    Program(v1::Program),
}

/// Reads a sampler. Ranges of options are [`Sampler::check`]'s business.
///
/// # Errors
///
/// If no kind is set, or an enum holds an unknown value.
pub fn sampler_from_proto(message: v1::Sampler) -> Result<SamplerChoice, Fault> {
    let Some(kind) = message.kind else {
        let names = Sampler::ALL.map(Sampler::name).join(", ");
        return Err(Fault::new("kind", format!("is required: auto, program, {names}")));
    };
    Ok(SamplerChoice::Sampler(match kind {
        Kind::Auto(_) => return Ok(SamplerChoice::Auto),
        Kind::Program(program) => return Ok(SamplerChoice::Program(program)),
        Kind::Ddpm(ddpm) => {
            Sampler::Ddpm { variance: variance(code("ddpm.variance", ddpm.variance)?) }
        }
        Kind::Ddim(ddim) => Sampler::Ddim {
            eta: ddim.eta,
            clip_rule: clip_rule(code("ddim.clip_rule", ddim.clip_rule)?),
        },
        Kind::DdimInverse(_) => Sampler::DdimInverse,
        Kind::Euler(_) => Sampler::Euler,
        Kind::EulerAncestral(euler) => Sampler::EulerAncestral {
            eta: euler.eta.unwrap_or(1.0),
            s_noise: euler.s_noise.unwrap_or(1.0),
        },
        Kind::Heun(_) => Sampler::Heun,
        Kind::EdmHeun(heun) => Sampler::EdmHeun {
            s_churn: heun.s_churn.unwrap_or(40.0),
            s_tmin: heun.s_tmin.unwrap_or(0.05),
            s_tmax: heun.s_tmax.unwrap_or(50.0),
            s_noise: heun.s_noise.unwrap_or(1.003),
        },
        Kind::DpmSolverPp(solver) => Sampler::DpmSolverPp {
            order: or(solver.order, 2),
            form: form(code("dpm_solver_pp.form", solver.form)?),
            lower_order_final: solver.lower_order_final,
        },
        Kind::DpmSolverPp3Corrected(_) => Sampler::DpmSolverPp3Corrected,
        Kind::SdeDpmSolverPp(solver) => Sampler::SdeDpmSolverPp {
            order: or(solver.order, 2),
            form: form(code("sde_dpm_solver_pp.form", solver.form)?),
            eta: solver.eta.unwrap_or(1.0),
        },
        Kind::Unipc(unipc) => Sampler::UniPc {
            order: or(unipc.order, 2),
            variant: match code("unipc.variant", unipc.variant)? {
                v1::UniPcVariant::Bh1 => UniPcVariant::Bh1,
                v1::UniPcVariant::Bh2 | v1::UniPcVariant::Unspecified => UniPcVariant::Bh2,
            },
            lower_order_final: unipc.lower_order_final,
        },
        Kind::Deis(deis) => Sampler::Deis { order: or(deis.order, 3) },
        Kind::Ipndm(ipndm) => Sampler::Ipndm { order: or(ipndm.order, 4) },
        Kind::Pndm(_) => Sampler::Pndm,
        Kind::Lms(lms) => Sampler::Lms { order: or(lms.order, 4) },
        Kind::Restart(restart) => Sampler::Restart {
            t_min: restart.t_min.unwrap_or(0.05),
            t_max: restart.t_max.unwrap_or(0.3),
            steps: or(restart.steps, 4),
            repeats: or(restart.repeats, 2),
        },
        Kind::Consistency(consistency) => Sampler::Consistency {
            sigma_min: consistency.sigma_min.unwrap_or(0.002),
            shifted: consistency.shifted,
        },
        Kind::Lcm(_) => Sampler::Lcm,
        Kind::FlowEuler(_) => Sampler::FlowEuler,
    }))
}

/// Writes a sampler with every option filled in.
#[must_use]
pub fn sampler_to_proto(sampler: Sampler) -> v1::Sampler {
    let kind = match sampler {
        Sampler::Ddpm { variance } => {
            Kind::Ddpm(v1::Ddpm { variance: variance_to_proto(variance).into() })
        }
        Sampler::Ddim { eta, clip_rule } => {
            let clip_rule = match clip_rule {
                ClippedEps::Recompute => v1::DdimClipRule::RecomputeEps,
                ClippedEps::Keep => v1::DdimClipRule::KeepEps,
            };
            Kind::Ddim(v1::Ddim { eta, clip_rule: clip_rule.into() })
        }
        Sampler::DdimInverse => Kind::DdimInverse(v1::DdimInverse {}),
        Sampler::Euler => Kind::Euler(v1::Euler {}),
        Sampler::EulerAncestral { eta, s_noise } => {
            Kind::EulerAncestral(v1::EulerAncestral { eta: Some(eta), s_noise: Some(s_noise) })
        }
        Sampler::Heun => Kind::Heun(v1::Heun {}),
        Sampler::EdmHeun { s_churn, s_tmin, s_tmax, s_noise } => Kind::EdmHeun(v1::EdmHeun {
            s_churn: Some(s_churn),
            s_tmin: Some(s_tmin),
            s_tmax: Some(s_tmax),
            s_noise: Some(s_noise),
        }),
        Sampler::DpmSolverPp { order, form, lower_order_final } => {
            let form = form_to_proto(form).into();
            Kind::DpmSolverPp(v1::DpmSolverPp { order, form, lower_order_final })
        }
        Sampler::DpmSolverPp3Corrected => Kind::DpmSolverPp3Corrected(v1::DpmSolverPp3Corrected {}),
        Sampler::SdeDpmSolverPp { order, form, eta } => {
            let form = form_to_proto(form).into();
            Kind::SdeDpmSolverPp(v1::SdeDpmSolverPp { order, form, eta: Some(eta) })
        }
        Sampler::UniPc { order, variant, lower_order_final } => {
            let variant = match variant {
                UniPcVariant::Bh1 => v1::UniPcVariant::Bh1,
                UniPcVariant::Bh2 => v1::UniPcVariant::Bh2,
            };
            Kind::Unipc(v1::UniPc { order, variant: variant.into(), lower_order_final })
        }
        Sampler::Deis { order } => Kind::Deis(v1::Deis { order }),
        Sampler::Ipndm { order } => Kind::Ipndm(v1::Ipndm { order }),
        Sampler::Pndm => Kind::Pndm(v1::Pndm {}),
        Sampler::Lms { order } => Kind::Lms(v1::Lms { order }),
        Sampler::Restart { t_min, t_max, steps, repeats } => {
            Kind::Restart(v1::Restart { t_min: Some(t_min), t_max: Some(t_max), steps, repeats })
        }
        Sampler::Consistency { sigma_min, shifted } => {
            Kind::Consistency(v1::Consistency { sigma_min: Some(sigma_min), shifted })
        }
        Sampler::Lcm => Kind::Lcm(v1::Lcm {}),
        Sampler::FlowEuler => Kind::FlowEuler(v1::FlowEuler {}),
    };
    v1::Sampler { kind: Some(kind) }
}

/// The field of `Sampler.kind` that a sampler's options are in.
#[must_use]
pub fn sampler_field(sampler: Sampler) -> &'static str {
    match sampler {
        Sampler::Ddpm { .. } => "ddpm",
        Sampler::Ddim { .. } => "ddim",
        Sampler::DdimInverse => "ddim_inverse",
        Sampler::Euler => "euler",
        Sampler::EulerAncestral { .. } => "euler_ancestral",
        Sampler::Heun => "heun",
        Sampler::EdmHeun { .. } => "edm_heun",
        Sampler::DpmSolverPp { .. } => "dpm_solver_pp",
        Sampler::DpmSolverPp3Corrected => "dpm_solver_pp3_corrected",
        Sampler::SdeDpmSolverPp { .. } => "sde_dpm_solver_pp",
        Sampler::UniPc { .. } => "unipc",
        Sampler::Deis { .. } => "deis",
        Sampler::Ipndm { .. } => "ipndm",
        Sampler::Pndm => "pndm",
        Sampler::Lms { .. } => "lms",
        Sampler::Restart { .. } => "restart",
        Sampler::Consistency { .. } => "consistency",
        Sampler::Lcm => "lcm",
        Sampler::FlowEuler => "flow_euler",
    }
}

/// 0 means the default.
fn or(number: u32, default: u32) -> u32 {
    if number == 0 { default } else { number }
}

fn variance(wire: v1::DdpmVariance) -> Option<Variance> {
    match wire {
        v1::DdpmVariance::Unspecified => None,
        v1::DdpmVariance::FixedSmall => Some(Variance::FixedSmall),
        v1::DdpmVariance::FixedLarge => Some(Variance::FixedLarge),
        v1::DdpmVariance::Learned => Some(Variance::Learned),
        v1::DdpmVariance::LearnedRange => Some(Variance::LearnedRange),
    }
}

fn variance_to_proto(variance: Option<Variance>) -> v1::DdpmVariance {
    match variance {
        None => v1::DdpmVariance::Unspecified,
        Some(Variance::FixedSmall) => v1::DdpmVariance::FixedSmall,
        Some(Variance::FixedLarge) => v1::DdpmVariance::FixedLarge,
        Some(Variance::Learned) => v1::DdpmVariance::Learned,
        Some(Variance::LearnedRange) => v1::DdpmVariance::LearnedRange,
    }
}

fn clip_rule(wire: v1::DdimClipRule) -> ClippedEps {
    match wire {
        v1::DdimClipRule::Unspecified | v1::DdimClipRule::RecomputeEps => ClippedEps::Recompute,
        v1::DdimClipRule::KeepEps => ClippedEps::Keep,
    }
}

fn form(wire: v1::DpmSolverForm) -> Form {
    match wire {
        v1::DpmSolverForm::Unspecified | v1::DpmSolverForm::Midpoint => Form::Midpoint,
        v1::DpmSolverForm::Heun => Form::Heun,
    }
}

fn form_to_proto(form: Form) -> v1::DpmSolverForm {
    match form {
        Form::Midpoint => v1::DpmSolverForm::Midpoint,
        Form::Heun => v1::DpmSolverForm::Heun,
    }
}
