//! What the C side of Lua can do by itself, and the bound that holds each of it.
//!
//! The hook of [`budget`](super::budget) sees instructions. Whatever runs between two of them, inside
//! a function of the library, an operator or the collector, has one of these bounds; a test compares
//! the list with what a script can reach.
//!
//! - **small**: it does the same little work whatever it is given.
//! - **linear**: it goes once through strings or values that are there, which the memory limit
//!   bounds. The hook looks more often once memory has grown by a megabyte between two looks, and
//!   once instructions were slow, down to each single instruction.
//! - **charged**: `lua/host/sandbox.lua` knows the work before it is done and charges it, so that the
//!   time is looked at; what is beyond all bounds is refused.
//! - **counted**: it is written in Lua or in the host, where each step is counted.
//! - **fenced**: what it lets run may fail only as the call does: a kill is not taken for an error.
//!
//! | function | bound |
//! |---|---|
//! | `assert` | small |
//! | `collectgarbage` | charged: a round goes through all memory; when the collector runs is the host's |
//! | `dofile` | refused |
//! | `error` | small |
//! | `getmetatable` | small; metatables of the host are hidden by `__metatable` |
//! | `ipairs` | small |
//! | `load` | charged: at most 256 KiB, since the compiler takes the square of some texts; its reader is called from Lua |
//! | `loadfile` | refused |
//! | `next` | linear: in the places of a table that was emptied |
//! | `pairs` | small |
//! | `pcall` | fenced |
//! | `print` | charged; a line is within the memory limit |
//! | `rawequal` | linear |
//! | `rawget` | small |
//! | `rawlen` | small |
//! | `rawset` | linear: a table that grows is rehashed |
//! | `require` | counted: it loads files while a script is loaded |
//! | `select` | linear |
//! | `setmetatable` | small; refuses `__gc` and `__close`, as do copies of states and what moves to a node |
//! | `tonumber` | charged with a base, linear without |
//! | `tostring` | linear |
//! | `type` | small |
//! | `warn` | small: nothing is shown |
//! | `xpcall` | fenced |
//! | `coroutine.close` | fenced, charged |
//! | `coroutine.create` | small |
//! | `coroutine.isyieldable` | small |
//! | `coroutine.resume` | fenced, charged: a coroutine counts instructions by itself |
//! | `coroutine.running` | small |
//! | `coroutine.status` | small |
//! | `coroutine.wrap` | fenced, charged |
//! | `coroutine.yield` | linear |
//! | `math.abs` | small |
//! | `math.acos` | small |
//! | `math.asin` | small |
//! | `math.atan` | small |
//! | `math.atan2` | small |
//! | `math.ceil` | small |
//! | `math.cos` | small |
//! | `math.cosh` | small |
//! | `math.deg` | small |
//! | `math.exp` | small |
//! | `math.floor` | small |
//! | `math.fmod` | small |
//! | `math.frexp` | small |
//! | `math.ldexp` | small |
//! | `math.log` | small |
//! | `math.log10` | small |
//! | `math.max` | linear: in its arguments |
//! | `math.min` | linear: in its arguments |
//! | `math.modf` | small |
//! | `math.pow` | small |
//! | `math.rad` | small |
//! | `math.random` | small |
//! | `math.randomseed` | small |
//! | `math.sin` | small |
//! | `math.sinh` | small |
//! | `math.sqrt` | small |
//! | `math.tan` | small |
//! | `math.tanh` | small |
//! | `math.tointeger` | small |
//! | `math.type` | small |
//! | `math.ult` | small |
//! | `string.byte` | linear: at most a million values |
//! | `string.char` | linear |
//! | `string.dump` | linear |
//! | `string.find` | counted: see `patterns`; a short text goes to the library, which takes a million steps at most |
//! | `string.format` | charged: by its texts, which together are within the memory limit |
//! | `string.gmatch` | counted, as `string.find` |
//! | `string.gsub` | counted, as `string.find`; what it makes is charged |
//! | `string.len` | small |
//! | `string.lower` | linear |
//! | `string.match` | counted, as `string.find` |
//! | `string.pack` | charged, as `string.format`; what it makes is within the memory limit |
//! | `string.packsize` | charged |
//! | `string.rep` | charged |
//! | `string.reverse` | linear |
//! | `string.sub` | linear |
//! | `string.unpack` | charged by its format; linear in the text, at most a million values |
//! | `string.upper` | linear |
//! | `table.concat` | charged; counted where a metatable decides |
//! | `table.insert` | charged; counted where a metatable decides |
//! | `table.move` | charged, at most ten million places; counted where a metatable decides |
//! | `table.pack` | linear |
//! | `table.remove` | charged; counted where a metatable decides |
//! | `table.sort` | charged; counted where values may take long to compare, and where a metatable decides |
//! | `table.unpack` | charged, at most a million values; counted where a metatable decides |
//! | `utf8.char` | linear |
//! | `utf8.codepoint` | charged |
//! | `utf8.codes` | linear |
//! | `utf8.len` | charged |
//! | `utf8.offset` | charged |
//!
//! Beside the functions: `..`, `==`, `<`, arithmetic on texts, `#` and the growth of tables are
//! linear. The collector's own rounds go through the memory once, and after each the memory is looked
//! at. Tables that become JSON are bounded by `max_event_bytes` while they do (`value`). A script
//! itself has at most 8 MiB (`source`).

#[cfg(test)]
mod tests {
    use crate::script::ScriptLimits;
    use crate::script::sandbox::Vm;
    use mlua::{Table, Value};
    use std::collections::BTreeSet;

    #[test]
    fn every_function_of_the_library_is_in_the_list() {
        let listed: BTreeSet<String> = include_str!("bounds.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | `")?.split_once('`'))
            .map(|(name, _)| name.to_owned())
            .collect();
        let vm = Vm::new(ScriptLimits::default()).expect("a VM");
        // It is added by the host.
        let mut there = BTreeSet::from(["require".to_owned()]);
        for (name, value) in vm.lua.globals().pairs::<String, Value>().flatten() {
            match value {
                Value::Function(_) => drop(there.insert(name)),
                Value::Table(library) if name != "_G" => {
                    let pairs = Table::pairs::<String, Value>(&library).flatten();
                    let functions = pairs.filter(|(_, value)| value.is_function());
                    there.extend(functions.map(|(inner, _)| format!("{name}.{inner}")));
                }
                _ => {}
            }
        }
        assert_eq!(there, listed);
    }
}
