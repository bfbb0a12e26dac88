//! Commands that need no runtime: help, usage errors, completions, certificates.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

fn tremor(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tremor"));
    command.args(args).env_remove("ZSH_NAME").env_remove("PSModulePath").env_remove("RUST_LOG");
    command
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = tremor(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_that_is_asked_for_goes_to_stdout() {
    for args in [&["--help"][..], &["-h"], &["help"]] {
        let (code, out, err) = run(args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
        for word in
            ["Usage", "Commands", "Options", "server", "run", "test", "check", "dev-cert", "completions"]
        {
            assert!(out.contains(word), "{word} is missing in {out}");
        }
    }
    let (code, out, _) = run(&["help", "server", "run"]);
    assert_eq!(code, Some(0));
    assert_eq!(out, run(&["server", "run", "--help"]).1);
    for word in ["Usage", "Arguments", "[default: 1024]", "--keep-running"] {
        assert!(out.contains(word), "{word} is missing in {out}");
    }
    let (_, out, _) = run(&["test", "--help"]);
    let words: Vec<&str> = out.split_whitespace().collect();
    assert!(words.join(" ").contains("[possible values: all, bench, command, integration, unit]"), "{out}");
}

#[test]
fn a_level_without_its_subcommand_shows_help_on_stderr() {
    for args in [&[][..], &["server"]] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains("Usage") && err.contains("Commands"), "{err}");
    }
}

#[test]
fn usage_errors_have_status_2_and_one_error_line() {
    for args in [
        &["frobnicate"][..],
        &["server", "run", "-f", "x"],
        &["test", "Integration"],
        &["run"],
        &["run", "-V"],
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.starts_with("error:") && err.contains("Usage") && err.contains("--help"), "{err}");
    }
}

#[test]
fn the_version_is_on_the_top_level_only() {
    let (code, out, err) = run(&["--version"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, concat!("tremor ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(run(&["server", "-V"]).0, Some(2));
}

#[test]
fn every_shell_has_completions() {
    for (shell, marker) in [
        ("bash", "_tremor()"),
        ("zsh", "#compdef tremor"),
        ("fish", "complete -c tremor"),
        ("elvish", "edit:completion:arg-completer[tremor]"),
        ("powershell", "using namespace System.Management.Automation"),
    ] {
        let (code, out, _) = run(&["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(out.contains(marker), "{shell}");
    }
    let out = tremor(&["completions"]).env("SHELL", "/bin/fish").output().unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).contains("complete -c tremor"));
    let out = tremor(&["completions"]).env_remove("SHELL").output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("error: "));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let out = tremor(&["completions", "zsh"]).stdout(writer).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let out = tremor(&["--help"]).stdout(writer).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
}

#[test]
fn a_logger_file_that_cannot_be_loaded_is_an_error() {
    let (code, out, err) = run(&["-l", "no/logger.yaml", "completions", "bash"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("error: Error loading logger-config from 'no/logger.yaml'"), "{err}");
}

#[test]
fn a_bad_log_filter_is_named_and_replaced() {
    let out = tremor(&["completions", "bash"]).env("RUST_LOG", "a=b=c").output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&out.stderr).contains("RUST_LOG"), "{out:?}");
}

#[test]
fn dev_cert_writes_a_pair_once() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("certs");
    let to = to.to_str().unwrap();
    let (code, out, err) = run(&["dev-cert", "--out", to, "--days", "7", "example.test", "10.0.0.1"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for part in ["cert.pem", "key.pem", "\"cafile\"", "\"domain\": \"example.test\"", "10.0.0.1"] {
        assert!(out.contains(part), "{part} is missing in {out}");
    }
    let (cert, key) = (format!("{to}/cert.pem"), format!("{to}/key.pem"));
    let first = fs::read(&cert).unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let (code, _, err) = run(&["dev-cert", "--out", to]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cert.pem is already there") && err.contains("--force"), "{err}");
    assert_eq!(fs::read(&cert).unwrap(), first);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(run(&["dev-cert", "--force", "--out", to]).0, Some(0));
    assert_ne!(fs::read(&cert).unwrap(), first);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let (code, _, err) = run(&["dev-cert", "--out", to, "--force", "https://x"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("`https://x` is neither"), "{err}");
}
