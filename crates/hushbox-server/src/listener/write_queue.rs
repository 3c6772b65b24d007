//! What waits to be written to one connection: bounded by its bytes, since one pass of signalling may answer hundreds of
//! requests that came at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Acquaintance;
use crate::limits;

/// Takes what is to be sent; dropping it closes the connection once all is sent.
#[derive(Debug)]
pub struct WriteQueue {
    queue: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    known: Acquaintance,
}

/// The other end of a [`WriteQueue`].
#[derive(Debug)]
pub struct Unwritten {
    queue: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends, for a connection of somebody who is known, or is not.
pub fn write_queue(known: Acquaintance) -> (WriteQueue, Unwritten) {
    let (sender, queue) = mpsc::unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    (
        WriteQueue { queue: sender, waiting: Arc::clone(&waiting), known },
        Unwritten { queue, waiting },
    )
}

impl WriteQueue {
    /// Queues a message. False where the peer has left too much unread, or is gone: it is to be disconnected.
    pub fn send(&self, bytes: Bytes) -> bool {
        let max = if self.known.is_made() {
            limits::WRITE_QUEUE_BYTES
        } else {
            limits::STRANGER_WRITE_QUEUE_BYTES
        };
        // One message always has room: none is longer than a peer may make it.
        let waits = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        (waits == 0 || waits + bytes.len() <= max) && self.queue.send(bytes).is_ok()
    }
}

impl Unwritten {
    /// Writes until the other end is dropped and everything is out, then closes. A peer that takes not one byte for
    /// `patience` is given up.
    pub async fn write_to<W: AsyncWrite + Unpin>(mut self, mut write: W, patience: Duration) {
        let mut batch = BytesMut::new();
        while let Some(first) = self.queue.recv().await {
            batch.extend_from_slice(&first);
            while batch.len() < limits::WRITE_BATCH_BYTES
                && let Ok(more) = self.queue.try_recv()
            {
                batch.extend_from_slice(&more);
            }
            while !batch.is_empty() {
                match timeout(patience, write.write_buf(&mut batch)).await {
                    Ok(Ok(written)) if written > 0 => {
                        self.waiting.fetch_sub(written, Ordering::Relaxed);
                    }
                    _ => return,
                }
            }
            if !matches!(timeout(patience, write.flush()).await, Ok(Ok(()))) {
                return;
            }
        }
        let _closed = timeout(patience, write.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn known() -> Acquaintance {
        let known = Acquaintance::default();
        known.make();
        known
    }

    #[tokio::test]
    async fn a_burst_to_a_peer_that_reads_is_sent_whole_and_in_order() {
        let (writer, queue) = write_queue(known());
        let sent: Vec<Bytes> = (0..500).map(|n| format!("answer {n}\r\n").into()).collect();
        assert!(sent.iter().all(|bytes| writer.send(bytes.clone())), "before anybody writes");
        drop(writer);
        let (ours, mut theirs) = tokio::io::duplex(64);
        let writing = tokio::spawn(queue.write_to(ours, limits::WRITE_MAX));
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.expect("read");
        assert_eq!(read, sent.concat());
        writing.await.expect("no panic");
    }

    #[tokio::test]
    async fn what_is_written_makes_room_again() {
        let (writer, queue) = write_queue(Acquaintance::default());
        let half = Bytes::from(vec![0; limits::STRANGER_WRITE_QUEUE_BYTES / 2]);
        let (ours, mut theirs) = tokio::io::duplex(64);
        tokio::spawn(queue.write_to(ours, limits::WRITE_MAX));
        let mut read = vec![0; half.len() * 2];
        for _ in 0..3 {
            assert!(writer.send(half.clone()) && writer.send(half.clone()));
            theirs.read_exact(&mut read).await.expect("read");
            // The writer counts after the reader has read.
            while writer.waiting.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn who_leaves_too_much_unread_is_refused_more_and_a_stranger_sooner() {
        let (writer, _queue) = write_queue(Acquaintance::default());
        let message = Bytes::from(vec![0; 1024]);
        let taken = |writer: &WriteQueue| {
            (0..1_000_000).take_while(|_| writer.send(message.clone())).count()
        };
        assert_eq!(taken(&writer), limits::STRANGER_WRITE_QUEUE_BYTES / message.len());
        let (writer, _queue) = write_queue(known());
        assert_eq!(taken(&writer), limits::WRITE_QUEUE_BYTES / message.len());
        let (writer, queue) = write_queue(known());
        drop(queue);
        assert!(!writer.send(message), "nobody writes any longer");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (writer, queue) = write_queue(known());
        assert!(writer.send(Bytes::from(vec![0; 1024])));
        let (ours, _theirs) = tokio::io::duplex(64);
        queue.write_to(ours, Duration::from_millis(10)).await;
        assert!(!writer.send(Bytes::from_static(b"more")));
    }
}
