//! Turns the steps of a sampler into the rows of a program: fused where possible,
//! numbered, and labelled for display.

use crate::samplers::Step;
use crate::{Evals, Mask, Mix, Row};

/// Merges each row that only adds noise into the row before it, unless that one adds
/// noise too. This saves a tick.
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
        // Exactly: a vector that grows takes room for four rows, and most steps have one.
        let rows = Vec::with_capacity(step.rows.len());
        step.rows = step.rows.into_iter().fold(rows, |mut rows: Vec<Row>, row| {
            if !rows.last_mut().is_some_and(|last| fuse(last, &row)) {
                rows.push(row);
            }
            rows
        });
        done.push(step);
    }
    done
}

/// Merges `next` into `row` if possible, and returns whether it did.
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

/// Returns a row without an eval that changes nothing.
pub(super) fn silent() -> Row {
    let mut row = Row::at(0.0);
    row.evals = Evals::Zero;
    row
}

/// Numbers the steps. Each ends with its last eval, whose point and prediction are
/// shown; rows after it only prepare the next step and belong to that one. The last
/// step ends with the last row.
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

/// Shows the point that a step reached at the input scale of the next eval, even if
/// rows without an eval come first.
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
