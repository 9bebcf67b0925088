//! Text in columns.

/// Rows of as many cells, two blanks between them: numbers to the right, all else to the left.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let is_number = |cell: &String| cell.bytes().all(|it| it.is_ascii_digit() || it == b'.');
    let to_right: Vec<bool> = (0..count)
        .map(|column| cells(column).skip(1).all(is_number))
        .collect();
    let widths: Vec<usize> = (0..count)
        .map(|column| cells(column).map(String::len).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&to_right).zip(&widths);
        let cells = cells.map(|((cell, to_right), &width)| match to_right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A heading's cells.
pub fn heading(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_string()).collect()
}
