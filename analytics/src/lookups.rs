//! Every look-up by plate is itself on record: who asked for which plates, when and in which words.
//!
//! `lookups/YYYY-MM.csv` in the folder, a line each, on disk before the answer begins; the table
//! `plate_lookups` shows them. A look-up that can't be put on record is not answered.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use parking_lot::Mutex;
use portgate_core::people::{Principal, Role};
use portgate_core::time::Instant;

use crate::error::{AnalyticsError, Result};
use crate::tables::{col, Kind, Table};

/// Folder of the record, within the analytics folder.
pub const FOLDER: &str = "lookups";
/// The record as a table.
pub static TABLE: Table = Table {
    name: "plate_lookups",
    doc: "One row per question that looked for plates, by whoever sees them in full.",
    time: "asked_at",
    bloom: &[],
    columns: &[
        col("asked_at", Kind::Time, "When."),
        col("account", Kind::Text, "Who asked."),
        col("role", Kind::Text, "In which role."),
        col("via", Kind::Text, "postgres, http or command."),
        col("plates", Kind::Plate, "What was looked for, separated by spaces."),
        col("query", Kind::Words, "The question."),
    ],
};
/// Longest question kept whole, characters.
const QUERY_MAX: usize = 4_000;
/// What plates begin with.
const BEGINNINGS: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使";
/// Columns that hold plates.
const PLATES: [&str; 2] = ["plate", "plate_read"];

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Account.
    pub account: String,
    /// Its role.
    pub role: Role,
    /// By which way: `postgres`, `http` or `command`.
    pub via: &'static str,
}

impl From<Role> for Asker {
    /// Somebody at this machine, with the rights of the role.
    fn from(role: Role) -> Self {
        Self { account: "local".into(), role, via: "command" }
    }
}

impl From<&Principal> for Asker {
    fn from(who: &Principal) -> Self {
        Self { account: who.name.clone(), role: who.role, via: "http" }
    }
}

/// The record.
pub struct Lookups {
    dir: PathBuf,
    open: Mutex<Option<(String, File)>>,
}

impl Lookups {
    /// The record in the analytics folder; nothing is made before the first look-up.
    pub fn new(analytics: &Path) -> Self {
        Self { dir: analytics.join(FOLDER), open: Mutex::new(None) }
    }

    /// Puts the look-up on record, if the plan is one. On disk on return.
    ///
    /// # Errors
    /// [`AnalyticsError::Unrecorded`]: the question must not be answered then.
    pub fn note(&self, who: &Asker, query: &str, plan: &LogicalPlan) -> Result<()> {
        match plates_asked(plan) {
            Some(plates) => self.write(who, query, &plates.join(" ")).map_err(|e| AnalyticsError::Unrecorded(e.to_string())),
            None => Ok(()),
        }
    }

    fn write(&self, who: &Asker, query: &str, plates: &str) -> std::io::Result<()> {
        let now = Instant::from_micros(chrono::Utc::now().timestamp_micros()).to_string();
        let month = now.get(..7).unwrap_or("0000-00").to_owned();
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\"").replace(['\n', '\r'], " "));
        let query: String = query.chars().take(QUERY_MAX).collect();
        let line = format!("{now},{},{},{},{},{}\n", quoted(&who.account), who.role.as_str(), who.via, quoted(plates), quoted(&query));
        let mut open = self.open.lock();
        let file = match open.take() {
            Some((of, file)) if of == month && self.path(&month).exists() => file,
            _ => self.begin(&month)?,
        };
        let (_, file) = open.insert((month, file));
        file.write_all(line.as_bytes())?;
        file.sync_data()
    }

    fn path(&self, month: &str) -> PathBuf {
        self.dir.join(format!("{month}.csv"))
    }

    fn begin(&self, month: &str) -> std::io::Result<File> {
        std::fs::create_dir_all(&self.dir)?;
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(month))?;
        if file.metadata()?.len() == 0 {
            let header: Vec<&str> = TABLE.columns.iter().map(|c| c.name).collect();
            file.write_all(format!("{}\n", header.join(",")).as_bytes())?;
        }
        Ok(file)
    }

    /// Removes the months that ended before that day. Answers how many.
    pub fn expire(&self, oldest: &str) -> usize {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return 0 };
        let past = |name: &str| name.strip_suffix(".csv").is_some_and(|month| oldest.get(..7).is_some_and(|o| month < o));
        entries.flatten().filter(|e| e.file_name().to_str().is_some_and(past)).filter(|e| std::fs::remove_file(e.path()).is_ok()).count()
    }
}

/// What the plan looks for, if it looks for plates: the values compared with a column of plates,
/// and every text that begins as plates do.
pub fn plates_asked(plan: &LogicalPlan) -> Option<Vec<String>> {
    let mut found = Found::default();
    // Nothing in here fails.
    let _ = plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            let _ = expr.apply(|e| {
                found.see(e);
                Ok(TreeNodeRecursion::Continue)
            });
        }
        if let LogicalPlan::Values(values) = node {
            for expr in values.values.iter().flatten() {
                found.see(expr);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.is_lookup.then_some(found.values)
}

#[derive(Default)]
struct Found {
    is_lookup: bool,
    values: Vec<String>,
}

impl Found {
    fn see(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(value, _) => {
                if let Some(text) = text(value).filter(|t| t.chars().next().is_some_and(|c| BEGINNINGS.contains(c))) {
                    self.is_lookup = true;
                    self.take(text);
                }
            }
            // Both sides of these are looked at by themselves.
            Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }) => {}
            Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::InList(_)
            | Expr::Between(_)
            | Expr::ScalarFunction(_)
            | Expr::InSubquery(_) => {
                let (mut plate, mut literals) = (matches!(expr, Expr::InSubquery(_)) && names_plate(expr), Vec::new());
                let mut compared = plate;
                let _ = expr.apply(|e| {
                    match e {
                        Expr::Column(c) if PLATES.contains(&c.name.as_str()) => plate = true,
                        Expr::Literal(value, _) => {
                            if let Some(text) = text(value) {
                                compared = true;
                                literals.push(text.to_owned());
                            }
                        }
                        Expr::Placeholder(_) => compared = true,
                        _ => {}
                    }
                    Ok(TreeNodeRecursion::Continue)
                });
                if plate && compared {
                    self.is_lookup = true;
                    literals.iter().for_each(|l| self.take(l));
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, value: &str) {
        if !self.values.iter().any(|v| v == value) {
            self.values.push(value.to_owned());
        }
    }
}

fn names_plate(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery(s) if matches!(s.expr.as_ref(), Expr::Column(c) if PLATES.contains(&c.name.as_str())))
}

fn text(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Utf8(Some(t)) | ScalarValue::Utf8View(Some(t)) | ScalarValue::LargeUtf8(Some(t)) => Some(t),
        _ => None,
    }
}
