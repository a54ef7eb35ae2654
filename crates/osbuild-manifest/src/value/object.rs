//! Maps in the order in which they were written.

use indexmap::IndexMap;
use indexmap::map::{IntoIter, Iter, IterMut};

use super::{Text, Value};

/// A JSON object: keys in order of first appearance, each with the value that came last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(IndexMap<Text, Value>);

impl Object {
    /// Makes an empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a member, in the place of the one with that key or else at the end; gives the old one.
    pub fn insert(&mut self, key: impl Into<Text>, value: Value) -> Option<Value> {
        self.0.insert(key.into(), value)
    }

    /// Gives the member of that name.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Gives the member of that name, which may hold lone surrogates.
    pub fn get_text(&self, key: &Text) -> Option<&Value> {
        self.0.get(key)
    }

    /// Gives the member of that name for changing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(key)
    }

    /// Tells whether there is a member of that name.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Takes a member out; the order of the others stays.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// Tells the number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Text> {
        self.0.keys()
    }

    /// Gives the values in order.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.values()
    }

    /// Gives keys and values in order.
    pub fn iter(&self) -> Iter<'_, Text, Value> {
        self.0.iter()
    }

    /// Gives keys and values in order, the values for changing.
    pub fn iter_mut(&mut self) -> IterMut<'_, Text, Value> {
        self.0.iter_mut()
    }

    /// Converts the map for typed decoding, see [`Value::to_serde`].
    pub fn to_serde(&self) -> serde_json::Map<String, serde_json::Value> {
        self.iter()
            .map(|(key, value)| (key.to_string(), value.to_serde()))
            .collect()
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(members: I) -> Self {
        Self(
            members
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }
}

impl<K: Into<Text>> Extend<(K, Value)> for Object {
    fn extend<I: IntoIterator<Item = (K, Value)>>(&mut self, members: I) {
        self.0
            .extend(members.into_iter().map(|(key, value)| (key.into(), value)));
    }
}

impl<'a> IntoIterator for &'a Object {
    type Item = (&'a Text, &'a Value);
    type IntoIter = Iter<'a, Text, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a mut Object {
    type Item = (&'a Text, &'a mut Value);
    type IntoIter = IterMut<'a, Text, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

impl IntoIterator for Object {
    type Item = (Text, Value);
    type IntoIter = IntoIter<Text, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
