//! Translates the JSON settings of the reference (ddpm-torch) to our keys.
//!
//! Its intervals and its length count epochs; `use_ema: false` becomes an average with decay 0;
//! `dataset` and `in_channels` name the data that the file is for.

use serde_json::{Map, Value, json};

use super::layer::Layer;

/// Keys with other names here: (section, key, our section, our key).
const RENAMED: [(&str, &str, &str, &str); 9] = [
    ("diffusion", "model_mean_type", "diffusion", "prediction"),
    ("diffusion", "model_var_type", "diffusion", "variance"),
    ("diffusion", "loss_type", "diffusion", "loss"),
    ("train", "num_accum", "train", "accumulation"),
    ("train", "num_samples", "run", "samples"),
    ("train", "epochs", "run", "epochs"),
    ("train", "chkpt_intv", "run", "checkpoint_every"),
    ("train", "image_intv", "run", "sample_every"),
    ("train", "seed", "train", "seed"),
];

/// Its intervals, which count epochs.
const IN_EPOCHS: [&str; 2] = ["chkpt_intv", "image_intv"];

/// Parses the text of a settings file of the reference.
///
/// # Errors
///
/// Describes the problem.
pub(super) fn parse(text: &str) -> Result<Layer, String> {
    let fault = |error: serde_json::Error| error.to_string();
    let theirs: Map<String, Value> = serde_json::from_str(text).map_err(fault)?;
    let mut ours = Map::new();
    for (section, content) in theirs {
        match (section.as_str(), content) {
            ("seed", seed) => put(&mut ours, "train", "seed", seed),
            // `denoise` is the network's name in its oldest files.
            ("model" | "denoise", Value::Object(keys)) => network(&mut ours, keys),
            (_, Value::Object(keys)) => {
                keys.into_iter().for_each(|(key, value)| entry(&mut ours, &section, &key, value));
            }
            (_, value) => {
                ours.insert(section, value);
            }
        }
    }
    evaluation(&mut ours);
    serde_json::from_value(Value::Object(ours)).map_err(fault)
}

fn network(ours: &mut Map<String, Value>, keys: Map<String, Value>) {
    let levels = keys.get("ch_multipliers").and_then(Value::as_array).map_or(0, Vec::len);
    for (key, value) in keys {
        match key.as_str() {
            "in_channels" => {
                ours.insert(key, value);
            }
            // One value stands for all levels.
            "apply_attn" if value.is_boolean() => {
                put(ours, "model", &key, json!(vec![value; levels]));
            }
            // Derived from the variance here.
            "out_channels" => {}
            _ => put(ours, "model", &key, value),
        }
    }
}

fn entry(ours: &mut Map<String, Value>, section: &str, key: &str, value: Value) {
    if (section, key) == ("train", "use_ema") {
        if value == json!(false) {
            put(ours, "train", "ema_decay", json!(0.0));
        }
        return;
    }
    // `use_ema: false` wins, whether it comes before `ema_decay` or after it.
    let averaged = |ours: &Map<String, Value>| ours["train"]["ema_decay"] != json!(0.0);
    if (section, key) == ("train", "ema_decay") && ours.contains_key("train") && !averaged(ours) {
        return;
    }
    let value = match value.as_u64() {
        Some(epochs) if IN_EPOCHS.contains(&key) => json!(format!("{epochs}ep")),
        _ => value,
    };
    let renamed = RENAMED.iter().find(|(from, name, ..)| (*from, *name) == (section, key));
    match renamed {
        Some((_, _, section, key)) => put(ours, section, key, value),
        None => put(ours, section, key, value),
    }
}

/// Translates its `eval`, which judges 50,000 samples of DDPM or DDIM at every checkpoint.
fn evaluation(ours: &mut Map<String, Value>) {
    let Some(Value::Object(train)) = ours.get_mut("train") else { return };
    let keys = ["eval", "eval_total_size", "use_ddim", "skip_schedule", "subseq_size"];
    let [eval, count, ddim, schedule, steps] = keys.map(|key| train.remove(key));
    // Derived from the device here.
    for key in ["eval_batch_size", "eval_device"] {
        train.remove(key);
    }
    if eval != Some(json!(true)) {
        return;
    }
    let saved = ours.get("run").and_then(|run| run.get("checkpoint_every")).cloned();
    let grid = schedule.as_ref().and_then(Value::as_str).unwrap_or("linear");
    let ddim = match ddim {
        Some(Value::Bool(true)) => vec![
            ("eval_sampler", json!("ddim")),
            ("eval_steps", steps.unwrap_or(json!(50))),
            ("eval_grid", json!(format!("ddpm-torch-{grid}"))),
        ],
        _ => vec![("eval_sampler", json!("ddpm"))],
    };
    put(ours, "run", "eval_every", saved.unwrap_or(json!("120ep")));
    put(ours, "run", "eval_count", count.unwrap_or(json!(50_000)));
    ddim.into_iter().for_each(|(key, value)| put(ours, "run", key, value));
}

fn put(ours: &mut Map<String, Value>, section: &str, key: &str, value: Value) {
    let section = ours.entry(section).or_insert_with(|| json!({}));
    section[key] = value;
}
