//! One connection, TCP or TLS: what it reads goes to signalling, what signalling writes goes out.

use std::time::Duration;

use bytes::BytesMut;
use hushbox_sip::{Attempt, Flow};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Acquaintance, Arrival, Place, write_queue};
use crate::client_certificates::Match;
use crate::limits;
use crate::metrics::Counted;

/// Sets what every connection needs: no delay, marking, and an end when the peer is silently gone.
pub fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(limits::KEEPALIVE))?;
    super::mark(&socket, stream.local_addr()?, super::DSCP_CS3);
    Ok(())
}

/// A connection that has just come up.
#[derive(Debug)]
pub struct Begun<P> {
    /// Between which addresses, with its number.
    pub flow: Flow,
    /// Whose certificate was shown.
    pub peer: Match<P>,
    /// Which attempt of ours this was, if it was ours.
    pub attempt: Option<Attempt>,
}

/// Carries one connection to its end.
pub async fn carry<S, P>(
    stream: S,
    begun: Begun<P>,
    arrivals: mpsc::Sender<Arrival<P>>,
    place: Place,
) where
    S: AsyncRead + AsyncWrite,
{
    let Begun { flow, peer, attempt } = begun;
    let _counted = Counted::connection(flow.transport);
    let known = Acquaintance::default();
    // Whom we have called is no stranger.
    if matches!(peer, Match::One(_)) || attempt.is_some() {
        known.make();
    }
    let (writer, queue) = write_queue(known.clone());
    let acquaintance = known.clone();
    let opened = Arrival::Opened { flow, peer, writer, acquaintance, attempt };
    if arrivals.send(opened).await.is_err() {
        return;
    }
    let (read, write) = tokio::io::split(stream);
    let mut writing = std::pin::pin!(queue.write_to(write, limits::WRITE_MAX));
    let read_first = tokio::select! {
        () = reading(read, flow, &known, &arrivals) => true,
        () = writing.as_mut() => false,
    };
    // A failure here means that signalling has ended, and with it everything that would hear of this.
    let _ended = arrivals.send(Arrival::Closed { flow }).await;
    if read_first {
        // The peer sends no more; what was to be sent to it still goes out. Signalling drops the writer now.
        let _late = timeout(limits::WRITE_MAX, writing).await;
    }
    drop(place);
}

/// When a connection has been open or silent for too long.
fn deadline(opened: Instant, since: Instant, heard: bool, known: &Acquaintance) -> Instant {
    let silent = since + patience(heard, known);
    if known.is_made() { silent } else { silent.min(opened + limits::STRANGER_MAX) }
}

/// How long a connection may be silent.
fn patience(heard: bool, known: &Acquaintance) -> Duration {
    match (heard, known.is_made()) {
        (false, _) => limits::FIRST_BYTE_MAX,
        (true, false) => limits::STRANGER_IDLE_MAX,
        (true, true) => limits::IDLE_MAX,
    }
}

async fn reading<R: AsyncRead + Unpin, P>(
    mut read: R,
    flow: Flow,
    known: &Acquaintance,
    arrivals: &mpsc::Sender<Arrival<P>>,
) {
    let mut heard = false;
    let opened = Instant::now();
    let mut since = opened;
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(limits::READ_BYTES);
        let until = deadline(opened, since, heard, known);
        match timeout_at(until, read.read_buf(&mut buffer)).await {
            // A stranger who never falls silent has to end all the same.
            Ok(Ok(count)) if count > 0 && Instant::now() < until => {}
            // It has become known meanwhile: it may stay longer.
            Err(_) if deadline(opened, since, heard, known) > until => continue,
            _ => return,
        }
        (heard, since) = (true, Instant::now());
        if arrivals.send(Arrival::Data { flow, bytes: buffer.split().freeze() }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hushbox_sip::{ConnectionId, Transport};
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::listener::Connections;

    fn flow() -> Flow {
        Flow {
            transport: Transport::Tcp,
            local: "127.0.0.1:5060".parse().expect("an address"),
            remote: "127.0.0.1:9".parse().expect("an address"),
            connection: Some(ConnectionId(1)),
        }
    }

    fn begun() -> Begun<()> {
        Begun { flow: flow(), peer: Match::Nobody, attempt: None }
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_dropping_the_writer_closes_after_the_last_byte() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (arrivals, mut heard) = mpsc::channel::<Arrival<()>>(4);
        let admitted = Connections::new(1, 1).admit([127, 0, 0, 1].into()).expect("admitted");
        let task = tokio::spawn(carry(ours, begun(), arrivals, Place::Theirs(admitted)));
        let Some(Arrival::Opened { writer, .. }) = heard.recv().await else {
            panic!("opened first")
        };
        theirs.write_all(b"hello").await.expect("written");
        let Some(Arrival::Data { bytes, .. }) = heard.recv().await else { panic!("then data") };
        assert_eq!(&bytes[..], b"hello");
        assert!(writer.send(Bytes::from_static(b"bye")));
        drop(writer);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.expect("read");
        assert_eq!(got, b"bye");
        assert!(matches!(heard.recv().await, Some(Arrival::Closed { .. })));
        task.await.expect("no panic");
    }

    #[tokio::test]
    async fn what_was_to_be_sent_goes_out_though_the_peer_sends_no_more() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (arrivals, mut heard) = mpsc::channel::<Arrival<()>>(4);
        let admitted = Connections::new(1, 1).admit([127, 0, 0, 1].into()).expect("admitted");
        tokio::spawn(carry(ours, begun(), arrivals, Place::Theirs(admitted)));
        let Some(Arrival::Opened { writer, .. }) = heard.recv().await else {
            panic!("opened first")
        };
        theirs.shutdown().await.expect("half closed");
        assert!(matches!(heard.recv().await, Some(Arrival::Closed { .. })));
        assert!(writer.send(Bytes::from_static(b"answer")));
        drop(writer);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.expect("read");
        assert_eq!(got, b"answer");
    }

    #[test]
    fn a_stranger_who_never_falls_silent_has_to_end_and_who_is_known_has_not() {
        let opened = Instant::now();
        let known = Acquaintance::default();
        let since = opened + limits::STRANGER_MAX;
        assert_eq!(deadline(opened, since, true, &known), opened + limits::STRANGER_MAX);
        assert_eq!(deadline(opened, opened, true, &known), opened + limits::STRANGER_IDLE_MAX);
        known.make();
        assert_eq!(deadline(opened, since, true, &known), since + limits::IDLE_MAX);
    }

    #[tokio::test]
    async fn a_certificate_or_an_admitted_call_makes_a_connection_stay() {
        for (peer, known) in
            [(Match::Nobody, false), (Match::Several, false), (Match::One(()), true)]
        {
            let (ours, _theirs) = tokio::io::duplex(64);
            let (arrivals, mut heard) = mpsc::channel(4);
            let admitted = Connections::new(1, 1).admit([127, 0, 0, 1].into()).expect("admitted");
            let task = tokio::spawn(carry(
                ours,
                Begun { peer, ..begun() },
                arrivals,
                Place::Theirs(admitted),
            ));
            let Some(Arrival::Opened { writer, acquaintance, .. }) = heard.recv().await else {
                panic!("opened first")
            };
            assert_eq!(acquaintance.is_made(), known, "{peer:?}");
            assert_eq!(patience(true, &acquaintance) == limits::IDLE_MAX, known, "{peer:?}");
            acquaintance.make();
            assert_eq!(patience(true, &acquaintance), limits::IDLE_MAX);
            drop(writer);
            task.await.expect("no panic");
        }
    }
}
