//! Whether two sets of settings describe the same run.

use serde_json::Value;

use crate::config::{DataConfig, TrainConfig, WatchConfig};
use crate::error::TrainError;

impl TrainConfig {
    /// Checks that a run with these settings may be resumed with those of `other`: only its length
    /// and what it writes on the way may differ.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`], which lists the differences.
    pub fn check_same(&self, other: &Self) -> Result<(), TrainError> {
        // Which items are held out must not differ: the others are trained on.
        let watch = WatchConfig { held_out: self.watch.held_out, ..other.watch };
        let (steps, intervals, data_on) = (other.steps, other.intervals, other.data_on);
        let eval = other.eval.clone();
        let mut data = self.data.known_like(&other.data);
        let unconditional = self.classes.is_empty() && other.classes.is_empty();
        // Labels that nobody uses make no difference, and older versions did not store the place.
        if unconditional || data.labels_from.is_none() {
            data.labels_from.clone_from(&other.data.labels_from);
        }
        if unconditional {
            data.labels = other.data.labels;
        }
        let export = other.export;
        let paced = Self { data, steps, intervals, watch, data_on, eval, export, ..self.clone() };
        let [ours, theirs] =
            [&paced, other].map(|config| serde_json::to_value(config).unwrap_or_default());
        let mut differences = Vec::new();
        compare(&mut differences, "", &ours, &theirs);
        if differences.is_empty() {
            return Ok(());
        }
        let problem = format!(
            "differ from those of the run in this folder: {}; use the same ones, or name another \
             folder",
            differences.join(", ")
        );
        Err(TrainError::Setting { setting: "settings", problem })
    }
}

impl DataConfig {
    /// Returns these settings with whatever a run of an older version did not record taken from
    /// `other`.
    fn known_like(&self, other: &Self) -> Self {
        let digest = self.digest.clone().or_else(|| other.digest.clone());
        Self { digest, ..self.clone() }
    }
}

/// Collects `name was X, is Y` for every value that differs, at any depth.
fn compare(differences: &mut Vec<String>, name: &str, ours: &Value, theirs: &Value) {
    if let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) {
        let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for key in names {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            let [ours, theirs] = [ours, theirs].map(|map| map.get(key).unwrap_or(&Value::Null));
            compare(differences, &name, ours, theirs);
        }
    } else if ours != theirs && name == "data.digest" {
        differences.push("the data itself has changed".to_owned());
    } else if ours != theirs {
        differences.push(format!("{name} was {ours}, is {theirs}"));
    }
}

#[cfg(test)]
mod tests {
    use ddpm_data::{ItemShape, LabelSource};

    use crate::config::{DataConfig, DataOn, TrainConfig};

    fn config() -> TrainConfig {
        let data =
            DataConfig { labels: false, items: Some(100), ..DataConfig::from_source("gaussian8") };
        TrainConfig::defaults("test".to_owned(), data, Vec::new(), ItemShape::Points2d)
    }

    #[test]
    fn only_its_length_and_what_it_writes_may_differ() {
        let mut other = config();
        other.steps += 1;
        other.intervals.keep += 1;
        other.data_on = DataOn::Host;
        other.eval.every += 1;
        other.export.package = false;
        config().check_same(&other).unwrap();

        other.data.labels = true;
        other.data.labels_from = Some(LabelSource::None);
        config().check_same(&other).unwrap();
        // Runs of older versions did not record it.
        other.data.digest = Some("0a".to_owned());
        config().check_same(&other).unwrap();
        let mut changed = other.clone();
        changed.data.digest = Some("0b".to_owned());
        let message = other.check_same(&changed).unwrap_err().to_string();
        assert!(message.contains("the data itself has changed"), "{message}");

        other.optimizer.lr = 0.25;
        other.data.items = None;
        let message = config().check_same(&other).unwrap_err().to_string();
        assert!(message.contains("data.items was 100, is null"), "{message}");
        assert!(message.contains("optimizer.lr was 0.001, is 0.25"), "{message}");
    }

    #[test]
    fn a_run_that_did_not_store_where_its_labels_came_from_is_the_same_if_its_classes_are() {
        let conditional = |labels_from| {
            let data = DataConfig { labels_from, ..DataConfig::from_source("folder:pets") };
            let classes = ["cat", "dog"].map(str::to_owned).to_vec();
            let shape = ItemShape::Images { channels: 3, height: 8, width: 8 };
            TrainConfig::defaults("test".to_owned(), data, classes, shape)
        };
        let [older, auto, folders] =
            [None, Some(LabelSource::Auto), Some(LabelSource::Folders)].map(conditional);
        older.check_same(&auto).unwrap();
        let message = auto.check_same(&folders).unwrap_err().to_string();
        assert!(message.contains("labels_from was \"auto\", is \"folders\""), "{message}");
    }
}
