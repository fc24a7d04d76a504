//! Packages become models: opened, checked against their golden vectors, and measured.
//! If a package fails any of that, the server reports it and does not start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ddpm_diffusion::Parameterisation;
use ddpm_onnx::{Batch, Denoiser, Device, Runtime};
use ddpm_package::{Golden, MANIFEST_FILE, Manifest, Package};
use tracing::info;

use crate::embedded;
use crate::error::{Error, shorten};
use crate::runtime::{HostModel, Padding};
use crate::scheduler::ModelId;

/// Where the models come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The models in the binary.
    Embedded,
    /// A package or a folder of packages.
    Folder(PathBuf),
}

/// A model being served.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: ModelId,
    pub(crate) manifest: Manifest,
    pub(crate) digest: String,
    pub(crate) network: Parameterisation,
    pub(crate) cost: Cost,
}

/// The measured cost of calling a model's network on this device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// Most evals in one call.
    pub(crate) max_evals: u32,
    /// Time per eval in a call of that size.
    pub(crate) seconds_per_eval: f64,
}

/// The models, sorted by name.
#[derive(Debug)]
pub(crate) struct Registry {
    models: Vec<Model>,
}

impl Registry {
    /// Loads every package of a source for a device.
    ///
    /// * `max_batch`: most evals in one call; absent: chosen by measurement.
    ///
    /// # Errors
    ///
    /// Names the package and what is wrong: it cannot be read, fails its golden check, or
    /// has the same name as another.
    pub(crate) fn load(
        source: &Source,
        runtime: &Runtime,
        device: &Device,
        max_batch: Option<u32>,
    ) -> anyhow::Result<(Self, Vec<HostModel>)> {
        let mut packages = open_packages(source)?;
        packages.sort_by(|a, b| a.manifest().name.cmp(&b.manifest().name));
        for pair in packages.windows(2) {
            let [a, b] = [&pair[0], &pair[1]];
            anyhow::ensure!(
                a.manifest().name != b.manifest().name,
                "{} and {} are both named {:?}: change `name` in the {MANIFEST_FILE} of one",
                a.place().display(),
                b.place().display(),
                a.manifest().name
            );
        }
        let mut models = Vec::new();
        let mut networks = Vec::new();
        for (id, package) in packages.iter().enumerate() {
            let (model, network) = load_model(id, package, runtime, device, max_batch)
                .map_err(|error| error.context(format!("model {:?}", package.manifest().name)))?;
            models.push(model);
            networks.push(network);
        }
        Ok((Self { models }, networks))
    }

    /// Returns all models, sorted by name.
    pub(crate) fn models(&self) -> &[Model] {
        &self.models
    }

    /// Finds a model by its name and, unless it is empty, its version.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub(crate) fn find(&self, name: &str, version: &str) -> Result<&Model, Error> {
        let fits = |model: &&Model| {
            model.manifest.name == name && (version.is_empty() || model.manifest.version == version)
        };
        self.models.iter().find(fits).ok_or_else(|| Error::NotFound {
            model: shorten(name),
            version: shorten(version),
            known: self.names(),
        })
    }

    fn names(&self) -> String {
        let name = |model: &Model| format!("{} {}", model.manifest.name, model.manifest.version);
        self.models.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

fn open_packages(source: &Source) -> anyhow::Result<Vec<Package>> {
    match source {
        Source::Embedded => Ok(embedded::packages()?),
        Source::Folder(folder) if folder.join(MANIFEST_FILE).exists() => {
            Ok(vec![Package::open(folder)?])
        }
        Source::Folder(folder) => {
            let packages = package_folders(folder)?;
            anyhow::ensure!(
                !packages.is_empty(),
                "{}: contains no model package (a folder with a {MANIFEST_FILE}); write one with \
                 `ddpm-exporter train` or `export`",
                folder.display()
            );
            packages.iter().map(|path| Ok(Package::open(path)?)).collect()
        }
    }
}

/// Returns the subfolders that contain a manifest.
fn package_folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // A package that is being written, or the rest of an interrupted write.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        if path.join(MANIFEST_FILE).exists() {
            found.push(path);
        }
    }
    Ok(found)
}

fn load_model(
    id: ModelId,
    package: &Package,
    runtime: &Runtime,
    device: &Device,
    max_batch: Option<u32>,
) -> anyhow::Result<(Model, HostModel)> {
    let mut denoiser = Denoiser::open(runtime, device, package)?;
    let golden = denoiser.check_golden(package)?;
    let cost = measure(&mut denoiser, &package.golden()?, max_batch)?;
    let manifest = package.manifest().clone();
    info!(
        model = manifest.name,
        version = manifest.version,
        device = device.name(),
        golden = format!("{:.1e}", golden.relative()),
        max_batch = cost.max_evals,
        evals_per_second = format!("{:.0}", 1.0 / cost.seconds_per_eval),
        "loaded"
    );
    let padding = if device.provider() == "cuda" { Padding::PowerOfTwo } else { Padding::None };
    let host = HostModel {
        network: Box::new(denoiser),
        sample_len: manifest.sample_len(),
        output_len: manifest.output_len(),
        classes: manifest.classes.len(),
        padding,
    };
    let network = manifest.parameterisation()?;
    let digest = package.digest().to_string();
    Ok((Model { id, manifest, digest, network, cost }, host))
}

/// Largest batch that is measured.
const LARGEST_BATCH: u32 = 1024;

/// A call should not take longer, since samples join only between calls.
const LONGEST_CALL_SECONDS: f64 = 0.25;

/// The chosen batch is at least this large, however long a call takes.
const SMALLEST_BATCH: u32 = 8;

/// Measures calls of 1, 2, 4, … evals until they take too long, and chooses the smallest
/// size whose speed is within a tenth of the best. This also warms the network up for the
/// sizes that will be used.
fn measure(
    denoiser: &mut Denoiser,
    golden: &Golden,
    max_batch: Option<u32>,
) -> anyhow::Result<Cost> {
    let largest = max_batch.unwrap_or(LARGEST_BATCH);
    let mut curve = Vec::new();
    let mut size = 1;
    loop {
        let seconds = time_call(denoiser, golden, size)?;
        curve.push((size, seconds / f64::from(size)));
        if size >= largest
            || (2.0 * seconds > LONGEST_CALL_SECONDS && size >= SMALLEST_BATCH.min(largest))
        {
            break;
        }
        size = (size * 2).min(largest);
    }
    let best = curve.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
    let fits = |(size, seconds): &&(u32, f64)| {
        *size >= SMALLEST_BATCH.min(largest) && *seconds <= 1.1 * best || *size == largest
    };
    let (max_evals, seconds_per_eval) =
        curve.iter().find(fits).copied().unwrap_or(curve[curve.len() - 1]);
    Ok(Cost { max_evals: max_batch.unwrap_or(max_evals), seconds_per_eval })
}

/// Returns the seconds that a call with `rows` rows takes: the best of three.
fn time_call(denoiser: &mut Denoiser, golden: &Golden, rows: u32) -> anyhow::Result<f64> {
    let rows = rows as usize;
    let len = golden.sample.len() / golden.count;
    let cycle = |row: usize| row % golden.count;
    let sample: Vec<f32> =
        (0..rows).flat_map(|row| &golden.sample[cycle(row) * len..][..len]).copied().collect();
    let timestep: Vec<f32> = (0..rows).map(|row| golden.timestep[cycle(row)]).collect();
    let labels = golden.class_labels.as_deref().unwrap_or(&[0]);
    let class_labels: Vec<i64> = (0..rows).map(|row| labels[row % labels.len()]).collect();
    let batch = Batch { sample: &sample, timestep: &timestep, class_labels: &class_labels };
    let mut out = Vec::new();
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let started = Instant::now();
        denoiser.evaluate(batch, &mut out)?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}
