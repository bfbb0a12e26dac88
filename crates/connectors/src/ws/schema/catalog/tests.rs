use super::*;

fn named(subject: &str) -> Wanted {
    let key = Key::Subject { subject: subject.to_owned(), version: "latest".to_owned() };
    Wanted { key, format: Format::Json, record: None }
}

/// One that has `count` schemas, named by their numbers.
fn catalog(count: usize) -> Arc<Catalog> {
    let subjects = (0..count).map(|number| (number.to_string(), ("true".to_owned(), None))).collect();
    Arc::new(Catalog::new("it".to_owned(), From::Here(subjects), Duration::from_secs(300)))
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_believed_for_a_while_and_what_failed_for_a_moment() {
    let catalog = catalog(0);
    catalog.at_hand(&named("gone")).unwrap_err();
    catalog.learn(&named("failed"), Err(Missing::failed("no"))).unwrap_err();
    let known = |subject| catalog.known(&named(subject)).map(|known| known.unwrap_err().is_gone);
    assert_eq!((known("gone"), known("failed"), known("other").is_some()), (Some(true), Some(false), false));
    tokio::time::advance(FAILED).await;
    assert_eq!((known("gone"), known("failed")), (Some(true), None));
    tokio::time::advance(GONE).await;
    assert_eq!(known("gone"), None);
}

#[test]
fn no_more_is_kept_than_may_be_and_what_is_in_use_stays() {
    let catalog = catalog(2 * MAX_KNOWN);
    let used = catalog.at_hand(&named("0")).unwrap();
    for number in 1..2 * MAX_KNOWN {
        catalog.at_hand(&named(&number.to_string())).unwrap();
        catalog.at_hand(&named(&format!("no {number}"))).unwrap_err();
    }
    let known = lock(&catalog.known);
    assert_eq!(known.entries.len(), MAX_KNOWN);
    assert!(known.failures.len() <= MAX_KNOWN);
    assert!(known.entries.get(&named("0")).is_some_and(|kept| Arc::ptr_eq(kept, &used)));
    drop(known);
    // Where all are in use, one more is not kept.
    let all: Vec<_> = lock(&catalog.known).entries.values().cloned().collect();
    let mut more = (0..2 * MAX_KNOWN).map(|number| named(&number.to_string()));
    let unknown = more.find(|wanted| catalog.known(wanted).is_none()).unwrap();
    catalog.at_hand(&unknown).unwrap();
    assert!(catalog.known(&unknown).is_none() && all.len() == MAX_KNOWN);
}
