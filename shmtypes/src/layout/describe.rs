//! Descriptions of a layout.
