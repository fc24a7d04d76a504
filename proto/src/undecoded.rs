//! The services on the server, with requests that are not decoded yet.
//!
//! A message of 16 MiB can become hundreds of megabytes. A method therefore gets the bytes of a
//! message, [measures](crate::measure) them, and decodes them where and when there is room. And it
//! says itself what is wrong with bytes that are no message.

use std::marker::PhantomData;

use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::ProstEncoder;

/// The generated servers; their methods are those of `v1`, from bytes.
#[allow(missing_docs, clippy::all)]
mod generated {
    tonic::include_proto!("ddpm.v1.SamplingService");
    tonic::include_proto!("ddpm.v1.ModelService");
    tonic::include_proto!("ddpm.v1.ServerService");
}
pub use generated::{model_service_server, sampling_service_server, server_service_server};

/// Hands out the bytes of requests, and encodes answers.
#[derive(Debug, Clone)]
pub struct BytesCodec<T>(PhantomData<T>);

impl<T> Default for BytesCodec<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + 'static> Codec for BytesCodec<T> {
    type Encode = T;
    type Decode = Bytes;
    type Encoder = ProstEncoder<T>;
    type Decoder = BytesDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BytesDecoder
    }
}

/// Hands out the bytes of requests, and takes answers that are encoded already: a large one waits
/// for its reader, and whoever made it counts the memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct EncodedCodec;

impl Codec for EncodedCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = EncodedEncoder;
    type Decoder = BytesDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        EncodedEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        BytesDecoder
    }
}

/// Copies an encoded message, into a buffer of no more than its size.
#[derive(Debug, Clone, Copy)]
pub struct EncodedEncoder;

impl Encoder for EncodedEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(item.len());
        buf.put(item);
        Ok(())
    }
}

/// Hands out the bytes of a message.
#[derive(Debug, Clone, Copy)]
pub struct BytesDecoder;

impl Decoder for BytesDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining())))
    }
}
