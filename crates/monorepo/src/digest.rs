//! What tells that two things are the same.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value;

/// A SHA-256 over what was written, field by field: two different lists of fields never look the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A digest on the way, by AWS-LC: it is linked for TLS already, and quick on processors without instructions for SHA-256.
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Digest {
    /// The digest of some fields.
    pub fn of<Field: AsRef<[u8]>>(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut hasher = Hasher::default();
        fields.into_iter().for_each(|field| hasher.field(field));
        hasher.finish()
    }

    /// The digest of a value: neither the order of an object's keys nor white space counts.
    pub fn of_value(value: &Value) -> Self {
        let mut hasher = Hasher::default();
        write(&mut hasher, value);
        hasher.finish()
    }

    /// The digest's bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn write(hasher: &mut Hasher, value: &Value) {
    match value {
        Value::Array(items) => {
            hasher.field(format!("list of {}", items.len()));
            items.iter().for_each(|item| write(hasher, item));
        }
        Value::Object(entries) => {
            hasher.field(format!("object of {}", entries.len()));
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (key, value) in entries {
                hasher.field(key);
                write(hasher, value);
            }
        }
        simple => hasher.field(simple.to_string()),
    }
}

impl Hasher {
    /// Writes one more field.
    pub fn field(&mut self, field: impl AsRef<[u8]>) {
        let field = field.as_ref();
        self.0.update(&(field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    /// Ends the digest.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        assert_ne!(Digest::of(["ab", "c"]), Digest::of(["a", "bc"]));
        assert_eq!(Digest::of(["ab", "c"]), Digest::of(["ab".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_value_is_its_meaning() {
        let one = json!({ "a": [1, "1", null], "b": { "c": true, "d": {} } });
        let other = serde_json::from_str(r#"{ "b": {"d":{},"c":true}, "a": [1,"1",null] }"#).unwrap();
        assert_eq!(Digest::of_value(&one), Digest::of_value(&other));
        for other in [json!({}), json!([]), json!("1"), json!(1), json!([["a"], "b"]), json!([["a", "b"]])] {
            assert_ne!(Digest::of_value(&one), Digest::of_value(&other));
        }
        assert_ne!(Digest::of_value(&json!("1")), Digest::of_value(&json!(1)));
        assert_ne!(Digest::of_value(&json!([["a"], "b"])), Digest::of_value(&json!([["a", "b"]])));
    }
}
