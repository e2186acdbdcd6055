//! Knows shmtypes under another name only.
