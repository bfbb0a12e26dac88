//! From samples to a table for people or a document for machines.

use serde_json::{Value, json};

use super::{
    contest::{Aim, Case, Sample},
    machine::Machine,
};

/// A line of the table.
pub(super) struct Row {
    pub(super) case: &'static Case,
    pub(super) outcome: Outcome,
}

/// What came of a case.
pub(super) enum Outcome {
    /// As many samples of one side as of the other, at least one.
    Measured { ours: Vec<Sample>, reference: Vec<Sample> },
    /// Why there is no figure.
    Failed(String),
}

const HEAD: [&str; 9] = ["case", "unit", "ours", "(spread)", "reference", "(spread)", "ratio", "aim", "met"];

/// The table, then what was seen beside the figures, then what the cases are.
pub(super) fn table(rows: &[Row]) -> String {
    let mut cells = vec![HEAD.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(cells_of));
    let mut lines = align(&cells);
    lines.push(String::new());
    for row in rows {
        let Case { name, what, reference, .. } = row.case;
        lines.push(format!("{name}: {what}; against {reference}"));
        match &row.outcome {
            Outcome::Measured { ours, reference } => {
                lines.extend(details_line("ours", row.case.aim.representative(ours)));
                lines.extend(details_line("reference", row.case.aim.representative(reference)));
            }
            Outcome::Failed(problem) => lines.push(format!("  no figure: {problem}")),
        }
    }
    lines.join("\n")
}

/// One document with everything that was measured.
pub(super) fn json(machine: &Machine, rows: &[Row]) -> String {
    let rows: Vec<Value> = rows.iter().map(row_json).collect();
    json!({
        "machine": {
            "cores": machine.cores,
            "processor": machine.processor,
            "memory_mib": machine.memory_mib,
            "kernel": machine.kernel,
            "load_average": machine.load_average,
        },
        "program": machine.program,
        "cases": rows,
    })
    .to_string()
}

/// Three digits at least, no digits that mean nothing, thousands apart.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 {
        return text;
    }
    let mut grouped = String::new();
    for (index, digit) in text.char_indices() {
        if index > 0 && (text.len() - index) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

fn cells_of(row: &Row) -> Vec<String> {
    let Case { name, unit, aim, .. } = row.case;
    let mut cells = vec![(*name).to_owned(), (*unit).to_owned()];
    let verdict = match &row.outcome {
        Outcome::Measured { ours, reference } => {
            aim.judge(ours, reference).map(|verdict| (verdict, ours, reference))
        }
        Outcome::Failed(_) => None,
    };
    let Some((verdict, ours, reference)) = verdict else {
        cells.extend(["failed", "", "", "", ""].map(str::to_owned));
        cells.extend([aim_text(*aim, unit), "no figure".to_owned()]);
        return cells;
    };
    cells.extend([number(verdict.ours), spread(ours), number(verdict.reference), spread(reference)]);
    cells.push(match aim {
        Aim::AtLeastTimes(_) | Aim::AtMostTimes(_) | Aim::Within(_) => format!("{:.2}", verdict.compared),
        Aim::AtMostMore(_) => format!("{:+.2} {unit}", verdict.compared),
    });
    cells.extend([aim_text(*aim, unit), if verdict.met { "yes" } else { "no" }.to_owned()]);
    cells
}

fn aim_text(aim: Aim, unit: &str) -> String {
    match aim {
        Aim::AtLeastTimes(aim) => format!("at least {aim:.1}"),
        Aim::AtMostTimes(aim) => format!("at most {aim:.1}"),
        Aim::AtMostMore(aim) => format!("at most {aim:+.1}"),
        Aim::Within(aim) => format!("at most {aim:.1} {unit}"),
    }
}

fn spread(samples: &[Sample]) -> String {
    let values = || samples.iter().map(|sample| sample.value);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    format!("{} .. {}", number(least), number(most))
}

fn details_line(side: &str, sample: Option<&Sample>) -> Option<String> {
    let details = sample.map(|sample| &sample.details).filter(|details| !details.is_empty())?;
    let parts: Vec<_> = details.iter().map(|(name, value)| format!("{} {name}", number(*value))).collect();
    Some(format!("  {side}: {}", parts.join(", ")))
}

fn row_json(row: &Row) -> Value {
    let Case { name, what, reference, unit, aim, .. } = row.case;
    let (compared, aim_kind, aim_value) = match aim {
        Aim::AtLeastTimes(value) => ("ratio", "at_least_times", value),
        Aim::AtMostTimes(value) => ("ratio", "at_most_times", value),
        Aim::AtMostMore(value) => ("difference", "at_most_more", value),
        Aim::Within(value) => ("ratio", "at_most", value),
    };
    let mut document = json!({
        "case": name,
        "what": what,
        "against": reference,
        "unit": unit,
        "aim": {aim_kind: aim_value},
    });
    let result = match &row.outcome {
        Outcome::Failed(problem) => json!({"error": problem}),
        Outcome::Measured { ours, reference } => aim.judge(ours, reference).map_or(Value::Null, |verdict| {
            json!({
                "ours": side_json(verdict.ours, ours, *aim),
                "reference": side_json(verdict.reference, reference, *aim),
                compared: verdict.compared,
                "met": verdict.met,
            })
        }),
    };
    if let (Value::Object(document), Value::Object(result)) = (&mut document, result) {
        document.extend(result);
    }
    document
}

fn side_json(value: f64, samples: &[Sample], aim: Aim) -> Value {
    let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
    let details = aim.representative(samples).map(|sample| sample.details.clone()).unwrap_or_default();
    let details: serde_json::Map<_, _> =
        details.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    json!({"value": value, "samples": values, "details": details})
}

/// Columns side by side: names to the left, figures to the right.
fn align(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let last = row.len().saturating_sub(1);
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ if column == last => cell.clone(),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
