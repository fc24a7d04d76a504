//! What was found, for people and for machines.

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
    /// What was judged.
    pub samples: Described,
    /// By what.
    pub reference: Described,
    /// What made pictures features; absent if features or points were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor: Option<ExtractorReport>,
    /// What was measured.
    #[serde(flatten)]
    pub results: Results,
}

/// One of the two sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Described {
    /// As the user named it.
    pub name: String,
    /// What that is: a run, a package, pictures, features, statistics …
    pub kind: String,
    /// How many there are; absent if a statistics file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// `[C, H, W]` of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<[usize; 3]>,
    /// How samples were drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
    /// Whether the features were remembered; absent if there was no extracting them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<bool>,
    /// Whether its features come from elsewhere, without a word of who made them, while the other side's
    /// are the extractor's: that both are of one is the user's word.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub extractor_unknown: bool,
}

/// How samples were drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drawn {
    /// The model's name.
    pub model: String,
    /// Seed of the noise; the indices are 0 to count − 1.
    pub seed: u64,
    /// The sampler with its options.
    pub sampler: String,
    /// Its steps.
    pub num_steps: usize,
    /// Which points it visits.
    pub grid: String,
    /// What keeps predictions in range.
    pub clip: String,
    /// Scale of the guidance; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_scale: Option<f64>,
    /// Network calls a sample.
    pub evals: u64,
    /// Digest of the compiled program.
    pub program: String,
    /// What evaluated the network.
    pub engine: String,
}

/// What made pictures features.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExtractorReport {
    /// The name of its file.
    pub name: String,
    /// The file's digest.
    pub sha256: Sha256Hex,
    /// What it was fed.
    pub preprocessing: Preprocessing,
}

impl ExtractorReport {
    /// Describes an extractor.
    #[must_use]
    pub fn of(extractor: &Extractor) -> Self {
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
        if let Some(drawn) = &samples.drawn {
            line(f, "", drawn)?;
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

impl fmt::Display for Described {
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

impl fmt::Display for Drawn {
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
        if let Some(Modes { hit, of, high_quality, weights_kl, .. }) = &self.modes {
            let quality = 100.0 * high_quality;
            let text = format_args!(
                "{hit} of {of}, {quality:.1} % within 3 deviations, weights off by {weights_kl:.4} nats"
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
