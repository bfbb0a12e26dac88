//! The way in: texts to compiled programs.

use crate::{
    Functions, Script, SourceLoader,
    deploy::{self, Deployment},
    query::{self, PipelineDefinition},
    session::Session,
};
use std::{fmt, num::NonZeroU32, sync::Arc};
use tremor_diagnostic::{Diagnostic, RenderOptions, SourceMap, render_all};

/// Compiles texts with the modules of one loader and the native functions of one table.
#[derive(Clone)]
pub struct Compiler {
    loader: Arc<dyn SourceLoader>,
    functions: Arc<Functions>,
    recursion_limit: NonZeroU32,
}

/// Rounds of one call, the first included, unless told otherwise (`spec/cli.md` 2.1).
pub(crate) const RECURSION_LIMIT: NonZeroU32 = match NonZeroU32::new(1024) {
    Some(limit) => limit,
    None => NonZeroU32::MIN,
};

impl fmt::Debug for Compiler {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Compiler").field("places", &self.loader.describe()).finish_non_exhaustive()
    }
}

/// A program that can be run, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Compiled<T> {
    /// The program.
    pub program: T,
    /// Warnings, in the order in which they are shown.
    pub warnings: Vec<Diagnostic>,
    /// All texts that went into the program; errors of its runs are rendered with them.
    pub sources: Arc<SourceMap>,
}

/// What is wrong with a program.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Errors first, then warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// All texts that were read.
    pub sources: Arc<SourceMap>,
}

impl Failure {
    /// All reports as a command prints them.
    #[must_use]
    pub fn render(&self, options: RenderOptions) -> String {
        render_all(&self.diagnostics, &self.sources, options)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(RenderOptions { file_name: true, colour: false }))
    }
}

impl std::error::Error for Failure {}

impl Compiler {
    /// A compiler over `loader` and `functions`.
    #[must_use]
    pub fn new(loader: Arc<dyn SourceLoader>, functions: Arc<Functions>) -> Self {
        Self { loader, functions, recursion_limit: RECURSION_LIMIT }
    }

    /// Sets how many rounds, the first included, a call may take when its function calls itself with `recur`; 1024
    /// unless this is called.
    #[must_use]
    pub fn with_recursion_limit(mut self, limit: NonZeroU32) -> Self {
        self.recursion_limit = limit;
        self
    }

    /// Compiles a script. `name` is what reports call the text.
    ///
    /// # Errors
    /// Everything that is wrong with the script and the modules it uses.
    pub fn compile_script(&self, name: &str, text: &str) -> Result<Compiled<Script>, Failure> {
        self.compile(name, text, tremor_syntax::parse_script, |script, session| {
            query::script(&script.items, None, session)
        })
    }

    /// Compiles a stand-alone query.
    ///
    /// # Errors
    /// Everything that is wrong with the query and the modules it uses.
    pub fn compile_query(&self, name: &str, text: &str) -> Result<Compiled<PipelineDefinition>, Failure> {
        self.compile(name, text, tremor_syntax::parse_query, query::query)
    }

    /// Compiles a deployment and computes all values of the flows it deploys.
    ///
    /// # Errors
    /// Everything that is wrong with the deployment and the modules it uses.
    pub fn compile_deployment(&self, name: &str, text: &str) -> Result<Compiled<Deployment>, Failure> {
        self.compile(name, text, tremor_syntax::parse_deployment, deploy::deployment)
    }

    fn compile<Ast, T>(
        &self,
        name: &str,
        text: &str,
        parse: fn(tremor_diagnostic::FileId, &str) -> tremor_syntax::Parsed<Ast>,
        lower: fn(&Ast, &mut Session<'_>) -> T,
    ) -> Result<Compiled<T>, Failure> {
        let mut session = Session::new(&*self.loader, &self.functions, self.recursion_limit);
        let file = session.start(name, text);
        let parsed = parse(file, text);
        session.diagnostics.extend(parsed.diagnostics);
        let program = parsed.ast.as_ref().map(|ast| lower(ast, &mut session));
        let failed = session.has_errors();
        let (sources, diagnostics) = session.finish();
        let sources = Arc::new(sources);
        match program {
            Some(program) if !failed => Ok(Compiled { program, warnings: diagnostics, sources }),
            _ => Err(Failure { diagnostics, sources }),
        }
    }
}
