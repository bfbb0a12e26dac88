//! The program under test, a black box with a path.

use std::{
    env,
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::children::{Children, Running};
use crate::{
    error::{Doing as _, Error, Result},
    output,
};

/// Where cargo works on this project.
pub(crate) const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// How long a program may take until its port answers.
const ACCEPT_LIMIT: Duration = Duration::from_secs(20);

/// How long it may take to make a certificate.
const CERTIFICATE_LIMIT: Duration = Duration::from_secs(20);

/// Where the binary is.
pub(crate) struct Program {
    path: PathBuf,
}

impl Program {
    /// The binary that was named, or a release build of this workspace's.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self> {
        let path = match named {
            Some(path) => path.canonicalize().doing(|| format!("find {}", path.display()))?,
            None => build()?,
        };
        Ok(Self { path })
    }

    /// A command that runs it with `arguments`, without input and output.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// A command for `server run` of `flow`, in the folder of the flow.
    pub(crate) fn server(&self, flow: &Path) -> Command {
        let mut command = self.command(&["server", "run", "--no-api"]);
        command.arg(flow);
        if let Some(folder) = flow.parent() {
            command.current_dir(folder);
        }
        command
    }

    /// Has it make a certificate for localhost: `cert.pem` and `key.pem` in `folder`.
    pub(crate) fn dev_cert(&self, children: &Children, folder: &Path) -> Result<()> {
        let mut command = self.command(&["dev-cert", "--out"]);
        command.arg(folder);
        children.spawn("`tremor dev-cert`", &mut command)?.finish(CERTIFICATE_LIMIT)
    }

    /// What it says about its version, and where it is.
    pub(crate) fn describe(&self) -> String {
        let version = self.command(&["--version"]).stdout(Stdio::piped()).stderr(Stdio::null()).output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        format!("{} ({})", version.unwrap_or_default(), self.path.display())
    }
}

/// Builds the release binary and asks cargo where it put it.
fn build() -> Result<PathBuf> {
    output::note("building tremor-cli");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let built = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--package",
            "tremor-cli",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(WORKSPACE)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .doing(|| "start cargo".to_owned())?;
    if !built.status.success() {
        return Err(Error::Build);
    }
    String::from_utf8_lossy(&built.stdout).lines().find_map(executable).ok_or(Error::Build)
}

/// The path in a message of cargo that announces the binary `tremor`.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let named_tremor = message.pointer("/target/name")?.as_str()? == "tremor";
    let path = message.get("executable")?.as_str()?;
    named_tremor.then(|| PathBuf::from(path))
}

/// An address on loopback where nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .doing(|| "find a free port".to_owned())
}

/// Waits until `server` accepts a connection.
pub(crate) fn wait_for_accept(server: &mut Running, address: SocketAddr) -> Result<()> {
    server.until(ACCEPT_LIMIT, || TcpStream::connect(address).ok().map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_messages_are_read() {
        let binary = r#"{"reason":"compiler-artifact","target":{"name":"tremor"},"executable":"/t/tremor"}"#;
        assert_eq!(executable(binary), Some(PathBuf::from("/t/tremor")));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"tremor"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("Compiling tremor"), None);
    }
}
