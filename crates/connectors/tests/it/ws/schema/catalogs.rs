//! Where schemas come from.

use super::*;

#[tokio::test]
async fn both_flavours_of_registry_are_spoken_to() {
    for kind in [CONFLUENT, APICURIO] {
        let registry = Registry::start().await;
        let references = [("more.json", "more", 1)];
        registry.add_with(7, "a/b", "JSON", r#"{"allOf": [{"$ref": "more.json"}]}"#, &references);
        registry.add(8, "more", "JSON", r#"{"required": ["x"]}"#);
        for reference in [r#""id": 7"#, r#""subject": "a/b""#, r#""subject": "a/b", "version": 1"#] {
            let kind = format!(r#"{kind}, "credentials": {{"headers": {{"authorization": "Bearer abc"}}}}"#);
            let directions = format!(r#""in": {{"model": "json", "catalog": "reg", {reference}}}"#);
            let (mut subject, port) = server(&with(&registry, &kind, &directions)).await;
            let mut ws = port.client().await;
            send(&mut ws, text("{}")).await;
            let event = next_error(&mut subject).await;
            let contract = event.payload.value().get("contract").unwrap().clone();
            assert_eq!(contract.get("schema"), Some(&Value::from(7)), "{contract}");
            send(&mut ws, text(r#"{"x": 1}"#)).await;
            let event = subject.next_event().await;
            assert_eq!(of_server(&event).get("schema"), None, "the message does not say it");
        }
        assert!(registry.credentials().iter().all(|credentials| credentials == "bearer abc"));
        assert!(registry.asked().iter().any(|target| target.contains("a%2Fb")), "{:?}", registry.asked());
    }
}

#[tokio::test]
async fn contexts_and_content_ids() {
    let registry = Registry::start().await;
    registry.add(7, ":.plant:a", "JSON", "true");
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;
    let kind = format!(r#"{CONFLUENT}, "context": "plant""#);
    let (_server, _port) = server(&with(&registry, &kind, directions)).await;
    assert_eq!(registry.asked(), ["/subjects/%3A.plant%3Aa/versions/latest"]);
    let registry = Registry::start().await;
    registry.add(7, "a", "JSON", "false");
    let kind = format!(r#"{APICURIO}, "use_id": "contentId""#);
    let (mut subject, port) = server(&with(&registry, &kind, directions)).await;
    let mut ws = port.client().await;
    send(&mut ws, text("1")).await;
    let event = next_error(&mut subject).await;
    assert_eq!(event.payload.value().get("contract").unwrap().get("schema"), Some(&Value::from(1007)));
}

/// What a server asks for when it starts.
async fn asked(registry: &Registry, kind: &str, reference: &str) -> Vec<String> {
    let before = registry.asked().len();
    let directions = format!(r#""in": {{"model": "json", "catalog": "reg", {reference}}}"#);
    let (_server, _port) = server(&with(registry, kind, &directions)).await;
    registry.asked().split_off(before)
}

#[tokio::test]
async fn registries_are_asked_in_their_own_words() {
    let mut registry = Registry::start().await;
    registry.add(7, "a", "JSON", "true");
    registry.add(8, "a", "JSON", "false");
    registry.add(9, "..", "JSON", "true");
    registry.add(10, "lab-a", "JSON", "true");
    let (default, plant) =
        (format!(r#"{CONFLUENT}, "context": "default""#), format!(r#"{CONFLUENT}, "context": "plant""#));
    let lab = APICURIO.replace("plant", "lab");
    for (kind, reference, first) in [
        (CONFLUENT, r#""id": 7"#, "/schemas/ids/7"),
        (&plant, r#""id": 7"#, "/schemas/ids/7?subject=%3A.plant%3A"),
        (&default, r#""subject": "a""#, "/subjects/a/versions/latest"),
        (CONFLUENT, r#""subject": "..""#, "/subjects/%2E%2E/versions/latest"),
        (APICURIO, r#""id": 8"#, "/apis/registry/v2/ids/globalIds/8"),
        (APICURIO, r#""subject": "a""#, "/apis/registry/v2/groups/plant/artifacts/a/meta"),
        (
            APICURIO,
            r#""subject": "a", "version": 1"#,
            "/apis/registry/v2/groups/plant/artifacts/a/versions/1/meta",
        ),
        (&lab, r#""subject": "lab-a""#, "/apis/registry/v2/groups/lab/artifacts/lab-a/meta"),
    ] {
        assert_eq!(asked(&registry, kind, reference).await.first().map(String::as_str), Some(first));
    }
    let url = registry.url.clone();
    for base in ["", "/", "/apis/registry/v2", "/apis/registry/v2/"] {
        registry.url = format!("{url}{base}");
        let asked = asked(&registry, APICURIO, r#""id": 7"#).await;
        assert_eq!(
            asked,
            ["/apis/registry/v2/ids/globalIds/7", "/apis/registry/v2/ids/globalIds/7/references"]
        );
    }
}

#[tokio::test]
async fn references_lead_into_other_groups_and_languages_have_any_case() {
    let registry = Registry::start().await;
    registry.add_with(1, "a", "JSON", r#"{"$ref": "more.json"}"#, &[("more.json", "lab-more", 1)]);
    registry.add(2, "lab-more", "JSON", r#"{"required": ["x"]}"#);
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;
    let (mut subject, port) = server(&with(&registry, APICURIO, directions)).await;
    let mut ws = port.client().await;
    send(&mut ws, text("{}")).await;
    next_error(&mut subject).await;
    let registry = Registry::start().await;
    registry.nonsense(r#"{"schema": "{\"required\": [\"x\"]}", "schemaType": "json", "id": 9}"#);
    let (mut subject, port) = server(&with(&registry, CONFLUENT, directions)).await;
    let mut ws = port.client().await;
    send(&mut ws, text("{}")).await;
    next_error(&mut subject).await;
}

#[tokio::test]
async fn subjects_are_named_by_paths() {
    let registry = Registry::start().await;
    registry.add(1, "order-north/1", "JSON", r#"{"required": ["a"]}"#);
    registry.add(2, "orders.site-value", "JSON", r#"{"required": ["b"]}"#);
    let route = |path: &str, reference: &str| {
        format!(
            r#"{{"when": [{{"path": "{path}"}}], "exit": "out", "options":
                {{"schema": {{"in": {{"model": "json", "catalog": "reg", {reference}}}}}}}}}"#
        )
    };
    let routes = [
        route("/by/{site}", r#""subject": "order-{site}""#),
        route("/orders/{site}", r#""strategy": "topic""#),
    ];
    let more =
        with(&registry, CONFLUENT, r#""in": null"#) + &format!(r#", "routes": [{}]"#, routes.join(","));
    let (mut subject, port) = server(&more).await;
    assert_eq!(
        registry.asked(),
        ["/subjects/orders.site-value/versions/latest"],
        "what is fixed is fetched at once"
    );
    let mut ws = port.client_at("/by/north%2F1").await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    next_error(&mut subject).await;
    let mut ws = port.client_at("/orders/west").await;
    send(&mut ws, text(r#"{"b": 1}"#)).await;
    subject.next_event().await;
    // A subject that is not there is a path that is not there; it is asked for once.
    for _ in 0..3 {
        let request = upgrade("here", "").replacen("GET /", "GET /by/..%2F..%2Fnowhere", 1);
        assert!(port.ask(&request).await.starts_with("HTTP/1.1 404 "));
    }
    let asked = registry.asked().into_iter().filter(|target| target.contains("nowhere")).count();
    assert_eq!(asked, 1);
    registry.down(true);
    let request = upgrade("here", "").replacen("GET /", "GET /by/elsewhere", 1);
    let answer = port.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After"), "{answer}");
}

#[tokio::test]
async fn newer_schemas_are_fetched_and_outages_stop_nothing() {
    let registry = Registry::start().await;
    registry.add(1, "a", "JSON", READING);
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;
    let kind = format!(r#"{CONFLUENT}, "max_age": 1"#);
    let (mut subject, port) = server(&with(&registry, &kind, directions)).await;
    let mut ws = port.client().await;
    // The registry is away, answers slowly and with nonsense: what is known goes on.
    registry.down(true);
    registry.slow(Duration::from_millis(50));
    let is_asked = |count: usize| registry.asked().len() >= count;
    while !is_asked(2) {
        send(&mut ws, text(r#"{"celsius": 1}"#)).await;
        subject.next_event().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    registry.down(false);
    registry.nonsense(r##"{"schema": "{\"$ref\": \"#\"}", "schemaType": "JSON", "id": 9}"##);
    while !is_asked(3) {
        send(&mut ws, text(r#"{"celsius": 1}"#)).await;
        subject.next_event().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    registry.sense();
    registry.add(2, "a", "JSON", ANYTHING);
    // At some time the newer one is in force, without a message being held up for it.
    let error = within(async {
        loop {
            send(&mut ws, text(r#"{"celsius": 1}"#)).await;
            match subject.next().await {
                Seen::Event("err", event) => return event,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    assert_eq!(error.payload.value().get("contract").unwrap().get("schema"), Some(&Value::from(2)));
}

#[tokio::test]
async fn a_registry_that_is_away_stops_the_start_unless_it_may() {
    let registry = Registry::start().await;
    registry.down(true);
    let directions = r#""in": {"model": "json", "catalog": "reg", "subject": "a"}"#;
    let port = Port::reserve();
    let definition = server_definition(&port, &with(&registry, CONFLUENT, directions));
    let subject = Subject::new(&definition, Linked::Fully).unwrap();
    let failed = within(subject.handle.start()).await.unwrap_err().to_string();
    assert!(failed.contains("version `latest` of `a` cannot be had") && failed.contains("500"), "{failed}");
    drop(subject);
    let kind = format!(r#"{CONFLUENT}, "lazy": true"#);
    let (mut subject, port) = server(&with(&registry, &kind, directions)).await;
    assert!(port.ask(&upgrade("here", "")).await.starts_with("HTTP/1.1 503 "));
    registry.add(1, "a", "JSON", READING);
    registry.down(false);
    let mut ws = within(async {
        loop {
            let uri = format!("ws://{}/", port.address());
            if let Ok((ws, _)) = async_tungstenite::tokio::client_async(uri, port.tcp().await).await {
                return ws;
            }
        }
    })
    .await;
    within(ws.send(text(r#"{"celsius": 1}"#))).await.unwrap();
    subject.next_event().await;
}

#[tokio::test]
async fn files_are_catalogs_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.avsc");
    std::fs::write(&path, RECORD).unwrap();
    let more = format!(
        r#", "schema": {{"catalogs": {{"files": {{"type": "filesystem", "subjects": {{"r": {{"path": "{}"}}}}}}}},
            "in": {{"model": "avro", "view": "json", "catalog": "files", "subject": "r"}}}}"#,
        path.display()
    );
    let (mut subject, port) = server(&more).await;
    let mut ws = port.client().await;
    send(&mut ws, binary(&[2])).await;
    assert_eq!(subject.next_value().await, r#"{"n":1}"#);
    assert!(refused(&server_definition(&port, &more.replace("r.avsc", "x.avsc"))).contains("x.avsc"));
}
