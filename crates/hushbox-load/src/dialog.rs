//! A call that stands: BYE and re-INVITE from here, BYE and whatever else from there (RFC 3261 §12, §14, §15).

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::client::token;
use crate::error::Error;
use crate::limits::{BYE_MAX, FINAL_RESPONSE_MAX, QUEUE_MAX, T2};
use crate::message::{Message, Request, Response, Writer};
use crate::transport::Connection;

/// What every request in the dialog repeats.
#[derive(Debug, Clone)]
pub struct Route {
    /// The remote target.
    pub target: String,
    /// The route set, nearest first; loose routers only (RFC 3261 §12.2.1.1).
    pub route_set: Vec<String>,
    /// From, with our tag.
    pub from: String,
    /// To, with the peer's tag.
    pub to: String,
    /// Call-ID.
    pub call_id: String,
    /// Our Contact.
    pub contact: String,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// We hung up; the answer to our BYE.
    Here(u16),
    /// The peer hung up; its Reason header (RFC 3326).
    There(Option<String>),
    /// The connection was lost, or nobody answered our BYE.
    Lost(String),
}

/// A dialog before its task runs.
pub struct Dialog {
    connection: Connection,
    route: Route,
    cseq: u32,
    ack: Vec<u8>,
    acknowledged: u32,
}

/// The handle of a dialog's task.
pub struct Line {
    commands: mpsc::Sender<Command>,
    /// Set when the call has ended.
    pub ended: watch::Receiver<Option<Ended>>,
    task: JoinHandle<()>,
}

enum Command {
    HangUp(oneshot::Sender<u16>),
    Reinvite(String, oneshot::Sender<Result<Response, Error>>),
}

impl Line {
    /// Sends BYE and waits for its answer; none if the call has ended already.
    pub async fn hang_up(&self) -> Result<Option<u16>, Error> {
        let (sender, answer) = oneshot::channel();
        if self.commands.send(Command::HangUp(sender)).await.is_err() {
            return Ok(None);
        }
        Ok(answer.await.ok())
    }

    /// Sends a re-INVITE with this offer; its 2xx is acknowledged before it comes out here.
    pub async fn reinvite(&self, offer: String) -> Result<Response, Error> {
        let (sender, answer) = oneshot::channel();
        let gone = || Error::ConnectionLost("the call has ended".into());
        self.commands.send(Command::Reinvite(offer, sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dialog {
    /// A dialog made by the INVITE of this CSeq.
    pub fn new(connection: Connection, route: Route, cseq: u32) -> Self {
        Self { connection, route, cseq, ack: Vec::new(), acknowledged: 0 }
    }

    /// Acknowledges a 2xx: a request of its own, repeated whenever the 2xx is (RFC 3261 §13.2.2.4). It carries
    /// our answer if the offer came in the 2xx.
    pub async fn acknowledge(&mut self, cseq: u32, answer: Option<&str>) -> Result<(), Error> {
        let ack = self.request("ACK", cseq, &format!("z9hG4bK{}", token()?));
        self.ack = answer.map_or_else(|| ack.clone().end(), |sdp| ack.clone().sdp(sdp));
        self.acknowledged = cseq;
        self.connection.send(&self.ack.clone()).await
    }

    /// Runs it on a task of its own.
    pub fn start(self) -> Line {
        let (commands, inbox) = mpsc::channel(QUEUE_MAX);
        let (sender, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut running = Running { dialog: self, pending: None, ended: sender };
            running.run(inbox).await;
        });
        Line { commands, ended, task }
    }

    fn request(&self, method: &str, cseq: u32, branch: &str) -> Writer {
        let Route { target, route_set, from, to, call_id, .. } = &self.route;
        let (via, local) = (self.connection.transport.via(), self.connection.local);
        let mut writer = Writer::new(&format!("{method} {target} SIP/2.0"))
            .header("Via", &format!("SIP/2.0/{via} {local};branch={branch};rport"))
            .header("Max-Forwards", "70");
        for hop in route_set {
            writer = writer.header("Route", &format!("<{hop}>"));
        }
        writer
            .header("From", from)
            .header("To", to)
            .header("Call-ID", call_id)
            .header("CSeq", &format!("{cseq} {method}"))
    }
}

/// Our request that waits for its final response.
struct Pending {
    bytes: Vec<u8>,
    branch: String,
    cseq: u32,
    deadline: Instant,
    repeat: Option<(Instant, std::time::Duration)>,
    asked: Asked,
}

enum Asked {
    Bye(oneshot::Sender<u16>),
    Invite(oneshot::Sender<Result<Response, Error>>),
}

struct Running {
    dialog: Dialog,
    pending: Option<Pending>,
    ended: watch::Sender<Option<Ended>>,
}

impl Running {
    async fn run(&mut self, mut inbox: mpsc::Receiver<Command>) {
        loop {
            let wake = self
                .pending
                .as_ref()
                .map(|p| p.repeat.map_or(p.deadline, |(at, _)| at.min(p.deadline)));
            let far = Instant::now() + FINAL_RESPONSE_MAX;
            let outcome = tokio::select! {
                message = self.dialog.connection.receive() => match message {
                    Ok(Message::Request(request)) => self.requested(&request).await,
                    Ok(Message::Response(response)) => self.responded(response).await,
                    Err(Error::ConnectionLost(what)) => Err(Error::ConnectionLost(what)),
                    // What cannot be read is for the peer to repeat.
                    Err(_) => Ok(()),
                },
                command = inbox.recv(), if self.pending.is_none() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                () = sleep_until(wake.unwrap_or(far)), if wake.is_some() => self.overdue().await,
            };
            if let Err(e) = outcome {
                self.end(Ended::Lost(e.to_string()));
                return;
            }
            if matches!(*self.ended.borrow(), Some(Ended::Here(_) | Ended::Lost(_))) {
                return;
            }
        }
    }

    fn end(&self, ended: Ended) {
        self.ended.send_if_modified(|before| {
            let first = before.is_none();
            if first {
                *before = Some(ended);
            }
            first
        });
    }

    async fn obey(&mut self, command: Command) -> Result<(), Error> {
        if self.ended.borrow().is_some() {
            // Dropping the sender says so.
            return Ok(());
        }
        self.dialog.cseq += 1;
        let (cseq, branch) = (self.dialog.cseq, format!("z9hG4bK{}", token()?));
        let (bytes, asked, longest) = match command {
            Command::HangUp(sender) => {
                let bye = self.dialog.request("BYE", cseq, &branch);
                (bye.header("Reason", "Q.850;cause=16").end(), Asked::Bye(sender), BYE_MAX)
            }
            Command::Reinvite(offer, sender) => {
                let invite = self.dialog.request("INVITE", cseq, &branch);
                let invite = invite.header("Contact", &self.dialog.route.contact).sdp(&offer);
                (invite, Asked::Invite(sender), FINAL_RESPONSE_MAX)
            }
        };
        let now = Instant::now();
        let repeat = self.dialog.connection.first_repeat().map(|d| (now + d, d));
        self.dialog.connection.send(&bytes).await?;
        self.pending =
            Some(Pending { bytes, branch, cseq, deadline: now + longest, repeat, asked });
        Ok(())
    }

    /// Repeats our request, or gives it up.
    async fn overdue(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let Some(pending) = &mut self.pending else { return Ok(()) };
        if now >= pending.deadline {
            let Some(pending) = self.pending.take() else { return Ok(()) };
            match pending.asked {
                Asked::Bye(_) => self.end(Ended::Lost("no answer to BYE".into())),
                // Whoever asked may be gone.
                Asked::Invite(sender) => {
                    let _ = sender.send(Err(Error::NoAnswer("re-INVITE")));
                }
            }
            return Ok(());
        }
        if let Some((at, gap)) = &mut pending.repeat {
            *gap = (*gap * 2).min(T2);
            *at = now + *gap;
            let bytes = pending.bytes.clone();
            self.dialog.connection.send(&bytes).await?;
        }
        Ok(())
    }

    async fn responded(&mut self, response: Response) -> Result<(), Error> {
        let success = (200..300).contains(&response.status);
        let ours = self.pending.take_if(|p| {
            response.status >= 200
                && response.headers.branch() == Some(p.branch.as_str())
                && response.headers.cseq().is_some_and(|(number, _)| number == p.cseq)
        });
        let Some(pending) = ours else {
            // RFC 3261 §13.2.2.4: every repeat of the 2xx is acknowledged again.
            let repeated =
                success && response.headers.cseq() == Some((self.dialog.acknowledged, "INVITE"));
            if repeated {
                self.dialog.connection.send(&self.dialog.ack.clone()).await?;
            }
            return Ok(());
        };
        match pending.asked {
            Asked::Bye(sender) => {
                // Whoever asked may be gone.
                let _ = sender.send(response.status);
                self.end(Ended::Here(response.status));
            }
            Asked::Invite(sender) => {
                if success {
                    self.dialog.acknowledge(pending.cseq, None).await?;
                } else {
                    let ack = self.dialog.request("ACK", pending.cseq, &pending.branch).end();
                    self.dialog.connection.send(&ack).await?;
                }
                let _ = sender.send(Ok(response));
            }
        }
        Ok(())
    }

    async fn requested(&mut self, request: &Request) -> Result<(), Error> {
        let ours = request.headers.first("Call-ID") == Some(self.dialog.route.call_id.as_str());
        let status = match request.method.as_str() {
            "ACK" => return Ok(()),
            "OPTIONS" => "200 OK",
            _ if !ours => "481 Call/Transaction Does Not Exist",
            "BYE" => "200 OK",
            // RFC 3261 §14.2: this end changes nothing during a call.
            "INVITE" | "UPDATE" => "488 Not Acceptable Here",
            _ => "405 Method Not Allowed",
        };
        self.respond(request, status).await?;
        if request.method == "BYE" && ours {
            let reason = request.headers.first("Reason").map(str::to_owned);
            self.end(Ended::There(reason));
        }
        Ok(())
    }

    /// RFC 3261 §8.2.6.2: Via, From, To, Call-ID and CSeq come back as they were.
    async fn respond(&mut self, request: &Request, status: &str) -> Result<(), Error> {
        let mut writer = Writer::new(&format!("SIP/2.0 {status}"));
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in request.headers.all(name) {
                writer = writer.header(name, value);
            }
        }
        let response = writer.header("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS").end();
        self.dialog.connection.send(&response).await
    }
}
