//! `system` (`spec/stdlib.md` 4.1).

use tremor_lang::{Host, Native};
use tremor_value::Value;

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::contextual("system", "hostname", 0, |context, _| {
        Ok(context.host.map_or("tremor_host.local", Host::hostname).into())
    }),
    Native::contextual("system", "ingest_ns", 0, |context, _| Ok(Value::from(context.ingest_ns))),
    Native::contextual("system", "instance", 0, |context, _| {
        Ok(context.host.map_or("tremor", Host::instance).into())
    }),
    Native::contextual("system", "nanotime", 0, |context, _| {
        Ok(Value::from(context.host.map_or(0, Host::now_ns)))
    })
    .warns(
        "`nanotime` requires a call to the operating system's time subsystem for each invocation, using `ingest_ns` as an alternative where possible is preferable.",
    ),
    Native::pure("system", "version", 0, |_, _| Ok(Value::from(env!("CARGO_PKG_VERSION")))),
];
