//! Files that are read again, and what becomes of sessions.

use super::*;
use crate::tls::{
    ClientTls,
    tests::{
        Authority, Files, Pair, TestResult, both_sides, client, handshake, params, record, refused, server,
        with,
    },
};
use std::{fs, time::Duration};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

/// Puts the files of `fresh` in the place of those of `name`.
fn replace(files: &Files, name: &str, fresh: &Pair) {
    for (end, from) in [("crt", &fresh.cert), ("key", &fresh.key)] {
        fs::rename(from.as_str().unwrap(), files.path(&format!("{name}.{end}"))).unwrap();
    }
}

/// A connection that is open at both ends.
async fn connected(
    server: &ServerTls,
    client: &ClientTls,
) -> (Encrypted<TlsStream<ReadAhead<DuplexStream>>>, HandshakeKind, impl AsyncRead + AsyncWrite + Unpin + use<>)
{
    let (near, far) = duplex(16 * 1024);
    let serve = async {
        let mut stream = server.accept(far).await.unwrap();
        talk(&mut stream).await;
        stream
    };
    let ask = async {
        let mut stream = client.connect("localhost", near).await.unwrap();
        talk(&mut stream).await;
        let kind = stream.get_ref().get_ref().1.handshake_kind().unwrap();
        (stream, kind)
    };
    let (served, (asked, kind)) = tokio::join!(serve, ask);
    (served, kind, asked)
}

/// A byte each way, with which tickets come along.
async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream.write_u8(7).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 7);
}

async fn kind(server: &ServerTls, client: &ClientTls) -> HandshakeKind {
    connected(server, client).await.1
}

#[tokio::test]
async fn what_is_read_again_is_for_new_handshakes_and_a_mistake_changes_nothing() -> TestResult {
    let files = Files::new();
    let authority = Authority::new(&files, "authority");
    let own = authority.issue(&files, "own", params(&["localhost", "old.example"]));
    let server = own.server();
    let trusting = || client(record([("cafile", authority.cert.clone())])).unwrap();
    let (mut served, _, mut asked) = connected(&server, &trusting()).await;

    replace(&files, "own", &authority.issue(&files, "fresh", params(&["localhost", "new.example"])));
    handshake(&server, &trusting(), "old.example").await?;
    server.reload("test").await?;
    handshake(&server, &trusting(), "new.example").await?;
    refused(handshake(&server, &trusting(), "old.example").await, "is not for `old.example`");
    // Who is connected notices nothing.
    tokio::join!(talk(&mut served), talk(&mut asked));

    let strange = files.self_signed("strange", params(&["localhost"]));
    fs::copy(strange.key.as_str().unwrap(), files.path("own.key"))?;
    let problem = server.reload("test").await.unwrap_err();
    assert!(problem.starts_with("tls.key: the key in `") && problem.contains("does not belong"), "{problem}");
    fs::remove_file(files.path("own.key"))?;
    let problem = server.reload("test").await.unwrap_err();
    assert!(problem.starts_with("tls.key: cannot read `"), "{problem}");
    handshake(&server, &trusting(), "new.example").await?;
    Ok(())
}

#[tokio::test]
async fn sessions_outlive_the_certificate_of_the_server() -> TestResult {
    let files = Files::new();
    let authority = Authority::new(&files, "authority");
    let own = authority.issue(&files, "own", params(&["localhost"]));
    let alice = authority.issue(&files, "alice", params(&["alice"]));
    let server = server(&with(own.config(), "client_ca", authority.cert.clone()))?;
    for version in ["1.2", "1.3"] {
        let alice = client(record([
            ("cafile", authority.cert.clone()),
            ("cert", alice.cert.clone()),
            ("key", alice.key.clone()),
            ("max_version", version.into()),
        ]))?;
        assert_eq!(kind(&server, &alice).await, HandshakeKind::Full);
        replace(&files, "own", &authority.issue(&files, "fresh", params(&["localhost"])));
        server.reload("test").await?;
        let (served, kind, _asked) = connected(&server, &alice).await;
        assert_eq!(kind, HandshakeKind::Resumed);
        assert_eq!(served.client_certificate().unwrap().alternative_names[0].to_string(), "DNS:alice");
    }
    Ok(())
}

#[tokio::test]
async fn clients_whose_issuer_is_trusted_no_more_do_not_come_back_by_ticket() -> TestResult {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let (before, after) = (Authority::new(&files, "before"), Authority::new(&files, "after"));
    let trusted = files.write("trusted.crt", &fs::read_to_string(before.cert.as_str().unwrap())?);
    let alice = before.issue(&files, "alice", params(&["alice"]));
    let server = server(&with(own.config(), "client_ca", trusted))?;
    let clients = ["1.2", "1.3"].map(|version| {
        client(record([
            ("cafile", own.cert.clone()),
            ("cert", alice.cert.clone()),
            ("key", alice.key.clone()),
            ("max_version", version.into()),
        ]))
        .unwrap()
    });
    for alice in &clients {
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            assert_eq!(kind(&server, alice).await, expected);
        }
    }
    fs::copy(after.cert.as_str().unwrap(), files.path("trusted.crt"))?;
    server.reload("test").await?;
    for alice in &clients {
        let (seen, heard) = both_sides(&server, alice, "localhost").await;
        let problem = seen.unwrap_err();
        assert!(problem.contains("nobody we trust has issued the certificate"), "{problem}");
        heard.unwrap_err();
    }
    // One that is trusted now as before shows its certificate once more.
    fs::copy(before.cert.as_str().unwrap(), files.path("trusted.crt"))?;
    server.reload("test").await?;
    for alice in &clients {
        assert_eq!(kind(&server, alice).await, HandshakeKind::Full);
        assert_eq!(kind(&server, alice).await, HandshakeKind::Resumed);
    }
    Ok(())
}

/// Time passes between a full handshake and a resumed one. Here the server learns meanwhile whom to trust, which shows the
/// same: what was shown is verified again.
#[tokio::test]
async fn a_resumed_session_has_its_certificate_verified_again() -> TestResult {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let (known, other) = (Authority::new(&files, "known"), Authority::new(&files, "other"));
    let alice = known.issue(&files, "alice", params(&["alice"]));
    let server = server(&with(own.config(), "client_ca", known.cert.clone()))?;
    let strict = super::super::tests::server(&with(own.config(), "client_ca", other.cert.clone()))?;
    for version in ["1.2", "1.3"] {
        let alice = client(record([
            ("cafile", own.cert.clone()),
            ("cert", alice.cert.clone()),
            ("key", alice.key.clone()),
            ("max_version", version.into()),
        ]))?;
        assert_eq!(kind(&server, &alice).await, HandshakeKind::Full);
        let before = server.0.current();
        let after = Current {
            config: Arc::clone(&before.config),
            admitted: None,
            clients: strict.0.current().clients.clone(),
            sessions: before.sessions.clone(),
            hazards: Vec::new(),
        };
        *server.0.current.write().unwrap() = Arc::new(after);
        let (seen, heard) = both_sides(&server, &alice, "localhost").await;
        assert!(seen.unwrap_err().contains("nobody we trust has issued the certificate"));
        heard.unwrap_err();
        *server.0.current.write().unwrap() = before;
    }
    Ok(())
}

#[test]
fn a_certificate_that_has_ended_since_is_found() {
    let files = Files::new();
    let known = Authority::new(&files, "known");
    let read = |file| crate::tls::pem::certificates(&crate::config::Entry::root(file, "file")).unwrap();
    let mut old = params(&["old"]);
    old.not_before = rcgen::date_time_ymd(2000, 1, 1);
    old.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let old = known.issue(&files, "old", old);
    let good = known.issue(&files, "good", params(&["good"]));
    for required in [true, false] {
        let trust = ClientTrust::new(read(&known.cert), required, &crate::tls::provider()).unwrap();
        trust.look_again(Some(&read(&good.cert))).unwrap();
        let problem = trust.look_again(Some(&read(&old.cert))).unwrap_err().to_string();
        assert!(problem.to_lowercase().contains("expired"), "{problem}");
        assert_eq!(trust.look_again(None).is_err(), required);
        assert_eq!(trust.look_again(Some(&[])).is_err(), required);
    }
}

/// A pipe is waited for as long as nobody writes, and whoever reads it all the same finds nothing in it.
#[cfg(unix)]
#[tokio::test]
async fn a_pipe_in_place_of_a_file_is_not_waited_for() -> TestResult {
    let files = Files::new();
    let own = files.self_signed("own", params(&["localhost"]));
    let serving = own.server();
    let (key, kept) = (files.path("own.key"), files.path("kept.key"));
    fs::rename(&key, &kept)?;
    assert!(std::process::Command::new("mkfifo").arg(&key).status()?.success());
    let pipe = key.clone();
    std::thread::spawn(move || fs::File::options().write(true).open(pipe));
    let refused = format!("tls.key: cannot read `{key}`: it is no file");
    assert_eq!(serving.reload("test").await, Err(refused.clone()));
    let at_first = server(&own.config());
    assert!(at_first.is_err_and(|error| error.to_string().ends_with(&refused)));
    fs::rename(&kept, &key)?;
    assert_eq!(serving.reload("test").await, Ok(()));
    Ok(())
}

/// Looks are a second apart, which passes at once here.
#[tokio::test(start_paused = true)]
async fn files_that_change_are_read_again_once_they_stay_the_same() -> TestResult {
    let files = Files::new();
    let authority = Authority::new(&files, "authority");
    let own = authority.issue(&files, "own", params(&["first.example"]));
    let server = server(&with(own.config(), "reload", "watch"))?;
    let is_in_use = |config: &Arc<ServerConfig>| Arc::ptr_eq(config, &server.config());
    let watching = server.watch("test").unwrap();
    let first = server.config();
    let looks = |count: u32| tokio::time::sleep(Duration::from_millis(1000 * u64::from(count) + 100));
    looks(5).await;
    assert!(is_in_use(&first), "nothing has changed");

    let fresh = authority.issue(&files, "fresh", params(&["second.example"]));
    // One after the other: in between they do not belong together.
    fs::rename(fresh.cert.as_str().unwrap(), files.path("own.crt"))?;
    looks(1).await;
    fs::rename(fresh.key.as_str().unwrap(), files.path("own.key"))?;
    looks(1).await;
    assert!(is_in_use(&first), "they may go on changing");
    within(async {
        while is_in_use(&first) {
            looks(1).await;
        }
    })
    .await;
    let second = server.config();

    fs::remove_file(files.path("own.key"))?;
    looks(10).await;
    assert!(is_in_use(&second), "what cannot be used changes nothing");
    let third = authority.issue(&files, "third", params(&["third.example"]));
    replace(&files, "own", &third);
    within(async {
        while is_in_use(&second) {
            looks(1).await;
        }
    })
    .await;

    let last = server.config();
    drop(watching);
    replace(&files, "own", &authority.issue(&files, "fourth", params(&["fourth.example"])));
    looks(10).await;
    assert!(is_in_use(&last), "nobody looks any more");
    assert!(own.server().watch("test").is_none(), "not unless asked to");
    Ok(())
}

async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it was not read again")
}
