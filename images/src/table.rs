//! A plain text table whose columns are as wide as they have to be.
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A heading and rows of as many cells.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(heading: &[&str]) -> Self {
        Self {
            rows: alloc::vec![heading.iter().map(|&cell| cell.into()).collect()],
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "cells of a row");
        self.rows.push(cells);
    }
}

/// Two blanks between columns, numbers to the right, everything else to the left.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max();
        let widths: Vec<usize> = (0..columns).filter_map(width).collect();
        let is_number = |cell: &String| cell.bytes().all(|byte| byte.is_ascii_digit());
        let to_right: Vec<bool> = (0..columns)
            .map(|column| self.rows[1..].iter().all(|row| is_number(&row[column])))
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let cell = match to_right[column] {
                    true => alloc::format!("{cell:>width$}  "),
                    false => alloc::format!("{cell:<width$}  "),
                };
                line.push_str(&cell);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["guest", "runs"]);
        table.row(alloc::vec!["smt8-be".into(), "7".into()]);
        table.row(alloc::vec!["a".into(), "12345".into()]);
        assert_eq!(
            table.to_string(),
            "guest     runs\nsmt8-be      7\na        12345\n"
        );
    }

    #[test]
    fn only_a_heading() {
        assert_eq!(Table::new(&["guest", "runs"]).to_string(), "guest  runs\n");
    }
}
