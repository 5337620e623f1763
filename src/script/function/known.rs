//! What every VM has: the standard library and the module. It is recognised by identity and bound
//! again by name where a function arrives.

use mlua::{Lua, Table, Value};
use std::collections::HashMap;

/// The name of the module's table among known values.
const MODULE: &str = "tributary";

/// The names of the values of one VM, taken before a script has run.
pub(in crate::script) struct Known {
    names: HashMap<usize, String>,
    values: HashMap<String, Value>,
    /// The globals table and the libraries, with what they hold.
    tables: Vec<(String, Table, HashMap<String, Value>)>,
    module: Table,
}

impl Known {
    /// Everything that this VM has now.
    pub fn new(lua: &Lua, module: &Table) -> mlua::Result<Self> {
        let mut known = Known {
            names: HashMap::new(),
            values: HashMap::new(),
            tables: Vec::new(),
            module: module.clone(),
        };
        known.add(MODULE, &Value::Table(module.clone()));
        let globals = lua.globals();
        known.add("_G", &Value::Table(globals.clone()));
        let libraries = known.add_table("", "_G", &globals)?;
        for (name, library) in libraries {
            known.add_table(&format!("{name}."), &name, &library)?;
        }
        Ok(known)
    }

    /// Adds what a table holds; the tables in it come out.
    fn add_table(
        &mut self,
        prefix: &str,
        name: &str,
        table: &Table,
    ) -> mlua::Result<Vec<(String, Table)>> {
        let (mut held, mut tables) = (HashMap::new(), Vec::new());
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            let Value::String(key) = key else { continue };
            let key = key.to_string_lossy();
            let path = format!("{prefix}{key}");
            if let Value::Table(inner) = &value
                && prefix.is_empty()
                && key != "_G"
            {
                tables.push((path.clone(), inner.clone()));
            }
            self.add(&path, &value);
            held.insert(key, value);
        }
        self.tables.push((name.to_owned(), table.clone(), held));
        Ok(tables)
    }

    fn add(&mut self, name: &str, value: &Value) {
        if matches!(value, Value::Table(_) | Value::Function(_)) {
            let at = value.to_pointer() as usize;
            self.names.entry(at).or_insert_with(|| name.to_owned());
            self.values.insert(name.to_owned(), value.clone());
        }
    }

    /// The names of all values that every VM has, by where they are. The host may have added
    /// functions to the module since.
    pub fn names(&self) -> HashMap<usize, String> {
        let mut names = self.names.clone();
        for (name, value) in self.module.pairs::<String, Value>().flatten() {
            let at = value.to_pointer() as usize;
            if at != 0 {
                names
                    .entry(at)
                    .or_insert_with(|| format!("{MODULE}.{name}"));
            }
        }
        names
    }

    /// The value of this name.
    pub fn value(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.values.get(name) {
            return Some(value.clone());
        }
        let function = name.strip_prefix(MODULE)?.strip_prefix('.')?;
        self.module.raw_get(function).ok()
    }

    /// The names in the module.
    pub fn functions(&self) -> Vec<String> {
        let pairs = self.module.pairs::<String, Value>().flatten();
        pairs.map(|(name, _)| name).collect()
    }

    /// What a script has added to the globals and the libraries, or replaced there.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (table, now, before) in &self.tables {
            for (key, value) in now.pairs::<String, Value>().flatten() {
                if before.get(&key) != Some(&value) {
                    let table = table.clone();
                    changes.push(Change { table, key, value });
                }
            }
        }
        // The order of a table is none.
        changes.sort_by(|a, b| (&a.table, &a.key).cmp(&(&b.table, &b.key)));
        changes
    }
}

/// Something that a script has added to a table that every VM has.
pub(in crate::script) struct Change {
    pub table: String,
    pub key: String,
    pub value: Value,
}
