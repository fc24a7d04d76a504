//! Measures how far samples are from data.
//!
//! Every measure compares two sets of rows: features of pictures, or points of the plane. Rows
//! arrive in batches, into [`Features`] where a measure needs them all, or into [`Statistics`],
//! which keep a mean and a covariance. All arithmetic is f64 unless documented otherwise; only
//! [`StatisticsFile`] and [`read_array`] do I/O.
//!
//! | measure | of | best |
//! |---|---|---|
//! | [`frechet_distance`] | two means and covariances | 0 |
//! | [`kid`] | subsets of rows | 0 |
//! | [`fidelity`]: precision, recall, density, coverage | nearest neighbours | 1 |
//! | [`classifier_score`] | class probabilities of the samples alone | the number of classes |
//! | [`sliced_wasserstein`] | rows, seen from random directions | 0 |
//! | [`HistogramKl`], [`mode_coverage`] | points of the plane | 0, all modes |
//!
//! The name FID is reserved for the first measure with one extractor (Inception, 2048 features), so
//! only callers that know the extractor may use it. The same holds for the Inception score, the
//! [`classifier_score`] of that network.
//!
//! ```
//! use ddpm_measures::{Statistics, frechet_distance};
//!
//! let (mut data, mut samples) = (Statistics::new(2)?, Statistics::new(2)?);
//! data.push(&[0.0, 0.0, 1.0, 1.0, 2.0, 0.0])?;
//! samples.push(&[3.0, 0.0, 4.0, 1.0])?;
//! samples.push(&[5.0, 0.0])?;
//! // The same shape, moved by 3.
//! let distance = frechet_distance(&data.gaussian()?, &samples.gaussian()?)?;
//! assert!((distance - 9.0).abs() < 1e-12);
//! # Ok::<(), ddpm_measures::Error>(())
//! ```

mod error;
pub use error::Error;

mod features;
pub use features::Features;

mod draws;
mod matrix;

mod gaussian;
pub use gaussian::{Gaussian, MAX_DIM};

mod statistics;
pub use statistics::Statistics;

mod frechet;
pub use frechet::frechet_distance;

mod ratio;
pub use ratio::{FrechetRatio, frechet_ratio};

mod kid;
pub use kid::{Kid, KidOptions, kid, polynomial_mmd2};

mod distances;
pub use distances::Arithmetic;

mod manifold;
pub use manifold::Manifold;

mod fidelity;
pub use fidelity::{Fidelity, FidelityOptions, fidelity};

mod classifier_score;
pub use classifier_score::{ClassRows, ClassifierScore, classifier_score};

mod sliced;
pub use sliced::{Order, SlicedOptions, sliced_wasserstein, sliced_wasserstein_along};

mod histogram;
pub use histogram::{HistogramKl, histogram_kl};

mod modes;
pub use modes::{ModeCoverage, mode_coverage};

mod array_file;
pub use array_file::read_array;

mod statistics_file;
pub use statistics_file::StatisticsFile;
