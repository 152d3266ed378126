//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write;

use super::source::{MetricFamily, MetricKind};

/// Its media type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes families in the order given. Characters that a name cannot have become `_`.
pub(super) fn render(families: &[MetricFamily]) -> String {
    let mut out = String::new();
    for family in families {
        let name = clean_name(&family.name);
        let kind = match family.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for sample in &family.samples {
            let _ = write!(out, "{name}{}", sample.suffix);
            put_labels(&sample.labels, &mut out);
            let _ = writeln!(out, " {}", value_text(sample.value));
        }
    }
    out
}

fn put_labels(labels: &[(String, String)], out: &mut String) {
    if labels.is_empty() {
        return;
    }
    for (number, (name, value)) in labels.iter().enumerate() {
        let before = if number == 0 { '{' } else { ',' };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(out, "{before}{}=\"{value}\"", clean_name(name));
    }
    out.push('}');
}

fn value_text(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        other => other.to_string(),
    }
}

fn clean_name(name: &str) -> String {
    let mut clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if clean.is_empty() || clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::super::source::Sample;
    use super::*;

    #[test]
    fn names_and_labels_cannot_break_the_format() {
        let label = ("job".to_owned(), "a\"b\\c\nd".to_owned());
        let families = [MetricFamily {
            name: "thalweg_rows-total".into(),
            help: "Rows.\nMany.".into(),
            kind: MetricKind::Counter,
            samples: vec![
                Sample { labels: vec![label], value: 3.0, ..Sample::default() },
                Sample { suffix: "_sum", value: f64::INFINITY, ..Sample::default() },
            ],
        }];
        let text = "# HELP thalweg_rows_total Rows.\\nMany.\n# TYPE thalweg_rows_total counter\n\
                    thalweg_rows_total{job=\"a\\\"b\\\\c\\nd\"} 3\nthalweg_rows_total_sum +Inf\n";
        assert_eq!(render(&families), text);
    }
}
