//! Tests of the mutex, inside one process.
