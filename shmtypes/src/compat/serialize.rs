//! Handles as their names (feature `serde`): what serialises is the name, and what deserialises attaches to it, as Python's
//! pickles do. The contents stay where they are.
//!
//! A block in another directory than /dev/shm has no such name and is not serialised: what deserialises would find another
//! block, or none. Names that come from outside are judged like all others, and so is the block: by the rules of `open`. An
//! [`NdArray`] takes its shape and strides along, because its block does not say them.

use super::{NdArray, Order, ShareableList, SharedMemory};
use crate::layout::ShmLayout;
use serde::de::Error as _;
use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_known_to_python().map_err(S::Error::custom)?;
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::open(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for ShareableList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shared_memory().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ShareableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::open(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<T: ShmLayout> Serialize for NdArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shared_memory().check_known_to_python().map_err(S::Error::custom)?;
        let mut handle = serializer.serialize_struct("NdArray", 4)?;
        handle.serialize_field("name", self.name())?;
        handle.serialize_field("shape", self.shape())?;
        handle.serialize_field("order", if self.order() == Order::C { "C" } else { "F" })?;
        handle.serialize_field("offset", &self.offset())?;
        handle.end()
    }
}

impl<'de, T: ShmLayout> Deserialize<'de> for NdArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Handle {
            name: String,
            shape: Vec<usize>,
            order: String,
            offset: usize,
        }
        let Handle { name, shape, order, offset } = Handle::deserialize(deserializer)?;
        let order = match order.as_str() {
            "C" => Order::C,
            "F" => Order::F,
            other => return Err(D::Error::custom(format!("no order of an array: {other:?}"))),
        };
        Self::options().name(name).order(order).offset(offset).open(&shape).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::Value;

    /// Takes the name away, also when the test fails.
    struct Removed(String);

    impl Drop for Removed {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(format!("/dev/shm/{}", self.0));
        }
    }

    #[test]
    fn a_handle_is_its_name_and_attaches_again() {
        let list = ShareableList::create(&[Value::from(1), Value::from("two")]).unwrap();
        let _removed = Removed(list.name().to_owned());
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(text, format!("{:?}", list.name()));
        let again: ShareableList = serde_json::from_str(&text).unwrap();
        again.set(0, 3).unwrap();
        assert_eq!(list.get(0).unwrap(), Value::Int(3));
        let block: SharedMemory = serde_json::from_str(&text).unwrap();
        assert_eq!(block.size(), list.shared_memory().size());
        list.unlink().unwrap();
        let gone = serde_json::from_str::<ShareableList>(&text).unwrap_err();
        assert!(gone.to_string().contains("no such segment"), "{gone}");
        assert!(serde_json::from_str::<SharedMemory>("\"../../etc/passwd\"").is_err());
    }

    #[test]
    fn a_block_in_another_directory_is_not_serialised() {
        let name = format!("serde-{:016x}", u64::from_ne_bytes(*crate::sys::random().unwrap().first_chunk().unwrap()));
        let directory = std::env::temp_dir().join(&name);
        std::fs::create_dir(&directory).unwrap();
        let list = ShareableList::options().dir(&directory).name(&name).create(&[1]);
        let block = SharedMemory::options().dir(&directory).name(format!("{name}-block")).create(1);
        let array = NdArray::<f64>::options().dir(&directory).name(format!("{name}-array")).create(&[2]);
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(serde_json::to_string(&list.unwrap()).is_err());
        assert!(serde_json::to_string(&block.unwrap()).is_err());
        assert!(serde_json::to_string(&array.unwrap()).is_err());
    }

    #[test]
    fn an_array_takes_its_shape_along() {
        let array = NdArray::<f64>::options().order(Order::F).offset(16).create(&[2, 3]).unwrap();
        let _removed = Removed(array.name().to_owned());
        array.set_nd(&[1, 2], 2.5).unwrap();
        let text = serde_json::to_string(&array).unwrap();
        let again: NdArray<f64> = serde_json::from_str(&text).unwrap();
        assert_eq!(again.get_nd(&[1, 2]).unwrap(), 2.5);
        assert_eq!(again.strides(), array.strides());
        assert!(serde_json::from_str::<NdArray<f64>>(&text.replace("[2,3]", "[2,4]")).is_err(), "too large");
    }
}
