//! Tests of the reader-writer lock, inside one process.
