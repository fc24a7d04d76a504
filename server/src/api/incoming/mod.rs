//! A request before it is decoded: how large it is, and what decoding and checking it takes.

use bytes::{Buf, BufMut, Bytes};
use ddpm_diffusion::Program;
use ddpm_proto::measure::shapes::{COMPILE_REQUEST, GENERATE_REQUEST};
use ddpm_proto::measure::{Measured, Refusal, Shape, measure};
use ddpm_proto::v1;
use prost::encoding::{DecodeContext, WireType, message, skip_field};
use prost::{DecodeError, Message};

use super::checks::SMALL_ROWS;
use crate::error::{Error, Violation};

/// Largest message that is measured before it gets its turn, in bytes: that takes at most half a
/// millisecond.
const SMALL_BYTES: usize = 64 << 10;

/// Steps of a request that leaves them to the model, for the estimate.
const STEPS: u64 = 1000;

/// Bytes, and elements of lists, that take as long to check as a row.
const BYTES_PER_ROW: u64 = 64;
const ELEMENTS_PER_ROW: u64 = 10;

/// The messages of the sampling service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Generate,
    Compile,
}

/// A message that is measured.
#[derive(Debug)]
pub(super) struct Size {
    /// Rows that a check of it is worth.
    pub(super) work: u64,
    /// Estimated rows of its program, at most [`Program::MAX_ROWS`].
    pub(super) rows: u64,
    /// Bytes of memory that decoding takes, beside the message.
    pub(super) bytes: u64,
}

impl Kind {
    /// Returns the size of a check: exact for a small message, a guess by its length for a large
    /// one, which is measured when it gets its turn.
    ///
    /// # Errors
    ///
    /// As [`Kind::size`].
    pub(crate) fn guess(self, message: &[u8], max_samples: u32) -> Result<u64, Error> {
        if message.len() > SMALL_BYTES {
            return Ok((message.len() as u64 / BYTES_PER_ROW).max(SMALL_ROWS + 1));
        }
        self.size(message, max_samples).map(|size| size.work)
    }

    /// Measures a message.
    ///
    /// * `max_samples`: most samples of a request.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`], or [`Error::Invalid`] with the list that is too long.
    pub(super) fn size(self, message: &[u8], max_samples: u32) -> Result<Size, Error> {
        // One more than what is allowed goes on, to be refused with the other faults.
        let max = u64::from(max_samples).max(Program::MAX_ROWS as u64) + 1;
        let measured =
            measure(self.shape(), message, max).map_err(|refusal| self.refused(refusal))?;
        // With more, the request is refused before any are made.
        let rows = self.rows(message, &measured)?.min(Program::MAX_ROWS as u64);
        let elements = measured.total() / ELEMENTS_PER_ROW;
        let work = rows + elements + message.len() as u64 / BYTES_PER_ROW;
        Ok(Size { work, rows, bytes: measured.bytes })
    }

    /// Decodes the request in a message.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`], or [`Error::Invalid`] if there is none.
    pub(super) fn decode(self, message: Bytes) -> Result<v1::GenerateRequest, Error> {
        match self {
            Self::Generate => decode(message),
            Self::Compile => {
                let message: v1::CompileRequest = decode(message)?;
                let Some(mut request) = message.request else {
                    return Err(invalid("request", "is required"));
                };
                let anything = v1::generate_request::Samples::SampleCount(1);
                request.samples.get_or_insert(anything);
                Ok(request)
            }
        }
    }

    fn shape(self) -> &'static Shape {
        match self {
            Self::Generate => &GENERATE_REQUEST,
            Self::Compile => &COMPILE_REQUEST,
        }
    }

    /// The place of the request in the message.
    fn prefix(self) -> &'static str {
        match self {
            Self::Generate => "",
            Self::Compile => "request.",
        }
    }

    fn refused(self, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Undecodable(error) => Error::Undecodable(error.to_string()),
            Refusal::TooMany { field, max } => {
                let field = field.strip_prefix(self.prefix()).unwrap_or(&field);
                let max = max - 1;
                invalid(field, &format!("holds more than {max} elements; split the request"))
            }
        }
    }

    /// Estimates the rows of the request's program, from what can be read without decoding it.
    fn rows(self, message: &[u8], measured: &Measured) -> Result<u64, Error> {
        let outline = match self {
            Self::Generate => decode(message)?,
            Self::Compile => decode::<CompileOutline>(message)?.request.unwrap_or_default(),
        };
        let elements = |path: &str| {
            let path = format!("{}{path}", self.prefix());
            measured.elements(self.shape(), &path)
        };
        let own = elements("sampler.program.rows");
        let is_own = outline.sampler.as_ref().is_some_and(|sampler| sampler.kind == PROGRAM);
        if own > 0 && is_own {
            return Ok(own);
        }
        let points = elements("grid_options.timesteps") + elements("grid_options.sigmas");
        let steps = match (outline.num_steps, points) {
            (Some(steps), _) => u64::from(steps).max(points),
            (None, 0) => STEPS,
            (None, points) => points,
        };
        let sections = elements("grid_options.sections") > 0;
        let steps = if sections { steps.max(STEPS) } else { steps };
        // ddpm-torch's grid has every ⌊T/S⌋-th timestep, up to twice as many as steps.
        let torch = outline.grid == i32::from(v1::Grid::DdpmTorchLinear);
        let rows = outline.rows(if torch { steps.saturating_mul(2) } else { steps });
        // Rows that another sampler replaces are decoded nevertheless.
        Ok(rows.max(own))
    }
}

/// Decodes a message.
///
/// # Errors
///
/// [`Error::Undecodable`].
pub(super) fn decode<M: Message + Default>(message: impl Buf) -> Result<M, Error> {
    M::decode(message).map_err(|error| Error::Undecodable(error.to_string()))
}

fn invalid(field: &str, description: &str) -> Error {
    let (field, description) = (field.into(), description.into());
    Error::Invalid(vec![Violation { field, description }])
}

/// The parts of a `CompileRequest` that say how many rows it has.
#[derive(Clone, PartialEq, prost::Message)]
struct CompileOutline {
    #[prost(message, optional, tag = "1")]
    request: Option<Outline>,
}

/// The parts of a `GenerateRequest` that say how many rows it has; the rest is read over.
#[derive(Clone, PartialEq, prost::Message)]
struct Outline {
    #[prost(message, optional, tag = "7")]
    sampler: Option<SamplerOutline>,
    #[prost(uint32, optional, tag = "8")]
    num_steps: Option<u32>,
    #[prost(int32, tag = "9")]
    grid: i32,
    #[prost(message, optional, tag = "19")]
    inpaint: Option<InpaintOutline>,
}

/// Numbers of kinds of `Sampler`.
const RESTART: u32 = 16;
const PROGRAM: u32 = 21;

/// Of `Sampler`. Implemented by hand: a message may set its kind several times, and the last one
/// counts.
#[derive(Debug, Clone, PartialEq, Default)]
struct SamplerOutline {
    /// The number of the last kind.
    kind: u32,
    restart: v1::Restart,
}

impl Message for SamplerOutline {
    fn encode_raw(&self, _: &mut impl BufMut) {}

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.kind = tag;
        if tag == RESTART {
            return message::merge(wire_type, &mut self.restart, buf, context);
        }
        skip_field(wire_type, tag, buf, context)
    }

    fn encoded_len(&self) -> usize {
        0
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Of `Inpaint`.
#[derive(Clone, PartialEq, prost::Message)]
struct InpaintOutline {
    #[prost(message, optional, tag = "3")]
    replace_x_t: Option<v1::ReplaceXt>,
}

impl Outline {
    /// Estimates rows: two for each step, as often as each is resampled, and those of restarts.
    fn rows(&self, steps: u64) -> u64 {
        let sampler = self.sampler.as_ref();
        let restarts = sampler.filter(|sampler| sampler.kind == RESTART).map_or(0, |sampler| {
            let restart = sampler.restart;
            let or = |number: u32, default| u64::from(if number == 0 { default } else { number });
            or(restart.steps, 4).saturating_mul(or(restart.repeats, 2)).saturating_mul(2)
        });
        let inpaint = self.inpaint.as_ref().and_then(|inpaint| inpaint.replace_x_t);
        let resampling = inpaint.map_or(1, |repaint| u64::from(repaint.resampling.max(1)));
        steps.saturating_mul(2).saturating_mul(resampling).saturating_add(restarts)
    }
}

#[cfg(test)]
mod tests;
