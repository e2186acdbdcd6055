//! A list of fixed length whose values change, as Python's `ShareableList`.

use super::list::{AsValue, LayoutVersion, ListError, Progress, Text, encode_into, encoded_len};
use super::shared_memory::{Claim, CreatorPatience};
use super::table::Table;
use super::value::Needle;
use super::{Dialect, Handle, List, Rename, SharedMemory, SharedMemoryOptions, Value, ValueRef, pickle, repr};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::header::{HEADER_BYTES, Header, MAGIC};
use crate::segment::options::invalid;
use crate::segment::{Container, Trust};
use crate::sys::{Access, File};
use core::cell::Cell;
use core::fmt;
use std::path::PathBuf;

/// How often a value that another process is writing is waited for: the time of a few turns of the scheduler, in which
/// a writer that was interrupted between two stores goes on.
const TURNS: usize = 64;

/// How many unreadable values of a list are shown, so that a peer cannot make a line of a log endless.
const UNREADABLE_SHOWN: usize = 100;

/// Whether to wait for a writer once more, after having done so.
#[cold]
fn wait(turns: &Cell<usize>) -> bool {
    turns.set(turns.get() + 1);
    std::thread::yield_now();
    turns.get() <= TURNS
}

/// A list of fixed length whose values change, also in kind: integers of 64 bits, floats, booleans, text, bytes and
/// `None`. What a text's slot holds was fixed when the list was made.
///
/// ```
/// use shmtypes::compat::{ShareableList, Value};
///
/// let list = ShareableList::create(&[Value::from("howdy"), Value::from(1), Value::None])?;
/// list.set(1, 2.5)?;
/// list.set(-1, "some")?;
/// assert_eq!(list.to_vec()?, [Value::from("howdy"), Value::from(2.5), Value::from("some")]);
/// assert_eq!(list.format()?, "8sd8s");
/// assert!(list.get(-4).is_err(), "Python would read its own table here");
/// list.unlink()?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// # Several processes at once
///
/// Any process may store any value at any time. Between Rust processes a number stored over a number of its kind is
/// always seen whole, and every other store is seen complete, or the read is repeated, and after a while
/// [`ListError::Busy`]. Two cases remain. During one read, several stores may alternate in step with the reader's looks
/// (ABA): then the bits of one kind come out as another, or words of several texts. Beside a process that does nothing but
/// store into one slot, that was one read in 250,000 of a slot that toggles between an integer and a float, one in 50,000 to
/// 100,000 with three texts, and one in millions with two. Who needs more than that takes a lock of its own around the
/// list. And two processes that store text into one slot at once may mix it. Python's own reader and writer know
/// nothing of this: a read beside a Python writer waits a while for a format and a code that go together, and gives a value
/// or an error, but perhaps one of the new kind from the
/// bytes of the old, or, because it clears what it is about to write, a zero or a text that is empty or cut. Two writers of one
/// value must agree among each other: stores of different kinds at once can leave the bytes of one under the kind of the
/// other.
///
/// A writer that is killed leaves the old value, the new one, or `Busy` until somebody stores the value anew.
pub struct ShareableList {
    list: List<SharedMemory>,
}

/// What can be said about a list before it is created or opened.
#[derive(Clone, Debug, Default)]
pub struct ShareableListOptions {
    block: SharedMemoryOptions,
    dialect: Dialect,
    text: Text,
}

impl ShareableListOptions {
    /// The name; without one, creating makes a fresh one. See [`SharedMemoryOptions::name`].
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.block = self.block.name(name);
        self
    }

    /// The permission bits of a new list, whatever the umask; 0o600 unless given.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.block = self.block.mode(mode);
        self
    }

    /// The directory, in place of /dev/shm.
    #[must_use]
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.block = self.block.dir(path);
        self
    }

    /// Whose lists may be opened; [`Trust::Owner`] unless given.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.block = self.block.trust(trust);
        self
    }

    /// Options whose new lists belong to somebody else, who removes them.
    pub(crate) fn claimed(mut self, claim: Claim) -> Self {
        self.block = self.block.claimed(claim);
        self
    }

    /// How a new list is laid out; [`Dialect::Portable`] unless given.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// What happens to text that Python would read back as something else; [`Text::Exact`] unless given.
    #[must_use]
    pub fn text(mut self, text: Text) -> Self {
        self.text = text;
        self
    }

    /// See [`ShareableList::create`].
    ///
    /// # Errors
    /// As there.
    pub fn create<V: AsValue>(&self, values: &[V]) -> Result<ShareableList> {
        let bytes = encoded_len(values, self.dialect, self.text)?;
        let fill = |target: &mut [u8]| Ok(encode_into(target, values, self.dialect, self.text)?);
        let block = self.block.create_with(bytes, fill)?;
        let list = List::attach(block)?;
        Ok(ShareableList { list: list.with_text(self.text) })
    }

    /// The position of the first value that no such list can hold.
    pub(super) fn first_refused<V: AsValue>(&self, values: &[V]) -> Option<usize> {
        let is_refused = |value: &V| encoded_len(core::slice::from_ref(value), self.dialect, self.text).is_err();
        values.iter().position(is_refused)
    }

    /// See [`ShareableList::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self) -> Result<ShareableList> {
        let (block, file) = self.block.open_with_file(Access::ReadWrite)?;
        let mut table = Table::new(&file, block.size());
        if Progress::of(&table) != Progress::Finished {
            await_maker(&block)?;
            table = Table::new(&file, block.size());
        }
        let name = block.name().to_owned();
        self.adopt(block, table).map_err(|error| own_segment(&file).unwrap_or(error).on(&name))
    }

    /// Attaches to the list whose handle was pickled, with these options but for the name, which is the pickle's.
    ///
    /// ```
    /// use shmtypes::compat::ShareableList;
    /// use shmtypes::compat::list::Text;
    ///
    /// let padded = ShareableList::options().text(Text::Padded);
    /// let list = padded.create(&[b"ends in NUL\0"])?;
    /// // A pickle says the name and nothing else: whoever unpickles must know that text is padded.
    /// let same = padded.from_pickle(&list.to_pickle(4)?)?;
    /// assert_eq!(same.to_vec()?, list.to_vec()?);
    /// list.unlink()?;
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`ShareableList::from_pickle`], and those of the options.
    pub fn from_pickle(&self, bytes: &[u8]) -> Result<ShareableList> {
        match pickle::parse(bytes) {
            Ok(Handle::ShareableList { name }) => self.clone().name(name).open(),
            Ok(_) => Err(invalid("the pickle is of a SharedMemory, not of a ShareableList")),
            Err(error) => Err(Error::new(ErrorKind::Pickle(error))),
        }
    }

    fn adopt(&self, block: SharedMemory, table: Table<'_>) -> Result<ShareableList> {
        let list = List::attach_by(&table, block);
        let list = table.judge(list)?;
        Ok(ShareableList { list: list.with_text(self.text) })
    }
}

/// What to say of a file that is no list of Python's but a segment of this crate's own. The magic, read as a number of values, is more
/// than any block has, so that no such file is taken for a list.
#[cold]
fn own_segment(file: &File) -> Option<Error> {
    let mut header = [0; HEADER_BYTES];
    let read = file.read_at(&mut header, 0).ok()?;
    let header = header.get(..read).filter(|header| header.starts_with(&MAGIC))?;
    // A header that cannot be read has no container, and the magic all the same.
    let container = Header::parse_claims(header).map_or(Container::Unknown(0), |header| header.container());
    let (found, hint) = match container {
        Container::Array => {
            ("ShmArray", "a segment of this crate's own: open it with `ShmArray`, or `LockedArray` if it has a lock")
        }
        Container::Vec => ("ShmVec", "a segment of this crate's own: open it with `ShmVec`"),
        Container::List => (
            "ShmList",
            "a segment of this crate's own: open it with `ShmList`; `to_shareable_list` makes a list of Python's of it",
        ),
        Container::Cell => ("ShmCell", "a segment of this crate's own: open it with `ShmCell`"),
        Container::Box => ("ShmBox", "a segment of this crate's own: open it with `ShmBox`"),
        _ => (
            "segment of a kind that this version does not know",
            "a segment of this crate's own, which `inspect` describes",
        ),
    };
    Some(Error::new(ErrorKind::WrongContainer { found, expected: "ShareableList" }).with_hint(hint))
}

/// Waits for whoever is making the list. One whose table stands may be opened then: values that are missing say so.
#[cold]
fn await_maker(block: &SharedMemory) -> Result<()> {
    let patience = CreatorPatience::new();
    loop {
        match Progress::of(block) {
            Progress::Finished => return Ok(()),
            _ if patience.wait() => {}
            Progress::Values => return Ok(()),
            Progress::Table => return Err(Error::from(ListError::Unfinished).on(block.name())),
        }
    }
}

impl ShareableList {
    /// Everything that can be said about a list before it is created or opened.
    #[must_use]
    pub fn options() -> ShareableListOptions {
        ShareableListOptions::default()
    }

    /// Creates a list of these values under a fresh name. Nobody can see it before it is complete.
    ///
    /// The values may be [`Value`]s, or numbers, texts or bytes of one type.
    ///
    /// # Errors
    /// [`ListError::TrailingNul`] and [`ListError::TooLong`] as [`ErrorKind::List`], before anything is made; else as
    /// [`SharedMemory::create`].
    pub fn create<V: AsValue>(values: &[V]) -> Result<Self> {
        Self::options().create(values)
    }

    /// Creates a list of these values as the options say.
    ///
    /// # Errors
    /// As [`create`](Self::create), and those of the options.
    pub fn create_with<V: AsValue>(options: &ShareableListOptions, values: &[V]) -> Result<Self> {
        options.create(values)
    }

    /// Attaches to the list of this name, which Python or this crate made, in either layout.
    ///
    /// A list that Python is just making is waited for, up to a tenth of a second; Python itself would attach to it as an
    /// empty list. (An empty list in a block that is larger than it needs cannot be told from one.)
    ///
    /// # Errors
    /// As [`SharedMemory::open`], and [`ErrorKind::List`]: [`ListError::Unfinished`] if its maker does not get on or was
    /// killed while making it, others if the block holds no list; [`ErrorKind::WrongContainer`] for a segment of this crate's own, such
    /// as a [`ShmList`](crate::ShmList), with a hint how to open that. To be rid of such a block, open it as a
    /// [`SharedMemory`] and [`unlink`](SharedMemory::unlink) it.
    pub fn open(name: &str) -> Result<Self> {
        Self::options().name(name).open()
    }

    /// The number of values, which never changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The size of the slot at a position.
    pub(super) fn slot_bytes(&self, position: usize) -> Result<usize> {
        self.list.slot_bytes(position as isize).map_err(|error| self.error(error))
    }

    /// The name of the block.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared_memory().name()
    }

    /// Which layout the list has.
    #[must_use]
    pub fn layout(&self) -> LayoutVersion {
        self.list.version()
    }

    /// The block that the list stands in.
    #[must_use]
    pub fn shared_memory(&self) -> &SharedMemory {
        self.list.memory()
    }

    /// Reads again while another process is in the middle of a store, Python's three separate stores included.
    #[inline(always)]
    fn patiently<R>(&self, mut read: impl FnMut() -> Result<R, ListError>) -> Result<R> {
        read().or_else(|error| self.read_again(error, read)).and_then(|result| self.whole(result))
    }

    #[cold]
    #[inline(never)]
    fn read_again<R>(&self, mut error: ListError, mut read: impl FnMut() -> Result<R, ListError>) -> Result<R> {
        let mut again = self.patience();
        while error.may_pass() && again() {
            match read() {
                Ok(result) => return Ok(result),
                Err(next) => error = next,
            }
        }
        Err(self.error(error))
    }

    /// The same for one value. Not for zeros in the place of what a peer cut off, which do not pass.
    fn patience(&self) -> impl FnMut() -> bool {
        let turns = Cell::new(0);
        move || self.check_whole().is_ok() && wait(&turns)
    }

    #[cold]
    fn error(&self, error: ListError) -> Error {
        // Zeros in the place of what a peer cut off are no list.
        self.check_whole().err().unwrap_or_else(|| Error::from(error).on(self.name()))
    }

    #[inline(always)]
    fn check_whole(&self) -> Result<()> {
        self.shared_memory().check_whole()
    }

    #[inline(always)]
    fn whole<R>(&self, result: R) -> Result<R> {
        self.check_whole()?;
        Ok(result)
    }

    /// Copies a value out. Negative indices count from the end.
    ///
    /// # Errors
    /// [`ErrorKind::List`] with [`ListError::OutOfRange`], [`ListError::Busy`], or what is wrong with the value.
    #[inline]
    pub fn get(&self, index: isize) -> Result<Value> {
        let value = self.list.get_value_patiently(index, self.patience(), |error| self.error(error))?;
        self.whole(value)
    }

    /// Lends a value, its text in private memory that `scratch` keeps for the next call.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_ref<'s>(&self, index: isize, scratch: &'s mut Vec<u8>) -> Result<ValueRef<'s>> {
        let value = self.list.get_patiently(index, scratch, self.patience()).map_err(|error| self.error(error))?;
        self.whole(value)
    }

    /// Stores a value, of whatever kind. Negative indices count from the end.
    ///
    /// # Errors
    /// [`ErrorKind::List`] with [`ListError::OutOfRange`]; [`ListError::ExceedsStorage`] for a text longer than its
    /// slot; [`ListError::TrailingNul`]. Then nothing was changed.
    #[inline]
    pub fn set(&self, index: isize, value: impl AsValue) -> Result<()> {
        self.set_ref(index, value.as_value())
    }

    /// Stores a value without owning its text.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    #[inline]
    pub fn set_ref(&self, index: isize, value: ValueRef<'_>) -> Result<()> {
        self.list.set(index, value).map_err(|error| self.error(error))?;
        self.check_whole()
    }

    /// Visits every value in order. Text lies in private memory for the time of the visit; nothing is allocated per
    /// value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(usize, ValueRef<'_>)) -> Result<()> {
        self.try_for_each(|index, value| {
            visit(index, value);
            Ok(())
        })
    }

    #[inline(always)]
    fn try_for_each(
        &self,
        mut visit: impl FnMut(usize, ValueRef<'_>) -> core::result::Result<(), ListError>,
    ) -> Result<()> {
        // Each value is waited for anew.
        let turns = Cell::new(0);
        let visited = self.list.try_for_each_patiently(
            |index, value| {
                turns.set(0);
                visit(index, value)
            },
            || self.check_whole().is_ok() && wait(&turns),
        );
        visited.map_err(|error| self.error(error))?;
        self.check_whole()
    }

    /// Copies of the values, in order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'_> {
        ListIter { list: self, next: 0, end: self.len() }
    }

    /// Copies of all values.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<Value>> {
        // Not by `collect`, which does not know how many there are if one may be an error.
        let mut values = Vec::new();
        values
            .try_reserve_exact(self.len())
            .map_err(|_| Error::new(ErrorKind::NoAddressSpace { needed: self.shared_memory().size() as u64 }))?;
        // Slots do not overlap, but a peer that moves their bounds between two reads could have its few bytes copied
        // for every value.
        let mut room = self.shared_memory().size();
        self.try_for_each(|index, value| {
            let bytes = match value {
                ValueRef::Str(text) => text.len(),
                ValueRef::Bytes(bytes) => bytes.len(),
                _ => 0,
            };
            room = room.checked_sub(bytes).ok_or(ListError::Busy { index })?;
            values.push(value.to_value());
            Ok(())
        })?;
        Ok(values)
    }

    /// How many values Python calls equal to `value`: `1 == True == 1.0`.
    ///
    /// # Errors
    /// As [`get`](Self::get), for any value.
    pub fn count<'v>(&self, value: impl Into<ValueRef<'v>>) -> Result<usize> {
        let (mut count, needle) = (0, Needle::new(value.into()));
        self.for_each(|_, other| count += usize::from(needle.is(other)))?;
        Ok(count)
    }

    /// The first position of a value that Python calls equal to `value`.
    ///
    /// # Errors
    /// [`ListError::NotFound`], where Python raises `ValueError`; as [`get`](Self::get) for the values before it.
    pub fn index<'v>(&self, value: impl Into<ValueRef<'v>>) -> Result<usize> {
        let value = value.into();
        self.patiently(|| self.list.index(value))
    }

    /// The `struct` formats of all values, one after the other.
    ///
    /// # Errors
    /// [`ListError::UnknownFormat`].
    pub fn format(&self) -> Result<String> {
        self.patiently(|| self.list.format())
    }

    /// Takes the block's name away: see [`SharedMemory::unlink`].
    ///
    /// # Errors
    /// As there.
    pub fn unlink(&self) -> Result<()> {
        self.shared_memory().unlink()
    }

    /// Gives the block another name: see [`SharedMemory::rename`].
    ///
    /// # Errors
    /// As there.
    pub fn rename(&mut self, new: &str, rename: Rename) -> Result<()> {
        self.list.memory_mut().rename(new, rename)
    }

    /// The pickle of this handle, as Python's `pickle.dumps(list, protocol)` makes it. Unpickling attaches by name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOptions`] for a protocol beyond 5.
    pub fn to_pickle(&self, protocol: u8) -> Result<Vec<u8>> {
        self.shared_memory().check_known_to_python()?;
        let handle = Handle::ShareableList { name: self.name().to_owned() };
        pickle::emit(&handle, protocol).map_err(|error| invalid(&error.to_string()))
    }

    /// Attaches to the list whose handle was pickled.
    ///
    /// # Errors
    /// [`ErrorKind::Pickle`] for anything but the pickle of a handle, [`ErrorKind::InvalidOptions`] for that of a
    /// `SharedMemory`; else as [`open`](Self::open).
    pub fn from_pickle(bytes: &[u8]) -> Result<Self> {
        Self::options().from_pickle(bytes)
    }

    fn write_values(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let mut scratch = Vec::new();
        // For one value: a list of values that a killed writer left would be waited for once per value.
        let mut patient = true;
        let mut unreadable = 0;
        for index in 0..self.len() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let mut found = self.list.get(index as isize, &mut scratch).map_err(|error| self.error(error));
            if patient && matches!(found, Err(ref error) if may_pass(error)) {
                found = self.get_ref(index as isize, &mut scratch);
                patient = found.is_ok();
            }
            match found {
                Ok(value) => write!(f, "{value}")?,
                // Python's repr raises here; a `Display` cannot.
                Err(_) if unreadable == UNREADABLE_SHOWN => {
                    write!(f, "<{} more, of which not all are readable>", self.len() - index)?;
                    break;
                }
                Err(error) => {
                    unreadable += 1;
                    write!(f, "<{}>", error.kind())?;
                }
            }
        }
        f.write_str("]")
    }
}

fn may_pass(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::List(error) if error.may_pass())
}

/// As Python's `repr(list(sl))`.
impl fmt::Display for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_values(f)
    }
}

/// As Python's `repr(sl)`.
impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareableList(")?;
        self.write_values(f)?;
        f.write_str(", name=")?;
        repr::write_str(f, self.name())?;
        f.write_str(")")
    }
}

/// Copies of the values of a list, in order. Made by [`ShareableList::iter`].
#[derive(Debug)]
pub struct ListIter<'a> {
    list: &'a ShareableList,
    next: usize,
    end: usize,
}

impl Iterator for ListIter<'_> {
    type Item = Result<Value>;

    #[inline]
    fn next(&mut self) -> Option<Result<Value>> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        Some(self.list.get(self.next as isize - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl DoubleEndedIterator for ListIter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Result<Value>> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        Some(self.list.get(self.end as isize))
    }
}

impl ExactSizeIterator for ListIter<'_> {}
impl core::iter::FusedIterator for ListIter<'_> {}

impl<'a> IntoIterator for &'a ShareableList {
    type Item = Result<Value>;
    type IntoIter = ListIter<'a>;

    fn into_iter(self) -> ListIter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_waited_for_and_not_for_ever() {
        let list = ShareableList::create(&[1]).unwrap();
        list.unlink().unwrap();
        let odd = ListError::UnknownFormat { index: 0, format: *b"8s\0\0\0\0\0\0", code: 0 };
        for error in [odd, ListError::Busy { index: 0 }] {
            let left = Cell::new(5);
            let read = || {
                left.set(left.get() - 1);
                if left.get() == 0 { Ok("read") } else { Err(error.clone()) }
            };
            assert_eq!(list.patiently(read).unwrap(), "read");
            let found = list.patiently(|| Err::<(), _>(error.clone())).unwrap_err();
            assert_eq!(*found.kind(), ErrorKind::List(error));
        }
        let reads = Cell::new(0);
        let wrong = list.patiently(|| {
            reads.set(reads.get() + 1);
            Err::<(), _>(ListError::NotFound)
        });
        assert!(wrong.is_err() && reads.get() == 1, "no patience with what does not pass");
    }

    #[test]
    fn a_segment_of_this_crate_is_named_as_what_it_is() {
        use crate::sync::SeqCell;
        use crate::{ShmArray, ShmBox, ShmCell, ShmList, ShmVec};
        let array = ShmArray::<u64>::create(4).unwrap();
        let vec = ShmVec::<u64>::create(4).unwrap();
        let list = ShmList::create([1, 2]).unwrap();
        let cell = ShmCell::<u64>::create().unwrap();
        let one = ShmBox::create_from(SeqCell::<u64>::new(1)).unwrap();
        let named = [array.name(), vec.name(), list.name(), cell.name(), one.name()];
        for (name, found) in named.into_iter().zip(["ShmArray", "ShmVec", "ShmList", "ShmCell", "ShmBox"]) {
            let error = ShareableList::open(name).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::WrongContainer { found, expected: "ShareableList" });
            assert!(error.hint().is_some_and(|hint| hint.contains(&format!("open it with `{found}`"))), "{error}");
            assert_eq!((error.segment(), error.python_exception()), (Some(name), "ValueError"));
        }
        // The magic alone, and nothing that makes sense behind it.
        let damaged = SharedMemory::create(4096).unwrap();
        damaged.copy_from_slice(0, &MAGIC).unwrap();
        let error = ShareableList::open(damaged.name()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WrongContainer { expected: "ShareableList", .. }), "{error}");
        damaged.copy_from_slice(0, b"anything").unwrap();
        let error = ShareableList::open(damaged.name()).unwrap_err();
        damaged.unlink().unwrap();
        assert!(matches!(error.kind(), ErrorKind::List(_)), "{error}");
    }
}
