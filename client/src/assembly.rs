//! Bytes of the wire → whole samples, each checked against its digest.
//!
//! A `Packed` holds many small samples; a large sample comes in parts, in order.
//! Lengths are checked against the shape, so a [`Sample`] has exactly the elements
//! of its shape.

use std::collections::BTreeMap;

use ddpm_proto::v1;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::events::{Data, Sample};
use crate::settings::Format;

/// The samples that have arrived only in part.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    parts: BTreeMap<u64, Vec<u8>>,
}

impl Assembly {
    /// Takes one event and returns the samples that it completes.
    pub(crate) fn take(&mut self, samples: v1::Samples) -> Result<Vec<Sample>, Error> {
        let packed = samples.packed.ok_or_else(|| violation("samples without data"))?;
        if samples.sha256.len() != packed.indices.len() {
            return Err(violation("the number of digests is not that of the samples"));
        }
        if samples.total_bytes == 0 {
            let whole = unpack(&packed, &packed.data)?;
            whole
                .iter()
                .zip(&samples.sha256)
                .try_for_each(|((index, bytes), sha256)| verify(*index, bytes, sha256))?;
            return decode_all(&packed, whole);
        }
        self.take_part(&packed, &samples.sha256, samples.offset, samples.total_bytes)
    }

    /// Returns the lowest index that has arrived only in part.
    pub(crate) fn unfinished(&self) -> Option<u64> {
        self.parts.keys().next().copied()
    }

    fn take_part(
        &mut self,
        packed: &v1::Packed,
        sha256: &[impl AsRef<[u8]>],
        offset: u64,
        total_bytes: u64,
    ) -> Result<Vec<Sample>, Error> {
        let ([index], [sha256]) = (packed.indices.as_slice(), sha256) else {
            return Err(violation("a part of a sample comes with another index"));
        };
        let part = self.parts.entry(*index).or_default();
        if part.len() as u64 != offset {
            return Err(violation(&format!(
                "sample {index} continues at byte {offset}, but {} have arrived",
                part.len()
            )));
        }
        part.extend_from_slice(&packed.data);
        let length = part.len() as u64;
        if length > total_bytes || packed.data.is_empty() {
            return Err(violation(&format!("a part of sample {index} has a wrong length")));
        }
        if length < total_bytes {
            return Ok(Vec::new());
        }
        let whole = self.parts.remove(index).unwrap_or_default();
        verify(*index, &whole, sha256.as_ref())?;
        decode_all(packed, vec![(*index, &whole)])
    }
}

/// Decodes the samples of a preview; previews have no digests.
pub(crate) fn preview_samples(packed: &v1::Packed) -> Result<Vec<Sample>, Error> {
    decode_all(packed, unpack(packed, &packed.data)?)
}

/// Cuts `data` into one piece per index.
fn unpack<'a>(packed: &v1::Packed, data: &'a [u8]) -> Result<Vec<(u64, &'a [u8])>, Error> {
    let lengths = lengths(packed)?;
    let mut rest = data;
    let mut pieces = Vec::with_capacity(lengths.len());
    for (&index, length) in packed.indices.iter().zip(lengths) {
        let (piece, after) =
            rest.split_at_checked(length).ok_or_else(|| violation("packed data ends early"))?;
        pieces.push((index, piece));
        rest = after;
    }
    if rest.is_empty() { Ok(pieces) } else { Err(violation("packed data has bytes left over")) }
}

fn lengths(packed: &v1::Packed) -> Result<Vec<usize>, Error> {
    let count = packed.indices.len();
    if count == 0 {
        return Err(violation("packed data without samples"));
    }
    match packed.lengths.len() {
        0 => Ok(vec![packed.data.len() / count; count]),
        n if n == count => Ok(packed.lengths.iter().map(|&length| length as usize).collect()),
        _ => Err(violation("the number of lengths is not that of the samples")),
    }
}

fn decode_all(packed: &v1::Packed, pieces: Vec<(u64, &[u8])>) -> Result<Vec<Sample>, Error> {
    let format = Format::from_proto(packed.format)?
        .ok_or_else(|| violation("packed data without a format"))?;
    pieces
        .into_iter()
        .map(|(index, bytes)| {
            let data = decode(format, &packed.shape, bytes)?;
            Ok(Sample { index, shape: packed.shape.clone(), data })
        })
        .collect()
}

fn decode(format: Format, shape: &[u32], bytes: &[u8]) -> Result<Data, Error> {
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &side| product.checked_mul(side as usize))
        .ok_or_else(|| violation(&format!("the shape {shape:?} is too large")))?;
    let fits = |bytes_each: usize| elements.checked_mul(bytes_each) == Some(bytes.len());
    match format {
        Format::RawU8 if fits(1) => Ok(Data::Pixels(bytes.to_vec())),
        Format::RawF32 if fits(4) => {
            let (words, _) = bytes.as_chunks::<4>();
            Ok(Data::Values(words.iter().copied().map(f32::from_le_bytes).collect()))
        }
        Format::Png => Ok(Data::Png(bytes.to_vec())),
        Format::RawU8 | Format::RawF32 => Err(violation(&format!(
            "{} bytes do not fill the shape {shape:?} as {format}",
            bytes.len()
        ))),
    }
}

fn verify(index: u64, bytes: &[u8], sha256: &[u8]) -> Result<(), Error> {
    if Sha256::digest(bytes).as_slice() == sha256 { Ok(()) } else { Err(Error::Damaged { index }) }
}

fn violation(what: &str) -> Error {
    Error::Protocol(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes an event with the bytes of one sample of shape 2 x 2 x 1.
    fn part(offset: usize, data: &[u8], whole: &[u8], split: bool) -> v1::Samples {
        v1::Samples {
            packed: Some(v1::Packed {
                indices: vec![5],
                format: v1::Format::RawU8.into(),
                shape: vec![2, 2, 1],
                data: data.to_vec().into(),
                lengths: Vec::new(),
            }),
            sha256: vec![Sha256::digest(whole).to_vec().into()],
            offset: offset as u64,
            total_bytes: if split { whole.len() as u64 } else { 0 },
            ..Default::default()
        }
    }

    #[test]
    fn a_split_sample_is_put_together_from_its_parts() {
        let whole = [1, 2, 3, 4];
        let mut assembly = Assembly::default();

        assert!(assembly.take(part(0, &whole[..3], &whole, true)).unwrap().is_empty());
        assert_eq!(assembly.unfinished(), Some(5));
        let samples = assembly.take(part(3, &whole[3..], &whole, true)).unwrap();

        assert_eq!(samples[0].data, Data::Pixels(whole.to_vec()));
        assert_eq!(assembly.unfinished(), None);
    }

    #[test]
    fn a_gap_between_parts_is_a_violation() {
        let whole = [1, 2, 3, 4];
        let mut assembly = Assembly::default();
        assembly.take(part(0, &whole[..2], &whole, true)).unwrap();

        let error = assembly.take(part(3, &whole[3..], &whole, true)).unwrap_err();

        assert!(error.to_string().contains("continues at byte 3, but 2 have arrived"), "{error}");
    }

    #[test]
    fn a_flipped_bit_is_detected_by_its_digest() {
        let error = Assembly::default().take(part(0, &[1, 2, 3, 5], &[1, 2, 3, 4], false));

        assert!(matches!(error, Err(Error::Damaged { index: 5 })));
    }

    #[test]
    fn bytes_that_do_not_fill_the_shape_are_a_violation() {
        let error = Assembly::default().take(part(0, &[1, 2, 3], &[1, 2, 3], false));

        assert!(matches!(error, Err(Error::Protocol(_))));
    }

    #[test]
    fn packed_samples_are_cut_by_their_lengths() {
        let packed = v1::Packed {
            indices: vec![9, 4],
            format: v1::Format::Png.into(),
            shape: vec![1, 1, 3],
            data: vec![7, 8, 9].into(),
            lengths: vec![1, 2],
        };

        let samples = preview_samples(&packed).unwrap();
        let too_long = v1::Packed { lengths: vec![2, 2], ..packed.clone() };
        let too_short = v1::Packed { lengths: vec![1, 1], ..packed };

        assert_eq!((samples[0].index, &samples[0].data), (9, &Data::Png(vec![7])));
        assert_eq!((samples[1].index, &samples[1].data), (4, &Data::Png(vec![8, 9])));
        assert!(preview_samples(&too_long).is_err() && preview_samples(&too_short).is_err());
    }
}
