//! The flow of the WebSocket cases: JSON in, passthrough, JSON out on the same connection.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    bench::Bench,
    error::{Doing as _, Result},
};

/// A folder to [`write`] flows to.
pub(super) fn folder(bench: &Bench) -> Result<PathBuf> {
    let folder = bench.folder.path().join("echo");
    fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// Writes the flow that listens on `address` and returns where it is.
pub(super) fn write(folder: &Path, address: SocketAddr) -> Result<PathBuf> {
    let flow = folder.join("flow.troy");
    let text = format!(
        r#"define flow main
flow
  use tremor::pipelines;
  define connector echo from ws_server
  with
    codec = "json",
    config = {{"url": "{address}"}}
  end;
  create connector echo;
  create pipeline passthrough from pipelines::passthrough;
  connect /connector/echo to /pipeline/passthrough;
  connect /pipeline/passthrough to /connector/echo;
end;
deploy flow main;
"#
    );
    fs::write(&flow, text).doing(|| format!("write {}", flow.display()))?;
    Ok(flow)
}
