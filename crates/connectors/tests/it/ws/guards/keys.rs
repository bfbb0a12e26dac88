//! Where keys and names come from: URLs and files.

use super::{mistakes::refusal, *};

/// Serves what `body` holds to everybody, and counts.
pub(super) async fn key_server(body: Arc<Mutex<String>>) -> (String, Arc<AtomicUsize>) {
    let (url, count) = key_server_at("/keys.json", body).await;
    (url + "/keys.json", count)
}

/// Takes connections, and says nothing.
pub(super) async fn silent_key_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
    (listener, url)
}

/// The same as [`key_server`] for those who ask for `path`; gives the URL in front of that.
pub(super) async fn key_server_at(path: &str, body: Arc<Mutex<String>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let start = format!("GET {path} HTTP/1.1\r\n");
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let request = head(&mut tcp).await;
            assert!(request.starts_with(&start), "{request}");
            asked.fetch_add(1, Ordering::Relaxed);
            let answer = body.lock().unwrap().clone();
            tcp.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, count)
}

pub(super) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn keys_of_a_url_are_loaded_before_tokens_are_checked() {
    let body = Arc::new(Mutex::new(answer("200 OK", &format!(r#"{{"keys":[{}]}}"#, jwk("one")))));
    let (url, count) = key_server(body).await;
    let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}"}}}}"#);
    let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
    assert_eq!(status(&port, &bearer(&token("one", "{}"))).await, 101);
    // The first unknown name makes us ask again, others do not.
    for kid in ["two", "three", "four"] {
        assert_eq!(status(&port, &bearer(&token(kid, "{}"))).await, 401);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn keys_that_change_right_behind_the_start_are_loaded_when_a_token_names_them() {
    let set = |kid: &str| answer("200 OK", &format!(r#"{{"keys":[{}]}}"#, jwk(kid)));
    let body = Arc::new(Mutex::new(set("one")));
    let (url, count) = key_server(body.clone()).await;
    let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}"}}}}"#);
    let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
    assert_eq!(status(&port, &bearer(&token("one", "{}"))).await, 101);
    *body.lock().unwrap() = set("two");
    assert_eq!(status(&port, &bearer(&token("two", "{}"))).await, 101);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn without_keys_nobody_is_let_in() {
    let keys = format!(r#"{{"keys":[{}]}}"#, jwk("one"));
    // Good keys, and more behind them than anybody has.
    let endless = answer("200 OK", &format!("{keys}{}", " ".repeat(1 << 20)));
    for bad in [
        answer("404 Not Found", &keys),
        answer("200 OK", "<html>"),
        answer("302 Found", &keys),
        endless,
        "x".into(),
    ] {
        let (url, _) = key_server(Arc::new(Mutex::new(bad))).await;
        let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}"}}}}"#);
        let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
        let (status, answer, _) = ask(&port, "/", &bearer(&token("one", "{}"))).await;
        assert!(status == 503 && answer.contains("Retry-After: "), "{answer}");
        assert_eq!(self::status(&port, "").await, 401);
    }
}

#[tokio::test]
async fn an_empty_set_is_an_answer_and_withdraws_all_keys() {
    let (url, _) = key_server(Arc::new(Mutex::new(answer("200 OK", r#"{"keys":[]}"#)))).await;
    let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}"}}}}"#);
    let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
    assert_eq!(status(&port, &bearer(&token("one", "{}"))).await, 401);
}

#[tokio::test]
async fn keys_that_do_not_come_in_time_are_no_fault_of_the_client() {
    let (_listener, url) = silent_key_server().await;
    let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}"}}}}"#);
    let (_subject, port) = server(&guard, r#"{"staff": []}"#, r#", "open_handshake_timeout": 2000"#).await;
    let (status, answer, _) = ask(&port, "/", &bearer(&token("one", "{}"))).await;
    assert!(status == 503 && answer.contains("Retry-After: "), "{answer}");
}

#[tokio::test]
async fn keys_and_users_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    let users = folder.path().join("users");
    std::fs::write(&keys, format!(r#"{{"keys":[{}]}}"#, jwk("one"))).unwrap();
    std::fs::write(&users, "ann:$2b$04$nBqnqi9B1rnzVQDq0sPiqOfLPI5O7b8pllF7SjTobczlea57L.9va:a b\n").unwrap();
    let guard = |kind: &str, key: &str, path: &std::path::Path| {
        format!(r#""staff": {{"type": "{kind}", "options": {{"{key}": "{}"}}}}"#, path.display())
    };
    let (_subject, port) = server(&guard("jwt", "keys", &keys), r#"{"staff": []}"#, "").await;
    assert_eq!(status(&port, &bearer(&token("one", "{}"))).await, 101);
    let (_subject, port) = server(&guard("basic", "file", &users), r#"{"staff": ["b"]}"#, "").await;
    assert_eq!(status(&port, &basic("ann", "correct horse")).await, 101);

    let refused = |guard: String| refusal(&format!(r#", "guards": {{{guard}}}"#));
    std::fs::write(&keys, "{}").unwrap();
    std::fs::write(&users, "ann:plain\n").unwrap();
    let error = refused(guard("jwt", "keys", &keys));
    assert!(error.contains("config.guards.staff.options.keys: ") && error.contains("JWK set"), "{error}");
    let error = refused(guard("basic", "file", &users));
    assert!(
        error.contains("config.guards.staff.options.file: ") && error.contains("line 1: the hash"),
        "{error}"
    );
    assert!(!error.contains("plain"), "{error}");
    let error = refused(guard("jwt", "keys", &folder.path().join("none")));
    assert!(error.contains("o such file"), "{error}");
}
