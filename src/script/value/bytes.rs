//! The bytes of JSON as a Lua value, without a tree in between: what [`to_data`](super::to_data)
//! makes of the tree.
//!
//! What Lua cannot hold, and what is no JSON, ends the walk with nothing: the tree reports what it is.

use super::{mark_list, null};
use crate::payload::{self, note};
use mlua::{Lua, Table, Value as LuaValue};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Reads bytes as a value of Lua; `None` where the tree decides what they are.
pub(in crate::script) fn read_data(lua: &Lua, bytes: &[u8]) -> Option<LuaValue> {
    payload::read(bytes, Seed(lua)).ok()?.lua(lua).ok()
}

/// A value that was read. A text is not Lua's before it is needed there: on the way into a table it
/// would cost twice.
enum Item<'de> {
    Text(Cow<'de, str>),
    Lua(LuaValue),
}

impl Item<'_> {
    fn lua(self, lua: &Lua) -> mlua::Result<LuaValue> {
        match self {
            Item::Text(text) => lua.create_string(&*text).map(LuaValue::String),
            Item::Lua(value) => Ok(value),
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'l>(&'l Lua);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Item<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Item<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Item<'de>, E> {
        Ok(Item::Lua(null()))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Item<'de>, E> {
        Ok(Item::Lua(LuaValue::Boolean(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Item<'de>, E> {
        Ok(Item::Lua(LuaValue::Integer(value)))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Item<'de>, E> {
        let value = i64::try_from(value).map_err(E::custom)?;
        Ok(Item::Lua(LuaValue::Integer(value)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Item<'de>, E> {
        note(value);
        Ok(Item::Lua(LuaValue::Number(value)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Borrowed(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item<'de>, A::Error> {
        let table = self.0.create_table().map_err(A::Error::custom)?;
        let mut at = 1;
        while let Some(item) = items.next_element_seed(self)? {
            set(&table, at, item).map_err(A::Error::custom)?;
            at += 1;
        }
        mark_list(self.0, &table).map_err(A::Error::custom)?;
        Ok(Item::Lua(LuaValue::Table(table)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Item<'de>, A::Error> {
        // A few fields more or less cost less than a table that grows one by one.
        let table = self.0.create_table_with_capacity(0, FIELDS);
        let table = table.map_err(A::Error::custom)?;
        while let Some(name) = fields.next_key_seed(Name)? {
            let item = fields.next_value_seed(self)?;
            set(&table, &*name, item).map_err(A::Error::custom)?;
        }
        Ok(Item::Lua(LuaValue::Table(table)))
    }
}

/// For how many fields a table has room when it is made.
const FIELDS: usize = 8;

fn set(table: &Table, key: impl mlua::IntoLua, item: Item<'_>) -> mlua::Result<()> {
    match item {
        Item::Text(text) => table.raw_set(key, &*text),
        Item::Lua(value) => table.raw_set(key, value),
    }
}

/// The name of a field, where it stands if it can.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }
    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::parse_json;
    use crate::script::value::{is_equal, to_data};
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 10, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..10).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..12)
                    .prop_map(|pairs| Value::from(pairs.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_bytes_say_what_the_tree_says(value in value()) {
            let lua = Lua::new();
            let text = value.to_string();
            let tree = parse_json(text.as_bytes()).expect("it was written as JSON");
            let data = read_data(&lua, text.as_bytes()).expect("Lua can hold it");
            prop_assert!(is_equal(&data, &tree, &|| ()), "{text}");
            prop_assert!(is_equal(&to_data(&lua, &tree).expect("Lua can hold it"), &tree, &|| ()), "{text}");
        }
    }

    #[test]
    fn what_lua_cannot_hold_is_left_to_the_tree() {
        let lua = Lua::new();
        for text in [
            "18446744073709551615",
            "[1e999]",
            "{",
            "{\"a\":1}x",
            "\u{feff}1",
            "",
        ] {
            assert!(read_data(&lua, text.as_bytes()).is_none(), "{text}");
        }
        let deep = "[".repeat(200);
        assert!(read_data(&lua, deep.as_bytes()).is_none());
    }

    #[test]
    fn of_a_name_that_stands_twice_the_last_value_counts() {
        let lua = Lua::new();
        let data = read_data(&lua, br#"{"a":1,"a":null,"b":[],"c":"\u00e9\n"}"#);
        let tree = parse_json(br#"{"a":null,"b":[],"c":"\u00e9\n"}"#).expect("JSON");
        assert!(is_equal(&data.expect("Lua can hold it"), &tree, &|| ()));
    }
}
