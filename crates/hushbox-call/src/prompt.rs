//! What can be spoken: the closed list of prompts by name, as `config/prompts/<language>.toml` has them, and their audio.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hushbox_media::audio::{EncodedClip, tone};

/// The name of a prompt. Only this module makes them, so a name that is spoken is in [`all`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptId(&'static str);

impl PromptId {
    /// The name, as in the language's text list.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for PromptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One thing to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utterance {
    /// A prompt.
    Prompt(PromptId),
    /// The tone before a recording.
    Beep,
    /// Silence between two parts of a sentence.
    Pause(Duration),
}

impl From<PromptId> for Utterance {
    fn from(id: PromptId) -> Self {
        Self::Prompt(id)
    }
}

macro_rules! prompts {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        $($(#[$doc])* pub const $name: PromptId = PromptId($text);)*
        /// The sentences and words other than numbers, dates and times.
        const WORDS: &[PromptId] = &[$($name),*];
    };
}

prompts! {
    /// "The person at extension".
    GREETING_DEFAULT = "greeting-default",
    /// "is not available".
    GREETING_UNAVAILABLE = "greeting-unavailable",
    /// "is on another call".
    GREETING_BUSY = "greeting-busy",
    /// "did not answer".
    GREETING_NO_ANSWER = "greeting-no-answer",
    /// "is not taking calls": all of them are forwarded.
    GREETING_UNCONDITIONAL = "greeting-unconditional",
    /// The notice on `hipaa` mailboxes: 911, name, number, short reason, no medical detail.
    NOTICE_HIPAA = "notice-hipaa",
    /// "Please leave a message after the tone".
    LEAVE_MESSAGE_AFTER_BEEP = "leave-message-after-beep",
    /// "Your message has been saved. Goodbye."
    SAVED = "saved",
    /// "Goodbye."
    GOODBYE = "goodbye",
    /// Asks for the person's number.
    ENTER_NUMBER = "enter-number",
    /// Asks for the PIN.
    ENTER_PIN = "enter-pin",
    /// "That number or PIN was not right".
    WRONG_LOGIN = "wrong-login",
    /// "Too many wrong tries. Try again later."
    LOCKED = "locked",
    /// What a source hears from which nobody can log in.
    NOT_FROM_THIS_TELEPHONE = "not-from-this-telephone",
    /// "Messages can't be opened now."
    CANNOT_BE_OPENED = "cannot-be-opened",
    /// "Too many messages were left from this number. Goodbye."
    TOO_MANY_MESSAGES = "too-many-messages",
    /// "Try again."
    TRY_AGAIN_LATER = "try-again-later",
    /// "You have".
    YOU_HAVE = "you-have",
    /// "new message".
    NEW_MESSAGE = "new-message",
    /// "new messages".
    NEW_MESSAGES = "new-messages",
    /// "heard message".
    HEARD_MESSAGE = "heard-message",
    /// "heard messages".
    HEARD_MESSAGES = "heard-messages",
    /// "message without voice".
    QUIET_MESSAGE = "quiet-message",
    /// "messages without voice".
    QUIET_MESSAGES = "quiet-messages",
    /// "You have no messages."
    NO_MESSAGES = "no-messages",
    /// "There are no more messages."
    NO_MORE_MESSAGES = "no-more-messages",
    /// "There is no earlier message."
    NO_PREVIOUS_MESSAGE = "no-previous-message",
    /// "message".
    MESSAGE = "message",
    /// "first".
    FIRST = "first",
    /// "last".
    LAST = "last",
    /// "received".
    RECEIVED = "received",
    /// "Message deleted."
    DELETED = "deleted",
    /// "Message kept."
    UNDELETED = "undeleted",
    /// "Message saved."
    SAVED_MESSAGE = "saved-message",
    /// The main menu.
    MENU_MAIN = "menu-main",
    /// The keys after a message.
    MENU_MESSAGE = "menu-message",
    /// "That is not available."
    NOT_AVAILABLE = "not-available",
    /// Opens the choice between mailboxes.
    CHOOSE_MAILBOX = "choose-mailbox",
    /// "mailbox".
    MAILBOX = "mailbox",
    /// "press".
    PRESS = "press",
    /// "for mailbox".
    FOR_MAILBOX = "for-mailbox",
    /// "Nothing was entered."
    NOTHING_ENTERED = "nothing-entered",
    /// The reminder after ten seconds without a key: under four seconds long.
    REMINDER = "reminder",
    /// "This message can't be played."
    CANNOT_PLAY = "cannot-play",
    /// "The end of this message is missing."
    TRUNCATED = "truncated",
    /// "Your mailbox is nearly full."
    MAILBOX_NEARLY_FULL = "mailbox-nearly-full",
    /// "The system is not available now."
    SYSTEM_UNAVAILABLE = "system-unavailable",
    /// "hundred".
    HUNDRED = "hundred",
    /// "oh", as in "three oh five".
    OH = "oh",
    /// "AM".
    AM = "am",
    /// "PM".
    PM = "pm",
    /// "today".
    TODAY = "today",
    /// "yesterday".
    YESTERDAY = "yesterday",
    /// "at".
    AT = "at",
    /// "and".
    AND = "and",
    /// "star", for the `*` in a number.
    STAR = "star",
}

/// `0` to `19`, then the tens.
pub(crate) const CARDINALS: [PromptId; 28] = [
    PromptId("0"),
    PromptId("1"),
    PromptId("2"),
    PromptId("3"),
    PromptId("4"),
    PromptId("5"),
    PromptId("6"),
    PromptId("7"),
    PromptId("8"),
    PromptId("9"),
    PromptId("10"),
    PromptId("11"),
    PromptId("12"),
    PromptId("13"),
    PromptId("14"),
    PromptId("15"),
    PromptId("16"),
    PromptId("17"),
    PromptId("18"),
    PromptId("19"),
    PromptId("20"),
    PromptId("30"),
    PromptId("40"),
    PromptId("50"),
    PromptId("60"),
    PromptId("70"),
    PromptId("80"),
    PromptId("90"),
];

/// `1st` to `31st`.
pub(crate) const ORDINALS: [PromptId; 31] = [
    PromptId("1st"),
    PromptId("2nd"),
    PromptId("3rd"),
    PromptId("4th"),
    PromptId("5th"),
    PromptId("6th"),
    PromptId("7th"),
    PromptId("8th"),
    PromptId("9th"),
    PromptId("10th"),
    PromptId("11th"),
    PromptId("12th"),
    PromptId("13th"),
    PromptId("14th"),
    PromptId("15th"),
    PromptId("16th"),
    PromptId("17th"),
    PromptId("18th"),
    PromptId("19th"),
    PromptId("20th"),
    PromptId("21st"),
    PromptId("22nd"),
    PromptId("23rd"),
    PromptId("24th"),
    PromptId("25th"),
    PromptId("26th"),
    PromptId("27th"),
    PromptId("28th"),
    PromptId("29th"),
    PromptId("30th"),
    PromptId("31st"),
];

/// January to December.
pub(crate) const MONTHS: [PromptId; 12] = [
    PromptId("january"),
    PromptId("february"),
    PromptId("march"),
    PromptId("april"),
    PromptId("may"),
    PromptId("june"),
    PromptId("july"),
    PromptId("august"),
    PromptId("september"),
    PromptId("october"),
    PromptId("november"),
    PromptId("december"),
];

/// Monday to Sunday.
pub(crate) const WEEKDAYS: [PromptId; 7] = [
    PromptId("monday"),
    PromptId("tuesday"),
    PromptId("wednesday"),
    PromptId("thursday"),
    PromptId("friday"),
    PromptId("saturday"),
    PromptId("sunday"),
];

/// Every prompt that a language must have.
pub fn all() -> impl Iterator<Item = PromptId> {
    WORDS.iter().chain(&CARDINALS).chain(&ORDINALS).chain(&MONTHS).chain(&WEEKDAYS).copied()
}

/// The audio of one language, encoded once and shared by all calls.
#[derive(Clone, Debug)]
pub struct Prompts {
    clips: BTreeMap<PromptId, Arc<EncodedClip>>,
    beep: Arc<EncodedClip>,
}

/// Prompts that a language lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prompts are missing: {}", .0.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", "))]
pub struct MissingPrompts(pub Vec<PromptId>);

impl Prompts {
    /// Encodes every prompt; `samples` gives a prompt's audio (8 kHz, mono) by its name.
    pub fn load(mut samples: impl FnMut(&str) -> Option<Vec<i16>>) -> Result<Self, MissingPrompts> {
        let mut clips = BTreeMap::new();
        let mut missing = Vec::new();
        for id in all() {
            match samples(id.as_str()) {
                Some(samples) => {
                    clips.insert(id, Arc::new(EncodedClip::from_pcm(&samples)));
                }
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            Ok(Self { clips, beep: Arc::new(EncodedClip::from_pcm(&tone::beep())) })
        } else {
            Err(MissingPrompts(missing))
        }
    }

    /// A prompt's audio. [`Prompts::load`] leaves none out.
    pub fn clip(&self, id: PromptId) -> Option<&Arc<EncodedClip>> {
        self.clips.get(&id)
    }

    /// The tone before a recording.
    pub fn beep(&self) -> &Arc<EncodedClip> {
        &self.beep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_language_that_lacks_prompts_is_refused_with_all_their_names() {
        let error = Prompts::load(|name| (name != "saved" && name != "1st").then(|| vec![0; 80]))
            .expect_err("two are missing");
        assert_eq!(error.to_string(), "prompts are missing: saved, 1st");
    }

    #[test]
    fn no_prompt_is_listed_twice() {
        let names: BTreeSet<_> = all().collect();
        assert_eq!(names.len(), all().count());
    }
}
