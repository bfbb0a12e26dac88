//! What is read from files and from the configuration: mistakes, and the forms of keys.

use std::{fs, io::Write as _, path::Path, process::Command};

use rcgen::KeyPair;
use tremor_value::{Record, Value};

use super::{Files, Pair, TestResult, client, handshake, params, record, refused, server};
use crate::{
    config::{Entry, Reader},
    tls::{ClientTls, ServerTls, TlsKeys, pem},
    url::{Rules, Url},
};

#[test]
fn mistakes_of_servers_name_key_and_file() {
    let files = Files::new();
    let pair = files.self_signed("good", params(&["localhost"]));
    let other = files.self_signed("other", params(&["localhost"]));
    let empty = files.write("empty.pem", "");
    let cut = files.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let no_base64 =
        files.write("odd.pem", "-----BEGIN PRIVATE KEY-----\n!secret!\n-----END PRIVATE KEY-----\n");
    let garbage =
        files.write("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let locked = files.write(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing: Value = files.path("missing.pem").into();
    let at = |name: &str| files.path(name);
    let cases: [(Value, Value, String); 11] = [
        (
            missing.clone(),
            pair.key.clone(),
            format!("cert: cannot read `{}`: no such file or directory", at("missing.pem")),
        ),
        (pair.cert.clone(), missing, format!("key: cannot read `{}`: no such file", at("missing.pem"))),
        (files.path("").into(), pair.key.clone(), format!("cert: cannot read `{}`: is a directory", at(""))),
        (
            empty.clone(),
            pair.key.clone(),
            format!("cert: there is no PEM certificate in `{}`", at("empty.pem")),
        ),
        (pair.cert.clone(), empty, format!("key: there is no PEM private key in `{}`", at("empty.pem"))),
        (
            pair.key.clone(),
            pair.key.clone(),
            format!("cert: there is no PEM certificate in `{}`, but it has a private key", at("good.key")),
        ),
        (
            pair.cert.clone(),
            pair.cert.clone(),
            format!("key: there is no PEM private key in `{}`, but it has a certificate", at("good.crt")),
        ),
        (
            cut,
            pair.key.clone(),
            format!("cert: `{}` is no proper PEM file: a section has no END line", at("cut.pem")),
        ),
        (pair.cert.clone(), no_base64, format!("key: `{}` is no proper PEM file", at("odd.pem"))),
        (pair.cert.clone(), locked, format!("key: the private key in `{}` is encrypted", at("locked.pem"))),
        (
            pair.cert.clone(),
            other.key,
            format!(
                "key: the key in `{}` does not belong to the certificate in `{}`",
                at("other.key"),
                at("good.crt")
            ),
        ),
    ];
    for (cert, key, text) in cases {
        let error = server(&record([("cert", cert), ("key", key)])).unwrap_err().to_string();
        assert!(error.starts_with(&format!("tls.{text}")), "{error}\n  should begin with\n{text}");
        assert!(!error.contains("secret"), "{error}");
    }
    let error = server(&record([("cert", garbage), ("key", pair.key.clone())])).unwrap_err();
    assert!(error.to_string().contains("garbage.pem` cannot be used"), "{error}");
    let error = server(&record([("cert", pair.cert.clone())])).unwrap_err();
    assert_eq!(error.to_string(), "tls.key: missing (path of the PEM private key of `cert`)");
    let extra = record([("cert", pair.cert), ("key", pair.key), ("chain", Vec::new().into())]);
    server(&extra).unwrap();
    let error = ServerTls::from_config(Reader::new(&extra, "tls").unwrap(), TlsKeys::Common).unwrap_err();
    assert_eq!(error.to_string(), "tls.chain: unknown key; known keys: `cert`, `key`");
}

#[test]
fn mistakes_of_clients_name_key_and_file() {
    let files = Files::new();
    let pair = files.self_signed("good", params(&["localhost"]));
    let other = files.self_signed("other", params(&["localhost"]));
    let mixed = fs::read_to_string(files.path("good.crt")).unwrap()
        + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let mixed = files.write("mixed.pem", &mixed);
    let ca = || ("cafile", pair.cert.clone());
    let cases = [
        (record([("cafile", files.path("none").into())]), "config.tls.cafile: cannot read `"),
        (
            record([("cafile", vec![pair.cert.clone(), files.path("none").into()].into())]),
            "config.tls.cafile[1]: cannot read `",
        ),
        (record([("cafile", pair.key.clone())]), "config.tls.cafile: there is no PEM certificate in `"),
        (record([("cafile", mixed)]), "config.tls.cafile: certificate 2 in `"),
        (record([("cafile", Vec::new().into())]), "config.tls.cafile: an empty list trusts nobody"),
        (record([ca(), ("cert", pair.cert.clone())]), "config.tls.key: missing ("),
        (record([ca(), ("key", pair.key.clone())]), "config.tls.cert: missing ("),
        (record([ca(), ("cert", pair.cert.clone()), ("key", other.key)]), "config.tls.key: the key in `"),
        (
            record([ca(), ("domain", "a b".into())]),
            "config.tls.domain: expected name of a host, or an IP address",
        ),
        (record([ca(), ("cafil", 1_i64.into())]), "config.tls.cafil: unknown key; did you mean `cafile`?"),
        ("yes".into(), "config.tls: expected bool or record but got string \"yes\""),
    ];
    for (tls, start) in cases {
        let error = client(tls).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}\n  should begin with\n{start}");
    }
}

#[test]
fn the_scheme_of_a_websocket_url_counts() {
    let files = Files::new();
    let pair = files.self_signed("good", params(&["localhost"]));
    let read = |url: &str, tls: Option<Value>| {
        let config: Value = tls.map(|tls| ("tls", tls)).into_iter().collect::<Record>().into();
        let mut reader = Reader::new(&config, "config").unwrap();
        let tls = ClientTls::for_websocket(&mut reader, &Url::parse(url, &Rules::WEBSOCKET).unwrap());
        reader.finish().unwrap();
        tls.map(|tls| tls.is_some()).map_err(|error| error.to_string())
    };
    let named = record([("cafile", pair.cert)]);
    for url in ["ws://h", "h", "wss://h"] {
        assert_eq!(read(url, Some(named.clone())), Ok(true), "{url}");
    }
    for url in ["ws://h", "h"] {
        assert_eq!(read(url, None), Ok(false), "{url}");
        assert_eq!(read(url, Some(false.into())), Ok(false), "{url}");
    }
    assert_eq!(
        read("wss://h", Some(false.into())),
        Err("config.tls: is false, but the scheme of the URL is `wss`; write `ws` there".into())
    );
    // A machine without root certificates says so, every other one turns TLS on.
    for outcome in [read("wss://h", None), read("h", Some(true.into()))] {
        match outcome {
            Ok(on) => assert!(on),
            Err(error) => {
                assert!(error.contains("config.tls: this system has no root certificates"), "{error}");
            }
        }
    }
}

/// The DER of a PKCS#8 key on P-256 holds the SEC1 form after 29 bytes of wrapping.
fn sec1_pem(key: &KeyPair, files: &Files) -> Value {
    let sec1 = &key.serialized_der()[29..];
    files.write("sec1.key", &armour("EC PRIVATE KEY", sec1))
}

fn armour(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for chunk in der.chunks(3) {
        let bits =
            chunk.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let byte = if digit <= chunk.len() { DIGITS[bits >> (18 - 6 * digit) & 63] } else { b'=' };
            text.push(char::from(byte));
        }
    }
    text + &format!("\n-----END {label}-----\n")
}

#[tokio::test]
async fn all_forms_of_keys_are_read() -> TestResult {
    use rustls::pki_types::PrivateKeyDer;

    let files = Files::new();
    let key = KeyPair::generate()?;
    let cert = files.write("good.crt", &params(&["localhost"]).self_signed(&key)?.pem());
    let sec1 = sec1_pem(&key, &files);
    let trusting = client(record([("cafile", cert.clone())]))?;
    handshake(&server(&record([("cert", cert.clone()), ("key", sec1.clone())]))?, &trusting, "localhost")
        .await?;
    let read = |key: &Value| pem::private_key(&Entry::root(key, "key"));
    assert!(matches!(read(&sec1)?, PrivateKeyDer::Sec1(_)));
    let pkcs1 = files.write("pkcs1.key", &armour("RSA PRIVATE KEY", b"\x30\x00"));
    assert!(matches!(read(&pkcs1)?, PrivateKeyDer::Pkcs1(_)));
    // PKCS#8 is preferred, wherever it stands; a certificate in the same file does not matter.
    let all = fs::read_to_string(files.path("sec1.key"))?
        + &fs::read_to_string(files.path("good.crt"))?
        + &key.serialize_pem();
    let all = files.write("all.pem", &all);
    assert!(matches!(read(&all)?, PrivateKeyDer::Pkcs8(_)));
    handshake(&server(&record([("cert", all.clone()), ("key", all)]))?, &trusting, "localhost").await?;
    Ok(())
}

/// Runs `openssl` in `folder`; `false` if there is none.
fn openssl(folder: &Path, arguments: &str) -> bool {
    let outcome = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let Ok(output) = outcome else {
        let _ = writeln!(std::io::stderr(), "skipped: there is no openssl on the PATH");
        return false;
    };
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// What `openssl` prints; none if it is not there.
pub(super) fn openssl_says(files: &Files, arguments: &str) -> Option<String> {
    let output =
        Command::new("openssl").args(arguments.split(' ')).current_dir(files.0.path()).output().ok()?;
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What the recipes of the web make, with the tool they use, where it is at hand.
#[tokio::test]
async fn certificates_of_openssl_work() -> TestResult {
    let files = Files::new();
    let request = "req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=localhost";
    let all = [
        format!("{request} -keyout cn.key -out cn.crt"),
        format!("{request} -keyout san.key -out san.crt -addext subjectAltName=DNS:localhost"),
        "rsa -traditional -in cn.key -out pkcs1.key".to_owned(),
    ];
    for arguments in &all {
        if !openssl(files.0.path(), arguments) {
            return Ok(());
        }
    }
    for (cert, key) in [("cn.crt", "cn.key"), ("san.crt", "san.key"), ("cn.crt", "pkcs1.key")] {
        let pair = Pair { cert: files.path(cert).into(), key: files.path(key).into() };
        handshake(&pair.server(), &pair.client(), "localhost").await?;
        refused(handshake(&pair.server(), &pair.client(), "example.com").await, "is not for `example.com`");
    }
    Ok(())
}
