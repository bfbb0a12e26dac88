//! The flow of the WebSocket cases: JSON in, passthrough, JSON out on the same connection. And the server
//! that it is compared with.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    bench::{
        Bench,
        children::Running,
        flow_text,
        program::{free_address, wait_for_accept},
        ws_load::{self, Measured, Target},
    },
    error::{Doing as _, Result},
    reference,
};

/// Both sides of a case about echoes, with or without TLS.
pub(crate) struct Echoes {
    /// Folder for the flow, which is written anew for every server: each has a port of its own.
    flow: PathBuf,
    tls: Option<Tls>,
}

/// A certificate, and clients that trust it.
struct Tls {
    /// With `cert.pem` and `key.pem`.
    folder: PathBuf,
    client: std::sync::Arc<rustls::ClientConfig>,
}

impl Echoes {
    /// Servers without encryption.
    pub(crate) fn plain(bench: &Bench) -> Result<Self> {
        Ok(Self { flow: folder(bench)?, tls: None })
    }

    /// Servers with TLS, with a certificate of the program's own `dev-cert`.
    pub(crate) fn tls(bench: &Bench) -> Result<Self> {
        let folder = bench.folder.path().join("tls");
        if !folder.exists() {
            bench.program.dev_cert(&bench.children, &folder)?;
        }
        let client = ws_load::trusting(&folder.join("cert.pem"))?;
        Ok(Self { flow: self::folder(bench)?, tls: Some(Tls { folder, client }) })
    }

    /// Starts the program under test with the flow.
    pub(crate) fn ours(&self, bench: &Bench) -> Result<(Running, Target)> {
        let address = free_address()?;
        let flow = write(&self.flow, address, self.tls.as_ref().map(|tls| tls.folder.as_path()))?;
        let mut server = bench.children.spawn("the echo flow", &mut bench.program.server(&flow))?;
        wait_for_accept(&mut server, address)?;
        Ok((server, self.target(address)))
    }

    /// Starts the reference.
    pub(crate) fn reference(&self, bench: &Bench) -> Result<(Running, Target)> {
        let address = free_address()?;
        let mut command = reference::command()?;
        command.arg("ws-echo").arg(address.to_string());
        command.args(self.tls.as_ref().map(|tls| &tls.folder));
        let mut server = bench.children.spawn("the echo reference", &mut command)?;
        wait_for_accept(&mut server, address)?;
        Ok((server, self.target(address)))
    }

    fn target(&self, address: SocketAddr) -> Target {
        Target { tls: self.tls.as_ref().map(|tls| tls.client.clone()), ..Target::plain(address) }
    }
}

/// Processor time of both sides per message (or whatever was counted), under the names of the table.
pub(crate) fn costs(measured: &Measured, count: u64, names: [&'static str; 2]) -> Vec<(&'static str, f64)> {
    let [server, own] = names;
    let per_message = |cpu: std::time::Duration| cpu.as_secs_f64() * 1e6 / count as f64;
    let mut details = Vec::new();
    details.extend(measured.server_cpu.map(|cpu| (server, per_message(cpu))));
    details.push((own, per_message(measured.own_cpu)));
    details
}

/// What [`costs`] are called where messages are counted.
pub(crate) const PER_MESSAGE: [&str; 2] =
    ["us of server CPU per message", "us of load generator CPU per message"];

/// A folder to [`write`] flows to.
pub(crate) fn folder(bench: &Bench) -> Result<PathBuf> {
    let folder = bench.folder.path().join("echo");
    fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// Writes the flow that listens on `address`, with the certificate in the folder `tls` if there is one, and
/// returns where it is.
pub(crate) fn write(folder: &Path, address: SocketAddr, tls: Option<&Path>) -> Result<PathBuf> {
    let flow = folder.join("flow.troy");
    let server = flow_text::ws_server("echo", address, tls);
    let text = flow_text::flow(&format!(
        "  use tremor::pipelines;
{server}  create pipeline passthrough from pipelines::passthrough;
  connect /connector/echo to /pipeline/passthrough;
  connect /pipeline/passthrough to /connector/echo;
"
    ));
    fs::write(&flow, text).doing(|| format!("write {}", flow.display()))?;
    Ok(flow)
}
