//! Promises about settings: which of them win, and what is checked before a run starts.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use ddpm_diffusion::{Prediction, Variance};
use ddpm_network::{ModelConfig, UnetConfig};
use ddpm_training::{Checkpoint, DataOn, TrainConfig};

use crate::support::{self, stderr, stdout, succeed, text};

/// A run of one step on a few pictures.
const SHORT: [&str; 8] =
    ["--data", "glyphs:60", "--batch-size", "4", "--no-export", "--device", "cpu", "--keep=1"];

/// Prepares a run of the program in an environment without settings.
fn exporter(arguments: &[&str]) -> Command {
    let mut command = support::exporter(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DDPM_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command that must succeed, and returns its stdout.
fn ok(command: &mut Command) -> String {
    stdout(&succeed(command))
}

/// Returns the settings of a run.
fn config_of(run: &Path) -> TrainConfig {
    Checkpoint::find(run).unwrap().config().clone()
}

fn unet_of(config: &TrainConfig) -> UnetConfig {
    match &config.model {
        ModelConfig::Unet(unet) => unet.clone(),
        _ => panic!("pictures get a UNet"),
    }
}

#[test]
fn flags_override_the_environment_which_overrides_the_file_which_overrides_the_preset() {
    let folder = tempfile::tempdir().unwrap();
    let [run, file] = ["run", "mine.toml"].map(|name| folder.path().join(name));
    let written = "preset = \"small\"\nname = \"mine\"\n\
                   [train]\nlr = 1e-2\nwarmup = 3\nbeta2 = 0.9\n\
                   [run]\nsteps = 1\nsample_every = 0\n";
    fs::write(&file, written).unwrap();
    let flags = ["--config", text(&file), "--lr", "1e-4"];
    let mut command = exporter(&["train", "--out", text(&run)]);
    command.args(SHORT).args(flags).env("DDPM_LR", "1e-3").env("DDPM_WARMUP", "7");
    ok(&mut command);

    let config = config_of(&run);
    assert_eq!(config.optimizer.lr, 1e-4, "the flag");
    assert_eq!(config.optimizer.warmup, 7, "the environment");
    assert_eq!(config.optimizer.beta2, 0.9, "the file");
    assert_eq!(config.diffusion.prediction, Prediction::V, "the preset");
    assert_eq!(config.optimizer.beta1, 0.9, "the default for the data");
    assert_eq!((config.name.as_str(), config.steps), ("mine", 1));
    // One in fifty of sixty items.
    assert_eq!(config.watch.held_out, 1);
}

#[test]
fn a_settings_file_of_the_reference_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let [run, file] = ["run", "seed.json"].map(|name| folder.path().join(name));
    let json = r#"{
        "dataset": "cifar10", "seed": 77,
        "diffusion": {"timesteps": 50, "beta_start": 0.001, "beta_end": 0.2,
            "beta_schedule": "quad", "model_mean_type": "x_0", "model_var_type": "fixed-small",
            "loss_type": "kl"},
        "model": {"in_channels": 3, "hid_channels": 8, "ch_multipliers": [1, 2],
            "num_res_blocks": 1, "apply_attn": false, "drop_rate": 0.25},
        "train": {"lr": 0.003, "batch_size": 20, "epochs": 2, "grad_norm": 0.5, "warmup": 9,
            "use_ema": false, "ema_decay": 0.9999, "num_accum": 4, "chkpt_intv": 1,
            "image_intv": 0, "num_samples": 16}}"#;
    fs::write(&file, json).unwrap();
    let data = ["--data", "glyphs:64", "--no-labels", "--num-groups", "4", "--held-out", "4"];
    let flags = ["--config", text(&file), "--out", text(&run), "--no-export", "--device", "cpu"];
    ok(exporter(&["train"]).args(data).args(flags));

    let config = config_of(&run);
    let unet = unet_of(&config);
    assert_eq!((config.seed, config.diffusion.timesteps), (77, 50));
    assert_eq!(config.diffusion.prediction, Prediction::X0);
    assert_eq!(config.diffusion.variance, Variance::FixedSmall);
    assert_eq!((unet.hid_channels, unet.drop_rate), (8, 0.25));
    assert_eq!(unet.apply_attn, [false, false]);
    assert_eq!((config.batch_size, config.accumulation), (20, 4));
    assert_eq!((config.optimizer.lr, config.optimizer.warmup), (0.003, 9));
    assert_eq!(config.ema_decay, 0.0, "use_ema: false");
    // Two epochs of three whole batches of 60 pictures, and one checkpoint per epoch.
    assert_eq!((config.steps, config.intervals.checkpoint_every), (6, 3));
    assert_eq!((config.intervals.sample_every, config.watch.samples), (0, 16));
}

#[test]
fn the_references_evaluation_judges_samples_at_its_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let trained = |name: &str, train: &str| {
        let [run, file] =
            [name.to_owned(), format!("{name}.json")].map(|name| folder.path().join(name));
        let network = r#""model": {"hid_channels": 8, "ch_multipliers": [1], "num_res_blocks": 1,
            "apply_attn": false}, "diffusion": {"timesteps": 4, "beta_end": 0.5}"#;
        fs::write(&file, format!("{{{network}, \"train\": {{{train}}}}}")).unwrap();
        let flags = ["--config", text(&file), "--num-groups", "4", "--no-cache"];
        // Its 50,000 samples would take too long.
        let short = ["--steps=1", "--eval-count=4", "--sample-every=0", "--out", text(&run)];
        ok(exporter(&["train"]).args(SHORT).args(flags).args(short));
        config_of(&run).eval
    };
    let plain = trained("plain", r#""eval": true, "eval_total_size": 9, "eval_batch_size": 3"#);
    assert_eq!(
        (plain.every, plain.count),
        (120 * 14, 4),
        "120 epochs of 59 pictures, four at a time"
    );
    assert_eq!(plain.sampler.unwrap().to_string(), "ddpm");
    let ddim = r#""chkpt_intv": 2, "eval": true, "use_ddim": true, "skip_schedule": "quadratic",
        "subseq_size": 2"#;
    let ddim = trained("ddim", ddim);
    assert_eq!((ddim.every, ddim.num_steps), (2 * 14, Some(2)));
    assert_eq!(ddim.grid.unwrap().to_string(), "ddpm-torch-quadratic");
    let none = trained("none", r#""eval": false, "use_ddim": true"#);
    assert_eq!((none.every, none.sampler), (0, None));
}

#[test]
fn a_settings_file_may_begin_with_a_mark_and_end_its_lines_as_windows_does() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "name = \"mine\"\n[train]\nlr = 1e-2\n";
    let json = "{\n\"train\": {\n\"lr\": 1e-2\n}\n}\n";
    let cases = [("a.toml", toml), ("b.json", json), ("c.JSON", json)];
    for (name, text_of) in cases {
        let (file, run) = (folder.path().join(name), folder.path().join(format!("run-{name}")));
        fs::write(&file, format!("\u{feff}{}", text_of.replace('\n', "\r\n"))).unwrap();
        let flags = ["--config", text(&file), "--steps", "1"];
        ok(exporter(&["train", "--out", text(&run)]).args(SHORT).args(flags));
        assert_eq!(config_of(&run).optimizer.lr, 1e-2, "{name}");
    }
    for (name, content, problem) in [
        ("empty.toml", &b""[..], "empty.toml: it is empty"),
        ("empty.json", b"", "empty.json: it is empty"),
        ("mark.toml", b"\xef\xbb\xbf\r\n", "`ddpm-exporter init FILE`"),
        ("utf16.toml", b"\xff\xfen\0a\0", "is not in UTF-8"),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let out = folder.path().join("out");
        let output = exporter(&["train", "--out", text(&out), "--config", text(&file)])
            .args(SHORT)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains(problem), "{}", stderr(&output));
    }
}

#[test]
fn a_model_is_called_after_its_folder_unless_a_setting_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("My Cats");
    fs::create_dir(&pictures).unwrap();
    for number in 0..6 {
        let picture = image::RgbImage::from_pixel(16, 16, image::Rgb([number * 40, 90, 10]));
        picture.save(pictures.join(format!("{number}.png"))).unwrap();
    }
    let data = format!("folder:{}", pictures.display());
    for (flags, name) in [(&[][..], "my-cats"), (&["--name", "cats"], "cats")] {
        let run = folder.path().join(name);
        let short = ["--data", &data, "--steps", "1", "--batch-size", "2", "--no-export"];
        let small = ["--hid-channels", "8", "--num-groups", "4", "--device", "cpu"];
        ok(exporter(&["train", "--out", text(&run)]).args(short).args(small).args(flags));
        assert_eq!(config_of(&run).name, name);
    }
}

#[test]
fn invalid_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let unknown = file("unknown.toml", "[train]\nlearning_rate = 1");
    let no_toml = file("no.toml", "[train");
    let grey = file("grey.json", r#"{"model": {"in_channels": 1}}"#);
    let nowhere = file("nowhere.json", r#"{"dataset": "celeba"}"#);
    let glyphs = ["--data", "glyphs:9"];
    let cases: [(&[&str], i32, &[&str]); 14] = [
        (&["--config", text(&unknown)], 3, &["unknown.toml", "learning_rate"]),
        (&["--config", text(&no_toml)], 3, &["no.toml", "line 1"]),
        (&["--config", text(&grey)], 3, &["in_channels is 1, but the data has 3"]),
        (&["--config", "missing.toml"], 3, &["missing.toml: cannot be read"]),
        (&["--block-size", "5"], 3, &["image_size has 16, which model.block_size = 5 does not"]),
        (&["--preset", "cifar"], 3, &["no preset \"cifar\"", "cifar10, celeba"]),
        (&["--accumulation", "500"], 3, &["accumulation must be in 1..=128"]),
        (&["--eval-every", "5", "--eval-count", "1"], 3, &["eval_count must be in 2..="]),
        (&["--eval-every", "5", "--eval-steps", "5000"], 3, &["5000"]),
        (&["--eval-every", "5", "--eval-sampler", "ddim-inverse"], 3, &["eval_sampler must draw"]),
        (&["--eval-every", "5", "--extractor", "no.pt"], 3, &["no.pt.json", "eval --preset"]),
        (&["--held-out", "9"], 3, &["held_out must leave some of the 9 items"]),
        // Nine steps per epoch.
        (
            &["--batch-size", "1", "--epochs", "500000000"],
            3,
            &[
                "epochs has 500000000 epochs of 9 steps each: 4500000000 steps",
                "at most 4294967295",
            ],
        ),
        (
            &["--batch-size", "1", "--sample-every", "500000000ep"],
            3,
            &["sample_every has 500000000"],
        ),
    ];
    for (flags, code, sentences) in cases {
        let mut command = exporter(&["train", "--device", "cpu", "--out", text(&out)]);
        let output = command.args(glyphs).args(flags).output().unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {printed}");
        assert!(
            sentences.iter().all(|sentence| printed.contains(sentence)),
            "{flags:?}: {printed}"
        );
    }
    let incomplete = ["--config", text(&nowhere), "--out", text(&out)];
    let output = exporter(&["train"]).args(incomplete).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is for celeba"), "{}", stderr(&output));
    let variable =
        exporter(&["train", "--out", text(&out)]).env("DDPM_LR", "fast").output().unwrap();
    assert_eq!(variable.status.code(), Some(3));
    assert!(stderr(&variable).contains("DDPM_LR"), "{}", stderr(&variable));
}

#[test]
fn block_size_and_attention_without_a_norm_reach_the_package() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let tiny = ["--hid-channels", "8", "--num-groups", "4", "--num-res-blocks", "1"];
    let levels = ["--ch-multipliers", "1,1", "--apply-attn", "false,true"];
    let options = ["--block-size", "4", "--attn-norm", "false"];
    let data = ["--data", "glyphs:60", "--batch-size", "4", "--device", "cpu"];
    // Enough steps for outputs that differ clearly from zero.
    let short = ["--steps", "10", "--lr", "1e-2", "--warmup", "0", "--ema-decay", "0"];
    let short = [&short[..], &["--sample-every", "0", "--no-weights"]].concat();
    let mut train = exporter(&["train", "--out", text(&run)]);
    ok(train.args(data).args(short).args(tiny).args(levels).args(options));

    let unet = unet_of(&config_of(&run));
    assert_eq!((unet.block_size, unet.attn_norm), (4, false));
    let graph = run.join("package/unet/model.onnx");
    let printed = ok(&mut exporter(&["inspect", "--json", text(&graph)]));
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let model = &printed["graph"]["model"];
    assert_eq!((&model["block_size"], &model["attn_norm"]), (&4.into(), &false.into()));
    let weights = Checkpoint::find(&run).unwrap().trainer(tch::Device::Cpu).unwrap();
    let shape = |name: &str| {
        weights.weights().iter().find(|(key, _)| *key == name).map(|(_, tensor)| tensor.size())
    };
    // Three colours of 4 x 4 pixels each are the channels of the network.
    assert_eq!(shape("in_conv.weight"), Some(vec![8, 48, 3, 3]));
}

#[test]
fn a_dry_run_takes_an_update_prints_the_costs_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("runs/dry");
    let flags = ["--dry-run", "--steps", "1000", "--preset", "small", "--out", text(&run)];
    let printed = ok(exporter(&["train"]).args(SHORT).args(flags));

    for line in ["parameters", "first update", "memory", "for 1000 steps", "read back and removed"]
    {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");

    let file = folder.path().join("file");
    fs::write(&file, b"not a folder").unwrap();
    let blocked = ["--dry-run", "--out", text(&file)];
    let output = exporter(&["train"]).args(SHORT).args(blocked).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be written"), "{}", stderr(&output));
}

#[test]
fn a_resumed_run_keeps_its_recipe_whatever_the_environment_sets() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let short = ["--steps", "1", "--sample-every", "0", "--hid-channels=8", "--num-groups=4"];
    ok(exporter(&["train", "--out", text(&run)]).args(SHORT).args(short));
    let before = config_of(&run);
    let mut command = exporter(&["train", "--no-export", "--device", "cpu"]);
    command.env("DDPM_LR", "1").env("DDPM_PRESET", "mnist").env("DDPM_STEPS", "2");
    ok(command.args(["--resume", text(&run), "--data-on", "device"]));
    let after = config_of(&run);
    assert_eq!((after.optimizer, after.steps), (before.optimizer, 2));
    // Where the data is kept is not part of the recipe.
    assert_eq!((before.data_on, after.data_on), (DataOn::Auto, DataOn::Device));
}

#[test]
fn presets_and_the_template_are_printed_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let listed = ok(&mut exporter(&["presets"]));
    for name in ["cifar10", "celeba", "celebahq", "mnist", "small"] {
        assert!(listed.contains(name), "{listed}");
    }
    assert!(ok(&mut exporter(&["presets", "cifar10"])).contains("epochs = 2040"));
    assert_eq!(exporter(&["presets", "none"]).output().unwrap().status.code(), Some(3));

    let init = ["init", text(&file), "--preset", "small"];
    assert_eq!(ok(&mut exporter(&init)).trim(), text(&file));
    assert!(fs::read_to_string(&file).unwrap().contains("preset = \"small\""));
    let again = exporter(&init).output().unwrap();
    assert_eq!(again.status.code(), Some(3));
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    ok(exporter(&init).arg("--force"));
}

#[test]
fn the_doctor_says_what_works_and_how_to_fix_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let printed = ok(&mut exporter(&["doctor", "--dir", text(folder.path())]));
    for line in ["libtorch", "2.11.0", "onnxruntime", "threads", "disk", "space", "both engines"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let json = ok(&mut exporter(&["doctor", "--json", "--dir", text(folder.path())]));
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(found.as_array().unwrap().iter().any(|entry| entry["what"] == "self-test"));

    let missing = folder.path().join("missing");
    let output = exporter(&["doctor", "--dir", text(&missing)]).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    let printed = stdout(&output);
    assert!(printed.contains("FAILED disk") && printed.contains("name another --dir"), "{printed}");
}
