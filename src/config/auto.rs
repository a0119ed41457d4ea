//! Settings whose default is computed from other settings.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is computed unless it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auto<T> {
    /// Written `"auto"`.
    #[default]
    Computed,
    Set(T),
}

/// The text of [`Auto::Computed`].
const COMPUTED: &str = "auto";

impl<T> Auto<T> {
    /// The value, if it is set.
    pub fn set(self) -> Option<T> {
        match self {
            Self::Computed => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> From<T> for Auto<T> {
    fn from(value: T) -> Self {
        Self::Set(value)
    }
}

impl<T: Serialize> Serialize for Auto<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Computed => serializer.serialize_str(COMPUTED),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Auto<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AutoVisitor(PhantomData))
    }
}

struct AutoVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AutoVisitor<T> {
    type Value = Auto<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value or {COMPUTED:?}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Auto<T>, E> {
        match text.parse::<i64>() {
            // Numbers from the environment are text, because the default is text.
            Ok(number) => self.visit_i64(number),
            Err(_) if text == COMPUTED => Ok(Auto::Computed),
            Err(_) => T::deserialize(text.into_deserializer()).map(Auto::Set),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Auto<T>, E> {
        T::deserialize(number.into_deserializer()).map(Auto::Set)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Auto<T>, E> {
        T::deserialize(number.into_deserializer()).map(Auto::Set)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Auto<T>, E> {
        T::deserialize(number.into_deserializer()).map(Auto::Set)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Auto<T>, E> {
        T::deserialize(flag.into_deserializer()).map(Auto::Set)
    }
}
