//! The menu by script: keys in, what is said and asked for out.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn t0() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any origin will do in a test")]
    Instant::now()
}

fn entry(state: EntryState, minute: i8) -> Entry {
    Entry {
        state,
        received: jiff::civil::date(2026, 3, 9)
            .at(9, minute, 0, 0)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap(),
        length: 20 * SECOND,
        truncated: false,
        deleted: false,
    }
}

fn keys_of(text: &str) -> Keys {
    let mut keys = Keys::new();
    text.chars().for_each(|key| keys.push(key));
    keys
}

struct Script {
    now: Instant,
    start: Instant,
    tui: Menu,
    ticket: Option<Ticket>,
}

impl Script {
    fn new(states: &[EntryState]) -> Self {
        let mut script = Self::choosing(&["1001"], "");
        assert_eq!(script.said(), "open 0");
        script.opened(states);
        script
    }

    fn choosing(mailboxes: &[&str], type_ahead: &str) -> Self {
        let now = t0();
        Self {
            now,
            start: now,
            tui: Menu::new(
                now,
                now + SESSION_MAX,
                mailboxes.iter().map(|m| (*m).to_owned()).collect(),
                keys_of(type_ahead),
            ),
            ticket: None,
        }
    }

    fn opened(&mut self, states: &[EntryState]) -> String {
        let entries: Vec<_> = (1i8..).zip(states).map(|(i, state)| entry(*state, i)).collect();
        let now = entry(EntryState::New, 59).received;
        self.input(Input::Opened(Some(Opened { entries, now, nearly_full: false })))
    }

    fn input(&mut self, input: Input) -> String {
        self.tui.handle_input(self.now, input);
        self.said()
    }

    fn said(&mut self) -> String {
        let mut line = Vec::new();
        while let Some(output) = self.tui.poll_output() {
            line.push(match output {
                Output::Say(words) => words
                    .iter()
                    .map(|w| match w {
                        Utterance::Prompt(id) => id.as_str().to_owned(),
                        other => format!("{other:?}"),
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
                Output::StopSpeaking => "stop".to_owned(),
                Output::Open(i) => format!("open {i}"),
                Output::Listen(ticket, i) => {
                    self.ticket = Some(ticket);
                    format!("LISTEN {i}")
                }
                Output::Play(ticket) => {
                    assert_eq!(Some(ticket), self.ticket);
                    "PLAY".to_owned()
                }
                Output::HangUp(reason) => format!("end {reason}"),
                other => format!("{other:?}").to_uppercase(),
            });
        }
        line.join(", ")
    }

    fn key(&mut self, key: char) -> String {
        self.input(Input::Digit(key))
    }

    fn keys(&mut self, keys: &str) -> String {
        keys.chars().map(|k| self.key(k)).next_back().unwrap()
    }

    fn finished(&mut self) -> String {
        self.input(Input::PromptFinished)
    }

    fn ready(&mut self) -> String {
        let ticket = self.ticket.unwrap();
        self.input(Input::Ready(ticket))
    }

    fn heard(&mut self) -> String {
        let ticket = self.ticket.unwrap();
        self.input(Input::MessageFinished(ticket))
    }

    /// Presses a key that starts a message and plays on until it sounds.
    fn play(&mut self, key: char) {
        self.key(key);
        self.ready();
        assert_eq!(self.finished(), "PLAY");
    }

    fn wait(&mut self) -> String {
        self.now = self.now.max(self.tui.deadline().unwrap());
        self.input(Input::Timeout)
    }
}

use EntryState::{Heard, New, Quiet};

#[test]
fn the_count_comes_first_then_the_menu() {
    let mut s = Script::choosing(&["1001"], "");
    s.said();
    assert_eq!(
        s.opened(&[New, New, Heard, Quiet]),
        "you-have 2 new-messages and 1 heard-message menu-main"
    );
}

#[test]
fn a_message_is_announced_with_place_and_time_before_it_plays() {
    let mut s = Script::new(&[New, New, New]);
    assert_eq!(s.key('1'), "stop, LISTEN 0, first message received today at 9 oh 1 am");
    assert_eq!(s.finished(), "", "not before it is ready");
    assert_eq!(s.ready(), "PLAY");
    assert_eq!(s.heard(), "HEARD(0), menu-message");
    assert_eq!(s.key('6'), "stop, LISTEN 1, message 2 received today at 9 oh 2 am");
    assert_eq!(s.ready(), "", "not before it is announced");
    assert_eq!(s.finished(), "PLAY");
    s.heard();
    assert_eq!(s.key('6'), "stop, LISTEN 2, last message received today at 9 oh 3 am");
}

#[test]
fn keys_of_the_main_menu_are_those_of_asterisk() {
    let mut s = Script::new(&[New, New]);
    for (key, said) in [
        ('4', "stop, no-previous-message"),
        ('7', "stop, not-available"),
        ('9', "stop, not-available"),
        ('2', "stop, not-available"),
        ('3', "stop, not-available"),
        ('8', "stop, not-available"),
        ('0', "stop, not-available"),
        ('*', "stop, menu-main"),
    ] {
        assert_eq!(s.key(key), said, "{key}");
    }
    s.play('5');
    s.heard();
    s.play('6');
    s.heard();
    assert_eq!(s.key('6'), "stop, no-more-messages");
    assert!(s.key('4').contains("LISTEN 0"));
    s.ready();
    s.finished();
    s.heard();
    assert!(s.key('5').contains("LISTEN 0"));
    s.ready();
    s.finished();
    s.heard();
    assert_eq!(s.key('*'), "stop, menu-message");
    assert_eq!(s.key('#'), "stop, goodbye");
    assert_eq!(s.finished(), "end logged-off");
}

#[test]
fn keys_while_a_message_plays_are_those_of_asterisk() {
    let mut s = Script::new(&[New, New]);
    s.play('1');
    for (key, said) in [
        ('#', "SKIP(FORWARD)"),
        ('*', "SKIP(BACK)"),
        ('2', "SKIP(RESTART)"),
        ('0', "PAUSE"),
        ('0', "RESUME"),
    ] {
        assert_eq!(s.key(key), said, "{key}");
    }
    for (key, said) in [
        ('1', "STOPPLAYING, LISTEN 0, first message received today at 9 oh 1 am"),
        ('3', "STOPPLAYING, not-available"),
        ('4', "STOPPLAYING, no-previous-message"),
        ('5', "STOPPLAYING, LISTEN 0, first message received today at 9 oh 1 am"),
        ('6', "STOPPLAYING, LISTEN 1, last message received today at 9 oh 2 am"),
        ('7', "STOPPLAYING, DELETE(0)"),
        ('8', "STOPPLAYING, not-available"),
        ('9', "STOPPLAYING, SAVE(0)"),
    ] {
        let mut s = Script::new(&[New, New]);
        s.play('1');
        assert_eq!(s.key(key), said, "{key}");
    }
}

#[test]
fn a_message_left_before_its_end_stays_new() {
    let mut s = Script::new(&[New, New]);
    s.play('1');
    s.key('6');
    assert_eq!(s.tui.entries()[0].state, New);
    let mut s = Script::new(&[New]);
    s.play('1');
    assert_eq!(s.input(Input::HungUp(EndReason::CallerHungUp)), "STOPPLAYING, end caller-hung-up");
    assert_eq!(s.tui.entries()[0].state, New);
}

#[test]
fn seven_marks_and_unmarks() {
    let mut s = Script::new(&[New]);
    s.play('1');
    assert_eq!(s.key('7'), "STOPPLAYING, DELETE(0)");
    assert_eq!(s.input(Input::Done(true)), "deleted");
    assert!(s.tui.entries()[0].deleted);
    assert_eq!(s.key('7'), "stop, UNDELETE(0)");
    assert_eq!(s.input(Input::Done(true)), "undeleted");
    assert!(!s.tui.entries()[0].deleted);
}

#[test]
fn nine_saves_at_once() {
    let mut s = Script::new(&[New]);
    s.play('1');
    assert_eq!(s.key('9'), "STOPPLAYING, SAVE(0)");
    assert_eq!(s.input(Input::Done(true)), "saved-message");
    assert_eq!(s.tui.entries()[0].state, Heard);
}

#[test]
fn keys_pressed_while_an_act_is_written_down_are_kept() {
    let mut s = Script::new(&[New, New]);
    s.play('1');
    s.key('7');
    assert_eq!(s.keys("6"), "");
    assert_eq!(
        s.input(Input::Done(true)),
        "deleted, stop, LISTEN 1, last message received today at 9 oh 2 am"
    );
}

#[test]
fn a_bad_message_is_said_and_passed_over() {
    let mut s = Script::new(&[New, New]);
    s.key('1');
    let ticket = s.ticket.unwrap();
    assert_eq!(s.input(Input::CannotPlay(ticket)), "STOPPLAYING, stop, cannot-play menu-message");
    assert_eq!(s.tui.entries()[0].state, New);
    assert!(s.key('6').contains("LISTEN 1"));
    assert_eq!(s.input(Input::Ready(ticket)), "", "stale");
    assert_eq!(s.input(Input::CannotPlay(ticket)), "", "stale");
}

#[test]
fn a_heard_or_quiet_message_that_is_played_again_changes_nothing() {
    for state in [Heard, Quiet] {
        let mut s = Script::new(&[state]);
        s.play('1');
        assert_eq!(s.heard(), "menu-message");
        assert_eq!(s.tui.entries()[0].state, state);
    }
}

#[test]
fn an_empty_mailbox_says_so() {
    let mut s = Script::new(&[]);
    for key in "15".chars() {
        assert_eq!(s.key(key), "stop, no-messages");
    }
}

#[test]
fn several_mailboxes_are_chosen_by_key() {
    let mut s = Script::choosing(&["1001", "1002"], "");
    assert_eq!(s.said(), "choose-mailbox for-mailbox 1 0 0 1 press 1 for-mailbox 1 0 0 2 press 2");
    assert_eq!(s.key('3'), "stop, not-available");
    assert_eq!(s.key('2'), "stop, open 1");
}

#[test]
fn keys_typed_after_the_pin_are_keys_of_the_menu() {
    let mut s = Script::choosing(&["1001", "1002"], "21");
    assert!(s.said().ends_with("open 1"));
    assert_eq!(s.opened(&[New]), "LISTEN 0, first message received today at 9 oh 1 am");
}

#[test]
fn a_silent_session_ends_within_45_seconds_of_its_start() {
    let mut s = Script::new(&[New]);
    let mut reminders = 0;
    loop {
        // Prompts are three seconds long.
        s.now += 3 * SECOND;
        let said = s.finished();
        if said.starts_with("end") {
            assert_eq!(said, "end idle");
            break;
        }
        if s.wait() == "reminder" {
            reminders += 1;
        }
    }
    assert_eq!(reminders, 3);
    assert!(s.now - s.start <= 45 * SECOND);
}

#[test]
fn hold_ends_a_session_too() {
    // Nothing is ever finished: the peer holds.
    let mut s = Script::new(&[New]);
    while !s.wait().starts_with("end") {}
    assert!(s.now - s.start <= 45 * SECOND);
    let mut s = Script::new(&[New]);
    s.play('1');
    while !s.wait().starts_with("end") {}
    assert!(s.now - s.start <= 20 * SECOND + 45 * SECOND);
    assert_eq!(s.tui.entries()[0].state, New);
}

#[test]
fn a_paused_message_is_no_activity() {
    let mut s = Script::new(&[New]);
    s.play('1');
    s.key('0');
    let start = s.now;
    assert_eq!(s.wait(), "reminder");
    s.now += 3 * SECOND;
    s.finished();
    assert_eq!(s.key('0'), "RESUME");
    s.key('0');
    loop {
        if s.wait().starts_with("end") {
            break;
        }
    }
    assert!(s.now - start <= 60 * SECOND);
}

#[test]
fn the_session_ends_after_25_minutes_whatever_is_pressed() {
    let mut s = Script::new(&[New]);
    while s.now - s.start < SESSION_MAX {
        s.key('*');
        s.now += 5 * SECOND;
    }
    assert_eq!(s.input(Input::Timeout), "stop, goodbye");
    assert_eq!(s.wait(), "end session-limit");
}

#[test]
fn nothing_goes_on_once_nothing_can_be_written_down() {
    let mut s = Script::new(&[New]);
    s.play('1');
    assert_eq!(s.input(Input::Unavailable), "STOPPLAYING, system-unavailable goodbye");
    assert_eq!(s.key('1'), "");
    assert_eq!(s.finished(), "end unavailable");
}

#[test]
fn a_mailbox_that_cannot_be_opened_ends_the_call() {
    let mut s = Script::choosing(&["1001"], "");
    s.said();
    assert_eq!(s.input(Input::Opened(None)), "cannot-be-opened goodbye");
    assert_eq!(s.finished(), "end unavailable");
}

/// A walk over every input in every state: no panic, no state without a deadline but the last, one end.
#[test]
fn a_random_walk_ends_once_and_never_gets_stuck() {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore as _, SeedableRng as _};
    for seed in 0..200u8 {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let mut s = Script::new(&[New, Heard, Quiet][..usize::from(seed % 4).min(3)]);
        let mut ends = 0;
        for _ in 0..400 {
            let pick = rng.next_u32();
            let said = match pick % 10 {
                0..5 => s.key("0123456789*#A".chars().nth((pick >> 8) as usize % 13).unwrap()),
                5 => s.finished(),
                6 => s.ticket.map(|_| s.ready()).unwrap_or_default(),
                7 => s.ticket.map(|_| s.heard()).unwrap_or_default(),
                8 => s.input(Input::Done(pick & 0x100 != 0)),
                _ => {
                    if s.tui.deadline().is_some() {
                        s.wait()
                    } else {
                        String::new()
                    }
                }
            };
            ends += said.matches("end ").count();
            assert_eq!(s.tui.deadline().is_none(), s.tui.state() == "Over");
        }
        assert!(ends <= 1, "{seed}: {ends}");
    }
}
