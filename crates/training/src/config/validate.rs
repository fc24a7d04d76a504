//! Checks of the settings: no run may fail on one hours later.

use ddpm_data::{Dataset, ItemShape};
use ddpm_diffusion::Sampler;
use ddpm_package::Kind;

use crate::config::{
    DataConfig, DataOn, DiffusionConfig, EdmConfig, Loss, OptimizerConfig, TrainConfig,
};
use crate::error::TrainError;

/// Most samples per evaluation.
const MAX_JUDGED: usize = 10_000_000;

impl DiffusionConfig {
    fn check(&self) -> Result<(), TrainError> {
        let parameterisation = self.parameterisation()?;
        let EdmConfig { p_mean, p_std, .. } = self.edm;
        within("p_mean", p_mean, "in [-10, 10]", p_mean.abs() <= 10.0)?;
        within("p_std", p_std, "in (0, 10]", p_std > 0.0 && p_std <= 10.0)?;
        if let Some(gamma) = self.min_snr {
            within("min_snr", gamma, "above 0 and finite", gamma > 0.0 && gamma.is_finite())?;
            if self.loss() == Loss::Kl {
                return setting("min_snr", "weights squared errors, and kl has none: use mse");
            }
        }
        match self.loss().objection(&parameterisation) {
            Some(problem) => setting("loss", problem),
            None => Ok(()),
        }
    }
}

impl DataConfig {
    /// Notes what the data is, so that a resumed run notices other data.
    pub fn record(&mut self, dataset: &Dataset) {
        self.items = Some(dataset.len());
        self.digest = Some(dataset.digest());
    }

    /// Checks that the data is what it was when the run began: otherwise the steps to come would
    /// not be those of an uninterrupted run.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] says what to do.
    pub(crate) fn check_unchanged(&self, dataset: &Dataset) -> Result<(), TrainError> {
        let mut found = self.clone();
        found.record(dataset);
        self.check_like(&found)
    }

    /// Does the same as [`DataConfig::check_unchanged`], for data whose digest is known.
    ///
    /// * `found`: settings that [`DataConfig::record`] has filled in.
    pub(crate) fn check_like(&self, found: &Self) -> Result<(), TrainError> {
        found.items.map_or(Ok(()), |items| self.check_items(items))?;
        match (&self.digest, &found.digest) {
            (Some(began), Some(found)) if began != found => {
                let problem = "is not what it was when the run began: pictures or labels have \
                               changed. Restore it, name its place with --data, or pass \
                               --allow-changed-data to go on with other data";
                setting("data", problem)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the data has as many items as when the run began.
    pub(crate) fn check_items(&self, found: usize) -> Result<(), TrainError> {
        match self.items {
            Some(items) if items != found => {
                let problem = format!(
                    "has {found} items, and had {items} when the run began: restore it, or pass \
                     --allow-changed-data to go on with other data"
                );
                setting("data", problem)
            }
            _ => Ok(()),
        }
    }
}

impl TrainConfig {
    /// Checks every setting, so that a run cannot fail on one hours later.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] for the source; [`TrainError::Setting`], [`TrainError::Model`] or
    /// [`TrainError::Diffusion`] for the first setting that is out of range, with its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.data.source()?;
        self.check_name()?;
        self.model.validate()?;
        self.diffusion.check()?;
        self.check_outputs()?;
        let OptimizerConfig { lr, beta1, beta2, grad_norm, .. } = self.optimizer;
        let batch_size = (1..=1 << 20).contains(&self.batch_size);
        within("batch_size", self.batch_size as f64, "in 1..=1048576", batch_size)?;
        let parts = format!("in 1..={} (the batch size)", self.batch_size);
        let accumulation = (1..=self.batch_size).contains(&self.accumulation);
        within("accumulation", self.accumulation as f64, &parts, accumulation)?;
        let log_every = self.watch.log_every;
        within("log_every", log_every.into(), "at least 1", log_every >= 1)?;
        let samples = self.watch.samples;
        within("samples", samples as f64, "at most 1000000", samples <= 1_000_000)?;
        within("steps", self.steps.into(), "at least 1", self.steps >= 1)?;
        within("keep", self.intervals.keep as f64, "at least 1", self.intervals.keep >= 1)?;
        within("lr", lr, "above 0 and finite", lr > 0.0 && lr.is_finite())?;
        let limit = grad_norm >= 0.0 && grad_norm.is_finite();
        within("grad_norm", grad_norm, "0 (no limit) or above, and finite", limit)?;
        // A schedule may ignore them, but JSON has no infinities or NaN.
        let DiffusionConfig { beta_start, beta_end, .. } = self.diffusion;
        within("beta_start", beta_start, "finite", beta_start.is_finite())?;
        within("beta_end", beta_end, "finite", beta_end.is_finite())?;
        let fractions = [
            ("beta1", beta1),
            ("beta2", beta2),
            ("ema_decay", self.ema_decay),
            ("label_dropout", self.label_dropout),
        ];
        for (name, value) in fractions {
            within(name, value, "in [0, 1)", (0.0..1.0).contains(&value))?;
        }
        self.check_data_on()?;
        self.check_classes()?;
        self.check_eval()
    }

    fn check_data_on(&self) -> Result<(), TrainError> {
        match self.kind() {
            Kind::Points2d if self.data_on == DataOn::Device => {
                setting("data_on", "is for pictures, and points are made on the host: use auto")
            }
            _ => Ok(()),
        }
    }

    /// Checks that the network outputs variances exactly if they are learned.
    fn check_outputs(&self) -> Result<(), TrainError> {
        let factor = if self.diffusion.variance.is_learned() { 2 } else { 1 };
        let mut expected = self.model.sample_shape();
        expected[0] *= factor;
        let found = self.model.output_shape();
        if found == expected {
            return Ok(());
        }
        let variance = self.diffusion.variance.name();
        setting(
            "variance",
            format!("{variance} needs outputs {expected:?}, the network has {found:?}"),
        )
    }

    /// Checks that the name is one that [`ddpm_package::Manifest`] allows: models are served by it.
    fn check_name(&self) -> Result<(), TrainError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if (1..=64).contains(&self.name.len()) && self.name.chars().all(plain) {
            return Ok(());
        }
        setting("name", format!("must be 1 to 64 of a-z 0-9 . _ -, got {:?}", self.name))
    }

    fn check_classes(&self) -> Result<(), TrainError> {
        let expected = (!self.classes.is_empty()).then_some(self.classes.len() as i64);
        if self.model.num_classes() != expected {
            let (network, data) = (self.model.num_classes().unwrap_or(0), self.classes.len());
            let problem = format!("are {data}, but the network is made for {network}");
            return setting("classes", problem);
        }
        if expected.is_none() && self.label_dropout > 0.0 {
            return setting("label_dropout", "needs labels, and there are none: set it to 0");
        }
        Ok(())
    }

    /// Checks what judging samples needs, if they are judged at all.
    fn check_eval(&self) -> Result<(), TrainError> {
        if self.eval.every == 0 {
            return Ok(());
        }
        let count = self.judged_count();
        if !(2..=MAX_JUDGED).contains(&count) {
            return setting("eval_count", format!("must be in 2..={MAX_JUDGED}, got {count}"));
        }
        if self.eval.sampler.is_some_and(Sampler::encodes) {
            return setting("eval_sampler", "must draw samples, and ddim-inverse encodes them");
        }
        if self.eval.extractor.is_some() && self.kind() == Kind::Points2d {
            return setting("extractor", "is for pictures, and these are points; leave it out");
        }
        self.judged_program().map(|_| ())
    }

    /// Returns the number of held-out items, which must be below `items`.
    pub(crate) fn check_held_out(&self, items: usize) -> Result<usize, TrainError> {
        let held_out = self.watch.held_out;
        if held_out < items {
            return Ok(held_out);
        }
        setting("held_out", format!("must leave some of the {items} items, got {held_out}"))
    }

    /// Checks that the network's samples have the shape and the classes of the data set.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if shapes or classes differ.
    pub fn check_data(
        &self,
        item_shape: ItemShape,
        classes: Option<&[String]>,
    ) -> Result<(), TrainError> {
        let expected = sample_shape(item_shape);
        if self.model.sample_shape() != expected {
            let network = self.model.sample_shape();
            return setting(
                "data",
                format!("has items of shape {expected:?}, the network needs {network:?}"),
            );
        }
        let found = if self.data.labels { classes.unwrap_or_default() } else { &[] };
        if found != self.classes {
            let [found, own] = [found, &self.classes].map(listed);
            let problem = format!("has {found}, the run was made for {own}");
            return setting("data", problem);
        }
        Ok(())
    }
}

/// Lists the names of classes, up to a few.
fn listed(classes: &[String]) -> String {
    const MOST: usize = 20;
    let names = classes.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match classes.len() {
        0 => "no classes".to_owned(),
        count if count > MOST => format!("the {count} classes {names}, …"),
        _ => format!("the classes {names}"),
    }
}

/// Returns the shape of one item as a network takes it.
pub(crate) fn sample_shape(item_shape: ItemShape) -> Vec<i64> {
    match item_shape {
        ItemShape::Images { channels, height, width } => {
            [channels, height, width].map(|extent| extent as i64).to_vec()
        }
        ItemShape::Points2d => vec![2],
    }
}

fn setting<T>(setting: &'static str, problem: impl Into<String>) -> Result<T, TrainError> {
    Err(TrainError::Setting { setting, problem: problem.into() })
}

fn within(name: &'static str, got: f64, expected: &str, ok: bool) -> Result<(), TrainError> {
    if ok { Ok(()) } else { setting(name, format!("must be {expected}, got {got}")) }
}
