//! What is printed: tables for people, JSON for programs.

use serde_json::Value;

/// These come first, in this order, where they are there; the rest is left to JSON.
const COLUMNS: &[&str] = &[
    "generation",
    "id",
    "at",
    "began_at",
    "status",
    "method",
    "host",
    "path",
    "tries",
    "total_us",
    "ending",
    "name",
    "address",
    "port",
    "protocol",
    "client",
    "virtual_ip",
    "member",
    "idle_ms",
    "role",
    "kind",
    "state",
    "author",
    "actor",
    "action",
    "outcome",
    "provisioning_status",
    "operating_status",
    "message",
    "comment",
];

/// One line for each item, under the names of the columns that any of them has.
pub(crate) fn table(items: &[Value]) -> String {
    // A resource has its generation beside much else; a revision is called by it.
    let is_shown = |column: &&str| {
        items
            .iter()
            .any(|item| item.get(column).is_some() && (*column != "generation" || item.get("id").is_none()))
    };
    let columns: Vec<&str> = COLUMNS.iter().copied().filter(is_shown).collect();
    let mut rows = vec![columns.iter().map(|column| column.to_uppercase()).collect::<Vec<_>>()];
    rows.extend(items.iter().map(|item| columns.iter().map(|column| cell(&item[*column])).collect()));
    aligned(&rows)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What a change does, as a diff that people know how to read.
pub(crate) fn changes(applied: &Value) -> String {
    let mut lines = Vec::new();
    for change in applied["changes"].as_array().into_iter().flatten() {
        let text = |key: &str| change[key].as_str().unwrap_or_default();
        let sign = match text("action") {
            "create" => '+',
            "delete" => '-',
            _ => '~',
        };
        lines.push(format!("{sign} {} {} ({})", text("resource"), text("name"), text("id")));
        if sign != '~' {
            continue;
        }
        for field in change["fields"].as_array().into_iter().flatten() {
            let pointer = field["pointer"].as_str().unwrap_or_default();
            lines.push(format!("    {pointer}: {} -> {}", field["before"], field["after"]));
        }
    }
    for kept in applied["kept"].as_array().into_iter().flatten() {
        lines.push(format!("! {} was changed since and is kept as it is", kept.as_str().unwrap_or_default()));
    }
    if lines.is_empty() {
        lines.push("nothing changes".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let items = [json!({ "name": "a", "port": 80 }), json!({ "name": "longer", "port": null })];
        assert_eq!(table(&items), "NAME    PORT\na       80\nlonger  -");
    }

    #[test]
    fn a_change_reads_as_a_diff() {
        let fields = json!([{ "pointer": "/port", "before": 80, "after": 81 }]);
        let change =
            json!({ "action": "update", "resource": "members", "name": "m", "id": "1", "fields": fields });
        assert_eq!(changes(&json!({ "changes": [change] })), "~ members m (1)\n    /port: 80 -> 81");
        assert_eq!(changes(&json!({ "changes": [] })), "nothing changes");
    }
}
