//! How an object becomes a row of a table: looked up once for each table.

use crate::store::table::{Child, Table, Type};

/// How an object becomes a row of a table.
pub(super) struct Layout {
    /// The columns that an object fills, then the arrays of child rows.
    pub fields: Vec<Field>,
    /// How many columns there are, also those that a parent fills.
    pub columns: usize,
    /// The places of the columns of the key.
    pub key: Vec<usize>,
    pub children: Vec<Layout>,
    /// Which columns repeat which ones of the parent. Of two that fill the same one the last counts.
    pub given: Vec<(usize, usize)>,
}

/// A field of an object.
pub(super) struct Field {
    pub name: String,
    /// Its name as JSON has it before the value, with the colon.
    pub token: Box<[u8]>,
    pub holds: Holds,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// The column at this place.
    Column(usize, Type),
    /// The rows of the child at this place.
    Child(usize),
}

impl Layout {
    /// That of a table in which these columns repeat others.
    pub fn of(table: &Table, given: &[(String, String)]) -> Self {
        let is_given = |name: &str| given.iter().any(|(theirs, _)| theirs == name);
        let columns = table.columns().iter().enumerate();
        let columns = columns
            .filter(|(_, column)| !is_given(&column.name))
            .map(|(at, column)| Field::new(&column.name, Holds::Column(at, column.kind)));
        let children = table.children().iter().enumerate();
        let arrays = children.map(|(at, child)| Field::new(&child.field, Holds::Child(at)));
        Layout {
            fields: columns.chain(arrays).collect(),
            columns: table.columns().len(),
            key: table.key_places(),
            children: table
                .children()
                .iter()
                .map(|child| Layout::of_child(table, child))
                .collect(),
            given: Vec::new(),
        }
    }

    fn of_child(parent: &Table, child: &Child) -> Self {
        let place = |table: &Table, name: &str| table.find(name).map(|(at, _)| at);
        let links = child.parent.iter().rev();
        Layout {
            given: links
                .filter_map(|(theirs, ours)| {
                    Some((place(&child.table, theirs)?, place(parent, ours)?))
                })
                .collect(),
            ..Layout::of(&child.table, &child.parent)
        }
    }
}

impl Field {
    fn new(name: &str, holds: Holds) -> Self {
        let mut token = serde_json::Value::from(name).to_string();
        token.push(':');
        Field {
            name: name.to_owned(),
            token: token.into_bytes().into(),
            holds,
        }
    }
}
