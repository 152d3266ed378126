//! The page at `/`: what runs here, in plain HTML without a script.

use std::fmt::Write;

use super::source::Overview;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;\
    padding:0 1rem}table{border-collapse:collapse}th,td{text-align:left;padding:.2rem 1rem .2rem 0;\
    border-bottom:1px solid #ccc}.n{text-align:right}code{background:#eee;padding:0 .3rem}";

/// Writes the page.
pub(super) fn render(overview: &Overview) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Thalweg</title>\
         <style>{STYLE}</style></head><body>\n<h1>Thalweg {}</h1>\n",
        escape(&overview.version)
    );
    out.push_str(
        "<p>A message log, a stream processor and a streaming database. \
         <a href=\"/healthz\">health</a> · <a href=\"/readyz\">readiness</a> · \
         <a href=\"/metrics\">metrics</a></p>\n",
    );
    if !overview.alarms.is_empty() {
        let alarms = overview.alarms.iter();
        let alarms = alarms
            .map(|alarm| format!("<td>{}<td>{}", escape(&alarm.subject), escape(&alarm.reason)));
        table(&mut out, "Alarms", &["what", "why"], alarms.collect());
    }
    let doors = overview.doors.iter().map(|door| {
        let try_it = if door.try_it.is_empty() {
            String::new()
        } else {
            format!("<code>{}</code>", escape(&door.try_it))
        };
        format!("<td>{}<td>{}<td>{try_it}", escape(&door.name), escape(&door.address))
    });
    table(&mut out, "Doors", &["door", "address", "try"], doors.collect());
    let jobs = overview.jobs.iter().map(|job| {
        format!(
            "<td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}",
            escape(&job.name),
            escape(&job.state),
            job.epoch,
            job.rows_in,
            job.rows_out,
            escape(&job.problem)
        )
    });
    let heads = ["job", "state", "epoch", "rows in", "rows out", "problem"];
    table(&mut out, "Jobs", &heads, jobs.collect());
    let views = overview.views.iter().map(|view| {
        format!(
            "<td>{}<td class=n>{}<td class=n>{}<td class=n>{}",
            escape(&view.name),
            view.epoch,
            view.rows,
            view.memory_bytes
        )
    });
    table(&mut out, "Views", &["view", "epoch", "rows", "bytes"], views.collect());
    out.push_str("</body></html>\n");
    out
}

fn table(out: &mut String, title: &str, heads: &[&str], rows: Vec<String>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "<h2>{title}</h2>");
    if rows.is_empty() {
        out.push_str("<p>none</p>\n");
        return;
    }
    let heads: String = heads.iter().map(|head| format!("<th>{head}")).collect();
    let _ = writeln!(out, "<table><tr>{heads}");
    for row in rows {
        let _ = writeln!(out, "<tr>{row}");
    }
    out.push_str("</table>\n");
}

/// Text that is no markup.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}
