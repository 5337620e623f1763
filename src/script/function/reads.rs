//! Functions that only read: what they return need not be compared with what they were given.
//!
//! A function that calls nothing, writes no table and has captured nothing but plain values cannot
//! change its event, whatever it does. That is seen in its code; where the code is not understood,
//! the answer is no.

use super::portable::{Item, Object, Portable};

/// What stands before the code of a function: the signature, the version of Lua 5.4, its format, a
/// check of line ends, the sizes of an instruction, an integer and a number.
const HEAD: &[u8] = b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08";
/// A check integer and a check number, and how many variables are captured.
const REST_OF_HEAD: usize = 8 + 8 + 1;

/// The instructions that write to a variable of others or a table, or call: SETUPVAL, SETTABUP,
/// SETTABLE, SETI, SETFIELD, TBC, CALL, TAILCALL, TFORCALL.
const ACTS: [u8; 9] = [10, 15, 16, 17, 18, 55, 68, 69, 76];

/// Whether the function at this root only reads.
pub(super) fn only_reads(portable: &Portable, root: usize) -> bool {
    let Some(Item::Object(at)) = portable.roots.get(root) else {
        return false;
    };
    let Object::Function { code, captured } = &portable.objects[*at] else {
        return false;
    };
    let plain = |variable: &usize| {
        let value = &portable.variables[*variable];
        !matches!(value, Item::Known(_) | Item::Object(_))
    };
    captured.iter().all(plain) && instructions(code).is_some_and(|code| !acts(code))
}

fn acts(code: &[u8]) -> bool {
    // The lowest seven bits of an instruction are its code.
    let mut operations = code
        .chunks_exact(4)
        .map(|four| four[usize::from(cfg!(target_endian = "big")) * 3] & 0x7f);
    operations.any(|operation| ACTS.contains(&operation))
}

/// The instructions of a function, out of its dump.
fn instructions(dump: &[u8]) -> Option<&[u8]> {
    let mut rest = dump.strip_prefix(HEAD)?.get(REST_OF_HEAD..)?;
    let name = size(&mut rest)?.saturating_sub(1);
    rest = rest.get(name..)?;
    // The lines where it begins and ends; its parameters, whether there are more, its registers.
    size(&mut rest)?;
    size(&mut rest)?;
    rest = rest.get(3..)?;
    let count = size(&mut rest)?;
    rest.get(..count.checked_mul(4)?)
}

/// A size: seven bits a byte, the greatest first, the last byte marked.
fn size(rest: &mut &[u8]) -> Option<usize> {
    let mut size = 0_usize;
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        size = size.checked_mul(128)? + usize::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            return Some(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a function with this body, of one parameter, acts.
    fn acting(body: &str) -> bool {
        let lua = mlua::Lua::new();
        let text = format!("local limit = 3 return function(e) {body} end");
        let function: mlua::Function = lua.load(text).eval().expect("Lua");
        acts(instructions(&function.dump(false)).expect("its code is understood"))
    }

    #[test]
    fn reading_is_told_from_acting() {
        for body in [
            "return e",
            "if e.data.stake > limit then return e end",
            "local n = 0 for i = 1, #e.data do n = n + e.data[i] end return n",
            "return { e.data.a .. 'x', -e.data.b, e.data[limit] }",
        ] {
            assert!(!acting(body), "{body}");
        }
        for body in [
            "e.data.x = 1",
            "e.data[1] = 1",
            "e.data[limit] = 1",
            "limit = e",
            "x = e",
            "f(e)",
            "return f(e)",
            "e.data:f()",
            "for k in f do end",
            "local x <close> = e",
            "local t = e.data t[#t + 1] = 1",
        ] {
            assert!(acting(body), "{body}");
        }
    }
}
