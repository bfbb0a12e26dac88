//! Keys that change or are withdrawn, and what becomes of those who came by them.

use super::{
    keys::{answer, key_server},
    sessions::{expect_pong, frame, in_seconds, renewal},
    *,
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::time::sleep;
use tremor_codec::testing::Log;

/// A set of keys of these names.
fn set(kids: &[&str]) -> String {
    format!(r#"{{"keys":[{}]}}"#, kids.iter().map(|kid| jwk(kid)).collect::<Vec<_>>().join(","))
}

/// A file with a set of keys.
struct KeyFile {
    path: PathBuf,
    _folder: TempDir,
}

impl KeyFile {
    fn of(kids: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Self { path: folder.path().join("keys.json"), _folder: folder };
        file.write(&set(kids));
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
    }

    /// A server that goes by it, with `more` members of its configuration.
    async fn server(&self, more: &str) -> (Subject, Port) {
        let guard =
            format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{}"}}}}"#, self.path.display());
        server(&guard, r#"{"staff": []}"#, more).await
    }
}

/// Ends connections whose key is withdrawn.
const REVALIDATES: &str = r#", "revalidate": true"#;

/// Waits until the keys have been read of which one has signed this token.
async fn keys_are_read(port: &Port, token: &str) {
    while status(port, &bearer(token)).await == 401 {
        sleep(Duration::from_secs(1)).await;
    }
}

/// By then all connections have looked whether their keys are still there.
async fn all_have_looked() {
    sleep(Duration::from_secs(20)).await;
}

/// Whether a connection is open still; else it has ended since its key was withdrawn.
async fn is_open(tcp: &mut TcpStream) -> bool {
    let mut seen = [0; 2];
    at_once(async {
        tcp.write_all(b"\x89\x80\0\0\0\0").await.unwrap();
        tcp.read_exact(&mut seen).await.unwrap();
    })
    .await;
    if &seen == b"\x8a\0" {
        return true;
    }
    let mut close = [0; 15];
    at_once(tcp.read_exact(&mut close)).await.unwrap();
    assert_eq!((&seen, &close), (b"\x88\x0f", b"\x03\xf0key withdrawn"));
    false
}

/// A file of keys is read again when it has changed. Open connections stay, unless that is not wanted.
#[tokio::test(start_paused = true)]
async fn a_changed_file_of_keys_is_read_and_withdraws_sessions_where_that_is_wanted() {
    for (revalidates, more) in [(true, REVALIDATES), (false, "")] {
        let keys = KeyFile::of(&["one"]);
        let (_subject, port) = keys.server(more).await;
        let (old, new) = (bearer(&token("one", "{}")), token("second", "{}"));
        let (granted, _, mut tcp) = ask(&port, "/", &old).await;
        assert_eq!((granted, status(&port, &bearer(&new)).await), (101, 401));
        keys.write(&set(&["second"]));
        keys_are_read(&port, &new).await;
        assert_eq!(status(&port, &old).await, 401);
        if revalidates {
            let mut close = [0; 17];
            within(tcp.read_exact(&mut close)).await.unwrap();
            assert_eq!(&close, b"\x88\x0f\x03\xf0key withdrawn");
        } else {
            all_have_looked().await;
            expect_pong(&mut tcp).await;
        }
    }
}

/// Files are put in place with the time that they have elsewhere, and sets of one kind have one length.
#[tokio::test(start_paused = true)]
async fn another_file_of_keys_that_is_as_long_and_as_old_is_read() {
    let keys = KeyFile::of(&["one"]);
    let (_subject, port) = keys.server("").await;
    let other = KeyFile::of(&["two"]);
    let (before, after) = (keys.path.metadata().unwrap(), other.path.metadata().unwrap());
    let file = std::fs::File::options().write(true).open(&other.path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(before.len(), after.len());
    std::fs::rename(&other.path, &keys.path).unwrap();
    keys_are_read(&port, &token("two", "{}")).await;
    assert_eq!(status(&port, &bearer(&token("one", "{}"))).await, 401);
}

/// A set with a key of that name that is not that of `SECRET`, and with another one that is.
fn replaced(kid: &str) -> String {
    let other = URL_SAFE_NO_PAD.encode(b"fedcba9876543210fedcba9876543210");
    format!(r#"{{"keys":[{{"kty":"oct","kid":"{kid}","k":"{other}"}},{}]}}"#, jwk("second"))
}

/// A key is withdrawn, too, by another one that has its name from then on.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_replaced_under_its_name_is_withdrawn() {
    let keys = KeyFile::of(&["one"]);
    let (_subject, port) = keys.server(REVALIDATES).await;
    let (granted, _, mut tcp) = ask(&port, "/", &bearer(&token("one", "{}"))).await;
    assert_eq!(granted, 101);
    keys.write(&replaced("one"));
    keys_are_read(&port, &token("second", "{}")).await;
    all_have_looked().await;
    assert!(!is_open(&mut tcp).await);
}

/// What has come by a stolen key prolongs nothing any more once that is withdrawn.
#[tokio::test(start_paused = true)]
async fn a_connection_stays_no_longer_by_what_a_withdrawn_key_has_prolonged() {
    let keys = KeyFile::of(&["own", "stolen"]);
    let of = |kid: &str, who: &str, end: f64| token(kid, &format!(r#"{{"sub":"{who}","exp":{end:.3}}}"#));
    let (_subject, port) = keys.server(REVALIDATES).await;
    let end = in_seconds(3.0);
    let (granted, _, mut own) = ask(&port, "/", &bearer(&of("own", "ann", end))).await;
    let (also, _, _stolen) = ask(&port, "/", &bearer(&of("stolen", "ann", in_seconds(600.0)))).await;
    assert_eq!((granted, also), (101, 101));
    // Sessions end by the date, which goes on while the clock of the test stands still.
    while in_seconds(0.0) < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(is_open(&mut own).await, "as long as the other one");
    keys.write(&set(&["own", "new"]));
    keys_are_read(&port, &of("new", "bob", in_seconds(60.0))).await;
    all_have_looked().await;
    // A pong, if it is open still.
    own.write_all(b"\x89\x80\0\0\0\0").await.unwrap();
    let (mut head, mut close) = ([0; 2], [0; 15]);
    at_once(own.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"\x88\x0f");
    at_once(own.read_exact(&mut close)).await.unwrap();
    assert_eq!(&close, b"\x03\xf0token expired");
}

/// A token of ann that ends so many seconds from now.
fn of_ann(kid: &str, seconds: f64) -> String {
    token(kid, &format!(r#"{{"sub":"ann","exp":{:.3}}}"#, in_seconds(seconds)))
}

/// Connections of one identity share how long they may stay, and not what vouches for them: whoever came by a key that is
/// withdrawn goes, and nobody else.
#[tokio::test(start_paused = true)]
async fn each_connection_goes_with_the_key_of_what_it_has_brought_itself() {
    let more = format!(r#"{REVALIDATES}, "renew": {{"message": "token"}}"#);
    for (is_posted, expected) in [(false, [false, true, true, false]), (true, [true, true, true, true])] {
        let keys = KeyFile::of(&["one", "two"]);
        let (mut subject, port) = keys.server(&more).await;
        let mut open_ones = Vec::new();
        for (kid, seconds) in [("one", 600.0), ("two", 700.0), ("one", 650.0), ("one", 800.0)] {
            let (status, _, tcp) = ask(&port, "/", &bearer(&of_ann(kid, seconds))).await;
            assert_eq!(status, 101);
            open_ones.push(tcp);
        }
        let fresh = format!(r#"{{"token":"{}"}}"#, of_ann("two", 660.0));
        open_ones[2].write_all(&frame(&fresh)).await.unwrap();
        // What comes behind it has waited for it.
        at_once(metadata(&mut subject, &mut open_ones[2])).await;
        if is_posted {
            let answer = at_once(port.ask(&renewal(&bearer(&of_ann("two", 900.0))))).await;
            assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        }
        keys.write(&set(&["two", "three"]));
        keys_are_read(&port, &of_ann("three", 60.0)).await;
        all_have_looked().await;
        let mut seen = Vec::new();
        for tcp in &mut open_ones {
            seen.push(is_open(tcp).await);
        }
        assert_eq!(seen, expected, "by a request: {is_posted}");
    }
}

/// A request renews no connection whose key is gone already: it will be closed in a moment.
#[tokio::test(start_paused = true)]
async fn a_request_is_too_late_for_whoever_goes_by_a_withdrawn_key() {
    let keys = KeyFile::of(&["one"]);
    let of = |kid: &str| bearer(&of_ann(kid, 600.0));
    let (_subject, port) = keys.server(REVALIDATES).await;
    let (_, _, mut tcp) = ask(&port, "/", &of("one")).await;
    keys.write(&set(&["two"]));
    // Its request has the keys read again.
    while !at_once(port.ask(&renewal(&of("two")))).await.starts_with("HTTP/1.1 204 ") {
        sleep(Duration::from_millis(100)).await;
    }
    all_have_looked().await;
    assert!(!is_open(&mut tcp).await);
}

/// What is no set of keys is as if it had not come. So is one without keys in a file: whoever wrote that made a mistake.
#[tokio::test(start_paused = true)]
async fn a_file_of_keys_that_is_broken_changes_nothing() {
    let keys = KeyFile::of(&["one"]);
    let (_subject, port) = keys.server("").await;
    let (old, new) = (bearer(&token("one", "{}")), bearer(&token("second", "{}")));
    let pass = || sleep(Duration::from_secs(60));
    let (told, _listening) = Log::listen();
    let begin = format!(
        "the keys of guard `staff` cannot be loaded, so what was read before stays in use: `{}`: ",
        keys.path.display()
    );
    for broken in ["", "{}", "[", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct"}]}"#] {
        keys.write(broken);
        pass().await;
        assert_eq!((status(&port, &old).await, status(&port, &new).await), (101, 401), "{broken}");
    }
    std::fs::remove_file(&keys.path).unwrap();
    pass().await;
    assert_eq!(status(&port, &old).await, 101);
    assert!(told.text().contains(&format!("{begin}no such file or directory")), "{}", told.text());
    assert_eq!(told.text().matches(&begin).count(), 7, "each once: {}", told.text());
    keys.write(&set(&["second"]));
    pass().await;
    assert_eq!((status(&port, &old).await, status(&port, &new).await), (401, 101));
}

/// What a URL answers is broken now and then; that it has no keys any more is an answer.
#[tokio::test(start_paused = true)]
async fn keys_of_a_url_stay_while_it_answers_nonsense_and_go_when_it_has_none() {
    let answers = Arc::new(Mutex::new(String::new()));
    let says = |status: &str, body: &str| *answers.lock().unwrap() = answer(status, body);
    says("200 OK", &set(&["one"]));
    let (url, count) = key_server(answers.clone()).await;
    let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}", "refresh": 30}}}}"#);
    let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
    let (old, new) = (bearer(&token("one", "{}")), bearer(&token("second", "{}")));
    assert_eq!(status(&port, &old).await, 101);
    for (code, body, expected) in [
        ("200 OK", "<html>".to_owned(), (101, 401)),
        ("500 Oops", set(&["second"]), (101, 401)),
        ("200 OK", r#"{"keys":[{"kty":"oct"}]}"#.to_owned(), (101, 401)),
        ("200 OK", r#"{"keys":[]}"#.to_owned(), (401, 401)),
        ("404 Not Found", set(&["one"]), (401, 401)),
        ("200 OK", set(&["second"]), (401, 101)),
    ] {
        says(code, &body);
        let before = count.load(Ordering::Relaxed);
        // The second one begins when what came of the first one is known.
        while count.load(Ordering::Relaxed) < before + 2 {
            sleep(Duration::from_secs(5)).await;
        }
        assert_eq!((status(&port, &old).await, status(&port, &new).await), expected, "{code} {body}");
    }
}
