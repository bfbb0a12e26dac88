//! The native side of the standard library, and its sources embedded in the binary.
//!
//! A library module is a file in `lib/`; what the language cannot express is bound there with `intrinsic fn` to one
//! of the functions of [`functions`]. One file here per registry module, one line in it per function.

mod array;
mod base64;
mod binary;
mod debug;
mod embedded;
mod json;
mod number;
mod origin;
mod path;
mod plain;
mod record;
mod string;
mod system;
mod test;
mod types;
mod url;

pub use embedded::{EmbeddedLibrary, loader};

use std::sync::Arc;
use tremor_lang::{Compiler, FunctionError, Functions, Native};
use tremor_value::{Record, Value};

/// All native functions.
#[must_use]
pub fn functions() -> Functions {
    let modules: [&[Native]; 13] = [
        array::FUNCTIONS,
        base64::FUNCTIONS,
        binary::FUNCTIONS,
        json::FUNCTIONS,
        number::FUNCTIONS,
        origin::FUNCTIONS,
        path::FUNCTIONS,
        record::FUNCTIONS,
        string::FUNCTIONS,
        system::FUNCTIONS,
        test::FUNCTIONS,
        types::FUNCTIONS,
        url::FUNCTIONS,
    ];
    Functions::new(modules.into_iter().flatten().copied())
}

/// A compiler with all native functions that looks for modules in the directories of `tremor_path`, a list as in
/// the environment variable `TREMOR_PATH`, and in the embedded library last.
///
/// Without a list the directories are `/usr/local/share/tremor` and `/usr/share/tremor/lib`.
#[must_use]
pub fn compiler(tremor_path: Option<&str>) -> Compiler {
    Compiler::new(Arc::new(loader(tremor_path)), Arc::new(functions()))
}

/// What a native function gives back.
type Outcome = Result<Value, FunctionError>;

fn text(value: &Value) -> Result<&str, FunctionError> {
    value.as_str().ok_or(FunctionError::BadType)
}

fn array_of(value: &Value) -> Result<&[Value], FunctionError> {
    value.as_array().ok_or(FunctionError::BadType)
}

fn record_of(value: &Value) -> Result<&Record, FunctionError> {
    value.as_record().ok_or(FunctionError::BadType)
}

fn count(number: usize) -> Value {
    Value::from(u64::try_from(number).unwrap_or(u64::MAX))
}
