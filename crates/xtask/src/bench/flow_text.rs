//! Pieces of the flows that cases and the soak are about.

use std::{net::SocketAddr, path::Path};

/// A deployed flow of `statements`.
pub(crate) fn flow(statements: &str) -> String {
    format!("define flow main\nflow\n{statements}end;\ndeploy flow main;\n")
}

/// A connector that reads JSON from a file or a pipe, cut into lines by `preprocessor`.
pub(crate) fn file_source(name: &str, path: &Path, preprocessor: &str) -> String {
    let path = quoted(path);
    format!(
        r#"  define connector {name} from file
  with
    codec = "json",
    preprocessors = [{preprocessor}],
    config = {{"path": {path}, "mode": "read"}}
  end;
  create connector {name};
"#
    )
}

/// A connector that writes JSON lines to a file or a pipe.
pub(crate) fn file_sink(name: &str, path: &Path) -> String {
    let path = quoted(path);
    format!(
        r#"  define connector {name} from file
  with
    codec = "json",
    postprocessors = ["separate"],
    config = {{"path": {path}, "mode": "truncate"}}
  end;
  create connector {name};
"#
    )
}

/// A WebSocket server for messages of JSON, with the certificate in the folder `tls` if there is one.
pub(crate) fn ws_server(name: &str, address: SocketAddr, tls: Option<&Path>) -> String {
    let tls = tls.map_or(String::new(), |folder| {
        let [cert, key] = ["cert.pem", "key.pem"].map(|file| quoted(&folder.join(file)));
        format!(r#", "tls": {{"cert": {cert}, "key": {key}}}"#)
    });
    format!(
        r#"  define connector {name} from ws_server
  with
    codec = "json",
    config = {{"url": "{address}"{tls}}}
  end;
  create connector {name};
"#
    )
}

/// A JSON string without `#` (which would interpolate) is a string of the language as well.
pub(crate) fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}
