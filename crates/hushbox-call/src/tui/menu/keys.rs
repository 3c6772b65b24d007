//! What each key does (telephone-menus: Asterisk's `vm_execmain` and its keys while a message plays).

use std::time::Instant;

use super::{Act, Menu, Output, Skip, State};
use crate::end::EndReason;
use crate::prompt;

impl Menu {
    /// One key, in whatever state.
    pub(super) fn key(&mut self, now: Instant, key: char) {
        match self.state {
            State::Choosing => self.key_choosing(now, key),
            State::Main => self.key_main(now, key),
            State::Announcing { .. } => self.key_announcing(now, key),
            State::Playing { .. } => self.key_playing(now, key),
            State::Opening | State::Acting { .. } => self.type_ahead.push(key),
            State::Farewell { .. } | State::Over => {}
        }
    }

    fn key_choosing(&mut self, now: Instant, key: char) {
        self.barge_in();
        let choice = key.to_digit(10).map(|d| d as usize);
        match (key, choice) {
            ('#', _) => self.leave(now),
            (_, Some(choice)) if (1..=self.mailboxes.len()).contains(&choice) => {
                self.open(choice - 1);
            }
            ('*', _) => self.ask_for_mailbox(),
            _ => self.say([prompt::NOT_AVAILABLE]),
        }
    }

    fn key_main(&mut self, now: Instant, key: char) {
        self.barge_in();
        match key {
            '1' => self.listen(0),
            '4' => match self.current {
                Some(current) if current > 0 => self.listen(current - 1),
                _ => self.say([prompt::NO_PREVIOUS_MESSAGE]),
            },
            '5' => self.listen(self.current.unwrap_or(0)),
            '6' => match self.current {
                None => self.listen(0),
                Some(current) if current + 1 < self.entries.len() => self.listen(current + 1),
                Some(_) => self.say([prompt::NO_MORE_MESSAGES]),
            },
            '7' => match self.current {
                Some(index) if self.entries[index].deleted => self.act(Act::Undelete, index),
                Some(index) => self.act(Act::Delete, index),
                None => self.say([prompt::NOT_AVAILABLE]),
            },
            '9' => match self.current {
                Some(index) => self.act(Act::Save, index),
                None => self.say([prompt::NOT_AVAILABLE]),
            },
            '*' => self.help(),
            '#' => self.leave(now),
            _ => self.say([prompt::NOT_AVAILABLE]),
        }
    }

    /// The announcement belongs to the message: `#` skips it, `2` and `*` start it again, and keys that act, act.
    fn key_announcing(&mut self, now: Instant, key: char) {
        let State::Announcing { ticket, index, ready, .. } = self.state else {
            return;
        };
        match key {
            '#' => {
                self.barge_in();
                self.announced(now, ticket, index, ready);
            }
            '2' | '*' => {
                self.barge_in();
                self.announce(index);
                self.state = State::Announcing { ticket, index, said: false, ready };
            }
            '0' => {}
            _ => self.stop_and_act(now, key),
        }
    }

    fn key_playing(&mut self, now: Instant, key: char) {
        let State::Playing { index, paused, .. } = self.state else {
            return;
        };
        match key {
            '#' => self.skip(now, Skip::Forward),
            '*' => self.skip(now, Skip::Back),
            '2' => self.skip(now, Skip::Restart),
            '0' => {
                // A reminder may be talking over the pause.
                self.barge_in();
                self.outputs.push_back(if paused { Output::Resume } else { Output::Pause });
                self.playing_from(now, index, !paused);
            }
            _ => self.stop_and_act(now, key),
        }
    }

    fn stop_and_act(&mut self, now: Instant, key: char) {
        self.stop();
        self.state = State::Main;
        self.key_main(now, key);
    }

    fn act(&mut self, act: Act, index: usize) {
        self.outputs.push_back(match act {
            Act::Save => Output::Save(index),
            Act::Delete => Output::Delete(index),
            Act::Undelete => Output::Undelete(index),
        });
        self.state = State::Acting { act, index };
    }

    fn help(&mut self) {
        let menu = if self.current.is_some() { prompt::MENU_MESSAGE } else { prompt::MENU_MAIN };
        self.say([menu]);
    }

    fn leave(&mut self, now: Instant) {
        self.log_off(now, EndReason::LoggedOff);
    }
}
