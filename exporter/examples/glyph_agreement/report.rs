//! What the judge found, for people and for machines.

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
    /// The judge's share of held-out glyphs told right.
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
    asked: usize,
    agree: usize,
}

/// A sample in which the judge sees another class.
#[derive(Debug, Serialize)]
struct Miss {
    index: usize,
    asked: String,
    seen: String,
}

impl Report {
    /// * `accuracy`: the judge's, in [0, 1].
    /// * `seen`: the class that it sees in each sample.
    pub(crate) fn new(package: &Package, samples: &Samples, accuracy: f64, seen: &[usize]) -> Self {
        let manifest = package.manifest();
        let pairs: Vec<(usize, usize)> =
            samples.asked.iter().copied().zip(seen.iter().copied()).collect();
        let (count, agree) =
            (pairs.len(), pairs.iter().filter(|(asked, seen)| asked == seen).count());
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
        let of_class = pairs.iter().filter(|(asked, _)| *asked == label);
        Class {
            name: name.clone(),
            asked: of_class.clone().count(),
            agree: of_class.filter(|(asked, seen)| asked == seen).count(),
        }
    };
    names.iter().enumerate().map(class).collect()
}

fn misses(names: &[String], pairs: &[(usize, usize)]) -> Vec<Miss> {
    let differing = pairs.iter().enumerate().filter(|(_, (asked, seen))| asked != seen);
    differing
        .map(|(index, &(asked, seen))| Miss {
            index,
            asked: names[asked].clone(),
            seen: names[seen].clone(),
        })
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model       {}, digest {}", self.model, self.digest)?;
        writeln!(f, "samples     {}, seed {}, {}", self.count, self.seed, self.sampler())?;
        let accuracy = 100.0 * self.classifier_accuracy;
        writeln!(f, "classifier  {accuracy:.2} % right on {} held-out glyphs", self.held_out)?;
        writeln!(
            f,
            "agreement   {:.1} %: {} of {} samples",
            100.0 * self.share,
            self.agree,
            self.count
        )?;
        for Class { name, asked, agree } in &self.classes {
            writeln!(f, "  {name:9} {agree:3} of {asked}")?;
        }
        for Miss { index, asked, seen } in &self.misses {
            writeln!(f, "sample {index} was asked to show {asked}, the classifier sees {seen}")?;
        }
        Ok(())
    }
}
