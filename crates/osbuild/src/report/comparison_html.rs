//! What differs between two builds, as one page without anything from elsewhere.

use osbuild_inspect::compare::{Change, Comparison, FileChange, FileChangeKind};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;\
color:#1b1f24;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;\
border-bottom:1px solid #d8dee4;overflow-wrap:anywhere}code{font-size:.9em}.added{color:#1a7f37}\
.removed{color:#cf222e}@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}\
td,th{border-color:#30363d}.added{color:#3fb950}.removed{color:#f85149}}";

/// Writes the page; `names` are those of the two sides.
pub(crate) fn html(names: &[String; 2], found: &Comparison) -> String {
    let title = format!("{} → {}", escape(&names[0]), escape(&names[1]));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<h1>{title}</h1>\n"
    );
    if found.is_empty() {
        page.push_str("<p>No differences.</p>\n");
    }
    let sections = [
        ("System", &found.system),
        ("Packages", &found.packages),
        ("Boot entries", &found.boot),
        ("Partitions", &found.partitions),
    ];
    for (title, changes) in sections {
        if !changes.is_empty() {
            let rows: String = changes.iter().map(change_row).collect();
            page.push_str(&table(title, changes.len(), &rows));
        }
    }
    if !found.files.is_empty() {
        let rows: String = found.files.iter().map(file_row).collect();
        page.push_str(&table("Files", found.files.len(), &rows));
    }
    page.push_str("</html>\n");
    page
}

fn table(title: &str, count: usize, rows: &str) -> String {
    format!(
        "<h2>{title} ({count})</h2>\n<table>\n<tr><th>Name<th>Before<th>After</tr>\n{rows}</table>\n"
    )
}

fn change_row(change: &Change) -> String {
    row(
        &change.name,
        &cell(change.before.as_deref()),
        &cell(change.after.as_deref()),
    )
}

fn file_row(change: &FileChange) -> String {
    match &change.kind {
        FileChangeKind::Added => row(&change.path, "", "<span class=\"added\">added</span>"),
        FileChangeKind::Removed => row(&change.path, "<span class=\"removed\">removed</span>", ""),
        FileChangeKind::Changed { properties } => {
            let side = |value: fn(&Change) -> Option<&str>| {
                let lines = properties.iter().map(|property| {
                    format!("{} {}", escape(&property.name), cell(value(property)))
                });
                lines.collect::<Vec<_>>().join("<br>")
            };
            row(
                &change.path,
                &side(|property| property.before.as_deref()),
                &side(|property| property.after.as_deref()),
            )
        }
    }
}

fn row(name: &str, before: &str, after: &str) -> String {
    format!(
        "<tr><td><code>{}</code><td>{before}<td>{after}</tr>\n",
        escape(name)
    )
}

fn cell(value: Option<&str>) -> String {
    value.map_or("–".to_owned(), escape)
}

/// Makes text of an image harmless in a page.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.extend(control.escape_unicode()),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_can_not_be_markup() {
        let found = Comparison {
            files: vec![FileChange {
                path: "/<script>alert('x')</script>".to_owned(),
                kind: FileChangeKind::Added,
            }],
            ..Comparison::default()
        };
        let page = html(&["a".to_owned(), "<b>".to_owned()], &found);
        assert!(page.contains("<td><code>/&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;</code>"));
        assert!(page.contains("<h1>a → &lt;b&gt;</h1>") && !page.contains("<script"));
    }
}
