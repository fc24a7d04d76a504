//! What has been received of a run: what each sample looked like, by step.

use std::collections::{BTreeMap, HashMap};

use ddpm_client::{Data, PreviewKind, Previews, Sample};

/// The looks of the watched samples. A resumed run shows some of them twice, with the same bytes.
#[derive(Debug)]
pub(super) struct History {
    /// By index of the sample.
    places: HashMap<u64, usize>,
    /// By kind and step, then by place; each step has a place for every sample.
    looks: BTreeMap<(PreviewKind, u32), Vec<Option<Sample>>>,
    num_steps: u32,
    /// sqrt(1 - alphas_cumprod), by step.
    noise_levels: BTreeMap<u32, f64>,
}

impl History {
    /// * `watched`: the indices of the samples, in the order in which they are shown.
    pub(super) fn new(watched: &[u64]) -> Self {
        Self {
            places: watched.iter().enumerate().map(|(place, &index)| (index, place)).collect(),
            looks: BTreeMap::new(),
            num_steps: 0,
            noise_levels: BTreeMap::new(),
        }
    }

    /// Adds what has arrived; samples that are not watched are left out.
    pub(super) fn record(&mut self, previews: Previews) {
        let len = self.places.len();
        for preview in previews.previews {
            self.num_steps = preview.num_steps;
            self.noise_levels.insert(preview.step, preview.noise_level);
            let looks = self.looks.entry((preview.kind, preview.step));
            let looks = looks.or_insert_with(|| vec![None; len]);
            for sample in preview.samples {
                if let Some(&place) = self.places.get(&sample.index) {
                    looks[place] = Some(sample);
                }
            }
        }
    }

    /// Returns the steps that were received, in order.
    pub(super) fn steps(&self) -> Vec<u32> {
        self.noise_levels.keys().copied().collect()
    }

    /// Returns the steps of the run; 0 before the first preview.
    pub(super) fn num_steps(&self) -> u32 {
        self.num_steps
    }

    /// Returns sqrt(1 - alphas_cumprod) at a step that was received.
    pub(super) fn noise_level(&self, step: u32) -> Option<f64> {
        self.noise_levels.get(&step).copied()
    }

    /// Returns how many samples were received at just this step.
    pub(super) fn exactly_at(&self, kind: PreviewKind, step: u32) -> usize {
        self.looks.get(&(kind, step)).map_or(0, |looks| looks.iter().flatten().count())
    }

    /// Returns the largest coordinate of all points of a kind, whatever its sign.
    pub(super) fn extent(&self, kind: PreviewKind) -> f32 {
        let of_kind = self.looks.range((kind, 0)..=(kind, u32::MAX));
        let samples = of_kind.flat_map(|(_, looks)| looks).flatten();
        let values = samples.filter_map(|sample| match &sample.data {
            Data::Values(values) => Some(values),
            Data::Pixels(_) | Data::Png(_) => None,
        });
        values.flatten().fold(0.0, |most, value| most.max(value.abs()))
    }

    /// Returns what each sample looked like at a step: its latest look up to there, `None` for one
    /// that had none.
    pub(super) fn at(&self, kind: PreviewKind, step: u32) -> Vec<Option<&Sample>> {
        let mut shown = vec![None; self.places.len()];
        for (_, looks) in self.looks.range((kind, 0)..=(kind, step)) {
            for (shown, look) in shown.iter_mut().zip(looks) {
                *shown = look.as_ref().or(*shown);
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use ddpm_client::Preview;

    use super::*;

    fn previews(kind: PreviewKind, step: u32, indices: &[u64]) -> Previews {
        let sample = |&index: &u64| Sample {
            index,
            shape: vec![1, 1, 1],
            data: Data::Pixels(vec![step as u8 + 100 * (index as u8 % 2)]),
        };
        let samples = indices.iter().map(sample).collect();
        let noise_level = 1.0 - f64::from(step) / 4.0;
        let preview = Preview { kind, step, num_steps: 4, noise_level, samples };
        Previews { previews: vec![preview], skipped: 0 }
    }

    fn pixels(looks: &[Option<&Sample>]) -> Vec<Option<u8>> {
        let pixel = |sample: &Sample| match &sample.data {
            Data::Pixels(pixels) => pixels[0],
            other => panic!("{other:?}"),
        };
        looks.iter().map(|look| look.map(pixel)).collect()
    }

    #[test]
    fn a_step_shows_the_latest_look_of_each_sample_up_to_there() {
        let mut history = History::new(&[1, 0]);
        history.record(previews(PreviewKind::Xt, 1, &[0, 1]));
        history.record(previews(PreviewKind::Xt, 3, &[1]));
        history.record(previews(PreviewKind::X0, 2, &[0]));
        history.record(previews(PreviewKind::Xt, 2, &[0, 7]));

        let at = |step| pixels(&history.at(PreviewKind::Xt, step));
        assert_eq!(at(0), [None, None]);
        assert_eq!(at(1), [Some(101), Some(1)]);
        assert_eq!(at(2), [Some(101), Some(2)]);
        assert_eq!(at(4), [Some(103), Some(2)]);
        assert_eq!(pixels(&history.at(PreviewKind::X0, 4)), [None, Some(2)]);
        assert_eq!([2, 3].map(|step| history.exactly_at(PreviewKind::Xt, step)), [1, 1]);
        assert_eq!((history.steps(), history.num_steps()), (vec![1, 2, 3], 4));
        assert_eq!((history.noise_level(3), history.noise_level(4)), (Some(0.25), None));
    }

    #[test]
    fn what_comes_twice_is_there_once() {
        let mut history = History::new(&[0]);
        (0..2).for_each(|_| history.record(previews(PreviewKind::Xt, 1, &[0])));
        assert_eq!(history.steps(), [1]);
    }
}
