//! Lists of one kind as lists of the other: by copies, because the formats differ.

use super::{ShareableList, ShareableListOptions};
use crate::containers::{ListOptions, ShmList};
use crate::error::{Error, Result};
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
    /// that ends in NUL, which Python would lose, and [`ListError::TooLong`](super::ListError::TooLong). Then nothing was made.
    pub fn to_shareable_list(&self) -> Result<ShareableList> {
        self.to_shareable_list_with(&ShareableListOptions::default())
    }

    /// The same as the options say: its name, its dialect, and what happens to text that ends in NUL.
    ///
    /// # Errors
    /// As [`to_shareable_list`](Self::to_shareable_list), and those of the options.
    pub fn to_shareable_list_with(&self, options: &ShareableListOptions) -> Result<ShareableList> {
        options.create(&self.to_vec()?)
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
    /// As there, and as [`create`](Self::create).
    pub fn create_from_shareable_list(&self, list: &ShareableList) -> Result<ShmList> {
        let values = list.to_vec()?;
        let with_capacity = |(index, value)| Ok((value, list.slot_bytes(index)?));
        let slots = values.into_iter().enumerate().map(with_capacity).collect::<Result<Vec<_>>>()?;
        self.create_with_capacities(slots)
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
    use crate::ErrorKind;
    use crate::compat::list::Text;
    use crate::compat::{ListError, Value};

    #[test]
    fn what_python_cannot_hold_is_refused_on_the_way_there_and_nothing_on_the_way_back() {
        let list = ShmList::create([Value::from(b"ends in NUL\0"), Value::from(true), Value::None]).unwrap();
        let error = list.to_shareable_list().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::List(ListError::TrailingNul { len: 12 }));
        let padded = list.to_shareable_list_with(&ShareableList::options().text(Text::Padded)).unwrap();
        padded.unlink().unwrap();
        let again = ShmList::try_from(&padded).unwrap();
        assert_eq!(again.to_vec().unwrap(), list.to_vec().unwrap());
        // Two slots of 16 bytes and of 8, as CPython has them.
        assert_eq!([0, 1].map(|index| again.capacity(index).unwrap()), [16, 8]);
        list.set(0, 1).unwrap();
        let plain = ShareableList::try_from(&list).unwrap();
        plain.unlink().unwrap();
        assert_eq!(plain.to_string(), "[1, True, None]");
    }
}
