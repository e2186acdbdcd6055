//! Lists of one kind as lists of the other: by copies, because the formats differ.

use super::{ListError, ShareableList, ShareableListOptions};
use crate::containers::{ListOptions, ShmList};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::AccessMode;

impl<M: AccessMode> ShmList<M> {
    /// A list of Python's with copies of the values, under a fresh name. Its slots are as large as these values need.
    ///
    /// ```
    /// use shmtypes::ShmList;
    /// use shmtypes::compat::Value;
    ///
    /// let list = ShmList::create([Value::from("howdy"), Value::from(1.5)])?;
    /// let pythons = list.to_shareable_list()?;
    /// assert_eq!(pythons.to_string(), "['howdy', 1.5]");
    /// let again = ShmList::from_shareable_list(&pythons)?;
    /// assert_eq!(again.to_vec()?, list.to_vec()?);
    /// # pythons.unlink()?;
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`ShareableList::create`]: [`ListError::TrailingNul`](super::ListError::TrailingNul) for text
    /// that ends in NUL, which Python would lose, and [`ListError::TooLong`](super::ListError::TooLong). Then nothing was made,
    /// and [`Error::value_index`] says which value it was.
    pub fn to_shareable_list(&self) -> Result<ShareableList> {
        self.to_shareable_list_with(&ShareableListOptions::default())
    }

    /// The same as the options say: its name, its dialect, and what happens to text that ends in NUL.
    ///
    /// # Errors
    /// As [`to_shareable_list`](Self::to_shareable_list), and those of the options.
    pub fn to_shareable_list_with(&self, options: &ShareableListOptions) -> Result<ShareableList> {
        let values = self.to_vec()?;
        options.create(&values).map_err(|error| match error.kind() {
            ErrorKind::List(_) => error.on(self.name()).at_value(options.first_refused(&values)),
            // About the list of Python's that was to be made.
            _ => error,
        })
    }
}

impl ShmList {
    /// A list with copies of the values of one of Python's, under a fresh name, and with slots as large as there.
    ///
    /// # Errors
    /// As [`ShareableList::get`] and [`create`](Self::create).
    pub fn from_shareable_list(list: &ShareableList) -> Result<Self> {
        Self::options().create_from_shareable_list(list)
    }
}

impl ListOptions {
    /// See [`ShmList::from_shareable_list`].
    ///
    /// # Errors
    /// As there, and as [`create`](Self::create); [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the list would have more bytes than
    /// [`max_bytes`](Self::max_bytes) lets it be opened with; [`ListError::Corrupt`] if the slots are larger together than their
    /// block, because a peer moves their bounds.
    pub fn create_from_shareable_list(&self, list: &ShareableList) -> Result<ShmList> {
        let values = list.to_vec()?;
        let mut sum = SlotSum { bytes: 0, block: list.shared_memory().size() };
        let with_capacity = |(index, value)| {
            let bytes = list.slot_bytes(index)?;
            sum.add(bytes).map_err(|error| error.on(list.name()))?;
            Ok((value, bytes))
        };
        let slots = values.into_iter().enumerate().map(with_capacity).collect::<Result<Vec<_>>>()?;
        self.create_to_be_opened(&slots).map_err(|error| match error.kind() {
            ErrorKind::TooLarge { .. } => error.on(list.name()),
            _ => error,
        })
    }
}

/// How many bytes the slots of a list have together. Slots do not overlap, but a peer that moves their bounds between two looks could
/// give each of them nearly all of the block.
struct SlotSum {
    bytes: usize,
    block: usize,
}

impl SlotSum {
    fn add(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= self.block {
            return Ok(());
        }
        Err(ListError::Corrupt { field: "size of all slots together", value: self.bytes as u64 }.into())
    }
}

impl<M: AccessMode> TryFrom<&ShmList<M>> for ShareableList {
    type Error = Error;

    fn try_from(list: &ShmList<M>) -> Result<Self> {
        list.to_shareable_list()
    }
}

impl TryFrom<&ShareableList> for ShmList {
    type Error = Error;

    fn try_from(list: &ShareableList) -> Result<Self> {
        Self::from_shareable_list(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::Value;
    use crate::compat::list::Text;

    #[test]
    fn what_python_cannot_hold_is_refused_on_the_way_there_and_nothing_on_the_way_back() {
        let list = ShmList::create([Value::from(true), Value::from(b"ends in NUL\0"), Value::None]).unwrap();
        let error = list.to_shareable_list().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::List(ListError::TrailingNul { len: 12 }));
        assert_eq!((error.segment(), error.value_index()), (Some(list.name()), Some(1)));
        assert!(error.to_string().starts_with(&format!("{:?}: value 1: ", list.name())), "{error}");
        let padded = list.to_shareable_list_with(&ShareableList::options().text(Text::Padded)).unwrap();
        padded.unlink().unwrap();
        let again = ShmList::try_from(&padded).unwrap();
        assert_eq!(again.to_vec().unwrap(), list.to_vec().unwrap());
        // Two slots of 16 bytes and of 8, as CPython has them.
        assert_eq!([1, 0].map(|index| again.capacity(index).unwrap()), [16, 8]);
        list.set(1, 1).unwrap();
        let plain = ShareableList::try_from(&list).unwrap();
        plain.unlink().unwrap();
        assert_eq!(plain.to_string(), "[True, 1, None]");
        assert_eq!(list.to_string(), plain.to_string());
    }

    #[test]
    fn a_list_is_not_made_larger_than_may_be_opened_nor_of_slots_larger_than_their_block() {
        let pythons = ShareableList::create(&["x".repeat(990), "y".repeat(990)]).unwrap();
        pythons.unlink().unwrap();
        let whole = ShmList::options().create_from_shareable_list(&pythons).unwrap();
        assert_eq!(whole.capacity(1).unwrap(), 992);
        // All of the file, which is what opening looks at: header, slots, two records, and four areas, in pages.
        let exact = crate::inspect(whole.name()).unwrap().bytes;
        let limited = |limit| ShmList::options().max_bytes(limit);
        let made = limited(exact).create_from_shareable_list(&pythons).unwrap();
        assert!(limited(exact).name(made.name()).open().is_ok());
        let too_large = ErrorKind::TooLarge { bytes: exact, limit: exact - 1 };
        let error = limited(exact - 1).create_from_shareable_list(&pythons).unwrap_err();
        assert_eq!((error.kind(), error.segment()), (&too_large, Some(pythons.name())));
        assert_eq!(*limited(exact - 1).name(made.name()).open().unwrap_err().kind(), too_large);

        let mut sum = SlotSum { bytes: 0, block: 100 };
        assert!(sum.add(60).is_ok() && sum.add(40).is_ok());
        let error = sum.add(8).unwrap_err();
        let corrupt = ListError::Corrupt { field: "size of all slots together", value: 108 };
        assert_eq!(*error.kind(), ErrorKind::List(corrupt));
        assert!(sum.add(usize::MAX).is_err());
    }
}
