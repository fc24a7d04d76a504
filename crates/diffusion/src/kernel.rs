//! Applies rows to samples.
//!
//! Everything is element by element over one sample (except dynamic
//! thresholding's quantile), in a fixed order of operations, so a sample's bits
//! do not depend on its neighbours. Terms whose coefficient is 0 are omitted:
//! they cost nothing, and buffers that no row uses need not exist.

use crate::{Clip, Evals, Mask, Mix, NoiseSource, Program, RawVariance, Real, Row};

/// What a sample carries from row to row.
#[derive(Debug, Clone, PartialEq)]
pub struct State<F> {
    u: Vec<F>,
    y: Vec<F>,
    history: [Vec<F>; 3],
}

impl<F: Real> State<F> {
    /// Creates the state before the first row: u and y are x_T, draw 0 of the noise.
    ///
    /// * `len`: elements of a sample.
    #[must_use]
    pub fn start(program: &Program, noise: &impl NoiseSource, index: u64, len: usize) -> Self {
        let mut x_t = vec![F::ZERO; len];
        noise.normal(index, 0, &mut x_t);
        Self::from_point(program, x_t)
    }

    /// Creates the state before the first row, starting from the point `u`.
    #[must_use]
    pub fn from_point(program: &Program, u: Vec<F>) -> Self {
        let history = || if program.uses_history() { vec![F::ZERO; u.len()] } else { Vec::new() };
        let history = [history(), history(), history()];
        let y = if program.uses_anchor() { u.clone() } else { Vec::new() };
        Self { u, y, history }
    }

    /// Returns the current point; after the last row, the sample.
    #[must_use]
    pub fn u(&self) -> &[F] {
        &self.u
    }
}

/// An image that is known in part.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a, F> {
    /// The image, in the model's scale.
    pub image: &'a [F],
    /// 1 where it is known, 0 elsewhere; values in between blend.
    pub mask: &'a [F],
}

/// Scratch space to apply rows to samples of one length, one after another.
#[derive(Debug, Clone)]
pub struct Kernel<F> {
    now: Now<F>,
    next: Vec<F>,
    next_y: Vec<F>,
    /// |x_0|, element by element, for a quantile.
    sizes: Vec<f64>,
}

/// What the current row has computed before it mixes.
#[derive(Debug, Clone)]
struct Now<F> {
    f: Vec<F>,
    x_0: Vec<F>,
    z: Vec<F>,
}

impl<F> Now<F> {
    /// Returns everything that a row may mix, in the order of [`Mix::coefficients`].
    fn operands<'a>(&'a self, state: &'a State<F>, image: &'a [F]) -> [&'a [F]; 9] {
        let [h1, h2, h3] = &state.history;
        [&state.u, &state.y, &self.x_0, &self.f, h1, h2, h3, &self.z, image]
    }
}

impl<F: Real> Kernel<F> {
    /// Creates scratch space for samples of `len` elements.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let buffer = || vec![F::ZERO; len];
        let now = Now { f: buffer(), x_0: buffer(), z: buffer() };
        Self { now, next: buffer(), next_y: buffer(), sizes: Vec::with_capacity(len) }
    }

    /// Returns the prediction of x_0 by the row applied last.
    #[must_use]
    pub fn x_0(&self) -> &[F] {
        &self.now.x_0
    }

    /// Applies `row` to one sample.
    ///
    /// * `position`: of the row in its program; decides the default draw.
    /// * `outputs`: the network's outputs, one per eval of the row, each as long as
    ///   the sample, or twice as long with the variance channels last.
    /// * `index`: the sample's index, the address of its noise.
    /// * `known`: for rows with a mask or a coefficient of the known image.
    ///
    /// # Panics
    ///
    /// If a length does not fit, an output is missing, or the row needs a known
    /// image and there is none.
    #[allow(clippy::too_many_arguments)]
    pub fn advance(
        &mut self,
        row: &Row,
        position: usize,
        state: &mut State<F>,
        outputs: &[&[F]],
        noise: &impl NoiseSource,
        index: u64,
        known: Option<Known<'_, F>>,
    ) {
        assert_eq!(state.u.len(), self.now.x_0.len(), "a kernel fits samples of one length");
        assert_eq!(outputs.len(), row.evals.count(), "one output per eval");
        self.merge_outputs(row.evals, outputs);
        self.predict_x_0(row, state, known);
        if row.u.z != 0.0 || row.y.z != 0.0 {
            let draw = row.noise.draw.unwrap_or(position as u32 + 1);
            noise.normal(row.noise.index.unwrap_or(index), draw, &mut self.now.z);
            scale_noise(row.variance, outputs, &mut self.now.z);
        }
        let image = known.map_or(&[][..], |known| known.image);
        mix(&row.u, &self.now.operands(state, image), &mut self.next);
        let keeps_y = row.y == Mix { y: 1.0, ..Mix::ZERO };
        if !state.y.is_empty() && !keeps_y {
            mix(&row.y, &self.now.operands(state, image), &mut self.next_y);
            std::mem::swap(&mut state.y, &mut self.next_y);
        }
        if let Mask::ReplaceXt = row.mask {
            blend(&mut self.next, &state.u, expect_known(known).mask);
        }
        self.push(row, state);
        std::mem::swap(&mut state.u, &mut self.next);
    }

    /// Computes F, the weighted prediction channels of the evals.
    fn merge_outputs(&mut self, evals: Evals, outputs: &[&[F]]) {
        let len = self.now.f.len();
        match (evals, outputs) {
            (Evals::One | Evals::Unconditional, [output]) => {
                self.now.f.copy_from_slice(&output[..len]);
            }
            (Evals::Guided { scale }, [conditional, unconditional]) => {
                let (w, rest) = (F::from_f64(scale), F::from_f64(1.0 - scale));
                combine(&mut self.now.f, w, &conditional[..len], rest, &unconditional[..len]);
            }
            _ => self.now.f.fill(F::ZERO),
        }
    }

    fn predict_x_0(&mut self, row: &Row, state: &State<F>, known: Option<Known<'_, F>>) {
        let (p_u, p_f) = (F::from_f64(row.x_0.p_u), F::from_f64(row.x_0.p_f));
        combine(&mut self.now.x_0, p_u, &state.u, p_f, &self.now.f);
        match row.x_0.clip {
            Clip::None => {}
            Clip::Unit => clamp(&mut self.now.x_0, F::ONE),
            Clip::Dynamic { quantile, max } => self.threshold(quantile, max),
        }
        if let Mask::ReplaceX0 = row.mask {
            let known = expect_known(known);
            // blend() keeps its first operand where the mask is 0.
            self.next.copy_from_slice(known.image);
            blend(&mut self.next, &self.now.x_0, known.mask);
            self.now.x_0.copy_from_slice(&self.next);
        }
    }

    /// Thresholds x_0 dynamically; the quantile interpolates linearly. If an element of
    /// the prediction is not finite, the whole sample becomes NaN.
    fn threshold(&mut self, quantile: f64, max: f64) {
        let Some(size) = self.quantile_of_size(quantile) else {
            return self.now.x_0.fill(F::from_f64(f64::NAN));
        };
        let size = size.clamp(1.0, max);
        clamp(&mut self.now.x_0, F::from_f64(size));
        let scale = F::from_f64(1.0 / size);
        self.now.x_0.iter_mut().for_each(|x| *x = *x * scale);
    }

    /// Computes the quantile of |x_0|; `None` unless all elements are finite.
    fn quantile_of_size(&mut self, quantile: f64) -> Option<f64> {
        self.sizes.clear();
        self.sizes.extend(self.now.x_0.iter().map(|x| x.to_f64().abs()));
        if !self.sizes.iter().all(|size| size.is_finite()) {
            return None;
        }
        let place = quantile * (self.sizes.len() - 1) as f64;
        let (_, below, larger) =
            self.sizes.select_nth_unstable_by(place.floor() as usize, f64::total_cmp);
        let above = larger.iter().copied().min_by(f64::total_cmp).unwrap_or(*below);
        Some(*below + (above - *below) * place.fract())
    }

    fn push(&self, row: &Row, state: &mut State<F>) {
        let Some(push) = row.push else { return };
        state.history.rotate_right(1);
        let mix_of = Mix { u: push.u, x_0: push.x_0, f: push.f, ..Mix::ZERO };
        let mut latest = std::mem::take(&mut state.history[0]);
        mix(&mix_of, &self.now.operands(state, &[]), &mut latest);
        state.history[0] = latest;
    }
}

/// Computes out = Σ coefficient × operand, in order, without the terms that are 0.
fn mix<F: Real>(coefficients: &Mix, operands: &[&[F]; 9], out: &mut [F]) {
    let mut first = true;
    for (coefficient, operand) in coefficients.coefficients().into_iter().zip(operands) {
        let c = F::from_f64(coefficient);
        if c == F::ZERO {
            continue;
        }
        assert_eq!(operand.len(), out.len(), "a row mixes an operand that is absent");
        if first {
            out.iter_mut().zip(*operand).for_each(|(out, x)| *out = c * *x);
        } else {
            out.iter_mut().zip(*operand).for_each(|(out, x)| *out += c * *x);
        }
        first = false;
    }
    if first {
        out.fill(F::ZERO);
    }
}

/// Computes out = a x + b y; a term whose coefficient is 0 is omitted.
fn combine<F: Real>(out: &mut [F], a: F, x: &[F], b: F, y: &[F]) {
    if a == F::ZERO && b == F::ZERO {
        return out.fill(F::ZERO);
    }
    let elements = out.iter_mut().zip(x).zip(y);
    if a == F::ZERO {
        elements.for_each(|((out, _), y)| *out = b * *y);
    } else if b == F::ZERO {
        elements.for_each(|((out, x), _)| *out = a * *x);
    } else {
        elements.for_each(|((out, x), y)| *out = a * *x + b * *y);
    }
}

/// Computes x = mask x + (1 − mask) other, exact where the mask is 0 or 1.
fn blend<F: Real>(x: &mut [F], other: &[F], mask: &[F]) {
    assert!(other.len() == x.len() && mask.len() == x.len(), "image and mask fit the sample");
    for ((x, other), mask) in x.iter_mut().zip(other).zip(mask) {
        *x = if *mask == F::ONE {
            *x
        } else if *mask == F::ZERO {
            *other
        } else {
            *mask * *x + (F::ONE - *mask) * *other
        };
    }
}

fn clamp<F: Real>(x: &mut [F], size: F) {
    let low = F::ZERO - size;
    x.iter_mut().for_each(|x| *x = x.clamp(low, size));
}

/// Scales noise by the network's variance channels, those of the first eval.
fn scale_noise<F: Real>(variance: RawVariance, outputs: &[&[F]], z: &mut [F]) {
    let half = F::from_f64(0.5);
    let (slope, offset) = match variance {
        RawVariance::None => return,
        RawVariance::LogVariance => (half, F::ZERO),
        RawVariance::Range { ln_min, ln_max } => {
            (F::from_f64((ln_max - ln_min) / 4.0), F::from_f64((ln_max + ln_min) / 4.0))
        }
    };
    let raw = &outputs[0][z.len()..];
    assert_eq!(raw.len(), z.len(), "a learned variance has one channel per element");
    z.iter_mut().zip(raw).for_each(|(z, v)| *z = *z * (slope * *v + offset).exp());
}

fn expect_known<F>(known: Option<Known<'_, F>>) -> Known<'_, F> {
    known.expect("a row with a mask is run with a known image")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Label, Noise, Push};

    const LEN: usize = 5;

    fn last(mut row: Row) -> Row {
        row.label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 0.0 };
        row
    }

    fn run(
        rows: Vec<Row>,
        u: &[f64],
        outputs: &[&[f64]],
        known: Option<Known<'_, f64>>,
    ) -> Vec<f64> {
        let program = Program::new(rows).unwrap();
        let mut state = State::from_point(&program, u.to_vec());
        let mut kernel = Kernel::new(u.len());
        for (position, row) in program.rows().iter().enumerate() {
            let outputs = &outputs[..row.evals.count()];
            kernel.advance(row, position, &mut state, outputs, &Noise::new(1), 0, known);
        }
        state.u().to_vec()
    }

    #[test]
    fn guidance_mixes_predictions_and_keeps_the_conditional_variance() {
        let mut guided = last(Row::at(0.0));
        guided.evals = Evals::Guided { scale: 3.0 };
        guided.u = Mix { f: 1.0, ..Mix::ZERO };
        let got = run(vec![guided.clone()], &[0.0], &[&[2.0, 9.0], &[1.0, 7.0]], None);
        assert_eq!(got, [4.0]);

        let mut noisy = guided;
        noisy.label = Label { step: 1, num_steps: 2, ends_step: true, noise_level: 0.0 };
        noisy.u = Mix { z: 1.0, ..Mix::ZERO };
        noisy.variance = RawVariance::LogVariance;
        let mut end = last(Row::at(0.0));
        end.label.step = 2;
        end.label.num_steps = 2;
        let outputs: [&[f64]; 2] = [&[0.0, 2.0], &[0.0, -50.0]];
        let got = run(vec![noisy, end], &[0.0], &outputs, None);
        let mut z = [0.0];
        Noise::new(1).normal(0, 1, &mut z);
        assert!((got[0] / (z[0] * 1.0f64.exp()) - 1.0).abs() < 1e-14);
    }

    #[test]
    fn a_range_of_variance_interpolates_between_its_logs() {
        let mut z = [1.0f64; 3];
        let range = RawVariance::Range { ln_min: -4.0, ln_max: -2.0 };
        scale_noise(range, &[&[0.0, 0.0, 0.0, -1.0, 0.0, 1.0]], &mut z);
        for (got, log_variance) in z.iter().zip([-4.0f64, -3.0, -2.0]) {
            assert!((got - (log_variance / 2.0).exp()).abs() < 1e-15);
        }
    }

    #[test]
    fn dynamic_thresholding_divides_by_the_quantile() {
        let mut row = last(Row::at(0.0));
        row.x_0.clip = Clip::Dynamic { quantile: 0.75, max: 10.0 };
        row.u = Mix { x_0: 1.0, ..Mix::ZERO };
        // |x| sorted is 0, 1, 2, 3, 8: the 0.75 quantile is 3.
        let got = run(vec![row], &[-8.0, 0.0, 1.0, -2.0, 3.0], &[&[0.0; LEN]], None);
        for (got, want) in got.iter().zip([-1.0, 0.0, 1.0 / 3.0, -2.0 / 3.0, 1.0]) {
            assert!((got - want).abs() < 1e-15, "{got} against {want}");
        }
    }

    #[test]
    fn a_prediction_that_is_not_finite_is_lost_and_nothing_else() {
        for (quantile, bad) in [(0.1, f64::INFINITY), (0.5, f64::NAN), (1.0, f64::NEG_INFINITY)] {
            let mut row = last(Row::at(0.0));
            row.x_0.clip = Clip::Dynamic { quantile, max: 10.0 };
            row.u = Mix { x_0: 1.0, ..Mix::ZERO };
            let got = run(vec![row], &[1.0, bad, -2.0, 0.0, 3.0], &[&[0.0; LEN]], None);
            assert!(got.iter().all(|x| x.is_nan()), "{bad}: {got:?}");
        }
    }

    #[test]
    fn a_known_image_replaces_x_0_or_x_t_only_where_it_is_known() {
        let (image, mask) = ([9.0, 9.0], [1.0, 0.0]);
        let known = Some(Known { image: &image, mask: &mask });
        let mut row = last(Row::at(0.0));
        row.mask = Mask::ReplaceX0;
        row.u = Mix { x_0: 1.0, ..Mix::ZERO };
        assert_eq!(run(vec![row.clone()], &[2.0, 3.0], &[&[0.0; 2]], known), [9.0, 3.0]);

        row.mask = Mask::ReplaceXt;
        row.evals = Evals::Zero;
        row.u = Mix { known: 0.5, ..Mix::ZERO };
        assert_eq!(run(vec![row], &[2.0, 3.0], &[], known), [4.5, 3.0]);
    }

    #[test]
    fn a_soft_mask_blends_the_known_image_with_what_is_drawn() {
        // Exact in binary: 1/4 and 5/8 of each.
        let (image, mask) = ([9.0, -3.0], [0.25, 0.625]);
        let known = Some(Known { image: &image, mask: &mask });
        let mut row = last(Row::at(0.0));
        row.mask = Mask::ReplaceX0;
        row.u = Mix { x_0: 1.0, ..Mix::ZERO };
        let x_0 = [0.25 * 9.0 + 0.75 * 2.0, 0.625 * -3.0 + 0.375 * 5.0];
        assert_eq!(run(vec![row.clone()], &[2.0, 5.0], &[&[0.0; 2]], known), x_0);

        row.mask = Mask::ReplaceXt;
        row.evals = Evals::Zero;
        row.u = Mix { known: 0.5, ..Mix::ZERO };
        let x_t = [0.25 * 4.5 + 0.75 * 2.0, 0.625 * -1.5 + 0.375 * 5.0];
        assert_eq!(run(vec![row], &[2.0, 5.0], &[], known), x_t);
    }

    #[test]
    fn the_history_holds_the_last_three_pushes_latest_first() {
        let rows: Vec<Row> = (1..=5)
            .map(|step| {
                let mut row = Row::at(0.0);
                row.evals = Evals::Zero;
                row.label = Label { step, num_steps: 5, ends_step: true, noise_level: 0.0 };
                row.push = Some(Push { u: 1.0, ..Push::default() });
                row.u = Mix { u: 10.0, ..Mix::ZERO };
                row
            })
            .collect();
        let mut rows = rows;
        // Pushed before: 1, 10, 100, 1000.
        rows[4].u = Mix { h: [1.0, 2.0, 3.0], ..Mix::ZERO };
        assert_eq!(run(rows, &[1.0], &[], None), [1000.0 + 200.0 + 30.0]);
    }

    #[test]
    fn the_anchor_starts_as_the_first_point_and_keeps_until_it_is_set() {
        let step = |step| Label { step, num_steps: 3, ends_step: true, noise_level: 0.0 };
        let mut rows = vec![Row::at(0.0), Row::at(0.0), Row::at(0.0)];
        for (row, number) in rows.iter_mut().zip(1..) {
            row.evals = Evals::Zero;
            row.label = step(number);
        }
        rows[0].u = Mix { u: 2.0, ..Mix::ZERO };
        rows[1].y = Mix { y: 1.0, u: 10.0, ..Mix::ZERO };
        rows[2].u = Mix { y: 1.0, ..Mix::ZERO };
        assert_eq!(run(rows, &[1.0], &[], None), [21.0]);
    }

    #[test]
    fn a_row_can_share_the_noise_of_another_index_and_draw() {
        let draw = |index, draw| {
            let mut z = [0.0f64];
            Noise::new(1).normal(index, draw, &mut z);
            z[0]
        };
        let mut row = Row::at(0.0);
        row.evals = Evals::Zero;
        row.label = Label { step: 1, num_steps: 2, ends_step: true, noise_level: 0.0 };
        row.u = Mix { z: 1.0, ..Mix::ZERO };
        let mut end = last(Row::at(0.0));
        end.evals = Evals::Zero;
        end.label = Label { step: 2, num_steps: 2, ends_step: true, noise_level: 0.0 };
        assert_eq!(run(vec![row.clone(), end.clone()], &[0.0], &[], None), [draw(0, 1)]);
        row.noise.draw = Some(40);
        row.noise.index = Some(9);
        assert_eq!(run(vec![row, end], &[0.0], &[], None), [draw(9, 40)]);
    }
}
