//! Listening to one message: announced while it is opened, played, heard at its end.

use std::time::Instant;

use super::{EntryState, Menu, Output, Skip, State, Ticket};
use crate::limits::IDLE;
use crate::prompt;
use crate::speech;

impl Menu {
    /// Starts with the message at `index`.
    pub(super) fn listen(&mut self, index: usize) {
        if index >= self.entries.len() {
            self.say([prompt::NO_MESSAGES]);
            return;
        }
        self.current = Some(index);
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.outputs.push_back(Output::Listen(ticket, index));
        self.announce(index);
        self.state = State::Announcing { ticket, index, said: false, ready: false };
    }

    /// Says which message it is and when it came.
    pub(super) fn announce(&mut self, index: usize) {
        let entry = &self.entries[index];
        let mut words = Vec::new();
        if index == 0 {
            words.extend([prompt::FIRST, prompt::MESSAGE]);
        } else if index + 1 == self.entries.len() {
            words.extend([prompt::LAST, prompt::MESSAGE]);
        } else {
            words.push(prompt::MESSAGE);
            words.extend(speech::number(index as u32 + 1));
        }
        if entry.deleted {
            words.push(prompt::DELETED);
        }
        words.push(prompt::RECEIVED);
        words.extend(speech::date_and_time(
            &entry.received,
            self.now_there.as_ref().unwrap_or(&entry.received),
        ));
        if entry.truncated {
            words.push(prompt::TRUNCATED);
        }
        self.say(words);
    }

    pub(super) fn ready(&mut self, now: Instant, came: Ticket) {
        if let State::Announcing { ticket, index, said, .. } = self.state
            && ticket == came
        {
            if said {
                self.play(now, ticket, index);
            } else {
                self.state = State::Announcing { ticket, index, said, ready: true };
            }
        }
    }

    /// A message that can't be played is said and passed over; nothing of it was heard, so it stays as it was.
    pub(super) fn cannot_play(&mut self, now: Instant, came: Ticket) {
        match self.state {
            State::Announcing { ticket, .. } | State::Playing { ticket, .. } if ticket == came => {
                self.stop();
                self.idle.activity(now);
                self.state = State::Main;
                self.say([prompt::CANNOT_PLAY, prompt::MENU_MESSAGE]);
            }
            _ => {}
        }
    }

    pub(super) fn message_finished(&mut self, now: Instant, came: Ticket) {
        let State::Playing { ticket, index, .. } = self.state else {
            return;
        };
        if ticket != came {
            return;
        }
        self.idle.activity(now);
        self.state = State::Main;
        // Being heard changes a new message only: one without voice keeps its fourteen days.
        if self.entries[index].state == EntryState::New {
            self.entries[index].state = EntryState::Heard;
            self.outputs.push_back(Output::Heard(index));
        }
        self.say([prompt::MENU_MESSAGE]);
    }

    /// The announcement is over, or was skipped.
    pub(super) fn announced(&mut self, now: Instant, ticket: Ticket, index: usize, ready: bool) {
        if ready {
            self.play(now, ticket, index);
        } else {
            self.state = State::Announcing { ticket, index, said: true, ready };
        }
    }

    pub(super) fn play(&mut self, now: Instant, ticket: Ticket, index: usize) {
        self.outputs.push_back(Output::Play(ticket));
        self.state = State::Playing { ticket, index, paused: false, until: now };
        self.playing_from(now, index, false);
    }

    pub(super) fn skip(&mut self, now: Instant, skip: Skip) {
        let State::Playing { index, .. } = self.state else {
            return;
        };
        self.barge_in();
        self.outputs.push_back(Output::Skip(skip));
        // A jump goes on playing, as it does in Asterisk.
        self.playing_from(now, index, false);
    }

    /// The message plays on from here: at the latest it is over after its whole length.
    pub(super) fn playing_from(&mut self, now: Instant, index: usize, now_paused: bool) {
        let length = self.entries[index].length;
        if let State::Playing { paused, until, .. } = &mut self.state {
            *paused = now_paused;
            *until = now + length + IDLE;
        }
    }
}
