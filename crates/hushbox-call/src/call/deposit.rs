//! A deposit: frames into sealed records, saved when the last one is synced.

use hushbox_audit::{AuditRequest, Event as AuditEvent, EventName, Outcome, Who};
use hushbox_media::srtp::Suite;
use hushbox_media::{Event as LegEvent, RecordingEnd, RecordingLimits, RecordingSummary};
use hushbox_policy::{CallerName, CallerNumber, MessageId, Now, Profile};
use hushbox_store::model::Mailbox;
use hushbox_store::{CallFacts, Deposit as Sealing, DepositStart, EndKind, Ending, Envelope};
use zeroize::{Zeroize as _, Zeroizing};

use super::speaker::Sounding;
use super::{Context, Output, Recording, SpoolReply, SpoolRequest};
use crate::EndReason;
use crate::addressing::Cause;
use crate::tui::deposit::{self, Deposit, Greeting, Stop};

/// What a message's frames are: [`hushbox_media::recording`], version 1.
const FRAME_FORMAT: u16 = 1;

pub(super) struct DepositCall {
    tui: Deposit,
    mailbox: Box<Mailbox>,
    profile: Profile,
    caller: Option<(Option<CallerNumber>, Option<CallerName>)>,
    message: MessageId,
    message_key: Zeroizing<[u8; 32]>,
    limits: Recording,
    received_at: Option<jiff::Timestamp>,
    sealing: Option<Sealing>,
    samples: u64,
    /// The recorder has stopped: its last frames are still to come out of the leg.
    closing: Option<(deposit::Ending, RecordingSummary)>,
    /// A sync was asked for: its answer decides.
    syncing: bool,
    failed: bool,
    /// The spool was given something of the message, and nobody was told yet to deliver it.
    spooled: bool,
    pub(super) saved: Option<MessageId>,
    pub(super) over: Option<EndReason>,
}

impl DepositCall {
    pub(super) fn new(
        mailbox: Box<Mailbox>,
        profile: Profile,
        cause: Option<Cause>,
        caller: (Option<CallerNumber>, Option<CallerName>),
        message: MessageId,
        message_key: Zeroizing<[u8; 32]>,
        limits: Recording,
    ) -> Self {
        let greeting = Greeting {
            mailbox: mailbox.number.as_str().to_owned(),
            notice: profile == Profile::Hipaa,
            cause,
        };
        Self {
            tui: Deposit::new(greeting),
            mailbox,
            profile,
            caller: Some(caller),
            message,
            message_key,
            limits,
            received_at: None,
            sealing: None,
            samples: 0,
            closing: None,
            syncing: false,
            failed: false,
            spooled: false,
            saved: None,
            over: None,
        }
    }

    pub(super) fn stage(&self) -> &'static str {
        self.tui.state()
    }

    pub(super) fn deadline(&self) -> Option<std::time::Instant> {
        self.tui.deadline()
    }

    pub(super) fn input(&mut self, now: Now, context: &mut Context<'_>, input: deposit::Input) {
        self.tui.handle_input(now.monotonic, input);
        while let Some(output) = self.tui.poll_output() {
            match output {
                deposit::Output::Say(words) => context.media.say(now.monotonic, &words),
                deposit::Output::StopSpeaking => context.media.stop(now.monotonic),
                deposit::Output::Record => self.record(now, context),
                deposit::Output::Commit(ending) => {
                    let summary = context.media.leg.stop_recording(now.monotonic);
                    self.closing = Some((ending, summary));
                }
                deposit::Output::HangUp(reason) => self.over = Some(reason),
            }
        }
    }

    pub(super) fn leg_event(&mut self, now: Now, context: &mut Context<'_>, event: LegEvent) {
        let input = match event {
            LegEvent::Digit(key) => deposit::Input::Digit(key),
            LegEvent::PlaybackFinished => match context.media.finished() {
                Sounding::Words => deposit::Input::PromptFinished,
                Sounding::Nothing | Sounding::Message => return,
            },
            LegEvent::Frames(frames) => {
                self.seal(now, context, &frames);
                return;
            }
            LegEvent::RecordingEnded(RecordingEnd::MaxLength) => {
                deposit::Input::RecordingEnded(Stop::MaxLength)
            }
            LegEvent::RecordingEnded(RecordingEnd::Silence) => {
                deposit::Input::RecordingEnded(Stop::Silence)
            }
            LegEvent::HeldTooLong => deposit::Input::RecordingEnded(Stop::HeldTooLong),
            LegEvent::MediaDead => deposit::Input::RecordingEnded(Stop::MediaDead),
            LegEvent::PlaybackLow | LegEvent::Held | LegEvent::Resumed => return,
        };
        self.input(now, context, input);
    }

    /// The leg has given everything that it has at this moment.
    pub(super) fn leg_drained(&mut self, now: Now, context: &mut Context<'_>) {
        if let Some((ending, summary)) = self.closing.take() {
            self.close(now, context, ending, summary);
        }
    }

    pub(super) fn spool(&mut self, now: Now, context: &mut Context<'_>, reply: SpoolReply) {
        match reply {
            SpoolReply::Failed => {
                self.syncing = false;
                self.save_failed(now, context);
            }
            SpoolReply::Synced if self.syncing => {
                self.syncing = false;
                self.spooled = false;
                self.saved = Some(self.message);
                context.outputs.push_back(Output::Saved(self.message));
                self.input(now, context, deposit::Input::Saved);
            }
            SpoolReply::Synced => {}
        }
    }

    fn record(&mut self, now: Now, context: &mut Context<'_>) {
        self.received_at = Some(now.utc);
        let limits = RecordingLimits { max: self.limits.max, silence: self.limits.silence };
        context.media.leg.start_recording(now.monotonic, limits);
        context.audit(self.event(context, EventName::RecordStart));
    }

    /// Frames as they came: sealed before they are anywhere else.
    fn seal(&mut self, now: Now, context: &mut Context<'_>, frames: &[u8]) {
        if self.failed {
            return;
        }
        if self.sealing.is_none() && !self.begin(now, context) {
            return;
        }
        self.samples = self.samples.max(hushbox_media::recording::recorded_samples(frames));
        let Some(sealing) = self.sealing.as_mut() else { return };
        match sealing.chunk(frames, self.samples) {
            Ok(records) => {
                for record in records {
                    context.outputs.push_back(Output::Spool(SpoolRequest::Append(record)));
                }
            }
            Err(_) => self.save_failed(now, context),
        }
    }

    fn begin(&mut self, now: Now, context: &mut Context<'_>) -> bool {
        let (caller_number, caller_name) = self.caller.take().unwrap_or_default();
        let report = context.media.leg.report();
        let start = DepositStart {
            message: self.message,
            account: self.mailbox.account,
            mailbox: self.mailbox.id,
            epoch: self.mailbox.epoch,
            profile: self.profile,
            public_key: self.mailbox.public_key,
            received_at: self.received_at.unwrap_or(now.utc),
            envelope: Envelope {
                caller_number,
                caller_name,
                facts: CallFacts {
                    call: Some(context.call.to_string()),
                    codec: report.codec.map(|codec| codec.name().to_owned()),
                    srtp: report.suite.map(|suite| suite_name(suite).to_owned()),
                },
            },
            frame_format: FRAME_FORMAT,
            sample_rate: hushbox_media::limits::SAMPLE_RATE,
        };
        let begun = Sealing::begin(&start, *self.message_key);
        self.message_key.zeroize();
        match begun {
            Ok((sealing, first)) => {
                self.sealing = Some(sealing);
                self.spooled = true;
                context.outputs.push_back(Output::Spool(SpoolRequest::Append(first)));
                true
            }
            Err(_) => {
                self.save_failed(now, context);
                false
            }
        }
    }

    /// The last record, or none where nothing was said at all.
    fn close(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        ending: deposit::Ending,
        summary: RecordingSummary,
    ) {
        let sealing = self.sealing.take();
        if self.failed {
            return self.save_failed(now, context);
        }
        let Some(sealing) = sealing else { return self.dropped(now, context) };
        if summary.packets == 0 || summary.digital_silence {
            context.outputs.push_back(Output::Spool(SpoolRequest::Append(sealing.discard())));
            self.spooled = false;
            return self.dropped(now, context);
        }
        let ending =
            Ending { samples: summary.samples, end: end_kind(ending), quiet: !summary.voiced };
        match sealing.finish(ending) {
            Ok(last) => {
                context.outputs.push_back(Output::Spool(SpoolRequest::Append(last)));
                context.outputs.push_back(Output::Spool(SpoolRequest::Sync));
                self.syncing = true;
            }
            Err(_) => self.save_failed(now, context),
        }
    }

    /// Nothing more is written. What the spool has is delivered: the caller said it, though nobody called it saved.
    fn save_failed(&mut self, now: Now, context: &mut Context<'_>) {
        self.failed = true;
        if std::mem::take(&mut self.spooled) {
            context.outputs.push_back(Output::Abandoned(self.message));
        }
        self.input(now, context, deposit::Input::SaveFailed);
    }

    fn dropped(&mut self, now: Now, context: &mut Context<'_>) {
        let mut event = self.event(context, EventName::RecordAbort);
        event.outcome = Outcome::Failed;
        context.audit(event);
        self.input(now, context, deposit::Input::Dropped);
    }

    fn event(&self, context: &Context<'_>, name: EventName) -> AuditEvent {
        let mut event = AuditEvent::new(name, Who::Stranger);
        event.account = Some(self.mailbox.account);
        event.mailbox = Some(self.mailbox.id);
        event.message = Some(self.message);
        event.call = Some(context.call);
        event
    }
}

fn suite_name(suite: Suite) -> &'static str {
    match suite {
        Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
    }
}

fn end_kind(ending: deposit::Ending) -> EndKind {
    match ending {
        deposit::Ending::Hash => EndKind::Hash,
        deposit::Ending::HungUp | deposit::Ending::Stopped(Stop::MediaDead) => {
            EndKind::CallerHungUp
        }
        deposit::Ending::Stopped(Stop::MaxLength) => EndKind::MaxLength,
        deposit::Ending::Stopped(Stop::Silence) => EndKind::Silence,
        deposit::Ending::Stopped(Stop::HeldTooLong) => EndKind::Hold,
        deposit::Ending::Shutdown => EndKind::Shutdown,
    }
}

impl Context<'_> {
    /// Writes down what nobody waits for.
    pub(super) fn audit(&mut self, event: AuditEvent) {
        self.audits.push_back(super::AuditWait::Event);
        self.outputs.push_back(Output::Audit(AuditRequest::Event(event)));
    }
}
