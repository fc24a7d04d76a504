//! Inpainting: sampling around the known part of an image.

// Going back up adds noise as churn does.
use crate::samplers::{Step, X_0, add_noise};
use crate::{Clip, Error, Evals, Mask, Mix, OptionField, Point, Program, Row, Sampler, X0Rule};

/// How a sample comes to agree with the known part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inpaint {
    /// After each step, the known part is replaced by the known image with fresh
    /// noise at that step's level. Each block of `jump_length` steps runs
    /// `resampling` times, going back up in between, so that both parts agree.
    ///
    /// Source: Lugmayr et al. 2022 (RePaint), algorithm 1,
    /// <https://arxiv.org/abs/2201.09865>.
    ReplaceXt {
        /// Runs of each block of steps, from 1 to 100; 1 never goes back.
        resampling: u32,
        /// Steps of a block, from 1 to 1000.
        jump_length: u32,
    },
    /// The known image replaces the known part of each prediction of x_0, and of the
    /// sample. It costs no more than sampling and suits every sampler, but the rest is
    /// never resampled to agree with it.
    ReplaceX0,
}

/// Rewrites the steps of a sampler.
pub(crate) fn inpaint(how: &Inpaint, sampler: Sampler, steps: &mut [Step]) -> Result<(), Error> {
    match *how {
        Inpaint::ReplaceX0 => {
            let rows = steps.iter_mut().flat_map(|step| &mut step.rows);
            rows.filter(|row| row.evals != Evals::Zero).for_each(|row| {
                through_x_0(row);
                row.mask = Mask::ReplaceX0;
            });
            finish(steps);
            Ok(())
        }
        Inpaint::ReplaceXt { resampling, jump_length } => {
            if !sampler.is_one_step() {
                return Err(Error::Sampler(format!(
                    "{} remembers earlier steps, which replacing x_t would contradict: use ddpm, \
                     ddim, euler, euler-ancestral or heun, or replace x_0",
                    sampler.name()
                )));
            }
            in_range(OptionField::Resampling, resampling, 100)?;
            in_range(OptionField::JumpLength, jump_length, 1000)?;
            let noisy = steps.iter_mut().filter(|step| !step.to.is_data());
            noisy.for_each(|step| step.rows.push(replace_x_t(&step.to)));
            finish(steps);
            let rows: usize = steps.iter().map(|step| step.rows.len() + 1).sum();
            if rows * resampling as usize > Program::MAX_ROWS {
                let max = Program::MAX_ROWS;
                let reason = format!("makes {rows} rows {resampling} times: at most {max} in all");
                return Err(Error::Option { option: OptionField::Resampling, reason });
            }
            resample(steps, resampling, jump_length as usize);
            Ok(())
        }
    }
}

fn in_range(option: OptionField, value: u32, max: u32) -> Result<(), Error> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::Option { option, reason: format!("must be in 1..={max}, got {value}") })
}

/// Rewrites a row that uses a predicted mean directly in terms of the x_0 that the
/// mean implies: F = (x_0 − p_u u)/p_F. Not clipped, as ddpm-torch never clips a mean.
fn through_x_0(row: &mut Row) {
    let Mix { u, x_0: 0.0, f, .. } = row.u else { return };
    if f == 0.0 {
        return;
    }
    let X0Rule { p_u, p_f, .. } = row.x_0;
    row.u = Mix { u: u - f * p_u / p_f, x_0: f / p_f, f: 0.0, ..row.u };
    row.x_0.clip = Clip::None;
}

/// Makes the known image the known part of the sample.
fn finish(steps: &mut [Step]) {
    let Some(last) = steps.last_mut().filter(|step| step.to.is_data()) else { return };
    match last.rows.last_mut() {
        Some(row) if row.evals != Evals::Zero && row.u == X_0 => row.mask = Mask::ReplaceX0,
        _ => last.rows.push(replace_sample()),
    }
}

/// Puts the known image into the known part of the finished sample, and of the
/// displayed prediction.
pub(crate) fn replace_sample() -> Row {
    let mut row = Row::at(0.0);
    row.evals = Evals::Zero;
    row.mask = Mask::ReplaceX0;
    row.u = X_0;
    row
}

/// Replaces the known part by a fresh sample of q(x_t given the known image).
fn replace_x_t(at: &Point) -> Row {
    let mut row = Row::at(at.t);
    row.evals = Evals::Zero;
    row.mask = Mask::ReplaceXt;
    row.u = Mix { known: at.alpha, z: at.sigma, ..Mix::ZERO };
    row.label.noise_level = at.noise_level();
    row
}

/// Runs each block of steps again, after going back up to its start. The
/// repetitions belong to the last step of the block, so they are not shown.
fn resample(steps: &mut [Step], resampling: u32, jump_length: usize) {
    // The step to the data is final.
    let Some(before_data) = steps.len().checked_sub(1) else { return };
    for block in steps[..before_data].rchunks_mut(jump_length) {
        let Some(start) = block.first().map(|step| step.from) else { continue };
        let again: Vec<Row> = block.iter().flat_map(|step| step.rows.clone()).collect();
        let Some(last) = block.last_mut() else { continue };
        for _ in 1..resampling {
            last.rows.push(add_noise(&last.to, &start, 1.0));
            last.rows.extend(again.iter().cloned());
        }
    }
}
