//! The results, for people and for machines.

use std::fmt;

use ddpm_package::Sha256Hex;
use serde::Serialize;

use super::extractor::Extractor;
use super::measures::{ClassScore, DensityCoverage, KernelDistance, PrecisionRecall, Results};
use super::points::{Kl, Modes, Points};
use super::preprocessing::Preprocessing;

/// One evaluation with its conditions: without them its numbers compare with nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The samples.
    pub samples: SetReport,
    /// The data they are compared with.
    pub reference: SetReport,
    /// The extractor of features; absent if neither set is pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor: Option<ExtractorReport>,
    /// The measures.
    #[serde(flatten)]
    pub results: Results,
}

/// One of the two sets, with its origin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetReport {
    /// As the user named it.
    pub name: String,
    /// Kind of its contents: a run, a package, pictures, features, statistics …
    pub kind: String,
    /// Size of the set; absent if a statistics file does not record it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// `[C, H, W]` of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<[usize; 3]>,
    /// How samples were drawn; absent for other sets.
    #[serde(rename = "drawn", skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingReport>,
    /// Whether the features came from the cache; absent without a cache or an extractor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<bool>,
    /// Whether its features name no extractor but the other set's come from one: only the user can
    /// know that it is the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub extractor_unknown: bool,
}

/// How samples were drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplingReport {
    /// The model's name.
    pub model: String,
    /// Seed of the noise; the indices are 0 to count − 1.
    pub seed: u64,
    /// The sampler with its options.
    pub sampler: String,
    /// Number of steps.
    pub num_steps: usize,
    /// The grid of points that it visits.
    pub grid: String,
    /// The rule that keeps predictions in range.
    pub clip: String,
    /// Scale of the guidance; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_scale: Option<f64>,
    /// Network evaluations per sample.
    pub evals: u64,
    /// Digest of the compiled program.
    pub program: String,
    /// The engine that evaluated the network.
    pub engine: String,
}

/// The extractor of features.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtractorReport {
    /// The name of its file.
    pub name: String,
    /// The file's digest.
    pub sha256: Sha256Hex,
    /// The preprocessing of its input.
    pub preprocessing: Preprocessing,
}

impl ExtractorReport {
    /// Describes an extractor.
    #[must_use]
    pub fn new(extractor: &Extractor) -> Self {
        Self {
            name: extractor.name().to_owned(),
            sha256: extractor.sha256().clone(),
            preprocessing: extractor.preprocessing().clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, reference, extractor, results } = self;
        line(f, "samples", samples)?;
        if let Some(sampling) = &samples.sampling {
            line(f, "", sampling)?;
        }
        line(f, "reference", reference)?;
        if let Some(ExtractorReport { name, sha256, preprocessing }) = extractor {
            let digest = &sha256.as_str()[..12];
            let Preprocessing { features, dimension, .. } = preprocessing;
            line(
                f,
                "extractor",
                format_args!("{name} ({digest}): {features}, {dimension} features"),
            )?;
        }
        write!(f, "{results}")
    }
}

impl fmt::Display for SetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        if let Some(count) = self.count {
            write!(f, "{count} ")?;
        }
        write!(f, "{}", self.kind)?;
        if let Some([channels, height, width]) = self.shape {
            write!(f, " of {channels}x{height}x{width}")?;
        }
        if self.cached == Some(true) {
            write!(f, ", features from the cache")?;
        }
        if self.extractor_unknown {
            write!(f, ", by an extractor that they do not name: taken to be the same")?;
        }
        Ok(())
    }
}

impl fmt::Display for SamplingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, seed, sampler, num_steps, grid, clip, evals, engine, .. } = self;
        write!(f, "{model}, seed {seed}, {sampler}, {num_steps} steps, grid {grid}, clip {clip}")?;
        if let Some(scale) = self.guidance_scale {
            write!(f, ", guidance {scale}")?;
        }
        write!(f, ", {evals} evals a sample, {engine}")
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fid) = self.fid {
            line(f, "FID", format_args!("{fid:.4}"))?;
        }
        if let Some(distance) = self.frechet_distance {
            line(f, "Fréchet distance", format_args!("{distance:.6} (no FID)"))?;
        }
        if let Some(KernelDistance { mean, standard_error, subsets, subset_size, .. }) = self.kid {
            let error = standard_error.map(|error| format!(" ± {error:.6}")).unwrap_or_default();
            let of = format!("{subsets} subsets of {subset_size}");
            line(f, "KID", format_args!("{mean:.6}{error} ({of})"))?;
        }
        if let Some(PrecisionRecall { precision, recall, neighbours, arithmetic }) =
            self.precision_recall
        {
            let how = format!("k = {neighbours}, {arithmetic}");
            line(f, "precision, recall", format_args!("{precision:.4}, {recall:.4} ({how})"))?;
        }
        if let Some(DensityCoverage { density, coverage, neighbours, arithmetic }) =
            self.density_coverage
        {
            let how = format!("k = {neighbours}, {arithmetic}");
            line(f, "density, coverage", format_args!("{density:.4}, {coverage:.4} ({how})"))?;
        }
        let scores = [
            ("Inception score", self.inception_score),
            ("classifier score", self.classifier_score),
        ];
        for (name, score) in scores {
            let Some(ClassScore { mean, stdev, splits }) = score else { continue };
            line(f, name, format_args!("{mean:.4} ± {stdev:.4} ({splits} parts of the samples)"))?;
        }
        if let Some(points) = &self.points {
            write!(f, "{points}")?;
        }
        for left in &self.left_out {
            line(f, left.measure, format_args!("left out: {}", left.reason))?;
        }
        Ok(())
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Kl { kl, kl_of_first_batch, first_batch }) = self.kl {
            line(f, "KL(data, samples)", format_args!("{kl:.4} nats"))?;
            let text = format_args!("{kl_of_first_batch:.4} nats ({first_batch} points of data)");
            line(f, "  as ddpm-torch", text)?;
        }
        if let Some(Modes { hit, total, high_quality, weights_kl, .. }) = &self.modes {
            let quality = 100.0 * high_quality;
            let text = format_args!(
                "{hit} of {total}, {quality:.1} % within 3 deviations, weights off by \
                 {weights_kl:.4} nats"
            );
            line(f, "modes", text)?;
        }
        if let Some(distance) = self.sliced_wasserstein {
            line(f, "sliced Wasserstein", format_args!("{distance:.5}"))?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{name:18} {text}")
}
