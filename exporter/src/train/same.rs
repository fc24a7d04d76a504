//! Whether two command lines mean the same run.

use serde_json::Value;

use super::{TrainConfig, TrainError, WatchConfig};

impl TrainConfig {
    /// Checks that a run of these settings may go on with `given`: how long it takes and what it
    /// leaves on the way may differ, nothing else.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] that names what differs.
    pub fn check_same(&self, given: &Self) -> Result<(), TrainError> {
        // Items held out are not trained on.
        let watch = WatchConfig { held_out: self.watch.held_out, ..given.watch };
        let (steps, intervals, data_on) = (given.steps, given.intervals, given.data_on);
        let eval = given.eval.clone();
        let paced = Self { steps, intervals, watch, data_on, eval, ..self.clone() };
        let [ours, theirs] =
            [&paced, given].map(|config| serde_json::to_value(config).unwrap_or_default());
        let mut differences = Vec::new();
        compare(&mut differences, "", &ours, &theirs);
        if differences.is_empty() {
            return Ok(());
        }
        let problem = format!(
            "differ from those of the run that is there: {}; give the same ones, or name another \
             folder",
            differences.join(", ")
        );
        Err(TrainError::Setting { setting: "settings", problem })
    }
}

/// Collects `name was X, is Y` for every value that differs, however deep.
fn compare(differences: &mut Vec<String>, name: &str, ours: &Value, theirs: &Value) {
    if let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) {
        let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for key in names {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            let [ours, theirs] = [ours, theirs].map(|map| map.get(key).unwrap_or(&Value::Null));
            compare(differences, &name, ours, theirs);
        }
    } else if ours != theirs {
        differences.push(format!("{name} was {ours}, is {theirs}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::data::Kind;
    use crate::train::{DataConfig, DataOn, TrainConfig};

    fn config() -> TrainConfig {
        let data = DataConfig { labels: false, items: Some(100), ..DataConfig::of("gaussian8") };
        TrainConfig::defaults("test".to_owned(), data, Vec::new(), Kind::Points2d)
    }

    #[test]
    fn only_its_length_and_what_it_leaves_may_differ() {
        let mut given = config();
        given.steps += 1;
        given.intervals.keep += 1;
        given.data_on = DataOn::Host;
        given.eval.every += 1;
        config().check_same(&given).unwrap();

        given.optimizer.lr = 0.25;
        given.data.items = None;
        let said = config().check_same(&given).unwrap_err().to_string();
        assert!(said.contains("data.items was 100, is null"), "{said}");
        assert!(said.contains("optimizer.lr was 0.001, is 0.25"), "{said}");
    }
}
