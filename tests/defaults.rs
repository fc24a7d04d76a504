//! Exporter and server give unset fields of a request the same values: for the same request, both
//! compile the same program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ddpm_client::{Client, Indices, Request, SamplerChoice};

use crate::harness::{TestServer, binary, root};

/// Flags of `ddpm-exporter sample`; the test reads the request for the server from the same text.
const FORMS: [&str; 14] = [
    "",
    "--steps 7",
    "--sampler ddim",
    "--sampler ddim:eta=1 --steps 5",
    "--sampler euler",
    "--sampler lcm",
    "--sampler ddpm --steps 10",
    "--sampler dpm++:order=3 --grid exponential --steps 6",
    "--grid quadratic --steps 8",
    "--grid ddim:5",
    "--clip unit --steps 4",
    "--clip none --steps 4",
    "--sampler auto",
    "--sampler auto --steps 9",
];

/// Copies an embedded model under another name, with `grid` and `num_steps` as its defaults.
fn model(folder: &Path, original: &str, name: &str, grid: &str, num_steps: usize) -> PathBuf {
    let (from, to) = (root().join("models").join(original), folder.join(name));
    for part in ["unet/model.onnx", "testdata/golden.safetensors", "ddpm.json"] {
        fs::create_dir_all(to.join(part).parent().unwrap()).unwrap();
        fs::copy(from.join(part), to.join(part)).unwrap();
    }
    let manifest = to.join("ddpm.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["name"] = name.into();
    json["default_sampler"]["grid"] = grid.into();
    json["default_sampler"]["num_steps"] = num_steps.into();
    fs::write(&manifest, json.to_string()).unwrap();
    to
}

/// Returns the digest of the program that the exporter runs, from its picture; else its refusal.
fn exporter(package: &Path, form: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binary("ddpm-exporter"))
        .args(["sample", package.to_str().unwrap(), "--device", "cpu", "--count", "1"])
        .args(form.split_whitespace())
        .arg("--out")
        .arg(folder.path())
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let picture = fs::read(folder.path().join("grid.png")).unwrap();
    let key = b"ddpm.program\0";
    let at = picture.windows(key.len()).position(|bytes| bytes == key).unwrap() + key.len();
    Ok(String::from_utf8(picture[at..at + 64].to_vec()).unwrap())
}

/// Returns the digest of the program that the server would run; else its refusal.
async fn server(client: &Client, name: &str, form: &str) -> Result<String, String> {
    let words: Vec<&str> = form.split_whitespace().collect();
    let value = |flag: &str| words.iter().position(|word| *word == flag).map(|at| words[at + 1]);
    let mut request = Request::new(name, Indices::first(1));
    if let Some(sampler) = value("--sampler") {
        request = request.sampler(sampler.parse::<SamplerChoice>().unwrap());
    }
    if let Some(steps) = value("--steps") {
        request = request.num_steps(steps.parse().unwrap());
    }
    if let Some(grid) = value("--grid") {
        request = request.grid(grid.parse().unwrap());
    }
    if let Some(clip) = value("--clip") {
        request = request.clip(clip.parse().unwrap());
    }
    let compiled = client.compile(&request).await.map_err(|error| error.to_string())?;
    Ok(compiled.program_digest)
}

#[tokio::test]
async fn exporter_and_server_fill_in_the_same_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let models = [
        ("toy", "leading", 100),
        // A grid that fixes its steps gives way to a request for another number of steps.
        ("toy", "ddim:20", 20),
        ("glyphs", "trailing", 50),
    ];
    let packages: Vec<(String, PathBuf)> = models
        .iter()
        .enumerate()
        .map(|(at, (original, grid, num_steps))| {
            let name = format!("{original}{at}");
            let package = model(folder.path(), original, &name, grid, *num_steps);
            (name, package)
        })
        .collect();
    let serving = TestServer::start(&["--models", folder.path().to_str().unwrap()]);
    let client = serving.client().await;
    for (name, package) in &packages {
        let mut equal = 0;
        for form in FORMS {
            let (here, there) = (exporter(package, form), server(&client, name, form).await);
            match (&here, &there) {
                (Ok(here), Ok(there)) => {
                    assert_eq!(here, there, "{name} {form:?}");
                    equal += 1;
                }
                // A sampler or grid that does not suit the model: both refuse it.
                (Err(_), Err(_)) => {}
                _ => panic!("{name} {form:?}: the exporter says {here:?}, the server {there:?}"),
            }
        }
        assert!(equal >= FORMS.len() - 2, "{name}: only {equal} forms were compiled");
    }
}
