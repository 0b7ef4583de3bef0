//! Lines and columns of a text that is read bit by bit.

/// A place between two characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The line, from 1.
    pub line: usize,
    /// How many characters stand before it on its line.
    pub column: usize,
}

impl Position {
    /// The beginning of a text.
    pub(crate) const START: Position = Position { line: 1, column: 0 };

    /// The place behind `bytes`, which begin here.
    pub(crate) fn after(self, bytes: &[u8]) -> Position {
        let line_start = bytes.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        let lines_count = bytes[..line_start.unwrap_or(0)].iter().filter(|&&byte| byte == b'\n').count();
        // Every byte of UTF-8 begins a character but those that go on with one.
        let characters = bytes[line_start.unwrap_or(0)..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        let column = if line_start.is_some() { 0 } else { self.column };
        Position { line: self.line + lines_count, column: column + characters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_and_lines_are_counted_however_the_text_is_cut() {
        let text = "aé\n\nüb→c\nd";
        for cut in 0..=text.len() {
            let (front, back) = text.as_bytes().split_at(cut);
            let position = Position::START.after(front).after(back);
            assert_eq!(position, Position { line: 4, column: 1 }, "cut at {cut}");
        }
        assert_eq!(Position::START.after("aé\n\nüb→".as_bytes()), Position { line: 3, column: 3 });
    }
}
