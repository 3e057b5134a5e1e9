//! Standard output and standard error. A reader that went away (`| head`) ends the program quietly instead of with a
//! panic.

use crate::failure::Failure;
use std::{
    fmt,
    io::{self, Write},
};

/// Writes a text as it is and flushes it.
pub(crate) fn print(text: impl fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::of(Vec::new()),
        _ => Failure::io("cannot write to standard output", &error),
    })
}

/// Writes a line.
pub(crate) fn line(text: impl fmt::Display) -> Result<(), Failure> {
    print(format_args!("{text}\n"))
}

/// Writes a line to standard error. When even that is gone, nobody is left to be told.
pub(crate) fn complain(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "rollcall: {text}");
}

/// Rows under a header, columns as wide as their widest cell and two spaces apart.
pub(crate) fn table(
    header: &[&str],
    rows: &[Vec<String>],
    widths_at_least: &mut Vec<usize>,
    with_header: bool,
) -> String {
    widths_at_least.resize(header.len(), 0);
    for (column, title) in header.iter().enumerate() {
        let widest = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let width = &mut widths_at_least[column];
        *width = (*width).max(title.chars().count()).max(widest.unwrap_or(0));
    }
    let mut text = String::new();
    if with_header {
        push_row(&mut text, header, widths_at_least);
    }
    for row in rows {
        push_row(&mut text, row, widths_at_least);
    }
    text
}

fn push_row(text: &mut String, cells: &[impl AsRef<str>], widths: &[usize]) {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{:<width$}  ", cell.as_ref()));
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_never_shrink() {
        let mut widths = Vec::new();
        let rows = vec![vec!["VIN0000001".to_owned(), "online".to_owned()], vec!["😀".to_owned(), "x".to_owned()]];
        assert_eq!(
            table(&["id", "state"], &rows, &mut widths, true),
            "id          state\nVIN0000001  online\n😀           x\n"
        );
        let later = vec![vec!["a".to_owned(), "b".to_owned()]];
        assert_eq!(table(&["id", "state"], &later, &mut widths, false), "a           b\n");
    }
}
