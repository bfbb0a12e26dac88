//! Bytes literals (`spec/language-script.md` section 14).

use super::{Env, Operand};
use crate::{
    error::{ErrorKind, RuntimeError},
    ir::{Bytes, BytesKind, BytesPart},
};
use tremor_value::Value;

/// Bits written so far, most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, right aligned.
    pending: u8,
    count: u32,
}

impl Bits {
    /// Appends the low `bits` bits of `number`.
    fn push(&mut self, number: u64, bits: u32) {
        for bit in (0..bits).rev() {
            self.pending = (self.pending << 1) | u8::from(number >> bit & 1 == 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.pending);
                self.pending = 0;
                self.count = 0;
            }
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.count == 0 {
            self.bytes.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|byte| self.push((*byte).into(), 8));
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending);
        }
        self.bytes
    }
}

pub(super) fn eval<'e>(literal: &'e Bytes, env: &Env<'e>) -> Result<Operand<'e>, RuntimeError> {
    let mut bits = Bits::default();
    for part in &literal.parts {
        let value = super::eval(&part.value, env)?;
        write(part, &value, &mut bits).map_err(|kind| RuntimeError::new(kind, part.span, literal.span))?;
    }
    Ok(Operand::Owned(Value::from(tremor_value::Bytes::from(bits.finish()))))
}

fn write(part: &BytesPart, value: &Value, bits: &mut Bits) -> Result<(), ErrorKind> {
    match part.kind {
        BytesKind::Binary(size) => {
            let expected = "a string or bytes";
            let Some(bytes) = value.as_text_bytes() else {
                return Err(ErrorKind::BytesType { expected, found: value.type_name() });
            };
            let wanted = size.unwrap_or(bytes.len());
            let Some(bytes) = bytes.get(..wanted) else {
                return Err(ErrorKind::BytesShort { wanted, have: bytes.len() });
            };
            bits.extend(bytes);
        }
        BytesKind::Integer { bits: size, signed, little } => {
            let number = match value {
                Value::I64(number) if signed || *number >= 0 => number.cast_unsigned(),
                Value::U64(number) => *number,
                Value::I64(_) => {
                    let expected = "an integer that is not negative";
                    return Err(ErrorKind::BytesType { expected, found: "negative integer" });
                }
                other => {
                    let expected = "an integer";
                    return Err(ErrorKind::BytesType { expected, found: other.type_name() });
                }
            };
            bits.push(if little { swap(number, size) } else { number }, size);
        }
    }
    Ok(())
}

/// The number whose low `size` bits are the low bytes of `number`, least significant byte first.
fn swap(number: u64, size: u32) -> u64 {
    let unused = 64 - 8 * size.div_ceil(8);
    number.swap_bytes() >> unused
}
