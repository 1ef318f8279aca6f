//! One value of a column as JSON: of a number, what a person reads in the table.

use half::f16;
use polars_arrow::array::{
    Array, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, ListArray, PrimitiveArray,
    StructArray, Utf8ViewArray,
};
use polars_arrow::datatypes::ArrowDataType;
use serde_json::{Map, Number, Value};

/// Numbers from here on, and those below its inverse, are written with an exponent.
const EXPONENT_FROM: f64 = 1e16;

/// Stored columns that a type takes; `None` where it is not read.
pub(super) fn leaves(dtype: &ArrowDataType) -> Option<usize> {
    match dtype {
        ArrowDataType::List(item) | ArrowDataType::LargeList(item) => leaves(&item.dtype),
        ArrowDataType::Struct(fields) => fields.iter().map(|field| leaves(&field.dtype)).sum(),
        ArrowDataType::Null
        | ArrowDataType::Boolean
        | ArrowDataType::Int8
        | ArrowDataType::Int16
        | ArrowDataType::Int32
        | ArrowDataType::Int64
        | ArrowDataType::UInt8
        | ArrowDataType::UInt16
        | ArrowDataType::UInt32
        | ArrowDataType::UInt64
        | ArrowDataType::Float32
        | ArrowDataType::Float64
        | ArrowDataType::Decimal(..)
        | ArrowDataType::Utf8View
        | ArrowDataType::BinaryView => Some(1),
        _ => None,
    }
}

/// The value of an array of a type that is read; `None` where bytes are no text.
/// A number in two bytes is half precision: [`super::Footer::field`] lets no other
/// bytes of that length through.
pub(crate) fn json(array: &dyn Array, index: usize) -> Option<Value> {
    if array.is_null(index) {
        return Some(Value::Null);
    }
    let any = array.as_any();
    Some(if let Some(texts) = any.downcast_ref::<Utf8ViewArray>() {
        Value::from(texts.value(index))
    } else if let Some(bytes) = any.downcast_ref::<BinaryViewArray>() {
        Value::from(std::str::from_utf8(bytes.value(index)).ok()?)
    } else if let Some(lists) = any.downcast_ref::<ListArray<i64>>() {
        items(lists.value(index).as_ref())?
    } else if let Some(lists) = any.downcast_ref::<ListArray<i32>>() {
        items(lists.value(index).as_ref())?
    } else if let Some(objects) = any.downcast_ref::<StructArray>() {
        let fields = objects.fields().iter().zip(objects.values());
        fields
            .map(|(field, values)| Some((field.name.to_string(), json(values.as_ref(), index)?)))
            .collect::<Option<Map<_, _>>>()?
            .into()
    } else if let Some(truths) = any.downcast_ref::<BooleanArray>() {
        Value::from(truths.value(index))
    } else if let Some(halves) = any.downcast_ref::<FixedSizeBinaryArray>() {
        half(halves.value(index).try_into().ok()?)
    } else {
        // No other type has leaves, and nulls were seen above.
        number(array, index).unwrap_or_default()
    })
}

fn items(array: &dyn Array) -> Option<Value> {
    (0..array.len()).map(|index| json(array, index)).collect()
}

fn number(array: &dyn Array, index: usize) -> Option<Value> {
    let any = array.as_any();
    macro_rules! whole {
        ($($type:ty),+) => {$(
            if let Some(numbers) = any.downcast_ref::<PrimitiveArray<$type>>() {
                return Some(Value::from(numbers.value(index)));
            }
        )+};
    }
    whole!(i8, i16, i32, i64, u8, u16, u32, u64);
    if let Some(numbers) = any.downcast_ref::<PrimitiveArray<f64>>() {
        return Some(float(numbers.value(index)));
    }
    if let Some(numbers) = any.downcast_ref::<PrimitiveArray<f32>>() {
        let number = numbers.value(index);
        // The shortest decimal that is this number among those of its width.
        let read = number.to_string().parse();
        return Some(float(read.unwrap_or(f64::from(number))));
    }
    let numbers = any.downcast_ref::<PrimitiveArray<i128>>()?;
    let ArrowDataType::Decimal(_, scale) = array.dtype() else {
        return None;
    };
    Some(decimal(numbers.value(index), *scale))
}

/// What is no number is nothing; what has no end is a text, so that it is
/// refused where a number is wanted.
fn float(number: f64) -> Value {
    if number.is_infinite() {
        return Value::from(number.to_string());
    }
    Value::from(number)
}

/// The shortest decimal that is this number in half precision.
fn half(bytes: [u8; 2]) -> Value {
    let number = f16::from_le_bytes(bytes);
    let exact = f64::from(number);
    // Five digits tell all of them apart.
    let shortest = (0..5).find_map(|digits| {
        let read: f64 = format!("{exact:.digits$e}").parse().ok()?;
        (f16::from_f64(read) == number).then_some(read)
    });
    float(shortest.unwrap_or(exact))
}

/// A decimal with so many of its digits after the point: a number where one
/// holds all digits, else a text.
fn decimal(digits: i128, scale: usize) -> Value {
    if scale == 0 {
        return match (i64::try_from(digits), u64::try_from(digits)) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(digits.to_string()),
        };
    }
    let sign = if digits < 0 { "-" } else { "" };
    let padded = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, rest) = padded.split_at(padded.len() - scale);
    let text = format!("{sign}{whole}.{rest}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.parse::<f64>() {
        Ok(number) if written(number) == text => Value::from(number),
        _ => Value::from(text),
    }
}

/// A value as a person reads it: a text itself, a whole number without a point;
/// `None` of a list, an object or nothing.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => written(float),
            None => number.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn written(number: f64) -> String {
    let size = number.abs();
    let plain = number == 0.0 || (EXPONENT_FROM.recip()..EXPONENT_FROM).contains(&size);
    match Number::from_f64(number) {
        Some(number) if !plain => number.to_string(),
        // A zero has no sign for a person.
        _ => (number + 0.0).to_string(),
    }
}

/// A count of 0 or more, also where its column is one of floating-point
/// numbers, as that of a table with gaps is; `None` of anything else.
pub fn count_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        // Up to here every whole number is a floating-point number.
        let whole = (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0;
        whole.then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_written_as_a_person_reads_it() {
        for (value, text) in [
            (json!(7.0), "7"),
            (json!(-0.0), "0"),
            (json!(0.1), "0.1"),
            (json!(1e-7), "0.0000001"),
            (json!(1e300), "1e+300"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(true), "true"),
            (json!("007"), "007"),
        ] {
            assert_eq!(text_of(&value).as_deref(), Some(text));
        }
        assert_eq!(text_of(&json!(null)), None);
        assert_eq!(text_of(&json!([1])), None);
    }

    #[test]
    fn a_count_is_whole() {
        assert_eq!(count_of(&json!(7.0)), Some(7));
        assert_eq!(count_of(&json!(u64::MAX)), Some(u64::MAX));
        for value in [json!(7.5), json!(-1), json!(1e20), json!("7"), json!(null)] {
            assert_eq!(count_of(&value), None, "{value}");
        }
    }

    #[test]
    fn a_decimal_keeps_its_digits() {
        for (digits, scale, value) in [
            (110, 2, json!(1.1)),
            (700, 2, json!(7.0)),
            (-5, 2, json!(-0.05)),
            (0, 2, json!(0.0)),
            (i128::from(u64::MAX), 0, json!(u64::MAX)),
            (
                1_234_567_890_123_456_789_025,
                2,
                json!("12345678901234567890.25"),
            ),
            (
                i128::MAX,
                0,
                json!("170141183460469231731687303715884105727"),
            ),
        ] {
            assert_eq!(decimal(digits, scale), value);
        }
    }
}
