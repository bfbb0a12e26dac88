//! Handing something on without waiting where nothing has to wait.

use futures_util::future::BoxFuture;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// What came of handing something on: it is done, or the rest of it has to wait.
///
/// Whoever hands on works at once, in the call, as far as that goes without waiting: most often to the end, and then
/// there is no future to allocate and to poll. Only what has to wait comes back as one. Either way the caller awaits,
/// and must not hand on anything behind it before that is over; what still had to wait is lost if this is dropped.
#[must_use = "what has to wait goes on only while it is awaited"]
pub struct Handed<'a> {
    rest: Option<BoxFuture<'a, ()>>,
}

impl<'a> Handed<'a> {
    /// All was handed on.
    pub fn done() -> Self {
        Self { rest: None }
    }

    /// `rest` is left to do and has to wait.
    pub fn later(rest: impl Future<Output = ()> + Send + 'a) -> Self {
        Self { rest: Some(Box::pin(rest)) }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.is_none()
    }

    /// One after the other: each step begins, that is, is taken from the iterator, when those before it are done.
    pub fn in_turn<I>(steps: I) -> Self
    where
        I: IntoIterator<Item = Self>,
        I::IntoIter: Send + 'a,
    {
        let mut steps = steps.into_iter();
        while let Some(step) = steps.next() {
            if !step.is_done() {
                return Self::later(async move {
                    step.await;
                    for step in steps {
                        step.await;
                    }
                });
            }
        }
        Self::done()
    }
}

impl Future for Handed<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(()) };
        let polled = rest.as_mut().poll(cx);
        if polled.is_ready() {
            self.rest = None;
        }
        polled
    }
}

impl fmt::Debug for Handed<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Handed").field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::Mutex;
    use tokio::sync::Notify;

    #[test]
    fn what_need_not_wait_is_done_in_the_call() {
        let done = Mutex::new(Vec::new());
        let steps = [1, 2].map(|step| (step, &done));
        let handed = Handed::in_turn(steps.into_iter().map(|(step, done)| {
            done.lock().unwrap().push(step);
            Handed::done()
        }));
        assert!(handed.is_done());
        assert_eq!(*done.lock().unwrap(), [1, 2]);
    }

    #[test]
    fn a_step_that_waits_holds_up_those_behind_it() {
        let (done, go_on) = (Mutex::new(Vec::new()), Notify::new());
        let mut handed = Handed::in_turn([1, 2, 3].into_iter().map(|step| {
            done.lock().unwrap().push(step);
            if step == 2 { Handed::later(go_on.notified()) } else { Handed::done() }
        }));
        assert!(!handed.is_done());
        assert!((&mut handed).now_or_never().is_none());
        assert_eq!(*done.lock().unwrap(), [1, 2]);
        go_on.notify_one();
        assert!((&mut handed).now_or_never().is_some());
        assert_eq!(*done.lock().unwrap(), [1, 2, 3]);
        assert!(handed.is_done());
    }
}
