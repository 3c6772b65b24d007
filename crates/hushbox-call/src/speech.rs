//! English: numbers, counts, dates and times as prompts, in the order in which they are spoken.

use jiff::Zoned;
use jiff::civil::Date;

use crate::prompt::{self, CARDINALS, MONTHS, ORDINALS, PromptId, WEEKDAYS};

/// A telephone number or extension, one digit after the other. What is neither a digit nor `*` is not spoken.
pub fn digits(number: &str) -> Vec<PromptId> {
    number
        .chars()
        .filter_map(|c| match c {
            '*' => Some(prompt::STAR),
            _ => c.to_digit(10).map(|d| CARDINALS[d as usize]),
        })
        .collect()
}

/// A cardinal number up to 999; what is more is spoken digit by digit.
pub fn number(n: u32) -> Vec<PromptId> {
    match n {
        0..20 => vec![CARDINALS[n as usize]],
        20..100 => {
            let mut spoken = vec![CARDINALS[18 + (n / 10) as usize]];
            if !n.is_multiple_of(10) {
                spoken.push(CARDINALS[(n % 10) as usize]);
            }
            spoken
        }
        100..1000 => {
            let mut spoken = vec![CARDINALS[(n / 100) as usize], prompt::HUNDRED];
            if !n.is_multiple_of(100) {
                spoken.extend(number(n % 100));
            }
            spoken
        }
        _ => digits(&n.to_string()),
    }
}

/// How many messages there are: "You have two new messages and one heard message". Quiet messages are in no count; they
/// are named only where there is nothing else, so that they can be found at all.
pub fn counts(new: u32, heard: u32, quiet: u32) -> Vec<PromptId> {
    let mut parts = Vec::new();
    for (count, one, many) in [
        (new, prompt::NEW_MESSAGE, prompt::NEW_MESSAGES),
        (heard, prompt::HEARD_MESSAGE, prompt::HEARD_MESSAGES),
    ] {
        if count > 0 {
            parts.push(counted(count, one, many));
        }
    }
    if parts.is_empty() && quiet > 0 {
        parts.push(counted(quiet, prompt::QUIET_MESSAGE, prompt::QUIET_MESSAGES));
    }
    if parts.is_empty() {
        return vec![prompt::NO_MESSAGES];
    }
    let mut spoken = vec![prompt::YOU_HAVE];
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            spoken.push(prompt::AND);
        }
        spoken.extend(part);
    }
    spoken
}

/// Date and time of a message, as seen from `now`; both in the mailbox's time zone.
pub fn date_and_time(at: &Zoned, now: &Zoned) -> Vec<PromptId> {
    let mut spoken = date(at.date(), now.date());
    spoken.push(prompt::AT);
    spoken.extend(time(at.hour(), at.minute()));
    spoken
}

fn counted(count: u32, one: PromptId, many: PromptId) -> Vec<PromptId> {
    let mut spoken = number(count);
    spoken.push(if count == 1 { one } else { many });
    spoken
}

/// "today", "yesterday", "Monday, March 3rd"; the year only where it is another one.
fn date(date: Date, today: Date) -> Vec<PromptId> {
    if date == today {
        return vec![prompt::TODAY];
    }
    if date.tomorrow().ok() == Some(today) {
        return vec![prompt::YESTERDAY];
    }
    let mut spoken = vec![
        WEEKDAYS[date.weekday().to_monday_zero_offset() as usize],
        MONTHS[(date.month() - 1) as usize],
        ORDINALS[(date.day() - 1) as usize],
    ];
    if date.year() != today.year() {
        spoken.extend(year(date.year()));
    }
    spoken
}

/// "twenty twenty-six", "twenty oh five".
fn year(year: i16) -> Vec<PromptId> {
    let year = u32::from(year.unsigned_abs());
    let (century, rest) = (year / 100, year % 100);
    let mut spoken = number(century);
    match rest {
        0 => spoken.push(prompt::HUNDRED),
        1..10 => {
            spoken.push(prompt::OH);
            spoken.extend(number(rest));
        }
        _ => spoken.extend(number(rest)),
    }
    spoken
}

/// The twelve-hour clock: "three oh five PM", "twelve AM".
fn time(hour: i8, minute: i8) -> Vec<PromptId> {
    let hour = u32::from(hour.unsigned_abs());
    let minute = u32::from(minute.unsigned_abs());
    let mut spoken = number(match hour % 12 {
        0 => 12,
        h => h,
    });
    match minute {
        0 => {}
        1..10 => {
            spoken.push(prompt::OH);
            spoken.extend(number(minute));
        }
        _ => spoken.extend(number(minute)),
    }
    spoken.push(if hour < 12 { prompt::AM } else { prompt::PM });
    spoken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(spoken: &[PromptId]) -> String {
        spoken.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_are_spoken_as_people_say_them() {
        for (n, expected) in [
            (0, "0"),
            (1, "1"),
            (13, "13"),
            (20, "20"),
            (21, "20 1"),
            (90, "90"),
            (99, "90 9"),
            (100, "1 hundred"),
            (105, "1 hundred 5"),
            (340, "3 hundred 40"),
            (999, "9 hundred 90 9"),
            (1234, "1 2 3 4"),
        ] {
            assert_eq!(words(&number(n)), expected, "{n}");
        }
    }

    #[test]
    fn an_extension_is_spoken_digit_by_digit() {
        assert_eq!(words(&digits("1001")), "1 0 0 1");
        assert_eq!(words(&digits("*97")), "star 9 7");
        assert_eq!(words(&digits("")), "");
    }

    #[test]
    fn counts_name_new_then_heard_and_use_the_singular_for_one() {
        for (new, heard, quiet, expected) in [
            (0, 0, 0, "no-messages"),
            (1, 0, 0, "you-have 1 new-message"),
            (2, 1, 0, "you-have 2 new-messages and 1 heard-message"),
            (0, 22, 0, "you-have 20 2 heard-messages"),
            (3, 0, 4, "you-have 3 new-messages"),
            (0, 0, 1, "you-have 1 quiet-message"),
            (0, 0, 2, "you-have 2 quiet-messages"),
        ] {
            assert_eq!(words(&counts(new, heard, quiet)), expected, "{new} {heard} {quiet}");
        }
    }

    #[test]
    fn date_and_time_are_those_of_the_mailboxes_zone() {
        let zone = jiff::tz::TimeZone::get("America/New_York").unwrap();
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().to_zoned(zone.clone());
        let now = at("2026-03-10T03:30:00Z"); // 9 March, 23:30 there.
        for (received, expected) in [
            ("2026-03-10T03:05:00Z", "today at 11 oh 5 pm"),
            ("2026-03-09T04:00:00Z", "today at 12 am"),
            ("2026-03-08T19:05:00Z", "yesterday at 3 oh 5 pm"),
            ("2026-03-08T16:00:00Z", "yesterday at 12 pm"),
            ("2026-03-06T14:47:00Z", "friday march 6th at 9 40 7 am"),
            ("2025-12-31T17:30:00Z", "wednesday december 31st 20 20 5 at 12 30 pm"),
            ("2005-07-01T12:00:00Z", "friday july 1st 20 oh 5 at 8 am"),
        ] {
            assert_eq!(words(&date_and_time(&at(received), &now)), expected, "{received}");
        }
    }

    #[test]
    fn every_moment_can_be_spoken() {
        let mut at: Zoned = "1999-12-30T00:00:00[UTC]".parse().unwrap();
        let now: Zoned = "2026-02-28T00:00:00[UTC]".parse().unwrap();
        for _ in 0..20_000 {
            let spoken = date_and_time(&at, &now);
            assert!(spoken.len() >= 3 && spoken.len() < 16);
            at = &at + jiff::Span::new().hours(11).minutes(37);
        }
    }
}
