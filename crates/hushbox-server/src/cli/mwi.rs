//! `hushbox mwi explain`

use serde_json::Value;

use super::args::{Mwi, MwiExplain};
use super::{Failure, load, say};
use crate::control::{Request, client};

pub(super) fn mwi(command: &Mwi) -> Result<(), Failure> {
    match command {
        Mwi::Explain(args) => explain(args),
    }
}

fn explain(args: &MwiExplain) -> Result<(), Failure> {
    let request = Request::MwiExplain { mailbox: args.mailbox.clone() };
    let rows = client::rows(&load(&args.at)?, &request)?;
    if args.json {
        say(&format!("{}\n", Value::Array(rows)));
    } else {
        for row in &rows {
            say(&told(row));
        }
    }
    Ok(())
}

/// The answer as a person reads it.
fn told(row: &Value) -> String {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        }
        other => other.to_string(),
    };
    let mut told = format!(
        "mailbox {}/{}: {} new, {} heard, {} quiet, {} deleted (version {})\n{}\n",
        text(&row["account"]),
        text(&row["mailbox"]),
        text(&row["new"]),
        text(&row["heard"]),
        text(&row["quiet"]),
        text(&row["deleted"]),
        text(&row["version"]),
        text(&row["text"]),
    );
    for watcher in row["watchers"].as_array().into_iter().flatten() {
        let how = match &watcher["subscription"] {
            Value::Null => "unasked".to_owned(),
            id => format!("subscription {} until {}", text(id), text(&watcher["expires"])),
        };
        told += &format!(
            "{} {}, {how}\n  told {} at {}, answered {}\n  {}\n",
            text(&watcher["kind"]),
            text(&watcher["name"]),
            text(&watcher["told"]),
            text(&watcher["told_at"]),
            text(&watcher["answer"]),
            text(&watcher["text"]),
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lamp_is_a_few_lines() {
        let row = json!({
            "account": "clinic", "mailbox": "1001", "new": 1, "heard": 0, "quiet": 0, "deleted": 0,
            "version": 4, "text": "the lamp is on: one message is new",
            "watchers": [{
                "kind": "device", "name": "c7001\u{1b}", "subscription": "id", "expires": "then",
                "told": "1/0", "told_at": "now", "answer": null, "text": "a NOTIFY is on its way",
            }],
        });
        assert_eq!(
            told(&row),
            "mailbox clinic/1001: 1 new, 0 heard, 0 quiet, 0 deleted (version 4)\n\
             the lamp is on: one message is new\n\
             device c7001\u{fffd}, subscription id until then\n  told 1/0 at now, answered -\n  \
             a NOTIFY is on its way\n"
        );
    }
}
