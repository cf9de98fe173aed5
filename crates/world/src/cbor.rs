//! CBOR, as Smithy's RPC protocol puts JSON's data model into it.
//!
//! <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>

use std::convert::Infallible;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use minicbor::data::{IanaTag, Type};
use minicbor::{Decoder, Encoder, decode, encode};
use serde_json::{Map, Value};

/// Reads a document.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, decode::Error> {
    value(&mut Decoder::new(bytes))
}

/// Writes a document. A member whose name ends in `Timestamp` is a moment, in seconds since the epoch, and one whose name ends
/// in `Timestamps` a list of them.
pub(crate) fn write(value: &Value) -> Result<Bytes, encode::Error<Infallible>> {
    let mut encoder = Encoder::new(Vec::new());
    put(&mut encoder, value)?;
    Ok(encoder.into_writer().into())
}

fn value(decoder: &mut Decoder<'_>) -> Result<Value, decode::Error> {
    Ok(match decoder.datatype()? {
        Type::Bool => decoder.bool()?.into(),
        Type::Null | Type::Undefined => {
            decoder.skip()?;
            Value::Null
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => decoder.u64()?.into(),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => decoder.i64()?.into(),
        Type::F32 | Type::F64 => decoder.f64()?.into(),
        Type::Bytes => STANDARD.encode(decoder.bytes()?).into(),
        Type::String | Type::StringIndef => text(decoder)?.into(),
        Type::Array | Type::ArrayIndef => Value::Array(items(decoder)?),
        Type::Map | Type::MapIndef => Value::Object(members(decoder)?),
        Type::Tag => {
            decoder.tag()?;
            value(decoder)?
        }
        other => return Err(decode::Error::type_mismatch(other)),
    })
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, decode::Error> {
    decoder.str_iter()?.collect()
}

fn items(decoder: &mut Decoder<'_>) -> Result<Vec<Value>, decode::Error> {
    let mut left = decoder.array()?;
    let mut items = Vec::new();
    while has_next(decoder, &mut left)? {
        items.push(value(decoder)?);
    }
    Ok(items)
}

fn members(decoder: &mut Decoder<'_>) -> Result<Map<String, Value>, decode::Error> {
    let mut left = decoder.map()?;
    let mut members = Map::new();
    while has_next(decoder, &mut left)? {
        members.insert(text(decoder)?, value(decoder)?);
    }
    Ok(members)
}

/// Whether another item follows: as many as were announced, or, where none were, until the break.
fn has_next(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, decode::Error> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => decoder.skip().map(|()| false),
        None => Ok(true),
    }
}

fn put(encoder: &mut Encoder<Vec<u8>>, value: &Value) -> Result<(), encode::Error<Infallible>> {
    match value {
        Value::Null => encoder.null()?.ok(),
        Value::Bool(value) => encoder.bool(*value)?.ok(),
        Value::String(text) => encoder.str(text)?.ok(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => encoder.i64(whole)?.ok(),
            (None, Some(real)) => encoder.f64(real)?.ok(),
            (None, None) => Err(encode::Error::message("a number beyond a double")),
        },
        Value::Array(items) => {
            encoder.array(items.len() as u64)?;
            items.iter().try_for_each(|item| put(encoder, item))
        }
        Value::Object(members) => {
            encoder.map(members.len() as u64)?;
            members.iter().try_for_each(|(name, member)| {
                encoder.str(name)?;
                match member {
                    Value::Array(moments) if name.ends_with("Timestamps") => {
                        encoder.array(moments.len() as u64)?;
                        moments.iter().try_for_each(|moment| put(encoder.tag(IanaTag::Timestamp)?, moment))
                    }
                    _ if name.ends_with("Timestamp") => put(encoder.tag(IanaTag::Timestamp)?, member),
                    _ => put(encoder, member),
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let document = json!({
            "AlarmNames": ["a", "b"], "MaxRecords": 50, "Offset": -1, "Threshold": 5.0, "Enabled": true, "Nothing": null,
            "StateUpdatedTimestamp": 1_767_603_600.25,
        });
        assert_eq!(read(&write(&document).unwrap()).unwrap(), document);
    }

    #[test]
    fn a_map_of_no_announced_length_is_read_to_its_break() {
        // {_ "AlarmNames": [_ "a"], "MaxRecords": 7}
        let bytes = b"\xbf\x6aAlarmNames\x9f\x61a\xff\x6aMaxRecords\x07\xff";
        assert_eq!(read(bytes).unwrap(), json!({ "AlarmNames": ["a"], "MaxRecords": 7 }));
        assert!(read(b"\xbf\x61a").is_err());
    }

    #[test]
    fn a_moment_is_tagged() {
        assert_eq!(&write(&json!({ "Timestamp": 1 })).unwrap()[..], b"\xa1\x69Timestamp\xc1\x01");
    }
}
