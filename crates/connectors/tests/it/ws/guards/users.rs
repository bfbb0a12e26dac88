//! Files of users that change while a server is at work.

use super::{sessions::expect_pong, *};
use std::{path::Path, time::Duration};
use tokio::time::sleep;
use tremor_codec::testing::Log;

/// Of `correct horse`.
const HASH: &str = "$2b$04$nBqnqi9B1rnzVQDq0sPiqOfLPI5O7b8pllF7SjTobczlea57L.9va";

fn write(path: &Path, names: &[&str]) {
    let lines: String = names.iter().map(|name| format!("{name}:{HASH}\n")).collect();
    std::fs::write(path, lines).unwrap();
}

/// A server that goes by that file, and by cookies of those whom it has let in.
async fn server_by(path: &Path) -> (Subject, Port) {
    let guard = format!(r#""staff": {{"type": "basic", "options": {{"file": "{}"}}}}"#, path.display());
    server(&guard, r#"{"staff": []}"#, r#", "cookie": {"bind_identity": true}"#).await
}

async fn statuses(port: &Port, names: [&str; 2]) -> [u16; 2] {
    let [first, second] = names.map(|name| basic(name, "correct horse"));
    [status(port, &first).await, status(port, &second).await]
}

/// By then a changed file has been read.
async fn pass() {
    sleep(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_is_removed_from_the_file_is_let_in_no_more_and_open_connections_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    write(&path, &["ann", "bob"]);
    let (_subject, port) = server_by(&path).await;
    let (granted, answer, mut tcp) = ask(&port, "/", &basic("ann", "correct horse")).await;
    let cookie = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!((granted, status(&port, &cookie).await), (101, 101));
    write(&path, &["bob", "eve"]);
    pass().await;
    assert_eq!(statuses(&port, ["ann", "eve"]).await, [401, 101]);
    assert_eq!(status(&port, &cookie).await, 401, "what she was given before");
    expect_pong(&mut tcp).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_of_users_that_is_broken_changes_nothing_and_is_told_for_each_way_it_is() {
    let (told, _listening) = Log::listen();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    write(&path, &["ann"]);
    let (_subject, port) = server_by(&path).await;
    let shown = path.display();
    let begin = "the users of guard `staff` cannot be loaded, so what was read before stays in use";
    let problems = ["line 1: is not `NAME:HASH`", "there are no users", "no such file or directory"];
    for (round, problem) in problems.iter().enumerate() {
        match round {
            0 => std::fs::write(&path, "nonsense").unwrap(),
            1 => std::fs::write(&path, "# nobody\n").unwrap(),
            _ => std::fs::remove_file(&path).unwrap(),
        }
        pass().await;
        assert_eq!(statuses(&port, ["ann", "eve"]).await, [101, 401], "{problem}");
        assert!(told.text().contains(&format!("{begin}: `{shown}`: {problem}")), "{}", told.text());
        assert_eq!(told.text().matches(begin).count(), round + 1, "each once: {}", told.text());
    }
    write(&path, &["eve"]);
    pass().await;
    assert_eq!(statuses(&port, ["ann", "eve"]).await, [401, 101]);
    assert!(told.text().contains("the users of guard `staff` are loaded"), "{}", told.text());
}
