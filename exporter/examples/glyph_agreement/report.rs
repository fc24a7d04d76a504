//! The results of the judge, as text and as JSON.

use std::fmt;

use ddpm_package::{DefaultSampler, Package};
use serde::Serialize;

use crate::samples::Samples;
use crate::support::classifier::HELD_OUT;

/// The judgement of one package.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    model: String,
    /// Identity of the model.
    digest: String,
    seed: u64,
    #[serde(flatten)]
    sampler: DefaultSampler,
    /// Share of held-out glyphs that the judge classifies correctly.
    classifier_accuracy: f64,
    held_out: usize,
    count: usize,
    agree: usize,
    /// agree ÷ count.
    pub(crate) share: f64,
    classes: Vec<Class>,
    misses: Vec<Miss>,
}

/// The samples of one class.
#[derive(Debug, Serialize)]
struct Class {
    name: String,
    #[serde(rename = "asked")]
    requested: usize,
    agree: usize,
}

/// A sample in which the judge sees another class.
#[derive(Debug, Serialize)]
struct Miss {
    index: usize,
    #[serde(rename = "asked")]
    requested: String,
    seen: String,
}

impl Report {
    /// * `accuracy`: that of the judge, in [0, 1].
    /// * `seen`: the class that it sees in each sample.
    pub(crate) fn new(package: &Package, samples: &Samples, accuracy: f64, seen: &[usize]) -> Self {
        let manifest = package.manifest();
        let pairs: Vec<(usize, usize)> =
            samples.requested.iter().copied().zip(seen.iter().copied()).collect();
        let (count, agree) =
            (pairs.len(), pairs.iter().filter(|(requested, seen)| requested == seen).count());
        Self {
            model: format!("{} {}", manifest.name, manifest.version),
            digest: package.digest().to_string(),
            seed: samples.seed,
            sampler: samples.sampler.clone(),
            classifier_accuracy: accuracy,
            held_out: HELD_OUT,
            count,
            agree,
            share: agree as f64 / count as f64,
            classes: classes(&manifest.classes, &pairs),
            misses: misses(&manifest.classes, &pairs),
        }
    }

    /// Keywords and values for the grid's PNG file.
    pub(crate) fn text(&self) -> Vec<(String, String)> {
        [
            ("ddpm.model", self.model.clone()),
            ("ddpm.model_digest", self.digest.clone()),
            ("ddpm.seed", self.seed.to_string()),
            ("ddpm.sampler", self.sampler()),
            ("ddpm.agreement", format!("{} of {}", self.agree, self.count)),
        ]
        .map(|(keyword, value)| (keyword.to_owned(), value))
        .to_vec()
    }

    fn sampler(&self) -> String {
        let DefaultSampler { sampler, num_steps, grid } = &self.sampler;
        format!("{sampler}, {num_steps} steps, grid {grid}")
    }
}

fn classes(names: &[String], pairs: &[(usize, usize)]) -> Vec<Class> {
    let class = |(label, name): (usize, &String)| {
        let of_class = pairs.iter().filter(|(requested, _)| *requested == label);
        Class {
            name: name.clone(),
            requested: of_class.clone().count(),
            agree: of_class.filter(|(requested, seen)| requested == seen).count(),
        }
    };
    names.iter().enumerate().map(class).collect()
}

fn misses(names: &[String], pairs: &[(usize, usize)]) -> Vec<Miss> {
    let differing = pairs.iter().enumerate().filter(|(_, (requested, seen))| requested != seen);
    differing
        .map(|(index, &(requested, seen))| Miss {
            index,
            requested: names[requested].clone(),
            seen: names[seen].clone(),
        })
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model       {}, digest {}", self.model, self.digest)?;
        writeln!(f, "samples     {}, seed {}, {}", self.count, self.seed, self.sampler())?;
        let accuracy = 100.0 * self.classifier_accuracy;
        writeln!(f, "classifier  {accuracy:.2} % correct on {} held-out glyphs", self.held_out)?;
        writeln!(
            f,
            "agreement   {:.1} %: {} of {} samples",
            100.0 * self.share,
            self.agree,
            self.count
        )?;
        for Class { name, requested, agree } in &self.classes {
            writeln!(f, "  {name:9} {agree:3} of {requested}")?;
        }
        for Miss { index, requested, seen } in &self.misses {
            writeln!(f, "sample {index} should show {requested}, but the classifier sees {seen}")?;
        }
        Ok(())
    }
}
