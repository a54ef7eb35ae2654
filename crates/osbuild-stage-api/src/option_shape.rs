//! Which options a stage reads, found by watching its options type being decoded.
//!
//! A stage's schema is written by hand and its options struct too; a test holds one against the other. Serde tells
//! the fields of a struct and the variants of an enum to the decoder it is given; [`trace`] is a decoder that notes
//! them down, follows one path per pass, and always ends in an error.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

/// The fields of every struct reached, by the path to it: field names, and `*` for an item of a list or a map.
pub type OptionShape = BTreeMap<String, BTreeSet<&'static str>>;

/// An item of a list, or a value of a map.
const ITEM: &str = "*";
/// Recursive types are followed this far.
const DEPTH_MAX: usize = 8;

/// Notes the shape of a type; `None` if it takes anything.
pub fn trace<T: DeserializeOwned>() -> Option<OptionShape> {
    let mut shape = OptionShape::new();
    let mut queue = VecDeque::from([Vec::new()]);
    while let Some(path) = queue.pop_front() {
        let mut found = Found::default();
        let decoder = Tracer {
            ahead: &path,
            found: &mut found,
        };
        // Every pass ends in an error by design: its findings are the result.
        drop(T::deserialize(decoder));
        let steps = match found {
            Found::Anything if path.is_empty() => return None,
            Found::Nothing | Found::Anything => continue,
            Found::Items => vec![ITEM],
            Found::Fields(fields) => {
                shape.entry(path.join(".")).or_default().extend(fields);
                fields.to_vec()
            }
        };
        if path.len() < DEPTH_MAX {
            queue.extend(
                steps
                    .into_iter()
                    .map(|step| [path.as_slice(), &[step]].concat()),
            );
        }
    }
    Some(shape)
}

/// What is at the end of a path.
#[derive(Default)]
enum Found {
    #[default]
    Nothing,
    Anything,
    Items,
    Fields(&'static [&'static str]),
}

/// Decodes along a path of field names and notes what is at its end.
struct Tracer<'a> {
    ahead: &'a [&'static str],
    found: &'a mut Found,
}

/// The end of a pass.
#[derive(Debug)]
struct Done;

impl fmt::Display for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("traced")
    }
}

impl std::error::Error for Done {}

impl de::Error for Done {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

impl<'de> Tracer<'_> {
    fn note(self, found: Found) -> Done {
        if self.ahead.is_empty() {
            *self.found = found;
        }
        Done
    }

    fn map<V: Visitor<'de>>(self, found: Found, visitor: V) -> Result<V::Value, Done> {
        match self.ahead.split_first() {
            None => Err(self.note(found)),
            Some((step, ahead)) => visitor.visit_map(OneEntry {
                step,
                value: Tracer {
                    ahead,
                    found: self.found,
                },
            }),
        }
    }

    fn list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Done> {
        match self.ahead.split_first() {
            None => Err(self.note(Found::Items)),
            Some((_, ahead)) => visitor.visit_seq(OneItem(Tracer {
                ahead,
                found: self.found,
            })),
        }
    }
}

/// A map with a single entry, whose value ends the pass.
struct OneEntry<'a> {
    step: &'static str,
    value: Tracer<'a>,
}

impl<'de> de::MapAccess<'de> for OneEntry<'_> {
    type Error = Done;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Done> {
        let name: StrDeserializer<'_, Done> = self.step.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Done> {
        seed.deserialize(Tracer {
            ahead: self.value.ahead,
            found: self.value.found,
        })
    }
}

/// A list with a single item, which ends the pass.
struct OneItem<'a>(Tracer<'a>);

impl<'de> de::SeqAccess<'de> for OneItem<'_> {
    type Error = Done;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Done> {
        seed.deserialize(Tracer {
            ahead: self.0.ahead,
            found: self.0.found,
        })
        .map(Some)
    }
}

macro_rules! end_the_pass {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Done> {
            Err(Done)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Done;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Done> {
        Err(self.note(Found::Anything))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Done> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &str,
        visitor: V,
    ) -> Result<V::Value, Done> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Done> {
        self.map(Found::Fields(fields), visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Done> {
        self.map(Found::Items, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Done> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Done> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Done> {
        self.list(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &str,
        _visitor: V,
    ) -> Result<V::Value, Done> {
        Err(Done)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &str,
        _variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Done> {
        Err(Done)
    }

    end_the_pass! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf
        deserialize_unit deserialize_identifier deserialize_ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only the shape is looked at")]
    struct Options {
        name: String,
        #[serde(default, rename = "the-users")]
        users: BTreeMap<String, User>,
        choice: Option<Vec<Choice>>,
        anything: serde_json::Value,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only the shape is looked at")]
    struct User {
        uid: Option<u32>,
        friend: Option<Box<User>>,
    }

    #[derive(Deserialize)]
    enum Choice {
        One,
    }

    #[test]
    fn every_struct_is_found_under_its_path() {
        let mut shape = trace::<Options>().unwrap();
        shape.retain(|path, _| path.matches("friend").count() < 2);
        assert_eq!(
            shape,
            OptionShape::from([
                (
                    String::new(),
                    BTreeSet::from(["name", "the-users", "choice", "anything"])
                ),
                ("the-users.*".to_owned(), BTreeSet::from(["uid", "friend"])),
                (
                    "the-users.*.friend".to_owned(),
                    BTreeSet::from(["uid", "friend"])
                ),
            ])
        );
    }

    #[test]
    fn a_type_that_takes_anything_has_no_shape() {
        assert_eq!(trace::<serde_json::Value>(), None);
    }
}
