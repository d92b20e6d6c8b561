//! Plain text tables and CSV: columns aligned, numbers to the right.

/// A table under construction.
#[derive(Clone, Debug, Default)]
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column headers.
    pub fn new(headers: &[&str]) -> Self {
        Self { headers: headers.iter().map(|header| (*header).to_owned()).collect(), rows: Vec::new() }
    }

    /// Appends a row.
    ///
    /// # Panics
    /// If it has not as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.headers.len(), "bug in snncc: a row of another length");
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as aligned text, each line indented by `indent` spaces. Columns whose cells all begin with a digit, a sign
    /// or a dash are aligned to the right.
    pub fn text(&self, indent: usize) -> String {
        let width = |text: &str| text.chars().count();
        let columns = self.headers.len();
        let widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().map(|row| width(&row[c])).chain([width(&self.headers[c])]).max().unwrap_or(0))
            .collect();
        let numeric: Vec<bool> = (0..columns)
            .map(|c| {
                let looks_numeric = |cell: &String| {
                    cell.is_empty() || cell.starts_with(|ch: char| ch.is_ascii_digit() || "+-−–∞".contains(ch))
                };
                !self.rows.is_empty() && self.rows.iter().all(|row| looks_numeric(&row[c]))
            })
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&self.headers).chain(&self.rows) {
            let mut line = " ".repeat(indent);
            for (c, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[c] - width(cell));
                if c > 0 {
                    line.push_str("  ");
                }
                if numeric[c] {
                    line.push_str(&gap);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&gap);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// The table as CSV (RFC 4180 quoting, `\n` line ends).
    pub fn csv(&self) -> String {
        let quoted = |cell: &String| {
            if cell.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.clone()
            }
        };
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        std::iter::once(&self.headers).chain(&self.rows).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_align_right_and_csv_quotes() {
        let mut table = Table::new(&["layer", "neurons"]);
        table.row(vec!["a,b".into(), "5".into()]);
        table.row(vec!["c".into(), "1 000".into()]);
        assert_eq!(table.text(1), " layer  neurons\n a,b          5\n c        1 000\n");
        assert_eq!(table.csv(), "layer,neurons\n\"a,b\",5\nc,1 000\n");
    }
}
