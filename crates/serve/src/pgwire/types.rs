//! Arrow's types as PostgreSQL's.

use std::sync::Arc;

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use pgwire::api::Type;

/// How a column is sent: PostgreSQL's type, and the Arrow type that its values are
/// brought to first, so that the encoders know few types.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PgColumn {
    pub(super) pg_type: Type,
    pub(super) canonical: DataType,
}

impl PgColumn {
    fn new(pg_type: Type, canonical: DataType) -> Self {
        Self { pg_type, canonical }
    }

    /// The form in which a column of this type is sent. Structs, maps and nested lists
    /// are JSON; what PostgreSQL has no type for is text.
    pub(super) fn of(data_type: &DataType) -> Self {
        let micros = TimeUnit::Microsecond;
        match data_type {
            DataType::Boolean => Self::new(Type::BOOL, DataType::Boolean),
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => {
                Self::new(Type::INT2, DataType::Int16)
            }
            DataType::Int32 | DataType::UInt16 => Self::new(Type::INT4, DataType::Int32),
            DataType::Int64 | DataType::UInt32 => Self::new(Type::INT8, DataType::Int64),
            DataType::UInt64 => Self::new(Type::NUMERIC, DataType::Decimal128(20, 0)),
            DataType::Float16 | DataType::Float32 => Self::new(Type::FLOAT4, DataType::Float32),
            DataType::Float64 => Self::new(Type::FLOAT8, DataType::Float64),
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                Self::new(Type::NUMERIC, DataType::Decimal128(*p, *s))
            }
            DataType::Decimal256(..) => Self::new(Type::NUMERIC, data_type.clone()),
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::new(Type::BYTEA, DataType::LargeBinary),
            DataType::Date32 | DataType::Date64 => Self::new(Type::DATE, DataType::Date32),
            DataType::Time32(_) | DataType::Time64(_) => {
                Self::new(Type::TIME, DataType::Time64(micros))
            }
            DataType::Timestamp(_, None) => {
                Self::new(Type::TIMESTAMP, DataType::Timestamp(micros, None))
            }
            DataType::Timestamp(_, Some(_)) => {
                Self::new(Type::TIMESTAMPTZ, DataType::Timestamp(micros, Some("UTC".into())))
            }
            DataType::Interval(_) | DataType::Duration(_) => {
                Self::new(Type::INTERVAL, DataType::Interval(IntervalUnit::MonthDayNano))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self::new(Type::TEXT, data_type.clone())
            }
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::RunEndEncoded(_, values) => Self::of(values.data_type()),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => Self::of_list(data_type, item),
            DataType::Struct(_) | DataType::Map(..) => Self::new(Type::JSON, data_type.clone()),
            _ => Self::new(Type::TEXT, DataType::LargeUtf8),
        }
    }

    fn of_list(data_type: &DataType, item: &Field) -> Self {
        let item_column = Self::of(item.data_type());
        match array_type(&item_column.pg_type) {
            Some(pg_type) => {
                let item = Field::new("item", item_column.canonical, true);
                Self::new(pg_type, DataType::LargeList(Arc::new(item)))
            }
            None => Self::new(Type::JSON, data_type.clone()),
        }
    }

    /// Bytes of a value, or -1 where that varies (`pg_type.typlen`).
    pub(super) fn length(&self) -> i16 {
        match self.pg_type {
            Type::BOOL => 1,
            Type::INT2 => 2,
            Type::INT4 | Type::FLOAT4 | Type::DATE => 4,
            Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
            Type::INTERVAL => 16,
            _ => -1,
        }
    }

    /// The type modifier: precision and scale of a number, else -1.
    pub(super) fn modifier(&self) -> i32 {
        match &self.canonical {
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)
                if self.pg_type == Type::NUMERIC && *scale >= 0 =>
            {
                ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
            }
            _ => -1,
        }
    }
}

/// The type of arrays of a type, for types that the door makes arrays of.
fn array_type(item: &Type) -> Option<Type> {
    Some(match *item {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::TEXT => Type::TEXT_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        _ => return None,
    })
}

/// The name that PostgreSQL's `format_type` gives a column of this type.
pub(super) fn type_name(data_type: &DataType) -> String {
    let column = PgColumn::of(data_type);
    let name = match column.pg_type {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::NUMERIC => match column.modifier() {
            -1 => "numeric",
            modifier => {
                let modifier = modifier - 4;
                return format!("numeric({},{})", modifier >> 16, modifier & 0xffff);
            }
        },
        Type::TIME => "time without time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        _ => match data_type {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _)
                if column.pg_type != Type::JSON =>
            {
                return format!("{}[]", type_name(item.data_type()));
            }
            _ => return column.pg_type.name().to_owned(),
        },
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_format_type() {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        assert_eq!(type_name(&DataType::Decimal128(10, 2)), "numeric(10,2)");
        assert_eq!(type_name(&list(DataType::Int64)), "bigint[]");
        assert_eq!(type_name(&list(list(DataType::Int64))), "json");
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        assert_eq!(type_name(&zoned), "timestamp with time zone");
        let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        assert_eq!(type_name(&words), "text");
    }
}
