//! A digest of captured values: equal where two VMs have made the same.
//!
//! What a VM decides by itself must not count: the order of a table's pairs, the numbers of objects. So
//! the digest of an object is refined from the digests of those that it refers to, a few steps deep, pairs in
//! no order; and the digest of the whole has those of all objects in no order.

use super::bytecode::essence;
use super::portable::{Item, Object, Portable};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// How many steps away an object still counts for another one.
const STEPS: usize = 8;

/// Hashes what follows each other.
#[derive(Default)]
struct Hasher(Xxh3);

impl Hasher {
    fn add(&mut self, digest: u128) {
        self.0.update(&digest.to_le_bytes());
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(xxh3_128(bytes));
    }

    /// Adds digests that have no order.
    fn add_unordered(&mut self, mut digests: Vec<u128>) {
        digests.sort_unstable();
        self.add(digests.len() as u128);
        digests.into_iter().for_each(|digest| self.add(digest));
    }

    fn end(self) -> u128 {
        self.0.digest128()
    }
}

/// A digest of a tag and what belongs to it.
fn tagged(tag: &str, bytes: &[u8]) -> u128 {
    let mut hasher = Hasher::default();
    hasher.add_bytes(tag.as_bytes());
    hasher.add_bytes(bytes);
    hasher.end()
}

impl Portable {
    /// A digest of the values and all that they refer to; `text` gives what stands for a text.
    pub fn digest(&self, text: &dyn Fn(&[u8]) -> Vec<u8>) -> u128 {
        let texts: Vec<u128> = self
            .texts
            .iter()
            .map(|long| xxh3_128(&text(long)))
            .collect();
        let codes: Vec<u128> = self.objects.iter().map(code).collect();
        let mut objects = codes.clone();
        let mut variables = vec![0; self.variables.len()];
        for _ in 0..STEPS {
            let of = |item: &Item| self.item(item, &objects, &texts, text);
            let next_variables = self.variables.iter().map(of).collect();
            let next = self.objects.iter().zip(&codes);
            let next = next.map(|(object, code)| refined(object, *code, &variables, &of));
            objects = next.collect();
            variables = next_variables;
        }
        let of = |item: &Item| self.item(item, &objects, &texts, text);
        let mut hasher = Hasher::default();
        self.roots.iter().for_each(|root| hasher.add(of(root)));
        for addition in &self.additions {
            hasher.add_bytes(addition.table.as_bytes());
            hasher.add_bytes(addition.key.as_bytes());
            hasher.add(of(&addition.value));
        }
        hasher.add_unordered(objects.clone());
        hasher.end()
    }

    /// Whether it has functions.
    pub fn has_functions(&self) -> bool {
        let mut objects = self.objects.iter();
        objects.any(|object| matches!(object, Object::Function { .. }))
    }

    fn item(
        &self,
        item: &Item,
        objects: &[u128],
        texts: &[u128],
        text: &dyn Fn(&[u8]) -> Vec<u8>,
    ) -> u128 {
        match item {
            Item::Nil => tagged("nil", b""),
            Item::Null => tagged("null", b""),
            Item::Boolean(value) => tagged("boolean", &[u8::from(*value)]),
            Item::Integer(value) => tagged("integer", &value.to_le_bytes()),
            Item::Number(value) => tagged("number", &value.to_bits().to_le_bytes()),
            Item::Text(short) => tagged("text", &xxh3_128(&text(short)).to_le_bytes()),
            Item::Long(at) => tagged("text", &texts[*at].to_le_bytes()),
            Item::Known(name) => tagged("known", name.as_bytes()),
            Item::Object(at) => objects[*at],
        }
    }
}

/// The digest of an object by itself.
fn code(object: &Object) -> u128 {
    match object {
        Object::Table { pairs, .. } => tagged("table", &pairs.len().to_le_bytes()),
        Object::Function { code, .. } => match essence(code) {
            Some(essence) => tagged("function", &essence),
            None => tagged("function", code),
        },
    }
}

/// The digest of an object with what it refers to.
fn refined(object: &Object, code: u128, variables: &[u128], of: &dyn Fn(&Item) -> u128) -> u128 {
    let mut hasher = Hasher::default();
    hasher.add(code);
    match object {
        Object::Table { pairs, meta } => {
            let pairs = pairs.iter().map(|(key, value)| {
                let mut pair = Hasher::default();
                pair.add(of(key));
                pair.add(of(value));
                pair.end()
            });
            hasher.add_unordered(pairs.collect());
            if let Some(meta) = meta {
                hasher.add(of(meta));
            }
        }
        Object::Function { captured, .. } => {
            captured.iter().for_each(|at| hasher.add(variables[*at]));
        }
    }
    hasher.end()
}
