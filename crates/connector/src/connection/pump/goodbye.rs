//! How the writing half of a connection ends it.

use super::{super::patience::Patience, Due, Pump, Unwritten};
use crate::{
    Intake,
    duplex::{Ending, Stream},
};
use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncWrite as _, AsyncWriteExt as _},
    time::{Instant, timeout},
};

impl Pump {
    /// The same while something is handed on: how the connection has to end is remembered until that is over. Of several ends
    /// the first counts, or that behind which nothing counts any more that the peer says.
    pub(in crate::connection) fn note_due(&mut self, intake: &mut Intake) {
        let ending = self.on_time(intake);
        let is_last = self.is_over();
        let due = &mut self.rare.due;
        *due = match (due.take(), ending) {
            (Some(due), Some(ending)) if is_last && !due.is_last => Some(Due { ending, is_last }),
            (Some(due), _) => Some(Due { is_last, ..due }),
            (None, ending) => ending.map(|ending| Due { ending, is_last }),
        };
    }

    /// Whether it is time to look how it has to end, as far as is known without a clock; else when that will be.
    pub(in crate::connection) fn next_look(&self) -> Result<(), Option<Instant>> {
        match &self.rare.due {
            None => Err(self.deadline()),
            Some(due) if due.is_last => Err(None),
            Some(_) if self.is_over() => Ok(()),
            Some(_) => Err(self.protocol.over_at().map(Instant::from_std)),
        }
    }

    /// Whether what the peer says counts no more.
    pub(in crate::connection) fn is_over(&self) -> bool {
        self.keeps_time && self.protocol.is_over()
    }

    /// If it was time meanwhile to end the connection, and what the peer has said counts no more, it is sent nothing new.
    pub(in crate::connection) fn ends_when_due(&self) {
        if let Some(Due { ending, .. }) = &self.rare.due
            && !self.has_left
            && self.is_over()
        {
            self.ends_behind_what_waits(ending);
        }
    }

    /// It hears our goodbye as soon as all that waited is written, however long the rest of what it had said before takes: what
    /// that waits for may be the peer itself, or have nothing to do with it. `true` when the goodbye is to be written.
    pub(in crate::connection) fn says_goodbye_when_due(&mut self) -> bool {
        let Some(Due { ending, .. }) = &self.rare.due else { return false };
        let may_end = !self.has_left && self.rare.unwritten == Unwritten::Fail && self.is_over();
        if !may_end || self.ending(|_| false).is_none() {
            return false;
        }
        self.frame_goodbye(ending.clone());
        true
    }

    /// What comes from now on does not go out in front of the goodbye, nor wait for room: where there is no next connection, it
    /// fails.
    pub(in crate::connection) fn ends_behind_what_waits(&self, ending: &Ending) {
        if self.rare.unwritten == Unwritten::Fail {
            self.outbox.end_at_once(ending.clone());
        }
    }

    /// How the connection has to end, if it was time for that meanwhile.
    pub(in crate::connection) fn take_due(&mut self) -> Option<Ending> {
        if self.keeps_time { self.rare.due.take().map(|due| due.ending) } else { None }
    }

    /// Writes what is framed or waits in the outbox right now.
    pub(in crate::connection) async fn finish(&mut self, stream: &mut Box<dyn Stream>) {
        while self.write_framed(stream).await.is_ok() {
            if !self.take_messages() {
                return;
            }
        }
    }

    /// Writes what is framed, with `answers` also what waits in the outbox, and behind that the goodbye that the peer is
    /// owed. What waits then stays there: it cannot be sent behind a goodbye.
    pub(in crate::connection) async fn take_leave(&mut self, stream: &mut Box<dyn Stream>, answers: bool) {
        if self.write_framed(stream).await.is_err() {
            return;
        }
        if answers {
            self.take_messages();
        }
        self.queue_urgent();
        self.protocol.take_leave(self.framed.bytes());
        let _broken_or_not = self.write_framed(stream).await.is_err();
    }

    /// As [`Pump::finish`], then says goodbye; `true` if the peer is expected to answer. What waits from then on stays
    /// in the outbox. Cancel safe: called anew it goes on where it was.
    pub(in crate::connection) async fn finish_with_goodbye(
        &mut self,
        ending: Ending,
        stream: &mut Box<dyn Stream>,
    ) -> bool {
        if !self.has_left {
            self.finish(stream).await;
            self.frame_goodbye(ending);
        }
        self.write_framed(stream).await.is_ok() && mem::take(&mut self.rare.expects_answer)
    }

    /// Puts our goodbye behind what is framed; nothing comes behind it.
    fn frame_goodbye(&mut self, ending: Ending) {
        self.has_left = true;
        self.outbox.gets_stuck();
        self.queue_urgent();
        self.rare.expects_answer = self.protocol.end(ending, self.framed.bytes());
    }

    /// As [`Pump::finish_with_goodbye`], as long as the peer takes something; `None` if it does not.
    pub(in crate::connection) async fn finish_in_time(
        &mut self,
        ending: Ending,
        stream: &mut Box<dyn Stream>,
    ) -> Option<bool> {
        let mut patience = Patience::new(self.rare.limits.close);
        loop {
            let asked = Instant::now();
            let finish = self.finish_with_goodbye(ending.clone(), stream);
            if let Ok(expects_answer) = timeout(patience.wait(), finish).await {
                self.note_goodbye();
                return Some(expects_answer);
            }
            self.note_sent();
            patience.spend(asked.elapsed());
            if !patience.goes_on(|| self.untaken(stream)) {
                return None;
            }
        }
    }

    /// There was no time for the goodbye: the protocol only knows what it would have been, if it was not begun.
    pub(in crate::connection) fn leave_unheard(&mut self, ending: Ending) {
        if !mem::replace(&mut self.has_left, true) {
            self.protocol.end(ending, &mut Vec::new());
        }
    }

    /// Makes ready to turn a peer away that takes too long: [`Pump::poll_end`] writes the message that it has begun to
    /// read, and the goodbye.
    pub(in crate::connection) fn give_up(&mut self) {
        self.drop_unbegun();
        self.queue_urgent();
        self.protocol.end(Ending::SlowConsumer, self.framed.bytes());
    }

    /// Writes what is framed and ends our direction of the byte stream.
    pub(in crate::connection) fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Box<dyn Stream>,
    ) -> Poll<()> {
        // The peer may be gone already; there is nobody to tell.
        let _broken_or_not = ready!(self.poll_write_framed(cx, stream)).is_err();
        Pin::new(stream).poll_shutdown(cx).map(drop)
    }

    /// Ends our direction of the byte stream.
    pub(in crate::connection) async fn shutdown(&mut self, stream: &mut Box<dyn Stream>) {
        tokio::select! {
            biased;
            // The peer may be gone already; there is nobody to tell.
            _gone_or_not = timeout(self.rare.limits.close, stream.shutdown()) => {}
            () = self.cut() => {}
        }
    }
}
