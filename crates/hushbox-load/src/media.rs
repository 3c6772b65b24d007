//! A call's sound: a packet every 20 ms out, everything that comes in placed by its RTP time.
//!
//! Like a telephone, it sends all the time: silence when there is nothing to say, telephone events (RFC 4733)
//! instead of sound while a key is down, an RTCP report every five seconds and a BYE at the end.

mod engine;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use engine::Engine;

use crate::error::Error;
use crate::limits::{CALL_MAX, DIGITS_MAX, QUEUE_MAX};
use crate::rtp;
use crate::sdp::Agreement;
use crate::timeline::{Timeline, samples_in};

/// An RTP socket with its RTCP socket on the next port (RFC 3550 §11).
pub struct Sockets {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Sockets {
    /// Binds a free pair.
    pub async fn bind(ip: IpAddr) -> Result<Self, Error> {
        for _ in 0..64 {
            let rtp = UdpSocket::bind((ip, 0)).await?;
            let port = rtp.local_addr()?.port();
            if port % 2 == 1 || port == u16::MAX - 1 {
                continue;
            }
            if let Ok(rtcp) = UdpSocket::bind((ip, port + 1)).await {
                return Ok(Self { rtp, rtcp });
            }
        }
        Err(Error::Plan(format!("no pair of free ports on {ip}")))
    }

    /// Where RTP is expected.
    pub fn local(&self) -> Result<SocketAddr, Error> {
        Ok(self.rtp.local_addr()?)
    }
}

/// What came of a call's media.
#[derive(Debug, Default)]
pub struct Sound {
    /// What was heard.
    pub heard: Timeline,
    /// What was said, silence and digits (as silence) included.
    pub said: Vec<i16>,
    /// When something loud came last.
    pub loud_at: Option<Instant>,
    /// When anything came last.
    pub packet_at: Option<Instant>,
    /// Packets that did not open: forged, replayed or under another key.
    pub refused: u64,
    /// RTCP compounds that opened.
    pub reports: u64,
    /// The peer said BYE by RTCP.
    pub bye: bool,
    /// Packets sent.
    pub sent_packets: u64,
}

/// The handle of the task that carries the sound.
pub struct Media {
    commands: mpsc::Sender<Command>,
    sound: Arc<Mutex<Sound>>,
    /// Changes with every packet that is heard.
    pub packets: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

enum Command {
    Say(Vec<i16>, oneshot::Sender<()>),
    Press(Vec<char>, oneshot::Sender<()>),
    Renegotiated(Box<Agreement>, oneshot::Sender<Result<(), Error>>),
    Hold(bool),
    End(oneshot::Sender<()>),
}

impl Media {
    /// Begins to send and to listen as agreed.
    pub fn start(sockets: Sockets, agreement: &Agreement) -> Result<Self, Error> {
        let (commands, inbox) = mpsc::channel(QUEUE_MAX);
        let sound = Arc::new(Mutex::new(Sound::default()));
        let (count, packets) = watch::channel(0);
        let mut engine = Engine::new(sockets, agreement, Arc::clone(&sound), count)?;
        let task = tokio::spawn(async move { engine.run(inbox).await });
        Ok(Self { commands, sound, packets, task })
    }

    /// What has been heard and said so far.
    pub fn sound(&self) -> MutexGuard<'_, Sound> {
        locked(&self.sound)
    }

    /// Says something; ready when its last packet is out.
    pub async fn say(&self, samples: Vec<i16>) -> Result<(), Error> {
        if samples.len() > samples_in(CALL_MAX) {
            return Err(Error::Plan("what is said is longer than a call may be".into()));
        }
        self.ask(|done| Command::Say(samples, done)).await
    }

    /// Presses keys one after the other.
    pub async fn press(&self, digits: &str) -> Result<(), Error> {
        let digits: Vec<char> = digits.chars().collect();
        if digits.len() > DIGITS_MAX
            || digits.iter().any(|d| rtp::telephone_event(*d, false, 0).is_none())
        {
            return Err(Error::Plan("what is pressed must be keys of a telephone".into()));
        }
        self.ask(|done| Command::Press(digits, done)).await
    }

    /// Goes on as agreed anew.
    pub async fn renegotiate(&self, agreement: Agreement) -> Result<(), Error> {
        self.ask(|done| Command::Renegotiated(Box::new(agreement), done)).await?
    }

    /// Stops or starts sending.
    pub async fn hold(&self, held: bool) -> Result<(), Error> {
        self.commands.send(Command::Hold(held)).await.map_err(|_| gone())
    }

    /// Ends with a BYE by RTCP.
    pub async fn end(&self) -> Result<(), Error> {
        self.ask(Command::End).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn gone() -> Error {
    Error::Plan("the sound has ended".into())
}

fn locked(sound: &Mutex<Sound>) -> MutexGuard<'_, Sound> {
    sound.lock().unwrap_or_else(PoisonError::into_inner)
}
