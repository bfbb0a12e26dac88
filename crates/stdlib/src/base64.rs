//! `base64` (`spec/stdlib.md` 2.2).

use crate::{Outcome, text};
use base64::{
    DecodeError, Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use tremor_lang::{FunctionError, Native};
use tremor_value::{Bytes, Value};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("base64", "encode", 1, |_, args| match args {
        [Value::Bytes(bytes)] => Ok(Value::from(ENGINE.encode(&**bytes))),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("base64", "decode", 1, |_, args| match args {
        [input] => decode(text(input)?),
        _ => Err(FunctionError::BadType),
    }),
];

fn decode(input: &str) -> Outcome {
    let bytes = ENGINE.decode(input).map_err(|error| {
        FunctionError::failed(match error {
            DecodeError::InvalidByte(offset, byte) => format!("Invalid symbol {byte}, offset {offset}."),
            DecodeError::InvalidLastSymbol { offset, symbol, .. } => {
                format!("Invalid last symbol {symbol}, offset {offset}.")
            }
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
                format!("Invalid input length: {}", input.len())
            }
        })
    })?;
    Ok(Value::from(Bytes::from(bytes)))
}
