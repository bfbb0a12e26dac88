//! Source texts, positions in them, and reports about them.
//!
//! A [`Span`] is three numbers; lines and columns appear only when a [`Diagnostic`] is rendered. Nothing here
//! reads a file: names and texts are handed to the [`SourceMap`].

pub mod codes;
mod diagnostic;
mod render;
mod source;
mod suggest;

pub use codes::Code;
pub use diagnostic::{Diagnostic, Label, Severity, WarningClass};
pub use render::{Highlighter, RenderOptions, Style, render, render_all, render_highlighted};
pub use source::{FileId, FindSecrets, LineIndex, Position, SourceFile, SourceMap, Span, position, widen};
pub use suggest::{closest, closest_within, did_you_mean, distance};
