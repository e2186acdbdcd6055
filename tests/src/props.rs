//! Properties over arbitrary bytes: the bodies of the fuzz targets, replayed on stable by the tests.

use shmtypes::layout::Layout;
use shmtypes::{SegmentDirectory, ShmArray};
use std::fs;

/// Any bytes as a schema: a layout whose JSON is those bytes, or an error.
///
/// # Panics
/// If the property does not hold.
pub fn schema_bytes(bytes: &[u8]) {
    if let Ok(layout) = Layout::parse(bytes) {
        assert_eq!(layout.to_json().as_bytes(), bytes, "canonical: one layout, one text");
        assert!(layout.differences(&layout).is_empty());
        for rendering in [layout.to_rust("Name"), layout.to_c("Name"), layout.to_numpy("name")] {
            assert!(rendering.chars().all(|c| c == '\n' || !c.is_control()), "{rendering:?}");
        }
    }
}

/// Any bytes as the file of a segment: every call gives a value or an error.
///
/// # Panics
/// If the property does not hold, or the file cannot be written.
pub fn segment_bytes(bytes: &[u8]) {
    let name = format!("props-{}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "-");
    let path = format!("/dev/shm/{name}");
    fs::write(&path, bytes).expect("write the file");
    let _removed = Removed(path);
    let directory = SegmentDirectory::default();
    let _ = directory.inspect(&name).map(|info| info.layout.to_rust(&info.type_name));
    if let Ok(array) = ShmArray::<f64>::open(&name) {
        let _ = (array.get(0), array.get(array.len()), array.sum(), array.to_vec(), array.shape(), array.strides());
        assert!(array.len() * size_of::<f64>() <= bytes.len());
    }
    if let Ok(array) = ShmArray::<bool>::open(&name) {
        let _ = (array.to_vec(), array.iter().filter(Result::is_err).count());
        assert!(array.len() <= bytes.len());
    }
}

struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        // A `Keep` or `UntilLastDetach` header may have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}
