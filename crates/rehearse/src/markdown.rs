//! A job summary for a terminal: tables in columns, links without their targets, a Gantt chart as bars.

/// The widest that a column gets.
const WIDEST: usize = 58;

/// The width of a Gantt chart's bars.
const BARS: usize = 48;

/// Lays out Markdown as our actions write it.
pub(crate) fn lay_out(markdown: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut table: Vec<Vec<String>> = Vec::new();
    let mut chart: Option<Vec<&str>> = None;
    for line in markdown.lines() {
        if line == "```mermaid" {
            chart = Some(Vec::new());
            continue;
        }
        if line == "```"
            && let Some(bars) = chart.take()
        {
            lines.extend(gantt(&bars));
            continue;
        }
        if let Some(bars) = &mut chart {
            bars.push(line);
            continue;
        }
        match cells(line) {
            Some(cells) => table.push(cells),
            None => {
                lines.extend(columns(&std::mem::take(&mut table)));
                lines.push(plain(line));
            }
        }
    }
    lines.extend(columns(&table));
    lines.dedup_by(|next, line| next.is_empty() && line.is_empty());
    lines
}

/// The cells of a table's row; `None` for any other line.
fn cells(line: &str) -> Option<Vec<String>> {
    let inside = line.strip_prefix("| ").or_else(|| line.strip_prefix('|'))?.strip_suffix('|')?;
    // An escaped `\|` belongs to its cell.
    let cells = inside.replace("\\|", "\u{0}");
    Some(cells.split('|').map(|cell| cut(&plain(cell.replace('\u{0}', "|").trim()))).collect())
}

/// Rows in columns, the heading underlined.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let is_rule = |row: &&Vec<String>| !row.iter().all(|cell| cell.starts_with("---"));
    let rows: Vec<&Vec<String>> = rows.iter().filter(is_rule).collect();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let lay = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(|row| lay(row)).collect();
    if lines.len() > 1 {
        lines.insert(1, widths.iter().map(|&width| "─".repeat(width)).collect::<Vec<_>>().join("  "));
    }
    lines
}

/// A line without Markdown's marks.
fn plain(line: &str) -> String {
    let line = line.trim_start_matches('#').trim_start_matches("<details><summary>").replace("</summary>", ":");
    let mut text = without_links(&line);
    for mark in ["```diff", "```text", "```", "**", "</details>", "`", "\\"] {
        text = text.replace(mark, "");
    }
    text.replace("<br>", "; ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").trim_end().to_owned()
}

/// `[text](target)` is `text`.
fn without_links(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((label, target)) = link.split_once("](") else { break };
        let Some((_, after)) = target.split_once(')') else { break };
        text += before;
        text += label;
        rest = after;
    }
    text + rest
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 1).collect::<String>() + "…"
}

/// The bars of a Gantt chart whose lines are `name :from, to` or `name :crit, from, to`, in seconds, under `section name`.
fn gantt(lines: &[&str]) -> Vec<String> {
    let mut section = "";
    let mut bars: Vec<(String, usize, usize, bool)> = Vec::new();
    for line in lines {
        match (line.trim().strip_prefix("section "), bar(line)) {
            (Some(name), _) => section = name,
            (None, Some((name, from, to, is_critical))) => {
                bars.push((format!("{section} {name}").trim().to_owned(), from, to, is_critical));
            }
            (None, None) => {}
        }
    }
    let end = bars.iter().map(|(_, _, to, _)| *to).max().unwrap_or(1).max(1);
    let name_width = bars.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let draw = |(name, from, to, is_critical): &(String, usize, usize, bool)| {
        let (start, length) = (from * BARS / end, ((to - from) * BARS / end).max(1));
        let stroke = if *is_critical { "▒" } else { "█" };
        format!("{name:<name_width$}  {}{}  {from} s to {to} s", " ".repeat(start), stroke.repeat(length))
    };
    bars.iter().map(draw).collect()
}

fn bar(line: &str) -> Option<(&str, usize, usize, bool)> {
    let (name, rest) = line.trim().split_once(" :")?;
    let times = rest.strip_prefix("crit, ");
    let (from, to) = times.unwrap_or(rest).split_once(", ")?;
    Some((name, from.parse().ok()?, to.parse().ok()?, times.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_laid_out_for_a_terminal() {
        let markdown = "### ✅ ecs-deploy: deployed\n\n| service | from |\n| --- | --- |\n| [auth](https://x/y) | `a:1` |\n| catalog | `a \\| b` |\n\n\
                        ```mermaid\ngantt\n  dateFormat X\n  section auth\n  rolling out :0, 2\n  section web\n  going back :crit, 2, 4\n```\n";
        let expected = [
            " ✅ ecs-deploy: deployed",
            "",
            "service  from",
            "───────  ─────",
            "auth     a:1",
            "catalog  a | b",
            "",
            "auth rolling out  ████████████████████████  0 s to 2 s",
            "web going back                            ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒  2 s to 4 s",
        ];
        assert_eq!(lay_out(markdown), expected);
    }
}
