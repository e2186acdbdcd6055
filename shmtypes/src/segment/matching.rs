//! Does a segment hold the type that this program means?

use super::header::{Container, Header};
use super::options::Evolve;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ShmLayout;
use crate::layout::describe::{Layout, LayoutKind, json_matches};

/// Checks the private copies of a segment's header and schema against a type.
///
/// The fingerprint is the fast path to a difference; equality is decided by the schemas themselves.
pub(crate) fn check<T: ShmLayout>(container: Container, evolve: Evolve, header: &Header, schema: &[u8]) -> Result<()> {
    if header.container() != container {
        let (found, expected) = (header.container().name(), container.name());
        return Err(Error::new(ErrorKind::WrongContainer { found, expected }));
    }
    let same_schema = json_matches(&T::SCHEMA, schema);
    if same_schema && header.fingerprint == T::FINGERPRINT.to_bytes() {
        let size = header.element_bytes;
        if size != size_of::<T>() as u64 {
            return Err(Error::new(ErrorKind::Corrupt { field: "element size", value: size }));
        }
        return check_placement::<T>(header);
    }
    if same_schema {
        let start = u64::from_ne_bytes(header.fingerprint.first_chunk().copied().unwrap_or_default());
        return Err(Error::new(ErrorKind::Corrupt { field: "fingerprint", value: start }));
    }
    let (segment, program) = (Layout::parse(schema)?, Layout::from(&T::SCHEMA));
    if evolve == Evolve::Append && is_appended(&segment, &program) && header.element_bytes == segment.size() as u64 {
        return check_placement::<T>(header);
    }
    Err(Error::new(ErrorKind::LayoutMismatch { differences: segment.differences(&program) }))
}

/// The schema has the type's alignment, and where it has locks there are slots; the header must not claim less.
fn check_placement<T: ShmLayout>(header: &Header) -> Result<()> {
    let align = header.element_align;
    if (align as usize) < align_of::<T>() {
        return Err(Error::new(ErrorKind::Corrupt { field: "element alignment", value: align.into() }));
    }
    if const { T::SCHEMA.has_locks() } && header.slot_table().is_none() {
        return Err(Error::new(ErrorKind::Corrupt { field: "slot count", value: 0 }));
    }
    Ok(())
}

/// Whether the segment's struct starts with all of the program's fields.
fn is_appended(segment: &Layout, program: &Layout) -> bool {
    let (LayoutKind::Struct { version, fields }, LayoutKind::Struct { version: own_version, fields: own_fields }) =
        (segment.kind(), program.kind())
    else {
        return false;
    };
    version == own_version && segment.align() >= program.align() && fields.starts_with(own_fields)
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, Evolve, ShmArray, ShmLayout};

    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Old {
        price: f64,
        amount: u64,
    }

    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct New {
        price: f64,
        amount: u64,
        venue: u64,
    }

    fn new(index: usize) -> New {
        New { price: index as f64, amount: 2 * index as u64, venue: 7 }
    }

    #[test]
    fn an_old_reader_opens_a_segment_whose_type_grew() {
        let grown = ShmArray::<New>::create_from_fn(5, new).unwrap();
        let strict = ShmArray::<Old>::open(grown.name()).unwrap_err();
        assert!(matches!(strict.kind(), ErrorKind::LayoutMismatch { .. }));

        let old = ShmArray::<Old>::options().name(grown.name()).evolve(Evolve::Append).open().unwrap();
        let expected: Vec<Old> = (0..5).map(|i| Old { price: i as f64, amount: 2 * i as u64 }).collect();
        assert_eq!(old.iter().collect::<Result<Vec<_>, _>>().unwrap(), expected);
        old.set(2, Old { price: -1.0, amount: 1 }).unwrap();
        old.at(3).amount().set(99);
        assert_eq!(grown.get(2).unwrap(), New { price: -1.0, amount: 1, venue: 7 });
        assert_eq!(grown.get(3).unwrap(), New { amount: 99, ..new(3) });
        assert_eq!(grown.get(4).unwrap(), new(4));
    }

    #[test]
    fn slices_and_blocks_of_a_grown_segment_are_refused() {
        let grown = ShmArray::<New>::create_from_fn(5, new).unwrap();
        let old = ShmArray::<Old>::options().name(grown.name()).evolve(Evolve::Append).open().unwrap();
        let refused = ErrorKind::Strided { stride: 24, element_size: 16 };
        assert_eq!(*old.to_vec().unwrap_err().kind(), refused);
        assert_eq!(*old.fold_blocks((), |(), _| ()).unwrap_err().kind(), refused);
        assert_eq!(*old.copy_from_slice(0, &[]).unwrap_err().kind(), refused);
    }

    #[test]
    fn a_segment_with_fewer_or_other_fields_stays_a_mismatch() {
        let small = ShmArray::<Old>::create_from_fn(1, |_| Old { price: 0.0, amount: 0 }).unwrap();
        let opened = ShmArray::<New>::options().name(small.name()).evolve(Evolve::Append).open();
        assert!(matches!(opened.unwrap_err().kind(), ErrorKind::LayoutMismatch { .. }));
    }
}
