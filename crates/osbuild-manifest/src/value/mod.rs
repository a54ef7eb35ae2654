//! A JSON value as Python has it: whole numbers of any size, NaN and infinities, lone surrogates, ordered objects.

mod equality;
mod integer;
mod object;
mod text;

pub use integer::Integer;
pub use object::Object;
pub use text::Text;
pub(crate) use text::push_code_point;

use crate::document::SyntaxError;

/// A JSON value, kept as it was written: `1` and `1.0` are different values.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number written without fraction and exponent.
    Int(Integer),
    /// Any other number, `NaN` and the infinities included.
    Float(f64),
    /// A string, possibly with lone surrogates.
    String(Text),
    /// A list.
    Array(Vec<Value>),
    /// A map in the order in which it was written.
    Object(Object),
}

impl Value {
    /// Reads JSON text the way Python's `json.loads` does.
    pub fn from_json(text: &str) -> Result<Self, SyntaxError> {
        crate::json::parse(text)
    }

    /// Writes the value as Python's `json.dumps(value)` does.
    pub fn to_python_json(&self) -> String {
        crate::json::to_string(self, crate::json::KeyOrder::AsWritten)
    }

    /// Writes the value as Python's `json.dumps(value, sort_keys=True)` does: the text that ids are digests of.
    pub fn to_sorted_python_json(&self) -> String {
        crate::json::to_string(self, crate::json::KeyOrder::Sorted)
    }

    /// Writes the value as Python's `json.dumps(value, indent=indent)` does.
    pub fn to_indented_python_json(&self, indent: usize) -> String {
        crate::json::to_indented_string(self, indent)
    }

    /// Shows the value as Python's `repr` does.
    pub fn to_python_repr(&self) -> String {
        crate::json::repr(self)
    }

    /// Converts the value for typed decoding. Whole numbers beyond 64 bits become floats, NaN and infinities become
    /// null, lone surrogates U+FFFD.
    pub fn to_serde(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => serde_json::Value::Bool(*value),
            Self::Int(value) => value.to_serde(),
            Self::Float(value) => serde_json::Value::from(*value),
            Self::String(value) => serde_json::Value::String(value.to_string_lossy().into_owned()),
            Self::Array(items) => {
                serde_json::Value::Array(items.iter().map(Self::to_serde).collect())
            }
            Self::Object(object) => serde_json::Value::Object(object.to_serde()),
        }
    }

    /// Converts a value of `serde_json`.
    pub fn from_serde(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::from(value),
                (None, Some(value)) => Self::from(value),
                (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(items) => {
                Self::Array(items.iter().map(Self::from_serde).collect())
            }
            serde_json::Value::Object(map) => Self::Object(
                map.iter()
                    .map(|(key, value)| (Text::from(key.as_str()), Self::from_serde(value)))
                    .collect(),
            ),
        }
    }

    /// Gives the string, if it is one without lone surrogates.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text()?.as_str()
    }

    /// Gives the string, if it is one.
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Gives the truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Gives the whole number, if it is one of 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => value.as_i64(),
            _ => None,
        }
    }

    /// Gives the items, if it is a list.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Gives the map, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Gives the map for changing, if it is one.
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Gives the member of that name, if it is a map and has one.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// Tells whether Python takes the value for true: not null, false, zero or empty.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Int(value) => !value.is_zero(),
            Self::Float(value) => *value != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::Array(items) => !items.is_empty(),
            Self::Object(object) => !object.is_empty(),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Integer::from(value))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(Integer::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Text::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Text::from(text))
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::String(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(items)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}
