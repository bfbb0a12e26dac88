//! The language: modules, resolution, lowering to a form without names, and the interpreter.
//!
//! A [`Compiler`] turns texts into [`Script`]s, [`PipelineDefinition`]s and [`Deployment`]s, or into all that is
//! wrong with them. It does no IO: modules come from a [`SourceLoader`], native functions from a [`Functions`]
//! table, both handed in. What it gives is immutable and may be shared between threads.

mod compiler;
mod deploy;
mod error;
mod eval;
mod expression;
mod extract;
mod function;
mod ir;
mod limits;
mod lower;
pub mod ops;
mod query;
mod scope;
mod script;
mod session;
mod source;
pub mod testing;

pub use compiler::{Compiled, Compiler, Failure};
pub use deploy::{
    ConnectorDefinition, ConnectorInstance, Deployment, Endpoint, EndpointKind, Flow, FlowDefinition, Link,
    PipelineInstance, Setting, Settings, no_args,
};
pub use error::RuntimeError;
pub use eval::Operand;
pub use expression::{Expression, Inputs};
pub use extract::{Example, ExtractorInfo, extractors};
pub use function::{Arity, Call, Context, FunctionError, Functions, Host, Native, Origin, Update};
pub use limits::{Limit, limits};
pub use query::{
    Argument, Arguments, Channel, Create, GivenArgument, Named, OperatorDefinition, PipelineDefinition,
    ScriptDefinition, Select, Statement,
};
pub use script::{Outcome, Script};
pub use source::{Directories, Embedded, Layered, Lookup, Source, SourceLoader, find};
