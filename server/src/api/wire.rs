//! Conversions between the enums on the wire and our own types.

use ddpm_proto::v1;

use crate::frames::Encoding;
use crate::outbox::{Delivery, FrameKind};

pub(crate) fn encoding(wire: v1::Format, default: Encoding) -> Encoding {
    match wire {
        v1::Format::Unspecified => default,
        v1::Format::RawU8 => Encoding::RawU8,
        v1::Format::RawF32 => Encoding::RawF32,
        v1::Format::Png => Encoding::Png,
    }
}

pub(crate) fn format(encoding: Encoding) -> v1::Format {
    match encoding {
        Encoding::RawU8 => v1::Format::RawU8,
        Encoding::RawF32 => v1::Format::RawF32,
        Encoding::Png => v1::Format::Png,
    }
}

pub(crate) fn delivery(wire: v1::Delivery) -> Delivery {
    match wire {
        v1::Delivery::Unspecified | v1::Delivery::Latest => Delivery::Latest,
        v1::Delivery::All => Delivery::All,
    }
}

pub(crate) fn preview_kind(kind: FrameKind) -> v1::PreviewKind {
    match kind {
        FrameKind::X0 => v1::PreviewKind::X0,
        FrameKind::XT => v1::PreviewKind::XT,
    }
}
