//! How much of a form stands at places of a text, in linear time: by the Z algorithm.

/// The beginnings of a form in a text, at ascending places.
pub(super) struct Prefixes<'a> {
    form: &'a [u8],
    /// For each place in the form, how many bytes from there on are alike to its beginning; computed when it
    /// is first needed.
    own: Vec<usize>,
    /// The place of the last match that reached so far, and where it ended.
    start: usize,
    end: usize,
}

impl<'a> Prefixes<'a> {
    pub fn of(form: &'a [u8]) -> Self {
        Prefixes {
            form,
            own: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// How many bytes of the text at this place are alike to the beginning of the form. Each place is to lie
    /// behind the one before.
    pub fn length(&mut self, text: &[u8], at: usize) -> usize {
        let mut length = 0;
        if at < self.end {
            if self.own.is_empty() {
                self.own = own_prefixes(self.form);
            }
            length = self.own[at - self.start].min(self.end - at);
        }
        if at + length >= self.end {
            length += alike(&self.form[length..], &text[at + length..]);
            (self.start, self.end) = (at, at + length);
        }
        length
    }
}

/// The Z function of these bytes.
fn own_prefixes(bytes: &[u8]) -> Vec<usize> {
    let mut own = vec![0; bytes.len()];
    let (mut start, mut end) = (0, 0);
    for at in 1..bytes.len() {
        if at < end {
            own[at] = own[at - start].min(end - at);
        }
        if at + own[at] >= end {
            own[at] += alike(&bytes[own[at]..], &bytes[at + own[at]..]);
            (start, end) = (at, at + own[at]);
        }
    }
    own
}

/// How many bytes the two begin with alike.
fn alike(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prefixes_are_those_that_a_comparison_at_each_place_finds(
            form in "[ab]{1,12}",
            text in "[ab]{0,40}",
            step in 1_usize..3,
        ) {
            let (form, text) = (form.as_bytes(), text.as_bytes());
            let mut prefixes = Prefixes::of(form);
            for at in (0..=text.len()).step_by(step) {
                prop_assert_eq!(prefixes.length(text, at), alike(form, &text[at..]));
            }
        }
    }
}
