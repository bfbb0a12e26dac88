use crate::harness::{Subject, definition, within};

#[tokio::test]
async fn it_has_nothing_to_give_and_takes_everything() {
    let mut subject = Subject::started(&definition("null", "", "", "")).await;
    subject.expect_done().await;
    subject.give("1").await;
    subject.give(r#"{"a": []}"#).await;
    subject.written(2).await;
    subject.front_is_done().await;
    within(subject.handle.drain()).await;
    within(subject.handle.stop()).await;
}
