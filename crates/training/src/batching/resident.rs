//! A data set of pictures in the memory of the network's device.
//!
//! It is uploaded once, as bytes. A step then gathers, mirrors, scales and mixes its rows there.
//! Only the draws come from the host: items, flips, points of the process, and noise, whose
//! arithmetic is our own so that it is the same on every machine. Each operation rounds as in
//! [`Rows`](crate::Rows), so a batch has the same bits wherever it is made.

use ddpm_data::{Dataset, model_scale};
use ddpm_diffusion::{Evaluation, Parameterisation, Point};
use tch::{Device, Kind, TchError, Tensor};

use crate::batching::rows::Samples;
use crate::config::DataOn;
use crate::error::TrainError;

/// Most bytes that `auto` keeps on a GPU. CIFAR-10 has 150 MiB, CelebA at 64×64 2.4 GiB.
const AUTO_BYTES: usize = 1 << 30;

/// All pictures of a data set on a device.
#[derive(Debug)]
pub(crate) struct Resident {
    /// `[N, C, H, W]`, u8.
    pixels: Tensor,
    /// The 256 levels at model scale, `[256]`, f32.
    levels: Tensor,
}

/// The draws for the rows of a step.
#[derive(Debug, Default)]
pub(crate) struct Picks {
    items: Vec<i64>,
    flips: Vec<bool>,
    /// `[B, …shape]`.
    noise: Vec<f32>,
    mixes: Vec<Mix>,
}

/// Linear combinations of x_0 and ε, as the coefficients of the two.
#[derive(Debug, Clone, Copy)]
struct Mix {
    x_t: [f64; 2],
    c_in: f64,
    target: [f64; 2],
}

impl Resident {
    /// Uploads a data set, if it consists of pictures and `data_on` puts it on the device.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the device has too little memory.
    pub(crate) fn load(
        dataset: &Dataset,
        data_on: DataOn,
        device: Device,
    ) -> Result<Option<Self>, TrainError> {
        let Some((pixels, [channels, height, width])) = dataset.all_pixels() else {
            return Ok(None);
        };
        let uploads = match data_on {
            DataOn::Auto => device.is_cuda() && pixels.len() <= AUTO_BYTES,
            DataOn::Host => false,
            DataOn::Device => true,
        };
        if !uploads {
            return Ok(None);
        }
        let shape = [-1, channels as i64, height as i64, width as i64];
        Self::upload(pixels, shape, device).map(Some).map_err(|cause| TrainError::Setting {
            setting: "data_on",
            problem: format!(
                "cannot put {} MiB of pictures on {device:?} ({cause}): use host",
                pixels.len() >> 20
            ),
        })
    }

    fn upload(pixels: &[u8], shape: [i64; 4], device: Device) -> Result<Self, TchError> {
        let levels: Vec<f32> = (0..=u8::MAX).map(model_scale).collect();
        Ok(Self {
            pixels: Tensor::f_from_slice(pixels)?.f_reshape(shape)?.f_to_device(device)?,
            levels: Tensor::f_from_slice(&levels)?.f_to_device(device)?,
        })
    }

    /// Makes the samples of the picked rows.
    ///
    /// # Errors
    ///
    /// libtorch's, if memory is short.
    pub(crate) fn samples(&self, picks: &Picks) -> Result<Samples, TchError> {
        let device = self.pixels.device();
        let x_0 = self.x_0(picks)?;
        let noise = Tensor::f_from_slice(&picks.noise)?.f_to_device(device)?.f_view_as(&x_0)?;
        let column = |coefficient: fn(&Mix) -> f64| {
            let column: Vec<f32> = picks.mixes.iter().map(|mix| coefficient(mix) as f32).collect();
            Tensor::f_from_slice(&column)?.f_reshape([-1, 1, 1, 1])?.f_to_device(device)
        };
        let mix = |of_x_0: &Tensor, of_noise: &Tensor| {
            of_x_0.f_mul(&x_0)?.f_add(&of_noise.f_mul(&noise)?)
        };
        let mut x_t = mix(&column(|mix| mix.x_t[0])?, &column(|mix| mix.x_t[1])?)?;
        if picks.mixes.iter().any(|mix| mix.c_in != 1.0) {
            x_t = x_t.f_mul(&column(|mix| mix.c_in)?)?;
        }
        let target = mix(&column(|mix| mix.target[0])?, &column(|mix| mix.target[1])?)?;
        Ok(Samples { x_t, target, x_0 })
    }

    /// Gathers the picked pictures, at model scale.
    fn x_0(&self, picks: &Picks) -> Result<Tensor, TchError> {
        let device = self.pixels.device();
        let items = Tensor::f_from_slice(&picks.items)?.f_to_device(device)?;
        let flips = Tensor::f_from_slice(&picks.flips)?.f_reshape([-1, 1, 1, 1])?;
        let picked = self.pixels.f_index_select(0, &items)?;
        let picked = picked.f_flip([3])?.f_where_self(&flips.f_to_device(device)?, &picked)?;
        let levels = picked.f_to_kind(Kind::Int)?.f_flatten(0, -1)?;
        self.levels.f_index_select(0, &levels)?.f_view_as(&picked)
    }
}

impl Clone for Resident {
    /// Makes another handle to the same memory, which is never written to.
    fn clone(&self) -> Self {
        Self { pixels: self.pixels.shallow_clone(), levels: self.levels.shallow_clone() }
    }
}

impl Picks {
    /// Adds a row.
    ///
    /// * `noise`: `[…shape]`.
    /// * `evaluation`: that of the network at `point`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diffusion`] if the prediction is undefined at that point.
    pub(crate) fn push(
        &mut self,
        (item, flip): (usize, bool),
        noise: &[f32],
        network: &Parameterisation,
        point: &Point,
        evaluation: &Evaluation,
    ) -> Result<(), TrainError> {
        let (of_x_0, of_noise) = network.target(point)?;
        self.items.push(item as i64);
        self.flips.push(flip);
        self.noise.extend_from_slice(noise);
        self.mixes.push(Mix {
            x_t: [point.alpha, point.sigma],
            c_in: evaluation.c_in,
            target: [of_x_0, of_noise],
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ddpm_data::{LoadOptions, Source, load};

    use super::*;

    #[test]
    fn pictures_are_kept_on_the_device_on_request_and_points_never() {
        let is_resident = |source: Source, data_on| {
            let dataset = load(&source, &LoadOptions::default()).unwrap();
            Resident::load(&dataset, data_on, Device::Cpu).unwrap().is_some()
        };
        let glyphs = || Source::Glyphs { size: 3 };
        assert!(is_resident(glyphs(), DataOn::Device));
        assert!(!is_resident(glyphs(), DataOn::Host));
        // `auto` uploads to GPUs only.
        assert!(!is_resident(glyphs(), DataOn::Auto));
        let points = "swissroll:3".parse().unwrap();
        assert!(!is_resident(points, DataOn::Device));
    }
}
