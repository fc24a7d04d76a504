//! Runs of earlier versions, which sorted names of classes as text and saw only folders.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ddpm_network::{ModelConfig, UnetConfig};
use ddpm_training::{
    Checkpoint, DataConfig, DataRules, FolderRules, RunDir, Session, TrainConfig, TrainError,
    Trainer,
};
use tch::Device;

/// Class folders whose numbers sort differently as text.
const CLASSES: [&str; 3] = ["1", "2", "10"];
const TEXT_ORDER: [&str; 3] = ["1", "10", "2"];

/// Makes a folder of pictures.
fn pictures(names: &[&str]) -> tempfile::TempDir {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/data");
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(original.join("downsample_40_to_16_resized.png"), path).unwrap();
    }
    dir
}

fn numbered() -> tempfile::TempDir {
    pictures(&["1/a.png", "1/b.png", "2/a.png", "2/b.png", "10/a.png", "10/b.png"])
}

/// Settings with the classes in this order.
fn config(source: &str, classes: &[&str]) -> TrainConfig {
    let data = DataConfig {
        image_size: Some(8),
        items: Some(6),
        ..DataConfig::from_source(&format!("folder:{source}"))
    };
    let shape = ddpm_data::ItemShape::Images { channels: 3, height: 8, width: 8 };
    let classes = classes.iter().map(ToString::to_string).collect();
    let mut config = TrainConfig::defaults("test".to_owned(), data, classes, shape);
    config.batch_size = 2;
    config.watch.held_out = 0;
    if let ModelConfig::Unet(unet) = &mut config.model {
        *unet = UnetConfig { hid_channels: 8, num_groups: 4, ..unet.clone() };
    }
    config
}

/// Settings as an earlier version stored them.
fn older(source: &str, classes: &[&str]) -> TrainConfig {
    let mut config = config(source, classes);
    config.data.labels_from = None;
    config
}

/// Stores a run with a checkpoint.
fn stored(config: &TrainConfig) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(&folder.path().join("run")).unwrap();
    let trainer = Trainer::new(config, Device::Cpu).unwrap();
    Checkpoint::save(&run, config, &trainer, None).unwrap();
    folder
}

/// Returns the class of each item, by name.
fn classes(set: &ddpm_data::Dataset) -> Vec<&str> {
    let names = set.class_names().unwrap();
    (0..set.len()).map(|i| names[set.label(i).unwrap()].as_str()).collect()
}

#[test]
fn a_resumed_run_keeps_the_order_of_its_classes() {
    let data = numbered();
    let run = stored(&older(data.path().to_str().unwrap(), &TEXT_ORDER));
    let session = Session::resume::<TrainError>(
        &run.path().join("run"),
        &DataRules::default(),
        |_, _| Ok(()),
        None,
        Device::Cpu,
    )
    .unwrap();
    assert_eq!(session.dataset().class_names().unwrap(), TEXT_ORDER);
    assert_eq!(session.config().classes, TEXT_ORDER);
    // Items come in the order of their paths: 1, 10, 2.
    assert_eq!(classes(session.dataset()), ["1", "1", "10", "10", "2", "2"]);
}

#[test]
fn settings_for_a_run_that_has_begun_take_the_order_of_its_classes() {
    let data = numbered();
    let source = data.path().to_str().unwrap();
    let run = stored(&older(source, &TEXT_ORDER));
    let new = config(source, &CLASSES);
    let dataset = ddpm_data::load(&new.data.source().unwrap(), &new.data.load_options(0)).unwrap();
    assert_eq!(dataset.class_names().unwrap(), CLASSES);
    let rules = FolderRules { resume: true, create: true };
    let path = run.path().join("run");
    let session = Session::begin(path, rules, new, Arc::new(dataset), None, Device::Cpu).unwrap();
    assert_eq!(session.config().classes, TEXT_ORDER);
    assert_eq!(session.dataset().label(2), Some(1));
    assert_eq!(classes(session.dataset()), ["1", "1", "10", "10", "2", "2"]);
}

#[test]
fn a_run_without_labels_stays_one_where_labels_are_found_now() {
    // Earlier versions took no labels from folders of different depth, and saw no splits.
    let data = pictures(&["test/a/1.png", "train/a/1.png", "train/a/b/2.png", "train/c/3.png"]);
    let mut config = older(data.path().to_str().unwrap(), &[]);
    config.data.items = Some(4);
    let set = config.load_data().unwrap();
    assert_eq!((set.len(), set.class_names()), (4, None));
}

#[test]
fn other_classes_than_those_of_the_run_are_refused_by_name() {
    let data = numbered();
    let config = older(data.path().to_str().unwrap(), &["1", "2", "3"]);
    let set = config.load_data().unwrap();
    let message = config.check_data(set.kind(), set.class_names()).unwrap_err().to_string();
    assert!(message.contains("the classes 1, 2, 10, the run was made for"), "{message}");
}
