//! Deployments and flows.

use super::{Broken, Lower, Node, Result};
use crate::ast::{
    Connect, DefineConnector, DefineFlow, Deploy, DeployStmt, Deployment, Endpoint, EndpointKind, FlowStmt,
};
use crate::parser::Rule;
use tremor_diagnostic::Span;

impl<'t> Lower<'t> {
    pub(crate) fn deployment(&self, node: Node<'t>) -> Result<Deployment> {
        let mut kids = self.kids(node);
        let directives = self.directives(&mut kids)?;
        let doc = self.mod_doc(&mut kids);
        let stmts = kids.map(|stmt| self.deploy_stmt(self.kids(stmt).any()?)).collect::<Result<_>>()?;
        Ok(Deployment { directives, doc, stmts, span: self.whole() })
    }

    fn deploy_stmt(&self, node: Node<'t>) -> Result<DeployStmt> {
        Ok(match node.as_rule() {
            Rule::use_stmt => DeployStmt::Use(self.use_stmt(node)?),
            Rule::define_flow => DeployStmt::Flow(self.define_flow(node)?),
            Rule::deploy => DeployStmt::Deploy(self.deploy(node)?),
            _ => return Err(Broken(self.span(&node))),
        })
    }

    fn deploy(&self, node: Node<'t>) -> Result<Deploy> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let (doc, _) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let from = self.maybe_name(&mut kids)?;
        let with = self.maybe_with(&mut kids)?;
        Ok(Deploy { doc, name, from, with, span })
    }

    pub(super) fn define_flow(&self, node: Node<'t>) -> Result<DefineFlow> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let (doc, _) = self.doc(&mut kids);
        let name = self.need_ident(&mut kids)?;
        let args = self.maybe_args(&mut kids)?;
        let stmts = kids.map(|stmt| self.flow_stmt(self.kids(stmt).any()?)).collect::<Result<_>>()?;
        Ok(DefineFlow { doc, name, args, stmts, span })
    }

    fn flow_stmt(&self, node: Node<'t>) -> Result<FlowStmt> {
        Ok(match node.as_rule() {
            Rule::use_stmt => FlowStmt::Use(self.use_stmt(node)?),
            Rule::define_pipeline => FlowStmt::Pipeline(self.define_pipeline(node)?),
            Rule::define_connector => FlowStmt::Connector(self.define_connector(node)?),
            Rule::flow_create => FlowStmt::Create(self.create(node)?),
            Rule::connect => FlowStmt::Connect(self.connect(node)?),
            _ => return Err(Broken(self.span(&node))),
        })
    }

    pub(super) fn define_connector(&self, node: Node<'t>) -> Result<DefineConnector> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let (doc, _) = self.doc(&mut kids);
        let name = match kids.maybe(Rule::old_name) {
            Some(old) => self.need_ident(&mut self.kids(old))?,
            None => self.need_ident(&mut kids)?,
        };
        if let Some(direction) = kids.maybe(Rule::old_direction) {
            let message =
                format!("`{}` in the definition of a connector is an older form", direction.as_str());
            let hint = format!("Write `define connector {} from …`; the direction means nothing", name.text);
            self.old_form(self.span(&direction), &message, &hint);
        }
        let kind = self.need_ident(&mut kids)?;
        let args = self.maybe_args(&mut kids)?;
        let with = self.maybe_with(&mut kids)?;
        Ok(DefineConnector { doc, name, kind, args, with, span })
    }

    fn connect(&self, node: Node<'t>) -> Result<Connect> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let from = self.endpoint(kids.any()?, span)?;
        let to = self.endpoint(kids.any()?, span)?;
        Ok(Connect { from, to, span })
    }

    fn endpoint(&self, node: Node<'t>, around: Span) -> Result<Endpoint> {
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::connector_path => EndpointKind::Connector,
            Rule::pipeline_path => EndpointKind::Pipeline,
            _ => return Err(Broken(around)),
        };
        let mut kids = self.kids(node);
        let instance = self.need_ident(&mut kids)?;
        let port = kids.maybe(Rule::ident).map(|port| self.ident(&port));
        Ok(Endpoint { kind, instance, port, span })
    }
}
