//! Members of a manifest, taken out with the type they must have. Validation has seen to most of it; what is left is
//! reported with its place instead of being guessed.

use crate::document::PathElement;
use crate::resolve::ResolveError;
use crate::value::{Object, Text, Value};

/// A value and where it is.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) value: &'a Value,
    pub(super) path: Vec<PathElement>,
}

impl<'a> Field<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: Vec::new(),
        }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ResolveError {
        ResolveError::new(message, &self.path)
    }

    fn wrong_type(&self, expected: &str) -> ResolveError {
        self.error(format!("{} is not {expected}", self.value.to_python_repr()))
    }

    pub(super) fn object(&self) -> Result<&'a Object, ResolveError> {
        self.value
            .as_object()
            .ok_or_else(|| self.wrong_type("a map"))
    }

    fn array(&self) -> Result<&'a [Value], ResolveError> {
        self.value
            .as_array()
            .ok_or_else(|| self.wrong_type("a list"))
    }

    /// Gives a string that is used as a name, which must be Unicode.
    pub(super) fn name(&self) -> Result<&'a str, ResolveError> {
        self.value
            .as_str()
            .ok_or_else(|| self.wrong_type("a Unicode string"))
    }

    pub(super) fn with(&self, value: &'a Value, element: impl Into<PathElement>) -> Self {
        let path = self.path.iter().cloned().chain([element.into()]).collect();
        Self { value, path }
    }

    pub(super) fn member(&self, key: &str) -> Result<Option<Self>, ResolveError> {
        Ok(self.object()?.get(key).map(|value| self.with(value, key)))
    }

    pub(super) fn needed(&self, key: &str) -> Result<Self, ResolveError> {
        self.member(key)?
            .ok_or_else(|| self.error(format!("'{key}' is a required property")))
    }

    /// Gives a member that is a string; an empty one counts as absent, as upstream has it.
    pub(super) fn optional_name(&self, key: &str) -> Result<Option<&'a str>, ResolveError> {
        let Some(field) = self.member(key)?.filter(|field| field.value.is_truthy()) else {
            return Ok(None);
        };
        field.name().map(Some)
    }

    /// Gives the options, exactly as written; an empty map if there are none.
    pub(super) fn options(&self) -> Result<Value, ResolveError> {
        let options = self.member("options")?.map(|field| field.value.clone());
        Ok(options.unwrap_or_else(|| Object::new().into()))
    }

    /// Gives the items of a member that is a list; none if it is absent.
    pub(super) fn items(&self, key: &str) -> Result<Vec<Self>, ResolveError> {
        let Some(list) = self.member(key)? else {
            return Ok(Vec::new());
        };
        Ok(list
            .array()?
            .iter()
            .enumerate()
            .map(|(index, item)| list.with(item, index))
            .collect())
    }

    /// Gives the members of a member that is a map; none if it is absent.
    pub(super) fn members(&self, key: &str) -> Result<Vec<(&'a str, Self)>, ResolveError> {
        let Some(map) = self.member(key)? else {
            return Ok(Vec::new());
        };
        let named = |(name, value): (&'a Text, &'a Value)| {
            let field = map.with(value, name);
            let name = name
                .as_str()
                .ok_or_else(|| field.error("the name is not Unicode"))?;
            Ok((name, field))
        };
        map.object()?.iter().map(named).collect()
    }
}
