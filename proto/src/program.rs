//! `ddpm.v1.Program`, implemented by hand: the one message whose decoding is bounded.
//!
//! An empty row takes two bytes on the wire and hundreds in memory, so a message
//! of 16 MiB could become gigabytes before it is checked. Decoding therefore keeps
//! at most one row more than a program may have, which marks a program that is too
//! long, and skips the rest.

use ddpm_diffusion::Program as Checked;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, message, skip_field};
use prost::{DecodeError, Message};

use crate::v1::Row;

/// Number of the field `rows`.
const ROWS: u32 = 1;

/// A list of rows, each one application of one linear kernel to one sample; see
/// `sampling.proto`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    /// At least one. Decoding keeps at most one more than
    /// [`ddpm_diffusion::Program::MAX_ROWS`].
    pub rows: Vec<Row>,
}

impl Message for Program {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        message::encode_repeated(ROWS, &self.rows, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag == ROWS && self.rows.len() <= Checked::MAX_ROWS {
            message::merge_repeated(wire_type, &mut self.rows, buf, ctx)
        } else {
            skip_field(wire_type, tag, buf, ctx)
        }
    }

    fn encoded_len(&self) -> usize {
        message::encoded_len_repeated(ROWS, &self.rows)
    }

    fn clear(&mut self) {
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::sampler::Kind;
    use crate::v1::{Mix, Sampler};

    #[test]
    fn a_program_is_on_the_wire_what_the_contract_says() {
        let u = Some(Mix { h: vec![1.0, -2.0], ..Mix::default() });
        let rows = vec![Row { t: 3.5, u, ..Row::default() }, Row::default()];
        let program = Program { rows };
        let sampler = Sampler { kind: Some(Kind::Program(program.clone())) };
        let bytes = sampler.encode_to_vec();
        // Field 21 of Sampler, then each row as field 1 of Program.
        assert_eq!(bytes[..2], [0xaa, 0x01]);
        let own = program.encode_to_vec();
        assert_eq!(bytes[3..], own);
        assert_eq!(own[0], 0x0a);
        assert_eq!(own[own.len() - 2..], [0x0a, 0x00]);
        assert_eq!(own.len(), program.encoded_len());
        assert_eq!(Sampler::decode(&bytes[..]).unwrap(), sampler);
    }

    #[test]
    fn rows_beyond_the_limit_are_read_over_and_cost_no_memory() {
        let empty_rows = [0x0a, 0x00].repeat(1 << 23);
        let program = Program::decode(&empty_rows[..]).unwrap();
        assert_eq!(program.rows.len(), Checked::MAX_ROWS + 1);
        // A vector grows by doubling.
        assert!(program.rows.capacity() <= 2 * (Checked::MAX_ROWS + 1));
    }

    #[test]
    fn what_is_no_row_is_refused_or_read_over_as_in_any_message() {
        // Field 2, a number that a later version may know.
        assert_eq!(Program::decode(&[0x10, 0x05][..]).unwrap(), Program::default());
        // Field 1 is no number, and no row may be cut short.
        assert!(Program::decode(&[0x08, 0x05][..]).is_err());
        assert!(Program::decode(&[0x0a, 0x05][..]).is_err());
    }
}
