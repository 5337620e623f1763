//! What was found out about a text, so that nothing is tried twice.

use super::compiled::Pattern;

/// What was found out about a text.
pub(super) struct Notes {
    /// How many bytes they may take.
    most: usize,
    /// For each repetition a bit for each place of the text: it has failed from there.
    failed: Vec<Vec<u64>>,
    /// For each `%b` where what begins at a place ends, or 0.
    ends: Vec<Vec<u32>>,
    pub steps: u64,
    /// Notes are taken after so many steps: most matches end before.
    pub after: u64,
}

/// Where what is balanced ends.
pub(super) struct Ends<'a> {
    /// For each place of the text, or 0.
    pub of: &'a [u32],
    /// They were found by this call, which has taken a step for each byte of the text.
    pub is_new: bool,
}

impl Notes {
    pub fn new(most: usize) -> Self {
        Notes {
            most,
            failed: Vec::new(),
            ends: Vec::new(),
            steps: 0,
            after: 1_000,
        }
    }

    #[inline]
    pub fn has_failed(&self, note: usize, at: usize) -> bool {
        let noted = self.failed.get(note).and_then(|bits| bits.get(at / 64));
        noted.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Notes that a repetition fails from each of these places of a text of this length.
    pub fn note_failed(
        &mut self,
        pattern: &Pattern,
        len: usize,
        note: usize,
        from: usize,
        to: usize,
    ) {
        if pattern.again || self.steps < self.after {
            return;
        }
        if self.failed.is_empty() {
            let words = len / 64 + 1;
            if words * 8 * pattern.repeats > self.most {
                return;
            }
            self.failed = vec![vec![0; words]; pattern.repeats];
        }
        let bits = &mut self.failed[note];
        for at in from..=to {
            bits[at / 64] |= 1 << (at % 64);
        }
    }

    /// Finds all that is balanced, once for a text; none where there is no room for it.
    pub fn ends(
        &mut self,
        pattern: &Pattern,
        text: &[u8],
        open: u8,
        close: u8,
        note: usize,
    ) -> Option<Ends<'_>> {
        if self.ends.is_empty() {
            // The starts that have no end yet are kept too.
            let bytes = text.len() * 4 * (pattern.balances + 2);
            if bytes > self.most || u32::try_from(text.len()).is_err() {
                return None;
            }
            self.ends = vec![Vec::new(); pattern.balances];
        }
        let is_new = self.ends[note].is_empty();
        if is_new {
            self.ends[note] = balanced(text, open, close);
        }
        let of = &self.ends[note];
        Some(Ends { of, is_new })
    }
}

/// For each place of a text where what is balanced and begins there ends, or 0.
fn balanced(text: &[u8], open: u8, close: u8) -> Vec<u32> {
    let mut ends = vec![0; text.len()];
    let mut begun = Vec::new();
    for at in (0..text.len()).rev() {
        // From the end on: with one byte for both, each one ends at the next.
        let byte = text[at];
        if open == close {
            if byte == open {
                ends[at] = begun.pop().unwrap_or(0);
                begun.push(at as u32 + 1);
            }
        } else if byte == close {
            begun.push(at as u32 + 1);
        } else if byte == open {
            ends[at] = begun.pop().unwrap_or(0);
        }
    }
    ends
}
