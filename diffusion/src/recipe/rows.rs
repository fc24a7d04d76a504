//! From the steps of a sampler to the rows of a program: fused where one will do, numbered, and shown.

use crate::{Evals, Mask, Mix, Row, samplers::Step};

/// Makes a row that only adds noise part of the row before it, where that one
/// adds none: a tick less.
pub(super) fn fused(steps: Vec<Step>) -> Vec<Step> {
    let mut done: Vec<Step> = Vec::with_capacity(steps.len());
    for mut step in steps {
        if let (Some(before), Some(first)) = (done.last_mut(), step.rows.first())
            && let Some(row) = before.rows.last_mut()
            && step.rows.len() > 1
            && fuse(row, first)
        {
            step.rows.remove(0);
        }
        step.rows = step.rows.into_iter().fold(Vec::new(), |mut rows, row| {
            if !rows.last_mut().is_some_and(|last| fuse(last, &row)) {
                rows.push(row);
            }
            rows
        });
        done.push(step);
    }
    done
}

/// Whether `next` was made part of `row`.
fn fuse(row: &mut Row, next: &Row) -> bool {
    let only_noise = Row { u: next.u, noise: next.noise, label: next.label, t: next.t, ..silent() };
    let Mix { u: scale, z, .. } = next.u;
    let simple = *next == only_noise && next.u == Mix { u: scale, z, ..Mix::ZERO } && z != 0.0;
    if !simple || row.adds_noise() || row.mask == Mask::ReplaceXt {
        return false;
    }
    row.u = row.u.scaled(scale);
    row.u.z = z;
    row.noise = next.noise;
    row.label.noise_level = next.label.noise_level;
    true
}

/// A row without an eval that changes nothing.
pub(super) fn silent() -> Row {
    let mut row = Row::at(0.0);
    row.evals = Evals::Zero;
    row
}

/// Numbers the steps. Each ends with its last eval, whose point and prediction are
/// what is shown; rows behind it that only prepare the next step belong to that one.
/// The last step ends with the last row.
pub(super) fn numbered(steps: Vec<Step>) -> Vec<Row> {
    let num_steps = steps.len() as u32;
    let mut all: Vec<Row> = Vec::new();
    let mut ahead = Vec::new();
    for (step, number) in steps.into_iter().zip(1..) {
        let mut rows: Vec<Row> = std::mem::take(&mut ahead);
        rows.extend(step.rows);
        let last_eval = rows.iter().rposition(|row| row.evals != Evals::Zero);
        let last = last_eval.filter(|_| number < num_steps).unwrap_or(rows.len() - 1);
        ahead = rows.split_off(last + 1);
        for (k, row) in rows.iter_mut().enumerate() {
            row.label.step = number;
            row.label.num_steps = num_steps;
            row.label.ends_step = k == last;
            if row.label.noise_level == 0.0 {
                row.label.noise_level = step.to.noise_level();
            }
        }
        all.append(&mut rows);
    }
    show_as_the_network_sees(&mut all);
    all
}

/// The point that a step reached is shown at the scale of the row behind it: that of
/// the next eval, also where rows without one come before.
fn show_as_the_network_sees(rows: &mut [Row]) {
    let mut next = 1.0;
    for k in (1..rows.len()).rev() {
        if rows[k].evals != Evals::Zero {
            next = rows[k].c_in;
        } else if rows[k - 1].label.ends_step {
            rows[k].c_in = next;
        }
    }
}
