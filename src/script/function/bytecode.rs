//! What of a function's bytecode decides what it does: all but its names, its lines and the place where it was
//! written. Two functions that differ in those only are the same for a script that is loaded again.
//!
//! The format is that of Lua 5.4 (`ldump.c`, `lundump.c`).

/// The header: signature, version, format, check bytes, sizes, and two check numbers.
const HEADER: usize = 31;
/// Functions in functions, at most so deep; Lua allows 200 levels of its grammar.
const DEEPEST: usize = 250;

/// The tags of constants.
const FLOAT: u8 = 0x13;
const INTEGER: u8 = 0x03;
const SHORT_TEXT: u8 = 0x04;
const LONG_TEXT: u8 = 0x14;

struct Reader<'a> {
    rest: &'a [u8],
    kept: Vec<u8>,
}

/// The deciding part of what `string.dump` gives; `None` for bytes of another format.
pub(super) fn essence(code: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader {
        rest: code.get(HEADER + 1..)?,
        kept: code.get(..=HEADER)?.to_vec(),
    };
    reader.function(0)?;
    reader.rest.is_empty().then_some(reader.kept)
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn keep(&mut self, count: usize) -> Option<()> {
        let taken = self.take(count)?;
        self.kept.extend_from_slice(taken);
        Some(())
    }

    /// A number in groups of seven bits, the most significant first; the last one is marked.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0_usize;
        loop {
            let byte = self.take(1)?[0];
            number = number.checked_mul(128)? | usize::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                return Some(number);
            }
        }
    }

    fn kept_number(&mut self) -> Option<usize> {
        let number = self.number()?;
        self.kept.extend_from_slice(&number.to_le_bytes());
        Some(number)
    }

    /// A text with its length before it, which is one more; 0 stands for none.
    fn skip_text(&mut self) -> Option<()> {
        match self.number()? {
            0 => Some(()),
            size => self.take(size - 1).map(drop),
        }
    }

    fn keep_text(&mut self) -> Option<()> {
        match self.kept_number()? {
            0 => Some(()),
            size => self.keep(size - 1),
        }
    }

    fn function(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        // Its source, its first line and its last one.
        self.skip_text()?;
        self.number()?;
        self.number()?;
        // How many parameters, whether more, how many registers.
        self.keep(3)?;
        let instructions = self.kept_number()?;
        self.keep(instructions.checked_mul(4)?)?;
        for _ in 0..self.kept_number()? {
            let tag = self.take(1)?[0];
            self.kept.push(tag);
            match tag {
                FLOAT | INTEGER => self.keep(8)?,
                SHORT_TEXT | LONG_TEXT => self.keep_text()?,
                _ => {}
            }
        }
        let captured = self.kept_number()?;
        self.keep(captured.checked_mul(3)?)?;
        for _ in 0..self.kept_number()? {
            self.function(depth + 1)?;
        }
        self.skip_debugging()
    }

    fn skip_debugging(&mut self) -> Option<()> {
        let lines = self.number()?;
        self.take(lines)?;
        for _ in 0..self.number()? {
            self.number()?;
            self.number()?;
        }
        for _ in 0..self.number()? {
            self.skip_text()?;
            self.number()?;
            self.number()?;
        }
        for _ in 0..self.number()? {
            self.skip_text()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlua::Lua;

    fn of(text: &str) -> mlua::Result<Vec<u8>> {
        let code = Lua::new().load(text).into_function()?.dump(false);
        essence(&code).ok_or_else(|| mlua::Error::runtime("not read to its end"))
    }

    #[test]
    fn a_function_that_was_moved_or_whose_variables_have_other_names_is_the_same()
    -> mlua::Result<()> {
        let before = of("local a = 1.5 return function(x) return x + a, 'text', 7 end")?;
        let after =
            of("\n\nlocal b = 1.5\n return function(y)\n return y + b, 'text', 7 end -- later")?;
        assert_eq!(before, after);
        Ok(())
    }

    #[test]
    fn a_function_with_another_constant_instruction_or_inner_function_differs() -> mlua::Result<()>
    {
        let before = of("return function(x) return x + 1 end")?;
        for other in [
            "return function(x) return x + 2 end",
            "return function(x) return x - 1 end",
            "return function(x) return function() return x + 1 end end",
            "return function(x) return x + 'a' end",
            "return function(x) return x + ('a'):rep(60) end",
        ] {
            assert_ne!(before, of(other)?, "{other}");
        }
        Ok(())
    }

    #[test]
    fn bytes_that_are_no_function_are_not_read() {
        assert_eq!(essence(b""), None);
        assert_eq!(essence(&[0xff; 64]), None);
        assert_eq!(essence(&[0; 64]), None);
    }
}
