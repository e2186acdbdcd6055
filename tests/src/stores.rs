//! What a process stores into a list while another one kills it.

use shmtypes::compat::Value;

/// The values, in turn; text long enough that most kills fall into the middle of one.
#[must_use]
pub fn churned() -> [Value; 6] {
    [
        Value::Int(i64::MIN),
        Value::Str("old and long, ".repeat(250)),
        Value::Float(0.1),
        Value::Bytes(b"bytes".repeat(700)),
        Value::Str("new and long, ".repeat(250)),
        Value::None,
    ]
}
