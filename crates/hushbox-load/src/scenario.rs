//! A whole call: place it, go through a script, end it, and say what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::client::{self, Established, Plan, Refusal, Reply};
use crate::dialog::{Ended, Line};
use crate::error::Error;
use crate::g711::Codec;
use crate::measure::{self, ToneDetector};
use crate::media::Media;
use crate::script::{Keys, Step};
use crate::sdp::{Direction, Offer};
use crate::srtp::Suite;
use crate::timeline::{RATE, time_of};

/// What became of a step.
#[derive(Debug, Clone)]
pub struct StepOutcome {
    /// The step.
    pub name: &'static str,
    /// It did what it should.
    pub ok: bool,
    /// How long it took.
    pub took: Duration,
    /// What was heard meanwhile, in [`Outcome::heard`].
    pub heard: std::ops::Range<usize>,
    /// What was said meanwhile, in [`Outcome::said`].
    pub said: std::ops::Range<usize>,
    /// Why it failed, or what it found.
    pub detail: String,
}

/// What became of a call.
#[derive(Debug)]
pub struct Outcome {
    /// Every status that came for the INVITEs, in order.
    pub statuses: Vec<u16>,
    /// Set if the call was refused; everything below is empty then.
    pub refusal: Option<Refusal>,
    /// From INVITE to 200.
    pub answered_after: Duration,
    /// The suite of SDES; none on plain RTP.
    pub suite: Option<Suite>,
    /// The codec that we sent.
    pub codec: Option<Codec>,
    /// Everything that was heard, from the first packet on.
    pub heard: Vec<i16>,
    /// Everything that was said, from the answer on.
    pub said: Vec<i16>,
    /// The steps that were gone through.
    pub steps: Vec<StepOutcome>,
    /// How it ended.
    pub ended: Option<Ended>,
    /// Packets heard, and such that did not open.
    pub packets: (u64, u64),
    /// RTCP compounds that came.
    pub reports: u64,
}

impl Outcome {
    /// The call was answered and every step did what it should.
    pub fn is_ok(&self) -> bool {
        self.refusal.is_none() && self.steps.iter().all(|s| s.ok)
    }

    /// What was heard during the first step of this name.
    pub fn heard_during(&self, name: &str) -> &[i16] {
        let step = self.steps.iter().find(|s| s.name == name);
        step.map_or(&[], |s| &self.heard[s.heard.clone()])
    }
}

/// Places a call and goes through the script; at its end, hangs up if nobody has.
pub async fn call(plan: &Plan, script: &[Step]) -> Result<Outcome, Error> {
    call_watched(plan, script, &mut |_| ()).await
}

/// [`call`], and says of each step what became of it as soon as it is over.
pub async fn call_watched(
    plan: &Plan,
    script: &[Step],
    watch: &mut (dyn FnMut(&StepOutcome) + Send),
) -> Result<Outcome, Error> {
    let established = match client::invite(plan).await? {
        Reply::Answered(established) => *established,
        Reply::Refused(refusal) => {
            return Ok(Outcome {
                statuses: refusal.statuses.clone(),
                refusal: Some(refusal),
                answered_after: Duration::ZERO,
                suite: None,
                codec: None,
                heard: Vec::new(),
                said: Vec::new(),
                steps: Vec::new(),
                ended: None,
                packets: (0, 0),
                reports: 0,
            });
        }
    };
    let Established { dialog, agreement, offer, sockets, answered_after, statuses } = established;
    let media = Media::start(sockets, &agreement)?;
    let mut live = Live { line: dialog.start(), media, offer, listened: 0 };
    let mut steps = Vec::new();
    for step in script {
        let outcome = live.step(step).await;
        watch(&outcome);
        let ok = outcome.ok;
        steps.push(outcome);
        if !ok {
            break;
        }
    }
    live.hang_up().await;
    let ended = live.line.ended.borrow().clone();
    let mut sound = live.media.sound();
    Ok(Outcome {
        statuses,
        refusal: None,
        answered_after,
        suite: agreement.keys.as_ref().map(|k| k.0),
        codec: Some(agreement.codec),
        heard: sound.heard.samples().to_vec(),
        said: std::mem::take(&mut sound.said),
        steps,
        ended,
        packets: (sound.heard.packets, sound.refused),
        reports: sound.reports,
    })
}

/// The correlation from which on two pieces of sound are the same.
const SAME: f64 = 0.99;
/// Nobody speaks for so long within a message and what announces it.
const SILENT_MAX: Duration = Duration::from_secs(3);
/// No packet for so long: nothing more is sent.
const STOPPED: Duration = Duration::from_millis(80);
/// How often what was heard is looked at.
const LOOK: Duration = Duration::from_millis(20);

struct Live {
    line: Line,
    media: Media,
    offer: Offer,
    /// Up to here every beep has been used: the next wait for one begins after it.
    listened: usize,
}

impl Live {
    async fn step(&mut self, step: &Step) -> StepOutcome {
        let began = Instant::now();
        let (heard_from, said_from) = self.positions();
        let mut ended = self.line.ended.clone();
        // A key may be what makes the other side hang up.
        let expects_end = matches!(step, Step::Bye { .. } | Step::HangUp | Step::Press(_));
        let result = tokio::select! {
            biased;
            done = self.perform(step) => done,
            _ = ended.wait_for(|e| e.is_some()), if !expects_end => Err("the other side hung up".to_owned()),
        };
        let (heard_to, said_to) = self.positions();
        StepOutcome {
            name: step.name(),
            ok: result.is_ok(),
            took: began.elapsed(),
            heard: heard_from..heard_to,
            said: said_from..said_to,
            detail: result.unwrap_or_else(|e| e),
        }
    }

    fn positions(&self) -> (usize, usize) {
        let sound = self.media.sound();
        (sound.heard.samples().len(), sound.said.len())
    }

    /// What a step found, or why it failed.
    async fn perform(&mut self, step: &Step) -> Result<String, String> {
        let done = match step {
            Step::Beep { within } => return self.beep(*within).await,
            Step::Speech { within } => return self.speech(*within).await,
            Step::Quiet { quiet, within } => return self.quiet(*quiet, *within).await,
            Step::Find { sound, next, tries, within } => {
                return self.find(sound, next, *tries, *within).await;
            }
            Step::Bye { within } => return self.bye(*within).await,
            Step::Say(samples) => self.media.say(samples.to_vec()).await,
            Step::Press(keys) => self.media.press(keys.as_str()).await,
            Step::Hold => self.turn(Direction::SendOnly).await,
            Step::Resume => self.turn(Direction::SendRecv).await,
            Step::Hear(length) => {
                sleep(*length).await;
                Ok(())
            }
            Step::HangUp => {
                self.hang_up().await;
                Ok(())
            }
        };
        done.map(|()| String::new()).map_err(|e| e.to_string())
    }

    /// Waits until a beep has ended; where it stood is the next step's beginning.
    async fn beep(&mut self, within: Duration) -> Result<String, String> {
        let mut detector = ToneDetector::default();
        let start = self.listened;
        let mut fed = start;
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            let tone = {
                let sound = self.media.sound();
                let heard = sound.heard.samples();
                let ended = detector.push(heard.get(fed..).unwrap_or_default()).into_iter().next();
                fed = fed.max(heard.len());
                // A server may send nothing at all after its beep.
                let stopped = sound.packet_at.is_some_and(|at| at.elapsed() > STOPPED);
                ended.or_else(|| detector.sounding().filter(|_| stopped).cloned())
            };
            if let Some(tone) = tone {
                self.listened = start + tone.range.end;
                let length = time_of(tone.range.len());
                return Ok(format!("{:.0} Hz for {} ms", tone.hertz, length.as_millis()));
            }
            sleep(LOOK).await;
        }
        Err(format!("no beep within {} s", within.as_secs()))
    }

    async fn speech(&self, within: Duration) -> Result<String, String> {
        let began = Instant::now();
        while began.elapsed() < within {
            if self.media.sound().loud_at.is_some_and(|at| at >= began) {
                return Ok(String::new());
            }
            sleep(LOOK).await;
        }
        Err(format!("nothing heard within {} s", within.as_secs()))
    }

    async fn quiet(&self, quiet: Duration, within: Duration) -> Result<String, String> {
        let began = Instant::now();
        while began.elapsed() < within {
            if self.quiet_since(began).is_some_and(|so_far| so_far >= quiet) {
                return Ok(String::new());
            }
            sleep(LOOK).await;
        }
        Err(format!("never quiet for {} ms within {} s", quiet.as_millis(), within.as_secs()))
    }

    /// How long nobody has spoken, if anybody has since then.
    fn quiet_since(&self, began: Instant) -> Option<Duration> {
        let loud_at = self.media.sound().loud_at.filter(|at| *at >= began);
        loud_at.map(|at| at.elapsed())
    }

    async fn find(
        &self,
        wanted: &Arc<[i16]>,
        next: &Keys,
        tries: usize,
        within: Duration,
    ) -> Result<String, String> {
        let mut best = 0.0;
        for number in 1..=tries.max(1) {
            best = f64::max(best, self.listen_for(wanted, within).await);
            if best > SAME {
                return Ok(format!("correlation {best:.4}"));
            }
            if number < tries {
                self.media.press(next.as_str()).await.map_err(|e| e.to_string())?;
            }
        }
        Err(format!("not heard again: best correlation {best:.4}"))
    }

    /// Listens until it was heard whole, or nobody has spoken for a while, or the time is over; looks twice
    /// a second.
    async fn listen_for(&self, wanted: &Arc<[i16]>, within: Duration) -> f64 {
        let began = Instant::now();
        let from = self.positions().0;
        let mut best = 0.0;
        while began.elapsed() < within {
            sleep(Duration::from_millis(500)).await;
            let heard = {
                let sound = self.media.sound();
                let heard = sound.heard.samples();
                // What is older was looked through before.
                let recent = heard.len().saturating_sub(wanted.len() + RATE * 2);
                heard[recent.max(from).min(heard.len())..].to_vec()
            };
            let wanted = Arc::clone(wanted);
            let search = move || measure::find(&wanted, &heard).map_or(0.0, |m| m.correlation);
            // The transform takes longer than a packet.
            best = f64::max(best, tokio::task::spawn_blocking(search).await.unwrap_or(0.0));
            let over = self.quiet_since(began).is_some_and(|so_far| so_far > SILENT_MAX);
            if best > SAME || over {
                break;
            }
        }
        best
    }

    async fn turn(&mut self, direction: Direction) -> Result<(), Error> {
        self.offer.turn(direction);
        let response = self.line.reinvite(self.offer.text()).await?;
        if !(200..300).contains(&response.status) {
            return Err(Error::Answer(format!("re-INVITE got {}", response.status)));
        }
        let agreement = self.offer.read_answer(&response.body)?;
        self.media.renegotiate(agreement).await?;
        self.media.hold(direction != Direction::SendRecv).await
    }

    async fn bye(&mut self, within: Duration) -> Result<String, String> {
        let mut ended = self.line.ended.clone();
        let waited = timeout(within, ended.wait_for(|e| e.is_some())).await;
        match waited.map(|e| e.map(|e| e.clone())) {
            Ok(Ok(Some(Ended::There(reason)))) => Ok(reason.unwrap_or_default()),
            Ok(_) => Err("the call ended otherwise".into()),
            Err(_) => Err(format!("no BYE within {} s", within.as_secs())),
        }
    }

    async fn hang_up(&mut self) {
        if self.line.ended.borrow().is_none() {
            // The call ends, whether or not the peer still answers.
            let _ = self.media.end().await;
            let _ = self.line.hang_up().await;
        }
    }
}
