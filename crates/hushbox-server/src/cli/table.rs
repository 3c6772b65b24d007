//! Rows on a terminal: aligned columns, or one JSON array.

use serde_json::Value;

/// Prints rows: each is a JSON object, `columns` says which fields stand in the table and in which order.
pub(super) fn print(rows: &[Value], columns: &[&str], json: bool) {
    if json {
        super::say(&format!("{}\n", Value::Array(rows.to_vec())));
    } else {
        super::say(&aligned(rows, columns));
    }
}

/// The table as text. Numbers stand to the right.
fn aligned(rows: &[Value], columns: &[&str]) -> String {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|name| cell(row.get(name))).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, name)| {
            cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).max(name.len())
        })
        .collect();
    let is_number = |at: usize| {
        !rows.is_empty()
            && rows.iter().all(|row| row.get(columns[at]).is_some_and(Value::is_number))
    };
    let mut text = String::new();
    let mut line = |words: &[String]| {
        let mut out = String::new();
        for (at, word) in words.iter().enumerate() {
            let gap = " ".repeat(widths[at].saturating_sub(word.chars().count()));
            let padded = if is_number(at) { gap + word } else { word.clone() + &gap };
            out.push_str(&padded);
            out.push_str("  ");
        }
        text.push_str(out.trim_end());
        text.push('\n');
    };
    line(&columns.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>());
    for row in &cells {
        line(row);
    }
    text
}

/// One cell. Control characters, which a caller's name could carry to a terminal, are shown as a mark.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(list)) if list.is_empty() => return "-".to_owned(),
        Some(Value::Array(list)) => {
            let words: Vec<String> = list.iter().map(|value| cell(Some(value))).collect();
            words.join(",")
        }
        Some(other) => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let rows = [json!({"account": "clinic", "new": 2}), json!({"account": "trial", "new": 11})];
        assert_eq!(
            aligned(&rows, &["account", "new"]),
            "ACCOUNT  NEW\nclinic     2\ntrial     11\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let rows = [json!({"name": "a\u{1b}[2J"})];
        assert_eq!(aligned(&rows, &["name"]), "NAME\na\u{fffd}[2J\n");
    }
}
