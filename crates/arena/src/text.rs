//! Text of bounded length that lives where it is declared: names, paths and messages that must not allocate.

use core::fmt;

/// At most `N` bytes of UTF-8 (`N` up to 255), stored inline. Text that does not fit is cut at a character's edge
/// and ends in `…`. Writing to it never fails and takes no memory.
#[derive(Clone, Copy)]
pub struct InlineText<const N: usize> {
    bytes: [u8; N],
    len: u8,
    cut: bool,
}

const ELLIPSIS: &str = "…";

impl<const N: usize> InlineText<N> {
    /// No text.
    pub const EMPTY: InlineText<N> = {
        assert!(N >= ELLIPSIS.len() && N <= 255);
        InlineText { bytes: [0; N], len: 0, cut: false }
    };

    /// The given text, cut to what fits.
    pub fn new(text: &str) -> InlineText<N> {
        let mut inline = InlineText::EMPTY;
        inline.push_str(text);
        inline
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("only whole characters are stored")
    }

    /// True where something was cut off.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Appends as much of `text` as fits; after a first cut nothing more is taken.
    pub fn push_str(&mut self, text: &str) {
        if self.cut {
            return;
        }
        let len = usize::from(self.len);
        if text.len() <= N - len {
            self.put(len, text);
            return;
        }
        self.cut = true;
        let mut keep = N - ELLIPSIS.len();
        if keep <= len {
            while !self.as_str().is_char_boundary(keep) {
                keep -= 1;
            }
        } else {
            let mut taken = keep - len;
            while !text.is_char_boundary(taken) {
                taken -= 1;
            }
            self.put(len, &text[..taken]);
            keep = len + taken;
        }
        self.put(keep, ELLIPSIS);
    }

    fn put(&mut self, at: usize, text: &str) {
        self.bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        self.len = u8::try_from(at + text.len()).expect("N is at most 255");
    }
}

impl<const N: usize> fmt::Write for InlineText<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

impl<const N: usize> fmt::Display for InlineText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for InlineText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> PartialEq for InlineText<N> {
    fn eq(&self, other: &InlineText<N>) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<const N: usize> Eq for InlineText<N> {}

/// Bytes as people read them: `512 B`, `1.5 MiB`. One decimal from KiB on, powers of 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HumanBytes(pub u64);

/// Bytes as people read them; see [`HumanBytes`].
pub fn human_bytes(bytes: u64) -> HumanBytes {
    HumanBytes(bytes)
}

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = InlineText::<24>::EMPTY;
        write_human(self.0, &mut text)?;
        f.pad(text.as_str())
    }
}

fn write_human(bytes: u64, out: &mut impl fmt::Write) -> fmt::Result {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes == u64::MAX {
        return out.write_str("unlimited");
    }
    if bytes < 1024 {
        return write!(out, "{bytes} B");
    }
    let mut unit = 0;
    // Tenths of the unit, rounded to nearest; 1,023.95 KiB and more is shown as 1.0 MiB.
    let tenths = |unit: usize| (u128::from(bytes) * 10 + (1 << (10 * unit + 9))) >> (10 * (unit + 1));
    while tenths(unit) >= 10_240 && unit + 1 < UNITS.len() {
        unit += 1;
    }
    let tenths = tenths(unit);
    write!(out, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn seed_34_bytes_read_as_people_write_them() {
        let shown = |bytes| human_bytes(bytes).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(1023), "1023 B");
        assert_eq!(shown(1024), "1.0 KiB");
        assert_eq!(shown(1536 * 1024), "1.5 MiB");
        assert_eq!(shown(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(shown(64 << 30), "64.0 GiB");
        assert_eq!(shown(u64::MAX), "unlimited");
        assert_eq!(shown(u64::MAX - 1), "16.0 EiB");
        assert_eq!(format!("{:>9}|", human_bytes(2048)), "  2.0 KiB|");
    }

    #[test]
    fn text_that_does_not_fit_is_cut_at_a_character() {
        assert_eq!(InlineText::<8>::new("abcdefgh").as_str(), "abcdefgh");
        assert_eq!(InlineText::<8>::new("abcdefghi").as_str(), "abcde…");
        assert_eq!(InlineText::<8>::new("abcdéfgh").as_str(), "abcd…");
        let mut text = InlineText::<8>::new("abcdefg");
        write!(text, "hij").unwrap();
        assert_eq!(text.as_str(), "abcde…");
        write!(text, "x").unwrap();
        assert_eq!(text.as_str(), "abcde…");
        assert!(text.is_cut());
    }
}
