//! One compilation: sources read so far, modules, and what was found wrong.

use crate::{
    extract::{Extractors, KINDS},
    function::Functions,
    lower,
    scope::Scope,
    source::{Lookup, SourceLoader, find, siblings},
};
use std::{collections::HashMap, num::NonZeroU32, sync::Arc};
use tremor_diagnostic::{Code, Diagnostic, Severity, SourceMap, Span, closest, codes};
use tremor_syntax::ast;

/// How deep modules may use modules; each level is a level of the compiler's own stack.
const MODULE_DEPTH: usize = 32;

/// Size of a source text that is still compiled, in bytes.
const SOURCE_BYTES: usize = 16 * 1024 * 1024;

pub(crate) struct Session<'a> {
    pub(crate) loader: &'a dyn SourceLoader,
    pub(crate) functions: &'a Functions,
    pub(crate) sources: SourceMap,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Compiled modules by their text: the same text is the same module.
    modules: HashMap<Arc<str>, Arc<Scope>>,
    /// Extractors compiled so far.
    pub(crate) extractors: Extractors,
    /// How many pipeline definitions enclose what is compiled now.
    pub(crate) pipeline_depth: usize,
    /// Rounds of one call, the first included, that `recur` may make.
    pub(crate) recursion_limit: NonZeroU32,
    /// Texts being compiled, from the first file to the innermost module, with the names of their files.
    loading: Vec<(Arc<str>, String)>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        loader: &'a dyn SourceLoader,
        functions: &'a Functions,
        recursion_limit: NonZeroU32,
    ) -> Self {
        Self {
            loader,
            functions,
            sources: SourceMap::concealing(tremor_syntax::secrets),
            diagnostics: Vec::new(),
            modules: HashMap::new(),
            extractors: Extractors::new(KINDS),
            pipeline_depth: 0,
            recursion_limit,
            loading: Vec::new(),
        }
    }

    /// Takes the text in that the compilation starts with; cycles back to it are found too.
    pub(crate) fn start(&mut self, name: &str, text: &str) -> tremor_diagnostic::FileId {
        let text: Arc<str> = text.into();
        self.loading.push((Arc::clone(&text), name.to_owned()));
        self.sources.add(name, text)
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports an error that shows `lines` lines around the place.
    pub(crate) fn error_around(&mut self, code: Code, span: Span, lines: usize, message: impl Into<String>) {
        let outer = self.sources.widen(span, lines);
        self.report(Diagnostic::error(code, span, message).outer(outer));
    }

    /// Reports a part of the language that is parsed and cannot be run yet.
    pub(crate) fn not_yet(&mut self, span: Span, what: &str) {
        self.error_around(codes::NOT_YET, span, 2, format!("{what} can not be run by this version yet"));
    }

    /// Binds what a `use` names in `scope`.
    pub(crate) fn import(&mut self, statement: &ast::Use, scope: &mut Scope) {
        for import in statement.imports() {
            let Some(binding) = import.binding() else { continue };
            let module = self.module(&import, statement.span);
            scope.modules.insert(binding.text.clone(), module);
        }
    }

    /// The module that `import` names; a broken one, after a report, if it cannot be had.
    fn module(&mut self, import: &ast::Import, statement: Span) -> Arc<Scope> {
        let broken = || Arc::new(Scope { broken: true, ..Scope::default() });
        let path: Vec<&str> = import.path.iter().map(|segment| segment.text.as_str()).collect();
        let source = match self.find(&path) {
            Lookup::Found(source) => source,
            Lookup::Missing => {
                self.report_missing(&path, import.span);
                return broken();
            }
            Lookup::Unreadable(reason) => {
                let message = format!("Module `{}` can not be read: {reason}", path.join("::"));
                self.error_around(codes::MODULE_NOT_FOUND, import.span, 2, message);
                return broken();
            }
        };
        if let Some(module) = self.modules.get(&source.text) {
            return Arc::clone(module);
        }
        if let Some(start) = self.loading.iter().position(|(text, _)| *text == source.text) {
            let files = self.loading.iter().skip(start).map(|(_, name)| name.as_str());
            let cycle: Vec<&str> = files.chain([source.name.as_str()]).collect();
            let message = format!("Modules use each other in a cycle: {}", cycle.join(" -> "));
            self.report(Diagnostic::error(codes::MODULE_CYCLE, statement, message));
            return broken();
        }
        if self.loading.len() > MODULE_DEPTH || source.text.len() > SOURCE_BYTES {
            let message = if source.text.len() > SOURCE_BYTES {
                format!("{} is larger than {SOURCE_BYTES} bytes", source.name)
            } else {
                format!("Modules use modules more than {MODULE_DEPTH} levels deep")
            };
            self.error_around(codes::TOO_DEEP, import.span, 2, message);
            return broken();
        }
        self.loading.push((Arc::clone(&source.text), source.name.clone()));
        let file = self.sources.add(source.name, Arc::clone(&source.text));
        let module = Arc::new(self.compile_module(file, &source.text));
        self.loading.pop();
        self.modules.insert(source.text, Arc::clone(&module));
        module
    }

    /// `troy::…` means `tremor::…` unless there is a file of that name.
    fn find(&self, path: &[&str]) -> Lookup {
        let found = find(self.loader, path);
        match (&found, path.split_first()) {
            (Lookup::Missing, Some((&"troy", rest))) => {
                let path: Vec<&str> = std::iter::once("tremor").chain(rest.iter().copied()).collect();
                find(self.loader, &path)
            }
            _ => found,
        }
    }

    /// The `use` that is missing where `module` is mentioned: it binds no such name, and the library has one.
    pub(crate) fn missing_use(&self, scope: &Scope, module: &[ast::Ident]) -> Option<String> {
        let first = &module.first().filter(|first| !scope.modules.contains_key(&first.text))?.text;
        let roots = [&["std"][..], &["tremor"], &["std", "time"], &[]];
        let paths = roots.iter().map(|root| root.iter().copied().chain([first.as_str()]).collect::<Vec<_>>());
        let found = paths.filter(|path| matches!(self.find(path), Lookup::Found(_))).min_by_key(Vec::len)?;
        let path = found.join("::");
        Some(format!("`use {path};` is missing: each script, pipeline and flow needs its own"))
    }

    fn report_missing(&mut self, path: &[&str], span: Span) {
        let mut message =
            format!("Module `{}` not found or not readable error in module path: ", path.join("::"));
        for place in self.loader.describe() {
            message.push_str(&format!("\n{:25}- {place}", ""));
        }
        let outer = self.sources.widen(span, 2);
        let siblings = siblings(self.loader, path);
        let nearest = path.last().and_then(|name| closest(name, siblings.iter().map(String::as_str)));
        let hint = nearest.map(|near| {
            let parents = path.split_last().map_or(&[][..], |(_, parents)| parents);
            let path: Vec<&str> = parents.iter().copied().chain([near]).collect();
            format!("Did you mean `{}`?", path.join("::"))
        });
        let diagnostic = Diagnostic::error(codes::MODULE_NOT_FOUND, span, message);
        self.report(diagnostic.outer(outer).maybe_hint(hint));
    }

    fn compile_module(&mut self, file: tremor_diagnostic::FileId, text: &str) -> Scope {
        let before = self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let parsed = tremor_syntax::parse_module(file, text);
        self.diagnostics.extend(parsed.diagnostics);
        let mut scope = Scope::default();
        if let Some(module) = &parsed.ast {
            lower::module(module, self, &mut scope);
        }
        scope.broken = self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count() > before;
        scope
    }

    /// All reports in the order in which they are shown: errors, then warnings by class, each by position.
    pub(crate) fn finish(mut self) -> (SourceMap, Vec<Diagnostic>) {
        let key = |diagnostic: &Diagnostic| {
            let severity = match diagnostic.severity {
                Severity::Error => (0, None),
                Severity::Warning(class) => (1, Some(class)),
                Severity::Hint => (2, None),
            };
            (severity, diagnostic.inner)
        };
        self.diagnostics.sort_by_key(key);
        self.diagnostics.dedup();
        (self.sources, self.diagnostics)
    }
}
