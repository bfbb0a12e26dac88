//! Deployments and flows.

use super::Printer;
use crate::ast::{
    DefineConnector, DefineFlow, Deploy, DeployStmt, Deployment, Endpoint, EndpointKind, FlowStmt,
};

impl Printer {
    pub(super) fn deployment(&mut self, deployment: &Deployment) {
        self.directives(&deployment.directives);
        self.doc(deployment.doc.as_ref(), "###");
        self.top_level(&deployment.stmts, |printer, stmt| match stmt {
            DeployStmt::Use(node) => printer.use_stmt(node),
            DeployStmt::Flow(node) => printer.define_flow(node),
            DeployStmt::Deploy(node) => printer.deploy(node),
        });
    }

    fn deploy(&mut self, node: &Deploy) {
        self.doc(node.doc.as_ref(), "##");
        self.text("deploy flow ");
        self.ident(&node.name);
        self.from(node.from.as_ref());
        self.with_end(node.with.as_ref());
    }

    pub(super) fn define_flow(&mut self, node: &DefineFlow) {
        self.doc(node.doc.as_ref(), "##");
        self.text("define flow ");
        self.ident(&node.name);
        self.args(node.args.as_ref());
        self.line();
        self.text("flow");
        self.deeper(|printer| printer.lines(&node.stmts, Self::flow_stmt));
        self.line();
        self.text("end");
    }

    fn flow_stmt(&mut self, stmt: &FlowStmt) {
        match stmt {
            FlowStmt::Use(node) => self.use_stmt(node),
            FlowStmt::Pipeline(node) => self.define_pipeline(node),
            FlowStmt::Connector(node) => self.define_connector(node),
            FlowStmt::Create(node) => self.create(node),
            FlowStmt::Connect(node) => {
                self.text("connect ");
                self.endpoint(&node.from);
                self.text(" to ");
                self.endpoint(&node.to);
            }
        }
    }

    pub(super) fn define_connector(&mut self, node: &DefineConnector) {
        self.doc(node.doc.as_ref(), "##");
        self.text("define connector ");
        self.ident(&node.name);
        self.text(" from ");
        self.ident(&node.kind);
        self.args(node.args.as_ref());
        self.with_end(node.with.as_ref());
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        self.text(match endpoint.kind {
            EndpointKind::Connector => "/connector/",
            EndpointKind::Pipeline => "/pipeline/",
        });
        self.ident(&endpoint.instance);
        if let Some(port) = &endpoint.port {
            self.text("/");
            self.ident(port);
        }
    }
}
