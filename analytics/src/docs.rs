//! The part of `analytics/README.md` that follows from the code: every view and table with its
//! columns.

use std::fmt::Write;

use crate::tables::Table;
use crate::{lookups, reference, tables, views};

/// Views, tables and reference tables in Markdown. A test holds the README to it.
pub fn columns() -> String {
    let mut out = String::new();
    for (heading, group) in views::GROUPS {
        let _ = writeln!(out, "\n## Views: {}\n", lower(heading)); // a String takes everything
        if heading == "Violations" {
            out.push_str("All of them have the same columns:\n\n");
            rows(&mut out, views::violations::COLUMNS);
            out.push('\n');
        }
        for view in group {
            let _ = writeln!(out, "### `{}`\n{}\n", view.name, view.doc);
            if view.columns != views::violations::COLUMNS {
                rows(&mut out, view.columns);
                out.push('\n');
            }
        }
    }
    out.push_str("## Tables\n\nWhat the views are made from; every column may be null. `site` is the port area, `seq` the place in its journal the row came from.\n\n");
    for table in tables::ALL {
        let _ = writeln!(out, "### `{}`\n{} Sorted by `{}`.\n", table.name, table.doc, table.time);
        typed(&mut out, table);
    }
    let _ = writeln!(out, "### `{}`\n{} In `lookups/`, a file a month, kept 1100 days.\n", lookups::TABLE.name, lookups::TABLE.doc);
    typed(&mut out, &lookups::TABLE);
    let _ = writeln!(
        out,
        "## Reference tables\n\nWhat indicators need and no gate records, from `reference/NAME.csv` in the analytics folder: a header, then \
         rows; times as RFC 3339, a file may leave columns out. A changed file counts from the next question on; a file that does not fit \
         answers with its line and column to whoever asks for its table.\n"
    );
    for table in reference::ALL {
        let _ = writeln!(out, "### `{}`\n{}\n", table.name, table.doc);
        typed(&mut out, table);
    }
    out
}

fn lower(text: &str) -> String {
    text.chars().enumerate().map(|(i, c)| if i == 0 { c.to_ascii_lowercase() } else { c }).collect()
}

fn rows(out: &mut String, columns: &[(&str, &str)]) {
    out.push_str("| column | meaning |\n|---|---|\n");
    for (name, doc) in columns {
        let _ = writeln!(out, "| `{name}` | {doc} |");
    }
}

fn typed(out: &mut String, table: &Table) {
    out.push_str("| column | type | meaning |\n|---|---|---|\n");
    for column in table.columns {
        let _ = writeln!(out, "| `{}` | {} | {} |", column.name, column.kind.sql_name(), column.doc);
    }
    out.push('\n');
}
