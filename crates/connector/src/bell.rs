//! Wakes the one task that waits for something to do.

use futures_util::task::AtomicWaker;
use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    task::{Context, Poll},
};

/// Rings for one listener. What rang while nobody listened is heard by the next who does.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rang: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    /// Wakes the listener.
    pub(crate) fn ring(&self) {
        self.rang.store(true, SeqCst);
        self.listener.wake();
    }

    /// Ready if it rang since that was last heard. Of several tasks that listen the last one is woken.
    pub(crate) fn poll_rang(&self, cx: &Context<'_>) -> Poll<()> {
        if self.hear() {
            return Poll::Ready(());
        }
        self.listener.register(cx.waker());
        // It may have rung in between.
        if self.hear() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until it rings. Cancel safe.
    #[cfg(test)]
    pub(crate) async fn rang(&self) {
        std::future::poll_fn(|cx| self.poll_rang(cx)).await;
    }

    /// Whether it rang since that was last heard.
    pub(crate) fn hear(&self) -> bool {
        self.rang.load(SeqCst) && self.rang.swap(false, SeqCst)
    }

    /// The listener is awake and will ask by itself before it sleeps again: no need to wake it.
    pub(crate) fn is_awake(&self) {
        drop(self.listener.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, task::noop_waker_ref};
    use std::sync::{Arc, atomic::AtomicUsize};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn what_rang_before_is_heard_once() {
        let bell = Bell::default();
        assert!(bell.rang().now_or_never().is_none());
        bell.ring();
        bell.ring();
        assert!(bell.rang().now_or_never().is_some());
        assert!(bell.rang().now_or_never().is_none());
    }

    #[test]
    fn who_waits_is_woken_and_who_is_awake_is_not() {
        let bell = Bell::default();
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        let listener = Context::from_waker(&waker);
        assert!(bell.poll_rang(&listener).is_pending());
        bell.ring();
        bell.ring();
        assert_eq!(woken.0.load(SeqCst), 1, "once is enough");
        assert!(bell.poll_rang(&listener).is_ready());
        assert!(bell.poll_rang(&listener).is_pending());
        bell.is_awake();
        bell.ring();
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(bell.poll_rang(&listener).is_ready(), "it hears all the same");
        assert!(bell.poll_rang(&Context::from_waker(noop_waker_ref())).is_pending());
    }
}
