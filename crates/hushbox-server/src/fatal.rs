//! Parts without which the server cannot go on: one that panics ends the server, which is then restarted.
//!
//! A server that lost its log or its lock-out counters would still answer calls and look healthy.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

/// The way to whoever ends the server.
#[derive(Clone, Debug)]
pub struct Fatal(mpsc::UnboundedSender<&'static str>);

/// Held by a part for as long as it runs. Dropped by a panic, it says so.
#[derive(Debug)]
pub struct Guard {
    fatal: Fatal,
    part: &'static str,
}

impl Fatal {
    /// The way, and its end: the names of parts that have failed.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<&'static str>) {
        let (sender, failed) = mpsc::unbounded_channel();
        (Self(sender), failed)
    }

    /// One that nobody listens to: for parts that run without a server.
    pub fn unheard() -> Self {
        Self::new().0
    }

    /// Guards a part.
    pub fn guard(&self, part: &'static str) -> Guard {
        Guard { fatal: self.clone(), part }
    }

    /// Starts a thread that is such a part.
    pub fn thread(
        &self,
        name: impl Into<String>,
        part: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let guard = self.guard(part);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let _guard = guard;
            body();
        })
    }

    /// Starts a task that is such a part.
    pub fn task(&self, part: &'static str, body: impl Future<Output = ()> + Send + 'static) {
        let guard = self.guard(part);
        tokio::spawn(async move {
            let _guard = guard;
            body.await;
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody listens where the server is at its end already.
            let _ended = self.fatal.0.send(self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_named_and_one_that_ends_is_not() {
        let (fatal, mut failed) = Fatal::new();
        fatal.thread("ends", "a thread that ended", || {}).expect("started").join().expect("ended");
        fatal
            .thread("t", "a thread", || panic!("on purpose"))
            .expect("started")
            .join()
            .expect_err("it panicked");
        assert_eq!(failed.recv().await, Some("a thread"));
        fatal.task("a task that ended", async {});
        fatal.task("a task", async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        assert_eq!(failed.recv().await, Some("a task"));
        drop(fatal);
        assert_eq!(failed.recv().await, None);
    }
}
