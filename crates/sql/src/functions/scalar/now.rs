//! "Now": the recorded time of the epoch, the same for all rows of it.

use super::{kernel, special};
use crate::functions::signature::{Bound, FunctionDef, Special, Want};
use crate::functions::values::{Kernel, Millis, numbers};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    special("now", &["current_timestamp", "current_row_timestamp"], "NOW()", Special::Now),
    special("localtimestamp", &[], "LOCALTIMESTAMP", Special::LocalNow),
    special("current_date", &[], "CURRENT_DATE", Special::CurrentDate),
    special("current_time", &["localtime"], "CURRENT_TIME", Special::CurrentTime),
    special("unix_timestamp", &[], "UNIX_TIMESTAMP([text[, format]])", Special::UnixNow),
    special("proctime", &[], "PROCTIME()", Special::Proctime),
    kernel("$epoch_seconds", &[], "seconds of an instant", |arguments| {
        let params = arguments.expect(&[Want::Instant], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let instant = Millis::of(&arguments[0])?;
            numbers::<datafusion::arrow::datatypes::Int64Type>(rows, |row| {
                Ok(instant.get(row).map(|millis| millis.div_euclid(1000)))
            })
        });
        Ok(Bound::new(params, SqlType::BigInt, kernel))
    }),
];
