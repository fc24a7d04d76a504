//! Packages become models: opened, checked against their golden vectors, and measured.
//! If a package fails any of that, the server reports it and does not start.

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_diffusion::Parameterisation;
use ddpm_onnx::{Bound, Denoiser, Device, Runtime};
use ddpm_package::{Comparison, GraphName, MANIFEST_FILE, Manifest, Package, Quality};
use tracing::{debug, info, warn};

use crate::cost::{CacheEntry, CostCurve, Key, Measurement, Sizes, Upkeep, measure};
use crate::determinism::Determinism;
use crate::embedded;
use crate::error::{Error, shorten};
use crate::graphs::ServedGraphs;
use crate::runtime::{Evaluator, HostModel, Inputs, Padding, SamplesOn};
use crate::scheduler::ModelId;

/// Where the models come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The models in the binary.
    Embedded,
    /// A package or a folder of packages.
    Folder(PathBuf),
}

/// A model being served in one of its graphs. The same model in two graphs is two of these.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: ModelId,
    pub(crate) graph: GraphName,
    /// Whether requests that name no graph get this one.
    pub(crate) is_default: bool,
    pub(crate) manifest: Manifest,
    pub(crate) digest: String,
    pub(crate) network: Parameterisation,
    pub(crate) determinism: Determinism,
}

/// How models are loaded.
#[derive(Debug)]
pub(crate) struct LoadOptions<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) device: &'a Device,
    /// Which graphs of each package.
    pub(crate) graphs: &'a ServedGraphs,
    /// What determines the bits of a sample besides model and request.
    pub(crate) fingerprint: &'a str,
    /// Where the state of samples is.
    pub(crate) samples_on: SamplesOn,
    /// Which sizes of calls may be used.
    pub(crate) sizes: Sizes,
    /// Where measurements are kept, if anywhere.
    pub(crate) cache_dir: Option<&'a Path>,
}

/// Models that are loaded, in the order of their ids.
pub(crate) struct LoadedModels {
    pub(crate) registry: Registry,
    pub(crate) networks: Vec<HostModel>,
    /// What calls of each cost.
    pub(crate) curves: Vec<CostCurve>,
    /// What goes on being measured while the engine is idle.
    pub(crate) upkeep: Vec<Upkeep>,
}

/// The models, sorted by name; of each, first the graph for requests that name none.
#[derive(Debug)]
pub(crate) struct Registry {
    models: Vec<Model>,
}

impl Model {
    /// Returns how good the samples of its graph are, where the exporter asked.
    pub(crate) fn quality(&self) -> Option<&Quality> {
        self.manifest.variant(self.graph)?.quality.as_ref()
    }
}

impl Registry {
    /// Loads every package of a source for a device.
    ///
    /// # Errors
    ///
    /// Names the package and what is wrong: it cannot be read, fails its golden check, or
    /// has the same name as another.
    pub(crate) fn load(source: &Source, options: &LoadOptions<'_>) -> anyhow::Result<LoadedModels> {
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
        let (mut models, mut networks) = (Vec::new(), Vec::new());
        let (mut curves, mut upkeep) = (Vec::new(), Vec::new());
        for package in &packages {
            let in_model = |error: anyhow::Error| {
                error.context(format!("model {:?}", package.manifest().name))
            };
            let graphs = options.graphs.of(package, options.device).map_err(in_model)?;
            for (position, graph) in graphs.into_iter().enumerate() {
                let place = Place { id: models.len(), graph, is_default: position == 0 };
                let (model, network, curve, rest) =
                    load_model(place, package, options).map_err(in_model)?;
                models.push(model);
                networks.push(network);
                curves.push(curve);
                upkeep.push(rest);
            }
        }
        Ok(LoadedModels { registry: Self { models }, networks, curves, upkeep })
    }

    /// The embedded models, for tests that call no network.
    #[cfg(test)]
    pub(crate) fn embedded() -> anyhow::Result<Self> {
        let mut packages = embedded::packages()?;
        packages.sort_by(|a, b| a.manifest().name.cmp(&b.manifest().name));
        let model = |(id, package): (ModelId, &Package)| {
            let determinism = Determinism { strict: true, why: String::new(), largest: 1 };
            let (manifest, digest) = (package.manifest().clone(), package.digest().to_string());
            let network = manifest.parameterisation()?;
            let (graph, is_default) = (GraphName::Portable, true);
            Ok(Model { id, graph, is_default, manifest, digest, network, determinism })
        };
        let models: anyhow::Result<Vec<_>> = packages.iter().enumerate().map(model).collect();
        Ok(Self { models: models? })
    }

    /// Returns all models in all their graphs, in the order of their ids.
    pub(crate) fn all(&self) -> &[Model] {
        &self.models
    }

    /// Returns each model in the graph for requests that name none, sorted by name.
    pub(crate) fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.is_default)
    }

    /// Returns a model in all its graphs, first the one for requests that name none.
    pub(crate) fn graphs_of(&self, model: &Model) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|other| other.manifest.name == model.manifest.name)
    }

    /// Finds a model by its name and, unless they are empty, its version and its graph.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::GraphUnavailable`] if only the graph is missing.
    pub(crate) fn find(&self, name: &str, version: &str, graph: &str) -> Result<&Model, Error> {
        let fits = |model: &&Model| {
            model.manifest.name == name && (version.is_empty() || model.manifest.version == version)
        };
        let model = self.models().find(fits).ok_or_else(|| Error::NotFound {
            model: shorten(name),
            version: shorten(version),
            known: self.names(),
        })?;
        if graph.is_empty() {
            return Ok(model);
        }
        let found = self.graphs_of(model).find(|other| other.graph.name() == graph);
        found.ok_or_else(|| Error::GraphUnavailable {
            model: shorten(name),
            graph: shorten(graph),
            served: self.graphs_of(model).map(|other| other.graph.name()).collect(),
        })
    }

    fn names(&self) -> String {
        let name = |model: &Model| format!("{} {}", model.manifest.name, model.manifest.version);
        self.models().map(name).collect::<Vec<_>>().join(", ")
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

/// A model's place among those that are loaded.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: ModelId,
    graph: GraphName,
    is_default: bool,
}

fn load_model(
    place: Place,
    package: &Package,
    options: &LoadOptions<'_>,
) -> anyhow::Result<(Model, HostModel, CostCurve, Upkeep)> {
    let LoadOptions { runtime, device, samples_on, fingerprint, sizes, cache_dir, .. } = options;
    let Place { id, graph, is_default } = place;
    let (network, golden, form): (Box<dyn Evaluator>, _, _) = match samples_on {
        SamplesOn::Host => {
            let mut denoiser = Denoiser::open_graph(runtime, device, package, graph)?;
            let golden = denoiser.check_golden(package)?;
            let form = format!("{graph}, lanes: {}", denoiser.lanes());
            (Box::new(denoiser), golden, form)
        }
        SamplesOn::Device => {
            let mut bound = Bound::open(runtime, device, package, graph)?;
            let golden = bound.check_golden(package)?;
            (Box::new(bound), golden, format!("{graph}, samples on the device"))
        }
    };
    let manifest = package.manifest().clone();
    let digest = package.digest().to_string();
    let padding = if device.provider() == "cuda" { Padding::PowerOfTwo } else { Padding::None };
    let mut host = HostModel {
        network,
        sample_len: manifest.sample_len(),
        output_len: manifest.output_len(),
        classes: manifest.classes.len(),
        padding,
        examples: Inputs::from_golden(&package.golden()?),
    };
    let key = Key {
        fingerprint: (*fingerprint).to_owned(),
        package: digest.clone(),
        graph: form,
        max_batch: sizes.max,
    };
    let entry = cache_dir.map(|folder| CacheEntry::new(folder, key));
    let measurement = measure(&mut host, *sizes, entry)?;
    let model = &manifest.name;
    match manifest.variant(graph).and_then(|variant| variant.quality.as_ref()) {
        Some(quality) if !quality.passed => {
            let ratio = quality.frechet_ratio;
            warn!(model, %graph, ratio, "its samples failed the check when it was exported");
        }
        None if graph == GraphName::Int8 => {
            warn!(model, %graph, "nobody has compared its samples with the portable graph's");
        }
        Some(_) | None => {}
    }
    report(&manifest, graph, device, golden, &measurement);
    let network = manifest.parameterisation()?;
    let Measurement { curve, determinism, upkeep, .. } = measurement;
    let model = Model { id, graph, is_default, manifest, digest, network, determinism };
    Ok((model, host, curve, upkeep))
}

/// Logs what is known about a model.
fn report(
    manifest: &Manifest,
    graph: GraphName,
    device: &Device,
    golden: Comparison,
    measurement: &Measurement,
) {
    let Measurement { curve, determinism, cached, upkeep } = measurement;
    let millis = |evals: u32| format!("{:.3}", 1e3 * curve.seconds(evals));
    info!(
        model = manifest.name,
        version = manifest.version,
        %graph,
        device = device.name(),
        golden = format!("{:.1e}", golden.relative(graph)),
        ms_of_1 = millis(1),
        ms_of_2 = millis(2),
        ms_of_4 = millis(4),
        batch = curve.bulk(),
        evals_per_second = format!("{:.0}", 1.0 / curve.seconds_per_eval()),
        cost = match (upkeep.calibration.is_settled(), cached) {
            (true, _) => "settled",
            (false, true) => "from the cache, to be refined while idle",
            (false, false) => "to be refined while idle",
        },
        "loaded"
    );
    debug!(model = manifest.name, points = ?upkeep.calibration.points(), "measured");
    debug!(model = manifest.name, determinism.strict, determinism.why, "swept");
    if !determinism.strict {
        warn!(
            model = manifest.name,
            reason = determinism.why,
            "bits of samples depend on their batch: strict requests are refused"
        );
    }
}
