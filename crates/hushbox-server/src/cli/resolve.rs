//! `hushbox resolve`

use std::io::Read;

use serde_json::Value;

use super::args::ResolveArgs;
use super::{Failure, load, say};
use crate::control::{Request, Resolve, Secret, client};
use crate::limits;

pub(super) fn resolve(args: &ResolveArgs) -> Result<(), Failure> {
    let config = load(&args.at)?;
    let mut text = zeroize::Zeroizing::new(Vec::new());
    let most = u64::try_from(limits::RESOLVE_BYTES)?;
    if args.file.as_os_str() == "-" {
        std::io::stdin().lock().take(most + 1).read_to_end(&mut text)?;
    } else {
        std::fs::File::open(&args.file)
            .and_then(|file| file.take(most + 1).read_to_end(&mut text))
            .map_err(|error| format!("{}: {error}", args.file.display()))?;
    }
    if text.len() > limits::RESOLVE_BYTES {
        return Err(format!("that is more than {most} bytes: give one INVITE").into());
    }
    let message = Secret::new(String::from_utf8_lossy(&text).into_owned());
    let asked =
        Resolve { message, trunk: args.trunk.clone(), device: args.device.clone(), lab: args.lab };
    let rows = client::rows(&config, &Request::Resolve(asked))?;
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
    let text = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>()
    };
    let mut told = String::new();
    for (kind, name) in row["caller"].as_object().into_iter().flatten() {
        told += &format!("from {kind} {}\n", text(name));
    }
    told += &format!("{}\n", text(&row["text"]));
    if let Some(account) = row["account"].as_str() {
        told += &format!("account {account}\n");
    }
    let ignored = row["ignored"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !ignored.is_empty() {
        told += "not used:\n";
    }
    for ignored in ignored {
        told += &format!("  {}\n", text(&ignored["text"]));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_a_few_lines() {
        let row = json!({
            "caller": {"trunk": "pbx"}, "text": "mailbox 1001 by diversion (its number), greeting busy",
            "account": "clinic", "ignored": [{"text": "request-uri: it is no mailbox\u{1b}"}],
        });
        assert_eq!(
            told(&row),
            "from trunk pbx\nmailbox 1001 by diversion (its number), greeting busy\naccount clinic\n\
             not used:\n  request-uri: it is no mailbox\u{fffd}\n"
        );
    }
}
