//! Scopes: what names mean in a script, a module, a pipeline body or a flow body.

use crate::{
    deploy::{ConnectorDefinition, FlowDefinition},
    ir::Function,
    query::{OperatorDefinition, PipelineDefinition, ScriptDefinition},
};
use std::{collections::HashMap, sync::Arc};
use tremor_diagnostic::closest;
use tremor_syntax::ast::Ident;
use tremor_value::Value;

/// Names of one scope. Nothing is inherited from an enclosing one (`spec/language-lexical.md` 9.4).
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Modules bound by `use`; of a module these are its children.
    pub(crate) modules: HashMap<String, Arc<Scope>>,
    pub(crate) names: Names,
    /// Something in it is wrong and was reported, so missing names are not reported again.
    pub(crate) broken: bool,
}

/// The name spaces of a scope. `None` stands for a definition that is wrong and was reported.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) constants: HashMap<String, Option<Value>>,
    pub(crate) functions: HashMap<String, Option<Arc<Function>>>,
    pub(crate) scripts: HashMap<String, Option<Arc<ScriptDefinition>>>,
    pub(crate) pipelines: HashMap<String, Option<Arc<PipelineDefinition>>>,
    pub(crate) connectors: HashMap<String, Option<Arc<ConnectorDefinition>>>,
    pub(crate) flows: HashMap<String, Option<Arc<FlowDefinition>>>,
    pub(crate) operators: HashMap<String, Option<Arc<OperatorDefinition>>>,
    /// Windows: known by name so that duplicates are found.
    pub(crate) windows: HashMap<String, Option<()>>,
}

/// What a module path leads to.
pub(crate) enum Resolved<'s> {
    Scope(&'s Scope),
    /// Nothing, and a part of the way was already reported as broken.
    Broken,
    Missing,
}

impl Scope {
    /// The scope that `path` leads to, starting at the names bound here.
    pub(crate) fn resolve(&self, path: &[Ident]) -> Resolved<'_> {
        let mut scope = self;
        for segment in path {
            match scope.modules.get(&segment.text) {
                Some(next) => scope = next,
                None if scope.broken => return Resolved::Broken,
                None => return Resolved::Missing,
            }
        }
        Resolved::Scope(scope)
    }
}

/// What to say about a name that the scope `module` leads to does not have: the nearest one that it has, or that the
/// module itself is not there.
pub(crate) fn nearest<T>(
    scope: &Scope,
    module: &[Ident],
    name: &str,
    space: fn(&Names) -> &HashMap<String, Option<T>>,
) -> Option<String> {
    if let Resolved::Scope(scope) = scope.resolve(module) {
        let nearest = closest(name, space(&scope.names).keys().map(String::as_str))?;
        let path: Vec<&str> = module.iter().map(|segment| segment.text.as_str()).chain([nearest]).collect();
        return Some(format!("Did you mean `{}`?", path.join("::")));
    }
    let first = &module.first().filter(|first| !scope.modules.contains_key(&first.text))?.text;
    Some(match closest(first, scope.modules.keys().map(String::as_str)) {
        Some(near) => format!("There is no module `{first}` here. Did you mean `{near}`?"),
        None => {
            format!("There is no module `{first}` here; each script, pipeline and flow needs its own `use`")
        }
    })
}

/// The outcome of looking for a definition.
pub(crate) enum Lookup<T> {
    Found(T),
    /// It is wrong and was reported.
    Broken,
    Missing,
}

/// Looks `name` up in one name space of the scope that `module` leads to.
pub(crate) fn look_up<T: Clone>(
    scope: &Scope,
    module: &[Ident],
    name: &str,
    space: fn(&Names) -> &HashMap<String, Option<T>>,
) -> Lookup<T> {
    match scope.resolve(module) {
        Resolved::Missing => Lookup::Missing,
        Resolved::Broken => Lookup::Broken,
        Resolved::Scope(scope) => match space(&scope.names).get(name) {
            Some(Some(found)) => Lookup::Found(found.clone()),
            Some(None) => Lookup::Broken,
            None if scope.broken => Lookup::Broken,
            None => Lookup::Missing,
        },
    }
}
